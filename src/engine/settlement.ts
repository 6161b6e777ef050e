// What an attempt reports, and what follows from it: progress, warnings, and the end of the attempt (success, another attempt, or
// the end of the task). Every report proves itself by fencing token; a late one changes nothing.

import { dueAtOf, type NotificationPlan } from '../domain/delivery.ts';
import { DomainError } from '../domain/errors.ts';
import type { EventBody } from '../domain/event.ts';
import type { Json } from '../domain/json.ts';
import { delayAfter, jittered, retries } from '../domain/retry.ts';
import { type Progress, type Task, type TaskError, type TaskResult, workTypeOf } from '../domain/task.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { CommitOutcome } from '../store/rows.ts';
import type { AttemptHeir } from './api.ts';
import { type AttemptEnd, type Attempts, HANDED_BACK, type RunningAttempt } from './attempts.ts';
import {
  advance,
  type Cause,
  type Draft,
  end,
  handOn,
  requeue,
  saveCheckpoint,
  warnOf,
  withEffect,
} from './changes.ts';
import type { Lifecycle } from './lifecycle.ts';
import type { AttemptAlert, AttemptResult, ProgressReport } from './ports/executor.ts';
import type { RunStatistics } from './statistics.ts';

/** Checks a completed output against what was promised; answers the fault, or null (`SAM-83`, `SAM-175`). */
export type OutputCheck = (task: Task, output: Json) => Promise<TaskError | null>;

type RecordRefusal = Extract<CommitOutcome, { status: 'refused' }>['record'];

/** Attempts after which even a coordinator lost with its node is taken for what breaks the nodes. */
const LOST_MAX = 10_000;
const PROGRESS_INTERVAL_MS = { least: 5_000, most: 300_000, shareOfExpected: 1 / 20 };

/** Turns reports into committed changes. */
export class Settlement {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #lifecycle: Lifecycle;
  readonly #attempts: Attempts;
  readonly #statistics: RunStatistics;
  readonly #checkOutput: OutputCheck;
  readonly #coordinates: (task: Task) => boolean;
  readonly #keep: (task: Task) => Promise<void>;

  constructor(
    clock: Clock,
    random: Random,
    lifecycle: Lifecycle,
    attempts: Attempts,
    statistics: RunStatistics,
    checkOutput: OutputCheck,
    coordinates: (task: Task) => boolean,
    keep: (task: Task) => Promise<void>,
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#lifecycle = lifecycle;
    this.#attempts = attempts;
    this.#statistics = statistics;
    this.#checkOutput = checkOutput;
    this.#coordinates = coordinates;
    this.#keep = keep;
  }

