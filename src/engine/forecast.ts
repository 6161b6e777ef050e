// What can be said of a task before it ends: where it stands in line, why it waits, when it may start and finish. Estimates are
// estimates; what is unknown is null, never invented (`SAM-58`).

import type { AgentId, ExecutionId, TaskKey, TenantId } from '../domain/ids.ts';
import { estimatedCost } from '../domain/price.ts';
import {
  type LimitModes,
  type ResourceLimits,
  type Task,
  type TaskSpec,
  type TaskType,
  workTypeOf,
} from '../domain/task.ts';
import { isHeld } from '../domain/transitions.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Store } from '../store/store.ts';
import type { Admission, TaskForecast, TaskOrder, WaitingReason } from './api.ts';
import type { Attempts } from './attempts.ts';
import type { Dispatcher } from './dispatch.ts';
import type { Permits } from './permits.ts';
import type { Pipes } from './pipes.ts';
import { type Executor, executorOf } from './ports/executor.ts';
import type { Quotas } from './ports/quotas.ts';
import type { TenantWeights } from './ports/secrets.ts';
import type { Roster } from './roster.ts';
import type { RunStatistics } from './statistics.ts';

const POSITION_MAX = 10_000;
const HOLDERS_SHOWN = 10;
const UNKNOWN_EXPECTED_MS = 60_000;
const UNREPORTED_PERCENT_MAX = 95;

/** Where a new task stands: whether an agent can take it at once, else its place in line and how long it will wait there. */
export interface Outlook {
  readonly startsNow: boolean;
  readonly queuePosition: number;
  readonly waitMs: number;
}

/** Answers what is likely. */
export class Forecaster {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'position' | 'dependencies'>;
  readonly #dispatcher: Dispatcher;
  readonly #roster: Roster;
  readonly #attempts: Attempts;
  readonly #statistics: RunStatistics;
  readonly #executors: ReadonlyMap<TaskType, Executor>;
  readonly #quotas: Quotas;
  readonly #permits: Pick<Permits, 'holders'>;
  readonly #weights: TenantWeights;
  readonly #pipes: Pick<Pipes, 'views'>;
  readonly #serverId: AgentId;

  constructor(
    clock: Clock,
    store: Pick<Store, 'position' | 'dependencies'>,
    parts: {
      readonly dispatcher: Dispatcher;
      readonly roster: Roster;
      readonly attempts: Attempts;
      readonly statistics: RunStatistics;
      readonly executors: ReadonlyMap<TaskType, Executor>;
      readonly quotas: Quotas;
      readonly permits: Pick<Permits, 'holders'>;
      readonly weights: TenantWeights;
      readonly pipes: Pick<Pipes, 'views'>;
    },
    options: { readonly serverId: AgentId },
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#dispatcher = parts.dispatcher;
    this.#roster = parts.roster;
    this.#attempts = parts.attempts;
    this.#statistics = parts.statistics;
    this.#executors = parts.executors;
    this.#quotas = parts.quotas;
    this.#permits = parts.permits;
    this.#weights = parts.weights;
    this.#pipes = parts.pipes;
    this.#serverId = options.serverId;
  }

