// The continuous sweep: nothing waits for a restart to be put right. Looks for leases that ran out and timers that came due, again
// and again, on the node that does the chores; the guards make it harmless should several do.

import type { Task, TaskError } from '../domain/task.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { DueTimer, LeaseRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Attempts, RunningAttempt } from './attempts.ts';
import { archive, closeNotification, type Draft, end, makeReady, pastDeadline } from './changes.ts';
import { guardOf, type Lifecycle } from './lifecycle.ts';
import { closing } from './notify-phase.ts';
import type { Settlement } from './settlement.ts';

const SWEEP_MS = 500;
const TIMERS_MAX = 500;
const NOTHING: Draft = { events: [] };

/** Puts right what time has undone. */
export class Sweeper {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'leases' | 'dueTimers' | 'dependencies' | 'read' | 'deliveries'>;
  readonly #lifecycle: Lifecycle;
  readonly #attempts: Attempts;
  readonly #settlement: Settlement;
  readonly #isOnDuty: () => boolean;
  #open = false;
  #busy: Promise<void> | null = null;
  #again = false;
  #timer: Cancel | null = null;
  #dueAt = Number.POSITIVE_INFINITY;

  constructor(
    log: Log,
    clock: Clock,
    store: Pick<Store, 'leases' | 'dueTimers' | 'dependencies' | 'read' | 'deliveries'>,
    lifecycle: Lifecycle,
    attempts: Attempts,
    settlement: Settlement,
    isOnDuty: () => boolean = () => true,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#lifecycle = lifecycle;
    this.#attempts = attempts;
    this.#settlement = settlement;
    this.#isOnDuty = isOnDuty;
  }

  /** Begins to sweep, at once and then twice a second at least. */
  start(): void {
    this.#open = true;
    this.wake(0);
  }

  /** Resolves when the sweep under way is over. */
  async stop(): Promise<void> {
    this.#open = false;
    this.#timer?.();
    await this.#busy;
  }

