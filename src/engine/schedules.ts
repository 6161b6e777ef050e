// Schedules: kept as documents, run by the node that does the chores. A run's id is made of its instant, so a second node, a restart
// or an answer that was lost never makes it twice; what was decided is written down after the runs it led to.

import { hash } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import type { TaskId, TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import {
  runIdOf,
  runsOf,
  type Schedule,
  type ScheduleOrder,
  specOfRun,
  wordsOf,
} from '../domain/schedule.ts';
import type { Task, TaskSpec } from '../domain/task.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { StoredDocument } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Admission, EngineApi, ScheduleDesk, TaskOrder } from './api.ts';
import { checkTiming, dueBetween, nextDue } from './timetable.ts';

const KIND = 'schedule';
const TICK_MS = 1_000;
/** Hints of other nodes may be lost: so often the documents are read without one. */
const RELOAD_MS = 5_000;
const SCHEDULES_MAX = 1_000;
const TRIES_MAX = 20;
/** Refusals that pass: the run is tried again instead of being given up. */
const PASSING: ReadonlySet<string> = new Set(['rate_limited', 'resource_exhausted', 'unavailable']);

/** What running a schedule takes. */
export interface ScheduleHands extends Pick<EngineApi, 'submit' | 'cancel'> {
  /** Throws why such an order would not be let in now. */
  check(order: TaskOrder): Promise<void>;
  /** Whether this node does the chores. */
  leads(): boolean;
}

interface Kept {
  readonly schedule: Schedule;
  readonly version: number;
  readonly nextAt: number | null;
}

/** Keeps the schedules of all tenants and makes their runs. */
export class Schedules implements ScheduleDesk {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'read'>;
  readonly #hands: ScheduleHands;
  #kept: readonly Kept[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  #led = false;
  #open = false;
  #timer: Cancel | null = null;
  #ticking: Promise<void> | null = null;

  constructor(
    log: Log,
    clock: Clock,
    store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'read'>,
    hands: ScheduleHands,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#hands = hands;
  }

  /** Begins to make runs, at once of what is due. */
  start(): void {
    this.#open = true;
    this.#tickIn(0);
  }

  /** Resolves when the runs under way are made. */
  async stop(): Promise<void> {
    this.#open = false;
    this.#timer?.();
    await this.#ticking;
  }

  /** Somebody changed schedules: read them anew. */
  look(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
    if (this.#open && this.#ticking === null) this.#tickIn(0);
  }

  async create(order: ScheduleOrder): Promise<Schedule> {
    const now = this.#clock.now();
    checkTiming(order.timing, now);
    const schedule: Schedule = {
      ...order,
      state: 'active',
      createdAt: now,
      // The start itself is due, the moment of making is not.
      decidedUntil: order.startAt === null ? now : order.startAt - 1,
      lastRun: null,
      runs: 0,
      skipped: 0,
      lastError: null,
    };
    const [first] = nextDue(schedule, schedule.decidedUntil, 1);
    if (first === undefined)
      throw new DomainError('unprocessable', 'the schedule ends before its first run is due');
    await this.#hands.check(orderOf(schedule, first));
    const { tenant } = order;
    const known = await this.#store.documents({ kind: KIND, tenant, limit: SCHEDULES_MAX });
    if (known.length >= SCHEDULES_MAX)
      throw new DomainError('resource_exhausted', `a tenant may have ${SCHEDULES_MAX} schedules`);
    const [outcome] = await this.#store.putDocuments([
      { kind: KIND, tenant, id: order.id, body: bodyOf(schedule), expected: 'absent' },
    ]);
    if (outcome?.status !== 'done')
      throw new DomainError('conflict', `there is a schedule ${order.id} already`, {
        details: { schedule_id: order.id },
      });
    this.look();
    return schedule;
  }

  async list(tenant: TenantId): Promise<readonly Schedule[]> {
    const documents = await this.#store.documents({ kind: KIND, tenant });
    return documents.map(scheduleOf).sort((a, b) => a.createdAt - b.createdAt);
  }

  async get(tenant: TenantId, id: string): Promise<Schedule> {
    return scheduleOf(await this.#document(tenant, id));
  }

  next(schedule: Schedule, count: number): readonly number[] {
    if (schedule.state !== 'active') return [];
    return nextDue(schedule, Math.max(schedule.decidedUntil, this.#clock.now()), count);
  }

  pause(tenant: TenantId, id: string): Promise<Schedule> {
    return this.#change(tenant, id, schedule =>
      schedule.state === 'active' ? { ...schedule, state: 'paused' } : schedule,
    );
  }

  /** What was due meanwhile is not made up for: it was not missed. */
  resume(tenant: TenantId, id: string): Promise<Schedule> {
    return this.#change(tenant, id, schedule => {
      if (schedule.state !== 'paused') return schedule;
      const decidedUntil = Math.max(schedule.decidedUntil, this.#clock.now());
      return { ...schedule, state: 'active', decidedUntil };
    });
  }

  async remove(tenant: TenantId, id: string): Promise<void> {
    await this.#document(tenant, id);
    await this.#store.putDocuments([{ kind: KIND, tenant, id, body: null }]);
    this.look();
  }

  async runNow(tenant: TenantId, id: string): Promise<Admission> {
    const schedule = await this.get(tenant, id);
    const [admission] = await this.#hands.submit([orderOf(schedule, this.#clock.now(), true)]);
    if (admission === undefined) throw new Error('a submit of one task answered none');
    return admission;
  }

  #tickIn(ms: number): void {
    this.#timer?.();
    this.#timer = this.#clock.after(ms, () => {
      this.#ticking = this.#tick()
        .catch(error => {
          this.#log.warn('schedules could not be run; trying again', { error: String(error) });
          this.#readAt = Number.NEGATIVE_INFINITY;
          return TICK_MS;
        })
        .then(nextInMs => {
          this.#ticking = null;
          if (this.#open) this.#tickIn(nextInMs);
        });
    });
  }

  /** Makes the runs that are due; answers in how many milliseconds to look again. */
  async #tick(): Promise<number> {
    const leads = this.#hands.leads();
    if (leads && !this.#led) this.#readAt = Number.NEGATIVE_INFINITY;
    this.#led = leads;
    if (!leads) return TICK_MS;
    const now = this.#clock.now();
    const age = now - this.#readAt;
    if (this.#store.capabilities.shared ? age >= RELOAD_MS : age === Number.POSITIVE_INFINITY) {
      this.#readAt = now;
      const documents = await this.#store.documents({ kind: KIND });
      this.#kept = documents.map(keptOf).filter(({ schedule }) => schedule.state === 'active');
    }
    for (const kept of this.#kept) {
      if (kept.nextAt !== null && kept.nextAt > now) continue;
      // One bad schedule must not keep the others from being run.
      await this.#run(kept, now).catch(error => {
        const { id } = kept.schedule;
        this.#log.warn('a schedule could not be run; trying again', { schedule: id, error: String(error) });
        this.#readAt = Number.NEGATIVE_INFINITY;
      });
    }
    if (this.#readAt === Number.NEGATIVE_INFINITY) return TICK_MS;
    const soonest = Math.min(...this.#kept.map(({ nextAt }) => nextAt ?? Number.POSITIVE_INFINITY));
    return Math.max(0, Math.min(TICK_MS, soonest - this.#clock.now()));
  }

  async #run({ schedule, version, nextAt }: Kept, now: number): Promise<void> {
    const { endAt, decidedUntil } = schedule;
    const due = nextAt === null ? [] : dueBetween(schedule, decidedUntil, Math.min(now, endAt ?? now));
    let after = schedule;
    for (const at of runsOf(due, now, schedule)) after = await this.#make(after, at);
    after = { ...after, decidedUntil: due.at(-1) ?? decidedUntil };
    if (nextDue(after, after.decidedUntil, 1).length === 0) after = { ...after, state: 'ended' };
    const { tenant, id } = schedule;
    const [outcome] = await this.#store.putDocuments([
      { kind: KIND, tenant, id, body: bodyOf(after), expected: version },
    ]);
    // Somebody changed it meanwhile: what was due is decided anew, by what it says now, and no run is made twice.
    if (outcome?.status !== 'done') this.#readAt = Number.NEGATIVE_INFINITY;
    else this.#keep({ schedule: after, version: outcome.version, nextAt: nextOf(after) });
  }

  #keep(kept: Kept): void {
    const { tenant, id } = kept.schedule;
    this.#kept = this.#kept.flatMap(one => {
      if (one.schedule.tenant !== tenant || one.schedule.id !== id) return [one];
      return kept.schedule.state === 'active' ? [kept] : [];
    });
  }

  /** The schedule after the run of an instant; throws where it is to be tried again. */
  async #make(schedule: Schedule, at: number): Promise<Schedule> {
    const { tenant, lastRun, overlap } = schedule;
    if (lastRun !== null && overlap !== 'queue') {
      const [before] = await this.#store.read([{ tenant, id: lastRun.taskId }]);
      const isOpen = before !== null && before !== undefined && before.outcome === null;
      if (isOpen && overlap === 'skip') return { ...schedule, skipped: schedule.skipped + 1 };
      if (isOpen) await this.#cancel(schedule, before);
    }
    const order = orderOf(schedule, at);
    const [admission] = await this.#hands.submit([order]);
    if (admission?.kind === 'admitted') {
      const lastRun = { taskId: order.id, scheduledAt: at };
      return { ...schedule, lastRun, runs: schedule.runs + 1, lastError: null };
    }
    if (admission === undefined) throw new Error('a submit of one task answered none');
    if (PASSING.has(admission.error.code)) throw admission.error;
    return { ...schedule, lastError: `${order.id}: ${admission.error.message}` };
  }

  async #cancel({ tenant, id }: Schedule, before: Task): Promise<void> {
    const reason = 'the next run of its schedule is due';
    try {
      await this.#hands.cancel({ tenant, id: before.id, actor: `schedule:${id}`, reason });
    } catch (error) {
      // It ended by itself at that moment.
      if (!(error instanceof DomainError) || error.code !== 'invalid_transition') throw error;
    }
  }

  async #change(tenant: TenantId, id: string, change: (schedule: Schedule) => Schedule): Promise<Schedule> {
    for (let tried = 0; tried < TRIES_MAX; tried++) {
      const document = await this.#document(tenant, id);
      const before = scheduleOf(document);
      const after = change(before);
      if (after === before) return before;
      const [outcome] = await this.#store.putDocuments([
        { kind: KIND, tenant, id, body: bodyOf(after), expected: document.version },
      ]);
      if (outcome?.status !== 'done') continue;
      this.look();
      return after;
    }
    throw new DomainError('unavailable', `schedule ${id} changes too fast; try again`, {
      retryAfterMs: 1_000,
    });
  }

  async #document(tenant: TenantId, id: string): Promise<StoredDocument> {
    const [document] = await this.#store.documents({ kind: KIND, tenant, ids: [id] });
    if (document !== undefined) return document;
    throw new DomainError('not_found', `there is no schedule ${id}`, { details: { schedule_id: id } });
  }
}