  /** What its requester expects, else the median run time of recent tasks of the kind, or its default, in milliseconds (`SAM-42`, `NOOB-23`). */
  expectedMs(tenant: TenantId, spec: Pick<TaskSpec, 'type' | 'typeName' | 'expectedMs'>): number {
    if (spec.expectedMs !== undefined) return spec.expectedMs;
    const fallBack = executorOf(this.#executors, spec)?.defaults.expectedMs ?? UNKNOWN_EXPECTED_MS;
    return this.#statistics.median(tenant, workTypeOf(spec)) ?? fallBack;
  }

  /** Where a task that is about to be stored will stand; from memory alone, so that a submit waits for nothing (`SAM-40`, `SAM-41`). */
  outlook({ tenant, spec }: Pick<TaskOrder, 'tenant' | 'spec'>, waits: boolean): Outlook {
    const ahead = this.#dispatcher.depthOf(tenant, workTypeOf(spec));
    const startsNow = !waits && this.#dispatcher.couldStartNow(tenant, { spec }, ahead);
    if (startsNow) return { startsNow, queuePosition: 0, waitMs: 0 };
    return { startsNow, queuePosition: ahead + 1, waitMs: this.#waitMs(tenant, spec, ahead + 1) };
  }

  /** What is said of a task just stored. */
  admission(
    order: TaskOrder,
    made: { readonly key: TaskKey; readonly executionId: ExecutionId; readonly at: number },
    { startsNow, queuePosition, waitMs }: Outlook,
  ): Admission {
    const { tenant, spec } = order;
    const { key, executionId, at } = made;
    const expectedMs = this.expectedMs(tenant, spec);
    const startAt = Math.max(spec.notBefore ?? 0, at + waitMs);
    return {
      kind: 'admitted',
      task: order.id,
      key,
      executionId,
      status: startsNow ? 'accepted' : 'queued',
      repeated: false,
      agentId: this.#serverId,
      expectedMs,
      queuePosition,
      resources: spec.resources,
      estimatedCost: this.#cost(tenant, spec, expectedMs),
      receivedAt: at,
      queuedAt: at,
      estimatedStartAt: startAt,
      estimatedCompletionAt: startAt + expectedMs,
    };
  }

  /** What is said when an order is repeated: the first answer's identity, the present's estimates (`SAM-47`). */
  async repeated(task: Task): Promise<Admission> {
    const forecast = await this.forecast(task);
    const expectedMs = this.expectedMs(task.tenant, task.spec);
    const queuedAt = task.queuedAt ?? task.createdAt;
    const startAt = task.startedAt ?? forecast.estimatedStartAt ?? queuedAt;
    return {
      kind: 'admitted',
      task: task.id,
      key: task.key,
      executionId: task.executionId,
      status: task.state === 'queued' || task.state === 'paused' ? 'queued' : 'accepted',
      repeated: true,
      agentId: task.agentId ?? this.#serverId,
      expectedMs,
      queuePosition: forecast.queuePosition ?? 0,
      resources: task.spec.resources,
      estimatedCost: this.#cost(task.tenant, task.spec, expectedMs),
      receivedAt: task.createdAt,
      queuedAt,
      estimatedStartAt: startAt,
      estimatedCompletionAt: Math.max(startAt, forecast.estimatedCompletionAt ?? startAt + expectedMs),
    };
  }

  #cost(tenant: TenantId, spec: TaskSpec, expectedMs: number): number {
    return estimatedCost(this.#weights.prices?.(tenant), spec, expectedMs);
  }

  /** Where the task stands and what to expect of it (`SAM-58`, `SAM-114`, `SAM-125`). */
  async forecast(task: Task): Promise<TaskForecast> {
    if (isHeld(task.state)) return { ...this.#running(task), waiting: await this.#fullPipe(task) };
    if (task.state === 'queued' || task.state === 'paused') return this.#waiting(task);
    return {
      queuePosition: null,
      waiting: null,
      estimatedStartAt: null,
      estimatedCompletionAt: null,
      remainingMs: null,
      estimatedPercentage: null,
    };
  }

  #running(task: Task): TaskForecast {
    const expectedMs = this.expectedMs(task.tenant, task.spec);
    const elapsedMs = this.#clock.now() - (task.lease?.claimedAt ?? task.startedAt ?? task.updatedAt);
    const percentage = task.progress?.percentage ?? 0;
    const remainingMs =
      percentage > 0 ? (elapsedMs * (100 - percentage)) / percentage : Math.max(0, expectedMs - elapsedMs);
    return {
      queuePosition: 0,
      waiting: null,
      estimatedStartAt: null,
      estimatedCompletionAt: Math.round(this.#clock.now() + remainingMs),
      remainingMs: Math.round(remainingMs),
      estimatedPercentage:
        task.progress === null
          ? Math.min(UNREPORTED_PERCENT_MAX, Math.floor((100 * elapsedMs) / expectedMs))
          : null,
    };
  }

  async #fullPipe(task: Task): Promise<WaitingReason | null> {
    const full = (await this.#pipes.views(task)).find(({ state }) => state === 'waiting_downstream');
    if (full === undefined) return null;
    return { because: 'waiting_downstream', output: full.from.output, pending: full.pending };
  }

  async #waiting(task: Task): Promise<TaskForecast> {
    const before = task.state === 'queued' ? await this.#store.position(task.key, POSITION_MAX) : null;
    const queuePosition = before === null ? null : before + 1;
    const waiting = await this.#reason(task, queuePosition);
    const startAt =
      waiting.because === 'not_before'
        ? waiting.until
        : queuePosition === null
          ? null
          : this.#clock.now() + this.#waitMs(task.tenant, task.spec, queuePosition);
    return {
      queuePosition,
      waiting,
      estimatedStartAt: startAt,
      estimatedCompletionAt: startAt === null ? null : startAt + this.expectedMs(task.tenant, task.spec),
      remainingMs: null,
      estimatedPercentage: null,
    };
  }

  async #reason(task: Task, position: number | null): Promise<WaitingReason> {
    const { tenant, spec } = task;
    if (task.state === 'paused') return { because: 'paused' };
    if (position === null) {
      if (task.attempt > 0) return { because: 'retry_delay', attempt: task.attempt };
      if (spec.notBefore !== undefined && spec.notBefore > this.#clock.now()) {
        return { because: 'not_before', until: spec.notBefore };
      }
      const dependencies = await this.#store.dependencies(task.key);
      return {
        because: 'dependencies',
        waitingFor: dependencies.filter(one => one.outcome === null).map(one => one.id),
      };
    }
    const spent = this.#quotas.room(tenant)?.spent;
    if (spent !== undefined) return { because: 'quota', position, spent };
    const capable = this.#roster.capable(tenant, spec);
    const online = capable.filter(({ health }) => health === 'healthy' || health === 'degraded');
    if (online.length === 0) {
      return {
        because: 'no_agent_online',
        workType: workTypeOf(spec),
        capabilities: spec.requiredCapabilities ?? [],
      };
    }
    if (spec.concurrency !== undefined) {
      const { key, limit } = spec.concurrency;
      const heldBy = await this.#permits.holders(tenant, key);
      if (heldBy.length >= limit)
        return { because: 'concurrency', position, key, limit, heldBy: heldBy.slice(0, HOLDERS_SHOWN) };
    }
    if (this.#dispatcher.couldStartNow(tenant, task, position - 1))
      return { because: 'about_to_start', position };
    const heldBy = [...this.#attempts.all()]
      .filter(attempt => attempt.task.tenant === tenant && workTypeOf(attempt.task.spec) === workTypeOf(spec))
      .map(attempt => attempt.task.id);
    const slots = online.reduce((sum, { agent }) => sum + agent.slots, 0);
    return { because: 'no_free_slot', position, heldBy: heldBy.slice(0, HOLDERS_SHOWN), slots };
  }

  /** The time until as many slots fall free as stand ahead, taking every slot to take the expected time. */
  #waitMs(tenant: TenantId, spec: TaskSpec, position: number): number {
    const slots = this.#roster.slotsFor(tenant, spec);
    return Math.round((position / Math.max(1, slots)) * this.expectedMs(tenant, spec));
  }
}

/** The limits a task that names none gets: its type's, or none at all for a worker's own type. */
export function defaultResources(
  executors: ReadonlyMap<TaskType, Executor>,
  kind: Pick<TaskSpec, 'type' | 'typeName'>,
): ResourceLimits {
  return executorOf(executors, kind)?.defaults.resources ?? {};
}

/** How the limits of a task are held here, or asked for where another agent runs it. */
export function limitModes(
  executors: ReadonlyMap<TaskType, Executor>,
  { agentId, spec }: Pick<Task, 'agentId' | 'spec'>,
  serverId: AgentId,
): LimitModes {
  const executor = agentId === null || agentId === serverId ? executorOf(executors, spec) : undefined;
  return executor?.limitModes?.(spec) ?? ASKED_FOR;
}

const ASKED_FOR: LimitModes = { memory: 'advisory', cpu: 'advisory', disk: 'advisory', network: 'advisory' };
