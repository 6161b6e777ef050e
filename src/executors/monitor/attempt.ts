// One attempt: runs of all checks when they are due, each written down with what it changed in one commit, until there are no more. What
// another attempt needs to go on is in every checkpoint, so no change of state is lost or told twice.

import { DomainError } from '../../domain/errors.ts';
import { AttemptAbort, type AttemptContext, type AttemptResult } from '../../engine/ports/executor.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import { type Book, bookIn, checkpointOf, type EndedBy, newBook, outputOf } from './book.ts';
import { isAtLeast, type Judged, judge } from './finding.ts';
import { fileOf, isFull, rowOf } from './history.ts';
import { isOfHost, type Plan, type PlannedCheck, type PlannedSchedule } from './plan.ts';
import { type BeginRun, missed, type Probe } from './prober.ts';
import { after, NEW_STANDING } from './standing.ts';
import { alertOf, intermediateOf, stepOf, type Told, wordsOf } from './telling.ts';

/** What an attempt works with. */
export interface AttemptParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly beginRun: BeginRun;
}

const CHECKS_AT_ONCE = 10;
/** The clock may be set while we wait: look at it now and then. */
const WAIT_AT_MOST_MS = 30_000;
/** For the last run's report and the history, before the task's time is up. */
const ENDING_MS = 5_000;
const LAST_FILE_MS = 500;

/** Runs the attempt to its end; rejects with the abort's reason, within a second of it. */
export async function runAttempt(
  context: AttemptContext,
  plan: Plan,
  parts: AttemptParts,
): Promise<AttemptResult> {
  context.signal.throwIfAborted();
  const attempt = new Attempt(context, plan, parts);
  try {
    return await attempt.run();
  } catch (error) {
    // A task without an end of its own is ended so: what it found is kept.
    if (error instanceof AttemptAbort && attempt.isLast(error)) await attempt.keepHistoryAnyway();
    throw error;
  }
}

class Attempt {
  readonly #context: AttemptContext;
  readonly #plan: Plan;
  readonly #parts: AttemptParts;
  readonly #isFresh: boolean;
  #book: Book;
  #calls = 0;

  constructor(context: AttemptContext, plan: Plan, parts: AttemptParts) {
    this.#context = context;
    this.#plan = plan;
    this.#parts = parts;
    const before = bookIn(context.checkpoint, plan);
    this.#isFresh = before === null;
    this.#book = before ?? newBook(plan, parts.clock.now());
  }

