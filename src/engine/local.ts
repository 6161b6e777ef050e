// The worker inside this process: asks the dispatcher like any other, runs attempts through the executors, and keeps their leases.

import { asDomainError } from '../domain/errors.ts';
import type { AgentId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { asRunHere, type TaskError, type TaskType, type WorkType } from '../domain/task.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Store } from '../store/store.ts';
import type { Attempts, RunningAttempt } from './attempts.ts';
import type { Dispatcher } from './dispatch.ts';
import { AttemptAbort, type AttemptResult, type Executor, workTypesOf } from './ports/executor.ts';
import type { Settlement } from './settlement.ts';
import type { Bench, Workbench } from './workbench.ts';

/** Runs the tasks of the executors of this process. */
export class LocalWorker {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'renew'>;
  readonly #dispatcher: Dispatcher;
  readonly #attempts: Attempts;
  readonly #settlement: Settlement;
  readonly #workbench: Workbench;
  readonly #agentId: AgentId;
  readonly #leaseMs: number;
  readonly #region: string | undefined;
  readonly #lanes: readonly Lane[];
  readonly #coordinators: ReadonlySet<TaskType>;
  readonly #running = new Map<RunningAttempt, Promise<void>>();
  #renewal: Cancel | null = null;
  #open = false;

  constructor(
    log: Log,
    clock: Clock,
    store: Pick<Store, 'renew'>,
    parts: {
      readonly dispatcher: Dispatcher;
      readonly attempts: Attempts;
      readonly settlement: Settlement;
      readonly workbench: Workbench;
    },
    options: {
      readonly agentId: AgentId;
      readonly leaseMs: number;
      readonly region?: string;
      readonly lanes: readonly { readonly executor: Executor; readonly slots: number }[];
    },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#dispatcher = parts.dispatcher;
    this.#attempts = parts.attempts;
    this.#settlement = parts.settlement;
    this.#workbench = parts.workbench;
    this.#agentId = options.agentId;
    this.#leaseMs = options.leaseMs;
    this.#region = options.region;
    this.#lanes = options.lanes.map(lane => ({ ...lane, busy: 0, withdraw: null }));
    const coordinating = options.lanes.filter(({ executor }) => executor.coordinates === true);
    this.#coordinators = new Set(coordinating.map(({ executor }) => executor.type));
  }

  /** Begins to take tasks. */
  start(): void {
    this.#open = true;
    for (const lane of this.#lanes) this.#ask(lane);
    this.#renewal = this.#clock.after(this.#leaseMs / 3, () => void this.#renew());
  }

  /** The types it runs. */
  get types(): readonly WorkType[] {
    return this.#lanes.flatMap(lane => workTypesOf(lane.executor));
  }

  /** Takes nothing more; what still runs after the grace is stopped and handed back. */
  async drain(graceMs: number): Promise<void> {
    this.#open = false;
    await Promise.all(this.#lanes.map(lane => lane.withdraw?.()));
    for (const [attempt] of this.#running)
      if (this.#coordinators.has(asRunHere(attempt.task.spec).type)) attempt.stop?.('shutdown');
    if (this.#running.size === 0) return this.#stopRenewing();
    const done = Promise.all(this.#running.values());
    const cancel = this.#clock.after(graceMs, () => {
      for (const attempt of this.#running.keys()) attempt.stop?.('shutdown');
    });
    await done;
    cancel();
    this.#stopRenewing();
  }

  #stopRenewing(): void {
    this.#renewal?.();
  }

  #ask(lane: Lane): void {
    if (!this.#open || lane.withdraw !== null || lane.busy >= lane.slots) return;
    lane.withdraw = this.#dispatcher.ask({
      agentId: this.#agentId,
      agentTenant: DEFAULT_TENANT,
      tenant: null,
      types: new Set(workTypesOf(lane.executor)),
      capabilities: new Set(),
      region: this.#region,
      slots: () => lane.slots - lane.busy,
      take: attempts => {
        lane.withdraw = null;
        lane.busy += attempts.length;
        for (const attempt of attempts) {
          // It waits for tasks that need the slots it would take.
          if (lane.executor.coordinates === true) this.#attempts.park(attempt);
          const run = this.#run(lane, attempt);
          this.#running.set(attempt, run);
        }
        this.#ask(lane);
      },
    });
  }

  async #run(lane: Lane, attempt: RunningAttempt): Promise<void> {
    const controller = new AbortController();
    attempt.stop = cause => controller.abort(new AttemptAbort(cause));
    try {
      for (let isOutdated = true; isOutdated; ) {
        const result = await this.#attempt(lane.executor, attempt, controller.signal);
        isOutdated = result !== null && (await this.#settlement.settle(attempt, result)) === 'outdated';
      }
    } catch (error) {
      // Another end won the race (cancel, timeout, lost lease): it has been recorded, and this result changes nothing.
      this.#log.debug('an attempt ended without effect', { task: attempt.task.id, error: String(error) });
    } finally {
      this.#running.delete(attempt);
      lane.busy--;
      this.#ask(lane);
      this.#dispatcher.wake();
    }
  }

  /** The attempt's result, or null where its end was decided elsewhere. */
  async #attempt(
    executor: Executor,
    attempt: RunningAttempt,
    signal: AbortSignal,
  ): Promise<AttemptResult | null> {
    let bench: Bench;
    try {
      bench = await this.#workbench.set(attempt, signal);
    } catch (error) {
      return { status: 'failed', error: taskErrorOf(error) };
    }
    try {
      signal.throwIfAborted();
      const result = await executor.run(bench.context);
      await bench.settled();
      return await this.#unlessStopped(attempt, signal, bench.mask.result(result));
    } catch (error) {
      const failure: AttemptResult = { status: 'failed', error: taskErrorOf(error) };
      return await this.#unlessStopped(attempt, signal, bench.mask.result(failure));
    } finally {
      await bench.clear();
    }
  }

  async #unlessStopped(
    attempt: RunningAttempt,
    signal: AbortSignal,
    result: AttemptResult,
  ): Promise<AttemptResult | null> {
    if (!signal.aborted) return result;
    const abort = signal.reason;
    if (abort instanceof AttemptAbort && abort.cause === 'shutdown') {
      await this.#settlement.handBack(attempt, 'the node is shutting down');
    }
    return null;
  }

  async #renew(): Promise<void> {
    const mine = [...this.#running.keys()];
    try {
      if (mine.length > 0) {
        const outcomes = await this.#store.renew(
          mine.map(({ task, token }) => ({ key: task.key, token, leaseMs: this.#leaseMs })),
        );
        outcomes.forEach((outcome, index) => {
          const attempt = mine[index];
          if (outcome.status === 'lost' && attempt !== undefined && this.#running.has(attempt)) {
            this.#attempts.abort(attempt.token, 'lease_lost');
          }
        });
      }
    } catch (error) {
      this.#log.warn('leases could not be renewed; trying again', { error: String(error) });
    }
    if (this.#open || this.#running.size > 0) {
      this.#renewal = this.#clock.after(this.#leaseMs / 3, () => void this.#renew());
    }
  }
}

interface Lane {
  readonly executor: Executor;
  readonly slots: number;
  busy: number;
  withdraw: (() => Promise<void>) | null;
}

/** What a thrown error says about the attempt: domain errors keep their code, anything else is ours and may be tried again. */
export function taskErrorOf(error: unknown): TaskError {
  const known = asDomainError(error);
  const recoverable = known.code !== 'internal' ? RECOVERABLE.has(known.code) : true;
  return { code: known.code, message: known.message, recoverable, details: known.details };
}

const RECOVERABLE = new Set([
  'rate_limited',
  'task_timeout',
  'resource_exhausted',
  'dependency_failed',
  'circuit_open',
  'unavailable',
  'upstream_timeout',
]);