function keptOf(document: StoredDocument): Kept {
  const schedule = scheduleOf(document);
  return { schedule, version: document.version, nextAt: nextOf(schedule) };
}

function nextOf(schedule: Schedule): number | null {
  return nextDue(schedule, schedule.decidedUntil, 1)[0] ?? null;
}

function scheduleOf({ body }: StoredDocument): Schedule {
  return body as unknown as Schedule;
}

function bodyOf(schedule: Schedule): JsonObject {
  return schedule as unknown as JsonObject;
}

/** The order of a run, equal for equal instants; found again by the schedule as its correlation. */
function orderOf(schedule: Schedule, at: number, byHand = false): TaskOrder {
  const { tenant, id, template, overlap, jitterMs, createdAt, lastRun } = schedule;
  const runId = runIdOf(id, at, byHand);
  const digest = hash('sha256', `${tenant}\n${runId}`, 'hex');
  const delayMs = byHand ? 0 : Math.floor((Number.parseInt(digest.slice(0, 8), 16) / 2 ** 32) * jitterMs);
  const spec: TaskSpec = {
    ...specOfRun(template, wordsOf(schedule, at, lastRun?.scheduledAt ?? null)),
    requester: { ...template.requester, correlationId: `schedule:${id}` },
    traceId: digest.slice(0, 32),
    ...(delayMs === 0 ? {} : { notBefore: at + delayMs }),
    ...(overlap === 'queue' ? { concurrency: { key: `schedule:${id}`, limit: 1 } } : {}),
  };
  return {
    tenant,
    id: runId as TaskId,
    spec,
    fingerprint: `schedule:${id}:${createdAt}:${at}`,
    actor: `schedule:${id}`,
    steps: {},
  };
}