  /** A timer was set, due in so many milliseconds: look then, if not before. */
  wake(dueInMs: number): void {
    if (!this.#open) return;
    const dueAt = this.#clock.monotonic() + dueInMs;
    if (dueAt >= this.#dueAt) return;
    this.#schedule(dueInMs);
  }

  #schedule(inMs: number): void {
    this.#timer?.();
    this.#dueAt = this.#clock.monotonic() + inMs;
    this.#timer = this.#clock.after(inMs, () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#sweep();
    });
  }

  #sweep(): void {
    if (this.#busy !== null) {
      this.#again = true;
      return;
    }
    this.#busy = (this.#isOnDuty() ? this.sweepOnce() : Promise.resolve(SWEEP_MS))
      .catch(error => {
        this.#log.warn('the sweep failed; trying again', { error: String(error) });
        return SWEEP_MS;
      })
      .then(nextInMs => {
        this.#busy = null;
        const soon = this.#again ? 0 : Math.min(SWEEP_MS, nextInMs);
        this.#again = false;
        if (this.#open && this.#clock.monotonic() + soon < this.#dueAt) this.#schedule(soon);
      });
  }

  /** One look at everything; answers in how many milliseconds the next timer is due. */
  async sweepOnce(): Promise<number> {
    const [overdue, timers] = await Promise.all([
      this.#store.leases({ overdue: true }),
      this.#store.dueTimers(TIMERS_MAX),
    ]);
    await Promise.all([
      ...overdue.map(lease => this.#guarded(() => this.#overdue(lease))),
      ...timers.due.map(timer => this.#guarded(() => this.#fire(timer))),
    ]);
    return timers.due.length === TIMERS_MAX ? 0 : (timers.nextDueInMs ?? SWEEP_MS);
  }

  /** One bad task must not keep the others from being swept; losing a race to another end is no fault at all. */
  async #guarded(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#log.debug('a swept task was left as it is', { error: String(error) });
    }
  }

  async #overdue(lease: LeaseRow): Promise<void> {
    const isKnown = this.#attempts.knows(lease.token);
    const attempt = await this.#attempts.find(lease.tenant, lease.taskId, lease.token);
    if (lease.pastDeadline) await this.#timedOut(attempt, lease);
    else await this.#lost(attempt, isKnown);
    attempt.stop?.(lease.pastDeadline ? 'timeout' : 'lease_lost');
  }

  /** The task's own time is up: it ends. Only the attempt's: it failed, and may be tried again (`SAM-129`). */
  async #timedOut(attempt: RunningAttempt, lease: LeaseRow): Promise<void> {
    const { task } = attempt;
    const { timeoutMs } = task.spec;
    const whole = task.ranMs + lease.deadlineAt - lease.claimedAt >= timeoutMs;
    const error: TaskError = {
      code: 'task_timeout',
      message: whole
        ? `the task did not end within its timeout of ${timeoutMs / 1_000} s`
        : `the attempt did not end within ${(task.spec.attemptTimeoutMs ?? 0) / 1_000} s`,
      recoverable: !whole,
    };
    const cause = { actor: 'system', reason: 'timeout', error };
    if (!whole) return this.#settlement.fail(attempt, cause);
    const left = { metrics: { executionSeconds: timeoutMs / 1_000 }, error };
    const guard = { by: 'lease', token: lease.token } as const;
    const outcome = await this.#lifecycle.apply(
      task,
      end(task, 'timeout', left, cause, this.#lifecycle.tools()),
      guard,
    );
    if (outcome.status === 'done') this.#attempts.finish(lease.token, 'failed');
  }

  /** The worker fell silent: the task goes back to its queue, or ends if it has broken too many (`SAM-105`, `SAM-134`). */
  async #lost(attempt: RunningAttempt, isKnown: boolean): Promise<void> {
    const error: TaskError = {
      code: 'unavailable',
      message: `agent ${attempt.agentId} did not renew its lease`,
      recoverable: true,
    };
    const cause = { actor: 'system', reason: 'lease expired', error };
    // Of a lease that this process neither gave out nor heard of, nobody knows whether its agent ever got it: a process may have died over it.
    await this.#settlement.fail(
      attempt,
      cause,
      { metrics: {} },
      { agent: attempt.agentId, isToBlame: isKnown },
    );
  }

  async #fire(timer: DueTimer): Promise<void> {
    if (timer.kind === 'deadline') return this.#pastDeadline(timer);
    const draft = (await this.#answerTo(timer)) ?? NOTHING;
    await this.#lifecycle.apply(timer.task, draft, guardOf(timer.task), timer.id);
  }

  /** Ends a task however far it is. Should it have moved meanwhile it is looked at again: its timer is gone with the first try. */
  async #pastDeadline({ id, task }: DueTimer): Promise<void> {
    let now: Task | null | undefined = task;
    while (now !== null && now !== undefined) {
      const draft = (await this.#answerTo({ id, kind: 'deadline', task: now })) ?? NOTHING;
      const outcome = await this.#lifecycle.apply(now, draft, guardOf(now), id);
      if (outcome.status === 'done' || draft === NOTHING) {
        if (draft !== NOTHING && now.lease !== null) this.#attempts.abort(now.lease.token, 'timeout');
        return;
      }
      [now] = await this.#store.read([task]);
    }
  }

  /** What a due timer calls for, or null where time has passed it by. */
  async #answerTo({ kind, task }: DueTimer): Promise<Draft | null> {
    const tools = this.#lifecycle.tools();
    switch (kind) {
      case 'ready':
        return task.state === 'queued' ? this.#afterDate(task) : null;
      case 'dependency':
        return task.state === 'queued' ? this.#afterDependencies(task) : null;
      case 'queue_timeout': {
        if (task.state !== 'queued' || task.attempt > 0) return null;
        const error: TaskError = {
          code: 'task_timeout',
          message: 'no agent took the task in time',
          recoverable: false,
        };
        const cause = { actor: 'system', reason: 'queue timeout', error };
        return end(task, 'timeout', { metrics: {}, error }, cause, tools);
      }
      case 'deadline':
        return pastDeadline(task, tools);
      case 'notify_timeout':
        return task.state === 'notifying' ? this.#notifiedOrNot(task) : null;
      case 'archive':
        return ARCHIVABLE.has(task.state) ? archive(task, ARCHIVE_STEPS) : null;
    }
  }

  /** The phase is over now, well only where a server stopped between the last notification and this. */
  async #notifiedOrNot(task: Task): Promise<Draft> {
    const { archiveDelayMs } = this.#lifecycle;
    const steps = ['compile', 'escalate'];
    const cause = { actor: 'system', reason: 'not delivered within 24 h', steps };
    const late = await closing(this.#store, task, null, this.#lifecycle);
    return late ?? closeNotification(task, 'notification_failed', cause, archiveDelayMs);
  }

  /** A date passed; a first start still waits for what it depends on. */
  #afterDate(task: Task): Promise<Draft | null> | Draft {
    return task.attempt === 0 && task.spec.dependsOn.length > 0 ? this.#afterDependencies(task) : makeReady();
  }

  async #afterDependencies(task: Task): Promise<Draft | null> {
    const { notBefore } = task.spec;
    if (notBefore !== undefined && notBefore > this.#clock.now()) return null;
    const dependencies = await this.#store.dependencies(task.key);
    const { dependsOnEnds = [] } = task.spec;
    const broken = dependencies.find(
      ({ id, outcome }) => outcome !== null && outcome !== 'completed' && !dependsOnEnds.includes(id),
    );
    if (broken === undefined)
      return dependencies.every(({ outcome }) => outcome !== null) ? makeReady() : null;
    const error: TaskError = {
      code: 'dependency_failed',
      message: `task ${broken.id}, on which this one depends, ended ${broken.outcome}`,
      recoverable: false,
      details: { depends_on: broken.id, outcome: broken.outcome },
    };
    return end(task, 'failed', { metrics: {}, error }, { actor: 'system', error }, this.#lifecycle.tools());
  }
}

const ARCHIVABLE = new Set([
  'completed',
  'failed',
  'timeout',
  'cancelled',
  'notified',
  'notification_failed',
]);
/** What archiving does, in order (`SAM-178`): workspace and lease are gone by the end of the attempt, content stays until its term. */
const ARCHIVE_STEPS = [
  'clean_up',
  'data_archival',
  'resource_release',
  'security_clean_up',
  'audit',
  'metrics',
  'retention',
];
