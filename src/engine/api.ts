// The engine as the floors above see it: what can be asked of it, and in which shapes. `engine.ts` builds it.

import type { Agent, AgentHealth, AgentKind } from '../domain/agent.ts';
import type { CanaryVerdict } from '../domain/canary.ts';
import type { DomainError } from '../domain/errors.ts';
import type { AgentId, ExecutionId, FencingToken, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { PipeFill, PipePositions } from '../domain/pipe.ts';
import type { Schedule, ScheduleOrder } from '../domain/schedule.ts';
import type {
  LimitModes,
  ResourceLimits,
  Task,
  TaskError,
  TaskMetrics,
  TaskSpec,
  WorkType,
} from '../domain/task.ts';
import type { LogLevel, StoreMeasure } from '../store/rows.ts';
import type { Pipes } from './pipes.ts';
import type { ProgressReport } from './ports/executor.ts';

/** A task as a protocol hands it in: decoded, authorised, not yet judged. */
export interface TaskOrder {
  readonly tenant: TenantId;
  readonly id: TaskId;
  readonly spec: TaskSpec;
  /** Digest of the request's canonical form. */
  readonly fingerprint: string;
  readonly idempotencyKey?: string;
  /** The principal's id, for events and audit. */
  readonly actor: string;
  /** Milliseconds spent on each init step before the engine saw it (`SAM-106`). */
  readonly steps: Readonly<Record<string, number>>;
}

/** What became of an order. Instants are epoch milliseconds. */
export type Admission =
  | {
      readonly kind: 'admitted';
      readonly task: TaskId;
      readonly key: TaskKey;
      readonly executionId: ExecutionId;
      /** `accepted` when an eligible agent has a free slot now, else `queued` (`SAM-40`). */
      readonly status: 'accepted' | 'queued';
      /** True when this is the answer to an earlier, identical order. */
      readonly repeated: boolean;
      readonly agentId: AgentId;
      readonly expectedMs: number;
      readonly queuePosition: number;
      readonly resources: ResourceLimits;
      /** By the tenant's price table, in its currency; 0 without (`SAM-42`). */
      readonly estimatedCost: number;
      readonly receivedAt: number;
      readonly queuedAt: number;
      readonly estimatedStartAt: number;
      readonly estimatedCompletionAt: number;
    }
  /** Stored as rejected: it can never run here (422). */
  | {
      readonly kind: 'rejected';
      readonly task: TaskId;
      readonly executionId: ExecutionId;
      readonly error: DomainError;
    }
  /** Not stored. */
  | { readonly kind: 'refused'; readonly task: TaskId; readonly error: DomainError };

/** Why a waiting task waits; the first that applies is the one to act on. */
export type WaitingReason =
  | { readonly because: 'paused' }
  | { readonly because: 'not_before'; readonly until: number }
  | { readonly because: 'retry_delay'; readonly attempt: number }
  | { readonly because: 'dependencies'; readonly waitingFor: readonly TaskId[] }
  | {
      readonly because: 'no_agent_online';
      readonly workType: WorkType;
      readonly capabilities: readonly string[];
    }
  /** `spent` is `{quota, limit, used, resets_at}` (`SAM-119`). */
  | { readonly because: 'quota'; readonly position: number; readonly spent: JsonObject }
  /** As many tasks of its concurrency key run as may; the first that started first. */
  | {
      readonly because: 'concurrency';
      readonly position: number;
      readonly key: string;
      readonly limit: number;
      readonly heldBy: readonly TaskId[];
    }
  | {
      readonly because: 'no_free_slot';
      readonly position: number;
      readonly heldBy: readonly TaskId[];
      readonly slots: number;
    }
  | { readonly because: 'about_to_start'; readonly position: number }
  /** It runs, and a pipe it writes to is full (`SAM-230`). */
  | { readonly because: 'waiting_downstream'; readonly output: string; readonly pending: PipeFill };

/** What is estimated of a task that has not ended; null where there is no ground for it. */
export interface TaskForecast {
  readonly queuePosition: number | null;
  readonly waiting: WaitingReason | null;
  readonly estimatedStartAt: number | null;
  readonly estimatedCompletionAt: number | null;
  readonly remainingMs: number | null;
  /** Percentage by elapsed over expected time, at most 95, where the attempt reported none (`SAM-125`). */
  readonly estimatedPercentage: number | null;
}

/** What a remote worker says and asks in one exchange (`SAM-131`). */
export interface WorkRequest {
  readonly tenant: TenantId;
  readonly agentId: AgentId;
  readonly types: readonly WorkType[];
  readonly capabilities: readonly string[];
  readonly region?: string;
  readonly labels?: readonly string[];
  readonly version?: string;
  readonly capacity?: ResourceLimits;
  readonly slots: number;
  readonly waitMs: number;
  readonly results: readonly WorkResult[];
  readonly progress: readonly WorkProgress[];
  readonly logs: readonly WorkLog[];
  readonly heartbeats: readonly WorkRef[];
  /** Ends the wait early when the caller goes away; tasks leased meanwhile go back. */
  readonly signal?: AbortSignal;
}

/** A task the worker holds, proved by its token. */
export interface WorkRef {
  readonly taskId: TaskId;
  readonly token: FencingToken;
}

/** How an attempt ended at the worker. */
export interface WorkResult extends WorkRef {
  readonly status: 'completed' | 'failed';
  readonly output?: Json;
  readonly error?: TaskError;
  readonly metrics?: TaskMetrics;
}

/** How far an attempt has come at the worker. */
export interface WorkProgress extends WorkRef {
  readonly report: ProgressReport;
  /** How far the report's checkpoint goes in the inputs that are read by checkpoint. */
  readonly positions?: PipePositions;
}

/** A log line from a worker. */
export interface WorkLog extends WorkRef {
  readonly at: number;
  readonly level: LogLevel;
  readonly component?: string;
  readonly message: string;
  readonly metadata?: JsonObject;
}

/** What the engine answers to a worker (`SAM-132`). */
export interface WorkAnswer {
  readonly leases: readonly WorkLease[];
  /** Tasks the worker must stop: it holds them no longer, or never did. */
  readonly cancellations: readonly {
    readonly taskId: TaskId;
    readonly token: FencingToken;
    readonly reason: string;
  }[];
  readonly extensions: readonly {
    readonly taskId: TaskId;
    readonly token: FencingToken;
    readonly expiresAt: number;
  }[];
  readonly rejected: readonly {
    readonly taskId: TaskId;
    readonly token: FencingToken;
    readonly item: string;
    readonly error: DomainError;
  }[];
}

/** A task leased to a worker. */
export interface WorkLease {
  readonly task: Task;
  readonly token: FencingToken;
  readonly expiresAt: number;
  readonly secrets: Readonly<Record<string, string>>;
  /** How far the task's checkpoint goes in the inputs that are read by checkpoint. */
  readonly positions: PipePositions;
}

/** An agent and how it is (`SAM-135`, `SAM-136`). */
export interface AgentView {
  readonly agent: Agent;
  readonly health: AgentHealth;
  readonly busy: number;
  readonly free: ResourceLimits;
  /** Share of the last 50 attempts that failed. */
  readonly errorRate: number;
}

/** What is told to the engine when an agent registers; the rest it learns. */
export interface AgentRegistration {
  readonly tenant: TenantId;
  readonly id: AgentId;
  readonly kind: AgentKind;
  readonly types: readonly WorkType[];
  readonly capabilities: readonly string[];
  readonly roles?: readonly string[];
  readonly slots: number;
  readonly capacity: ResourceLimits;
  readonly region?: string;
  readonly labels?: readonly string[];
  readonly version?: string;
  readonly url?: string;
  /** JSON Schemas by custom type name (`SAM-175`). */
  readonly schemas?: Readonly<Record<string, { readonly input?: JsonObject; readonly output?: JsonObject }>>;
}

/** One endpoint's health as deliveries see it (`SAM-90`, `SAM-91`). */
export interface EndpointView {
  readonly endpoint: string;
  readonly breaker: 'closed' | 'open' | 'probing';
  readonly meanMs: number | null;
  readonly p95Ms: number | null;
  readonly successRate: number | null;
  readonly timeoutMs: number;
  readonly openUntil: number | null;
  /** Share of deliveries answered well, by hour (`2026-01-31T14`), newest first. */
  readonly availability: readonly { readonly hour: string; readonly share: number }[];
  readonly warning: string | null;
}

/** Instant figures for health and metrics. */
export interface EngineMeasure {
  readonly activeTasks: number;
  readonly queueSize: number;
  readonly timers: number;
  readonly deliveriesPending: number;
  readonly storeBytes: number;
  readonly storeWritable: boolean;
  readonly schemaVersion: number;
  /** Milliseconds since a claim last succeeded while something was waiting; null when nothing waits. */
  readonly stalledMs: number | null;
  readonly draining: boolean;
  /** What 99 of the last hundred claims took at most, in milliseconds; null before the first. */
  readonly claimP99Ms: number | null;
  /** The search indexes of this process: of how many tenants, with how many records, and how large. */
  readonly search: { readonly tenants: number; readonly records: number; readonly bytes: number };
  readonly database?: NonNullable<StoreMeasure['database']>;
}

/** A process that works on the store, as it last said of itself; instants are epoch milliseconds. */
export interface NodeView {
  readonly id: AgentId;
  readonly version: string;
  readonly url: string | null;
  readonly region?: string;
  readonly labels?: readonly string[];
  readonly startedAt: number;
  readonly seenAt: number;
  readonly state: 'active' | 'draining';
  /** Whether it does the chores that one node suffices for. */
  readonly leads: boolean;
  /** Attempts it runs itself. */
  readonly running: number;
}

/** What canaries get: a share of the tasks from 0 to 1, and all of some tenants' (`SAM-228`). */
export interface CanarySettings {
  readonly share: number;
  readonly tenants: readonly TenantId[];
}

/** What canaries get now; `stopped` once that was taken away, with what it was and why. */
export interface CanaryView extends CanarySettings {
  readonly setAt: number;
  readonly setBy: string;
  readonly stopped: (CanarySettings & CanaryVerdict & { readonly at: number; readonly told: boolean }) | null;
}

/** Options of a control call; `actor` is the principal's id. */
export interface ControlCall {
  readonly tenant: TenantId;
  readonly id: TaskId;
  readonly actor: string;
  readonly reason?: string;
}

/** Keeps schedules and makes their runs, each once however many nodes there are; throws `not_found` where there is no such schedule. */
export interface ScheduleDesk {
  /** Throws `invalid_request` for a timing that is none, why its runs would not be let in, and `conflict` where its id is taken. */
  create(order: ScheduleOrder): Promise<Schedule>;
  /** A tenant's, oldest first. */
  list(tenant: TenantId): Promise<readonly Schedule[]>;
  get(tenant: TenantId, id: string): Promise<Schedule>;
  /** When its next runs are due, at most so many; none while it is paused. */
  next(schedule: Schedule, count: number): readonly number[];
  pause(tenant: TenantId, id: string): Promise<Schedule>;
  resume(tenant: TenantId, id: string): Promise<Schedule>;
  /** Its runs go on. */
  remove(tenant: TenantId, id: string): Promise<void>;
  /** A run at once, whatever else runs of it. */
  runNow(tenant: TenantId, id: string): Promise<Admission>;
}

/** Who goes on with an attempt, what is recorded of the change, and where it goes on from if not from the last checkpoint. */
export interface AttemptHeir {
  readonly agentId: AgentId;
  /** The holder did not ask for it, and is ordered to stop. */
  readonly isUnasked: boolean;
  readonly detail: JsonObject;
  readonly checkpoint?: Json;
}

/** Everything that can be asked of the engine; reads that need no judgement go to the store. */
export interface EngineApi {
  /** Judges and stores orders, answering each in order; `atomic` admits all or none (`SAM-39`). */
  submit(
    orders: readonly TaskOrder[],
    options?: { readonly atomic?: boolean },
  ): Promise<readonly Admission[]>;
  /** The task; throws `not_found`. */
  task(tenant: TenantId, id: TaskId): Promise<Task>;
  forecast(task: Task): Promise<TaskForecast>;
  /** Median run time of recent tasks of the kind, or its default (`SAM-42`). */
  expectedMs(tenant: TenantId, spec: Pick<TaskSpec, 'type' | 'typeName'>): number;
  /** The timeout of a task that names none (`SAM-31`). */
  defaultTimeoutMs(tenant: TenantId, spec: Pick<TaskSpec, 'type' | 'typeName'>): number;
  /** Limits of a task of the kind that names none. */
  defaultResources(spec: Pick<TaskSpec, 'type' | 'typeName'>): ResourceLimits;
  /** How the task's limits are held where it runs, or would run now; what runs elsewhere can only be asked to keep them (`SAM-117`). */
  limitModes(task: Pick<Task, 'agentId' | 'spec'>): LimitModes;

  /** Ends a task in any state before an end; repeating it is harmless; throws `not_found`, `invalid_transition` (`SAM-66`). */
  cancel(call: ControlCall & { readonly graceMs?: number }): Promise<Task>;
  /** Holds a task; a running one needs a checkpoint or `force`; throws `invalid_transition` (`SAM-69`). */
  pause(call: ControlCall & { readonly force?: boolean }): Promise<Task>;
  resume(call: ControlCall): Promise<Task>;
  /** A new task of the same specification, linked by `retryOf` (`SAM-70`). */
  retry(call: ControlCall & { readonly newId?: TaskId }): Promise<Admission>;

  work(request: WorkRequest): Promise<WorkAnswer>;
  /** Passes an attempt under way to another agent in one step and answers the task as that one holds it; throws `lease_lost` (`ARMY-46`). */
  passOn(held: WorkRef & { readonly tenant: TenantId }, heir: AttemptHeir): Promise<Task>;
  /** Puts a task that is held back into its queue, blaming nobody; throws `lease_lost`. */
  handBack(held: WorkRef & { readonly tenant: TenantId }, reason: string): Promise<void>;

  /** Orders handed in again and again. */
  readonly schedules: ScheduleDesk;

  /** What steps of pipelines stream to one another. */
  readonly pipes: Pipes;

  /** The processes that work on the store. */
  nodes(): readonly NodeView[];
  /** Whether this process does the chores that one node suffices for. */
  readonly leads: boolean;

  /** What canaries get, as of at most 2 s ago. */
  canaries(): CanaryView;
  /** Sets what they get, for all nodes; a share that was taken away is given again. */
  setCanaries(settings: CanarySettings, setBy: string): Promise<CanaryView>;

  agents(tenant: TenantId): Promise<readonly AgentView[]>;
  /** Moves each time an agent is registered with this process; who keeps a list of agents can tell by it that one is new. */
  readonly agentsRegistered: number;
  registerAgent(registration: AgentRegistration): Promise<AgentView>;
  /** Throws `not_found`. */
  drainAgent(tenant: TenantId, id: AgentId): Promise<AgentView>;
  removeAgent(tenant: TenantId, id: AgentId): Promise<void>;

  endpoints(tenant: TenantId): readonly EndpointView[];
  /** Wakes whoever sends deliveries, after `redeliver`. */
  wakeOutbox(): void;

  /** Yields whenever something was written about the task (or, with null, about any of the tenant's), until the signal aborts. */
  changes(tenant: TenantId, key: TaskKey | null, signal: AbortSignal): AsyncIterable<void>;

  /** Calls back when the task may have ended, perhaps often, perhaps never where another node ended it; answers how to stop that. */
  onEnd(key: TaskKey, wake: () => void): () => void;

  /** Resolves when what tasks here have logged so far is stored, so that whoever reads then misses none of it. */
  flushJournal(): Promise<void>;

  measure(): Promise<EngineMeasure>;
  /** Stops claiming; resolves when what runs here has ended or was handed back. */
  drain(graceMs: number): Promise<void>;
}