  /**
   * Ends an attempt by its result; throws `lease_lost` when it no longer leads its task, changing nothing. `outdated`, and nothing changed,
   * where the record it would change is not any more what it was decided on.
   */
  async settle(attempt: RunningAttempt, result: AttemptResult): Promise<'settled' | 'outdated'> {
    const judged = await this.#judge(attempt.task, result);
    const { task } = attempt;
    const actor = `agent:${attempt.agentId}`;
    const left: TaskResult = {
      metrics: { executionSeconds: this.#ranSeconds(task), ...judged.metrics },
      ...(judged.output === undefined ? {} : { output: judged.output }),
      ...(judged.isolation === undefined ? {} : { isolation: judged.isolation }),
    };
    if (judged.status === 'completed') {
      await this.#keep(task);
      const draft = end(task, 'completed', left, { actor }, this.#lifecycle.tools());
      const { effect } = judged;
      const kept = effect === undefined ? draft : withEffect(draft, effect);
      const refusal = await this.#commit(attempt, kept, 'completed');
      if (refusal?.status === 'conflict') return 'outdated';
      if (refusal?.status === 'full') {
        await this.fail(attempt, { actor, error: noRoom(refusal) }, left);
        return 'settled';
      }
      this.#statistics.add(
        task.tenant,
        workTypeOf(task.spec),
        this.#clock.now() - (task.lease?.claimedAt ?? 0),
      );
    } else {
      await this.fail(attempt, { actor, error: judged.error }, left);
    }
    return 'settled';
  }

  /** Ends an attempt with what an identical task left, running nothing (`SAM-234`); throws `lease_lost`. */
  async reuse(attempt: RunningAttempt, source: Task): Promise<void> {
    const { output = null, isolation } = source.result ?? {};
    const left: TaskResult = {
      metrics: { executionSeconds: 0 },
      output,
      ...(isolation === undefined ? {} : { isolation }),
      cachedFrom: { taskId: source.id, executionId: source.executionId },
    };
    const cause = { actor: 'system', reason: `has the result of task ${source.id}` };
    await this.#commit(
      attempt,
      end(attempt.task, 'completed', left, cause, this.#lifecycle.tools()),
      'returned',
    );
  }

  /** Ends a failed attempt: another one by the retry policy, or the end of the task; throws `lease_lost`. */
  async fail(
    attempt: RunningAttempt,
    cause: Cause & { readonly error: TaskError },
    left: TaskResult = { metrics: {} },
    lost: { readonly agent: string; readonly isToBlame?: boolean } | null = null,
  ): Promise<void> {
    const { task } = attempt;
    const { retry } = task.spec;
    const how = lost === null ? 'failed' : lost.isToBlame === false ? 'returned' : 'agent_error';
    const tools = this.#lifecycle.tools();
    // What only looks after others loses nothing with its node, and may outlive very many.
    const isExcused = lost !== null && task.attempt < LOST_MAX && this.#coordinates(task);
    const used = await this.#usedUp(task, cause.error);
    if (isExcused || retries(retry, used, cause.error)) {
      // A lost worker says nothing about the task: its next attempt need not wait.
      const delayMs = lost === null ? jittered(delayAfter(retry, used), this.#random.fraction()) : 0;
      const retryAfter = cause.error.details?.retry_after_ms;
      const waitMs = typeof retryAfter === 'number' ? Math.max(delayMs, retryAfter) : delayMs;
      await this.#commit(
        attempt,
        requeue(task, { ...cause, delayMs: waitMs, lostAgent: lost?.agent ?? null }, tools),
        how,
      );
    } else {
      await this.#commit(attempt, end(task, 'failed', { ...left, error: cause.error }, cause, tools), how);
    }
  }

  /** Attempts that count; they are not looked up where that decides nothing, or before they may be too many. */
  async #usedUp(task: Task, error: TaskError): Promise<number> {
    const { attempt, spec } = task;
    return attempt < spec.retry.attemptsMax || !retries(spec.retry, 1, error)
      ? attempt
      : Math.max(1, attempt - (await this.#attempts.handedBack(task)));
  }

  /** Gives a task back to its queue unharmed: its attempt is over, its checkpoint stays; throws `lease_lost`. */
  async handBack(attempt: RunningAttempt, reason: string): Promise<void> {
    const details = { [HANDED_BACK]: true };
    const error: TaskError = { code: 'unavailable', message: reason, recoverable: true, details };
    const cause = { actor: `agent:${attempt.agentId}`, reason, error, delayMs: 0, lostAgent: null };
    await this.#commit(attempt, requeue(attempt.task, cause, this.#lifecycle.tools()), 'returned');
  }

  /** Passes an attempt on to another agent, who goes on with it under a new token; throws `lease_lost` (`ARMY-46`). */
  async passOn(attempt: RunningAttempt, heir: AttemptHeir, leaseMs: number): Promise<void> {
    await this.#commit(attempt, handOn(heir, leaseMs), 'returned');
  }

  /** Records how far an attempt has come; throws `lease_lost`. */
  async report(attempt: RunningAttempt, report: ProgressReport): Promise<void> {
    if (saysOnlyCheckpoint(report)) {
      attempt.hasCheckpoint = true;
      await this.#commit(attempt, saveCheckpoint(report.checkpoint), 'running');
      return;
    }
    const progress = this.#progressOf(attempt, report);
    const stepped = report.currentStep !== undefined && report.currentStep !== attempt.currentStep;
    attempt.percentage = progress.percentage;
    attempt.currentStep = progress.currentStep;
    if (report.checkpoint !== undefined) attempt.hasCheckpoint = true;
    const draft = advance(
      attempt.task,
      {
        progress,
        ...(report.intermediate === undefined ? {} : { intermediate: report.intermediate }),
        ...(report.checkpoint === undefined ? {} : { checkpoint: report.checkpoint }),
        alerts: (report.alerts ?? []).map(alert => alertEvent(attempt, alert)),
      },
      this.#notifies(attempt, stepped),
      this.#lifecycle.tools(),
    );
    await this.#commit(attempt, draft, 'running');
  }

  /** Records that a limit is near, once per resource and attempt (`SAM-118`). */
  async warn(attempt: RunningAttempt, resource: string, value: number, limit: number): Promise<void> {
    if (attempt.warned.has(resource)) return;
    attempt.warned.add(resource);
    await this.#commit(
      attempt,
      warnOf(attempt.task, { resource, value, limit }, this.#lifecycle.tools()),
      'running',
    );
  }

  /** Why the draft's record was refused, the attempt still under way; null once all is done. Throws `lease_lost`. */
  async #commit(
    attempt: RunningAttempt,
    draft: Draft,
    after: 'running' | AttemptEnd,
  ): Promise<RecordRefusal | null> {
    const outcome = await this.#lifecycle.apply(attempt.task, draft, { by: 'lease', token: attempt.token });
    if (outcome.status === 'done') {
      if (after !== 'running') this.#attempts.finish(attempt.token, after);
      return null;
    }
    if (outcome.status === 'refused') return outcome.record;
    this.#attempts.abort(attempt.token, 'lease_lost');
    throw new DomainError('lease_lost', `task ${attempt.task.id} is no longer led by this attempt`, {
      details: { task_id: attempt.task.id, fencing_token: attempt.token },
    });
  }

  async #judge(task: Task, result: AttemptResult): Promise<AttemptResult> {
    if (result.status === 'failed') return result;
    const fault = await this.#checkOutput(task, result.output);
    return fault === null ? result : { ...result, status: 'failed', error: fault };
  }