  async run(): Promise<AttemptResult> {
    const { schedule } = this.#plan;
    if (schedule === null) {
      await this.#run(null);
      return await this.#end(this.#fails() ? 'fail_on' : 'once');
    }
    if (this.#isFresh) this.#context.report({ checkpoint: checkpointOf(this.#book) });
    else {
      this.#context.log('INFO', `The schedule goes on after run ${this.#book.runs}`);
      this.#catchUp(schedule, schedule.catchUp);
    }
    for (;;) {
      const { dueAt } = this.#book;
      const end = this.#fails() ? 'fail_on' : this.#endBefore(dueAt, schedule);
      if (end !== null || dueAt === null) return await this.#end(end ?? 'schedule');
      await this.#until(dueAt + Math.floor(this.#parts.random.fraction() * schedule.jitterMs));
      this.#warnOfTime();
      await this.#run(schedule);
    }
  }

  /** True where no other attempt goes on: the time of an attempt may be up while its task has some left. */
  isLast({ cause }: AttemptAbort): boolean {
    return cause === 'cancelled' || (cause === 'timeout' && this.#parts.clock.now() >= this.#deadlineAt());
  }

  /** Keeps what is not in a file yet, if that takes no time worth speaking of. */
  async keepHistoryAnyway(): Promise<void> {
    await Promise.race([
      this.#keepHistory().catch((error: unknown) =>
        this.#context.log('WARN', `the history was not kept: ${String(error)}`),
      ),
      pause(this.#parts.clock, LAST_FILE_MS),
    ]);
  }

  /** One run: looks, judges, and writes down all of it at once. */
  async #run(schedule: PlannedSchedule | null): Promise<void> {
    const { clock } = this.#parts;
    const at = clock.now();
    const { startedAt, dueAt } = this.#book;
    const dueAfter = (instant: number): number | null =>
      schedule?.timetable.dueFrom(instant + 1, startedAt) ?? null;
    const told = await this.#look(schedule?.overlap === 'restart' ? dueAfter(at) : null);
    const results = told.map(({ result }) => result);
    this.#book = {
      ...this.#book,
      runs: this.#book.runs + 1,
      dueAt: dueAfter(dueAt ?? at),
      standings: told.map(({ standing }) => standing),
      rows: this.#plan.history === 'none' ? [] : [...this.#book.rows, rowOf(at, results)],
    };
    if (schedule !== null) this.#catchUp(schedule, schedule.overlap === 'skip' ? 'skip' : 'once');
    if (isFull(this.#book.rows)) await this.#keepHistory();
    this.#report(at, told, schedule);
  }

  async #look(until: number | null): Promise<readonly Told[]> {
    const { clock, beginRun } = this.#parts;
    const { signal } = this.#context;
    const { checks } = this.#plan;
    const told: Told[] = [];
    const run = beginRun(this.#context);
    const overdue = new AbortController();
    const late = new DomainError('upstream_timeout', 'no result before the next run was due');
    const cancel = until === null ? null : clock.after(until - clock.now(), () => overdue.abort(late));
    let next = 0;
    const work = async (): Promise<void> => {
      for (let check = checks[next++]; check !== undefined; check = checks[next++]) {
        told[check.index] = await this.#lookAt(check, run.probe, AbortSignal.any([signal, overdue.signal]));
      }
    };
    try {
      await Promise.all(Array.from({ length: Math.min(CHECKS_AT_ONCE, checks.length) }, work));
      return told;
    } finally {
      cancel?.();
      await run.over();
    }
  }

  async #lookAt(check: PlannedCheck, probe: Probe, signal: AbortSignal): Promise<Told> {
    if (!isOfHost(check.spec)) this.#calls++;
    const finding = await probe(check, signal).catch((error: unknown) => {
      this.#context.signal.throwIfAborted();
      if (error instanceof DomainError) return missed(error);
      throw error;
    });
    const result = judge(finding, check.thresholds, check.unit, this.#parts.clock.now());
    const before = this.#book.standings[check.index] ?? NEW_STANDING;
    this.#logNews(check, result, before.last);
    return { check, result, ...after(before, result, check.patience) };
  }

  /** What is as it was is in the history: a log of it would only be long. */
  #logNews({ name }: PlannedCheck, { level, message, latencyMs, fault }: Judged, last: Judged | null): void {
    if (last?.level === level && last.message === message) return;
    this.#context.log('DEBUG', `${name}: ${message ?? level}`, {
      ...{ check: name, level, latency_ms: latencyMs },
      ...(fault === null ? {} : { code: fault.code }),
    });
  }

  #report(at: number, told: readonly Told[], schedule: PlannedSchedule | null): void {
    const notices = told.flatMap(({ check, notice }) => (notice === null ? [] : [{ check, notice }]));
    for (const { check, notice } of notices)
      this.#context.log(notice.kind === 'resolved' ? 'INFO' : 'WARN', wordsOf(check.name, notice));
    const percentage = this.#percentage(schedule);
    this.#context.report({
      ...(percentage === null ? {} : { percentage }),
      currentStep: stepOf(told),
      ...(schedule?.count == null ? {} : { totalSteps: schedule.count }),
      intermediate: intermediateOf(this.#book.runs, at, told),
      alerts: notices.map(({ check, notice }) => alertOf(check, notice)),
      ...(schedule === null ? {} : { checkpoint: checkpointOf(this.#book) }),
    });
  }

  /** By runs or by time, whichever is further; null for a schedule without an end. */
  #percentage(schedule: PlannedSchedule | null): number | null {
    const { runs, startedAt } = this.#book;
    const { count, durationMs } = schedule ?? { count: 1, durationMs: null };
    const shares = [
      ...(count === null ? [] : [runs / count]),
      ...(durationMs === null ? [] : [(this.#parts.clock.now() - startedAt) / durationMs]),
    ];
    return shares.length === 0 ? null : Math.min(99, Math.floor(100 * Math.max(...shares)));
  }

  /** What is overdue does not pile up: it becomes one run at once, or none (`SAM-171`). */
  #catchUp({ timetable }: PlannedSchedule, policy: 'once' | 'skip'): void {
    const { dueAt, startedAt, missed: before } = this.#book;
    const now = this.#parts.clock.now();
    if (dueAt === null || dueAt >= now) return;
    const overdue = timetable.dueBetween(dueAt, now, startedAt);
    this.#book =
      policy === 'once'
        ? { ...this.#book, dueAt: now, missed: before + overdue - 1 }
        : { ...this.#book, dueAt: timetable.dueFrom(now, startedAt), missed: before + overdue };
  }

  /** Why the run that is due then is none any more; null where it is. */
  #endBefore(dueAt: number | null, { count, durationMs }: PlannedSchedule): EndedBy | null {
    const { runs, startedAt } = this.#book;
    if (count !== null && runs >= count) return 'count';
    if (dueAt === null) return 'schedule';
    if (durationMs !== null && dueAt >= startedAt + durationMs) return 'duration';
    const longestMs = Math.max(...this.#plan.checks.map(({ timeoutMs }) => timeoutMs));
    return dueAt + longestMs + ENDING_MS > this.#deadlineAt() ? 'timeout' : null;
  }

  /** When the task's time is up, over all its attempts. */
  #deadlineAt(): number {
    const { lease, spec, ranMs } = this.#context.task;
    return lease === null ? Number.POSITIVE_INFINITY : lease.claimedAt + spec.timeoutMs - ranMs;
  }

  #warnOfTime(): void {
    const { lease, spec } = this.#context.task;
    const usedMs = spec.timeoutMs - (this.#deadlineAt() - this.#parts.clock.now());
    if (lease !== null && usedMs >= spec.timeoutMs * 0.8)
      this.#context.warn('time', Math.round(usedMs / 1_000), Math.round(spec.timeoutMs / 1_000));
  }

  async #until(instant: number): Promise<void> {
    const { clock } = this.#parts;
    for (let left = instant - clock.now(); left > 0; left = instant - clock.now())
      await pause(clock, Math.min(left, WAIT_AT_MOST_MS), this.#context.signal);
    this.#context.signal.throwIfAborted();
  }

  #fails(): boolean {
    const { failOn } = this.#plan;
    if (failOn === null) return false;
    return this.#book.standings.some(({ state }) => state !== 'unknown' && isAtLeast(state, failOn));
  }

  async #keepHistory(): Promise<void> {
    const { rows, files } = this.#book;
    const format = this.#plan.history;
    if (rows.length === 0 || format === 'none') return;
    const file = fileOf(rows, this.#plan.checks, { format, number: files.length + 1 });
    const { id, name, sizeBytes, sha256 } = await this.#context.saveArtifact(file);
    const kept = { artifact_id: id, name, media_type: file.mediaType, size_bytes: sizeBytes, sha256 };
    this.#book = { ...this.#book, rows: [], files: [...files, kept] };
  }

  async #end(by: EndedBy): Promise<AttemptResult> {
    await this.#keepHistory();
    const output = outputOf(this.#book, this.#plan, { at: this.#parts.clock.now(), by });
    const { bytesSent, bytesReceived } = this.#context.traffic.counts;
    const metrics = { apiCalls: this.#calls, bytesSent, bytesReceived };
    if (by !== 'fail_on') return { status: 'completed', output, metrics };
    const failing = this.#plan.checks.flatMap(({ name, index }) => {
      const standing = this.#book.standings[index] ?? NEW_STANDING;
      const { state } = standing;
      const isOff = state !== 'unknown' && this.#plan.failOn !== null && isAtLeast(state, this.#plan.failOn);
      return isOff ? [{ check: name, state, message: standing.last?.message ?? null }] : [];
    });
    const message = failing.map(({ check, state }) => `${check} is ${state}`).join(', ');
    const error = { code: 'task_failed', message, recoverable: false, details: { checks: failing } } as const;
    return { status: 'failed', error, output, metrics };
  }
}