  #progressOf(attempt: RunningAttempt, report: ProgressReport): Progress {
    // 100 is reserved for success (SAM-58).
    const percentage = Math.min(99.9, Math.max(attempt.percentage, report.percentage ?? 0));
    const currentStep = report.currentStep ?? attempt.currentStep;
    return {
      percentage,
      ...(currentStep === undefined ? {} : { currentStep }),
      ...(report.totalSteps === undefined ? {} : { totalSteps: report.totalSteps }),
    };
  }

  #notifies(attempt: RunningAttempt, stepped: boolean): 'no' | 'gathered' | 'at_once' {
    const { spec, tenant } = attempt.task;
    if (spec.notification?.events.includes('task_progress') !== true) return 'no';
    const now = this.#clock.now();
    const expectedMs = this.#statistics.median(tenant, workTypeOf(spec)) ?? spec.timeoutMs;
    const { least, most, shareOfExpected } = PROGRESS_INTERVAL_MS;
    const intervalMs =
      spec.notification.progressIntervalMs ?? Math.min(most, Math.max(least, expectedMs * shareOfExpected));
    if (!stepped && now - attempt.notifiedAt < intervalMs) return 'no';
    attempt.notifiedAt = now;
    return fillsBatch(attempt, spec.notification, now) ? 'at_once' : 'gathered';
  }

  #ranSeconds(task: Task): number {
    const ranMs = task.ranMs + this.#clock.now() - (task.lease?.claimedAt ?? this.#clock.now());
    return Math.round(ranMs) / 1_000;
  }
}

function noRoom({ of, used }: Extract<RecordRefusal, { status: 'full' }>): TaskError {
  return {
    code: 'resource_exhausted',
    message: `the ${of} may keep no more in the memory`,
    recoverable: false,
    details: { quota: `memory_of_${of}`, used: { ...used } },
  };
}

function alertEvent({ task, agentId }: RunningAttempt, alert: AttemptAlert): EventBody {
  if (alert.kind === 'note') return alert;
  const { attempt } = task;
  return alert.kind === 'agent_error' ? { ...alert, attempt, agentId } : { ...alert, attempt };
}

/** Counts one more of what is gathered; true when that is as much as one sending takes. */
function fillsBatch(attempt: RunningAttempt, plan: NotificationPlan, now: number): boolean {
  if (plan.batch === undefined) return false;
  const dueAt = dueAtOf(plan, 'task_progress', now);
  const count = attempt.gathered.dueAt === dueAt ? attempt.gathered.count + 1 : 1;
  const isFull = count >= plan.batch.itemsMax;
  attempt.gathered = { dueAt, count: isFull ? 0 : count };
  return isFull;
}

/** A checkpoint alone is no progress: nobody is told what they know already. */
function saysOnlyCheckpoint(
  report: ProgressReport,
): report is ProgressReport & { readonly checkpoint: Json } {
  const { checkpoint, ...rest } = report;
  return checkpoint !== undefined && Object.values(rest).every(value => value === undefined);
}
