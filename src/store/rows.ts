// The shapes that cross the store's port. Everything is readonly data that survives structured cloning.

import type {
  Delivery,
  DeliveryAttempt,
  DeliveryStatus,
  NewDelivery,
  NotificationPlan,
} from '../domain/delivery.ts';
import type { EventBody, TaskEvent } from '../domain/event.ts';
import type {
  AgentId,
  ArtifactId,
  DeliveryId,
  ExecutionId,
  FencingToken,
  TaskId,
  TaskKey,
  TenantId,
} from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { InboxName } from '../domain/message.ts';
import type { QueueName } from '../domain/queue.ts';
import type { Progress, ResourceLimits, Task, TaskResult, TaskSpec } from '../domain/task.ts';
import type { Outcome, TaskState } from '../domain/transitions.ts';
import type { RecordOutcome, RecordWrite } from './memory.ts';

export type { AuditEntry, AuditQuery, NewAuditEntry } from './audit-rows.ts';
export type { LogLevel, LogLine, LogQuery, Sample, SampleQuery, StoredLogLine } from './log-rows.ts';
export { LOG_LEVELS } from './log-rows.ts';

/** One page of a list and how many match in all. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly total: number;
}

/** What a timer wakes the engine for. */
export type TimerKind = 'ready' | 'dependency' | 'queue_timeout' | 'deadline' | 'notify_timeout' | 'archive';

/** A timer to set, due so many milliseconds from the commit. */
export interface NewTimer {
  readonly kind: TimerKind;
  readonly dueInMs: number;
}

/** A task to accept. */
export interface NewTask {
  readonly tenant: TenantId;
  readonly id: TaskId;
  readonly executionId: ExecutionId;
  readonly spec: TaskSpec;
  /** Digest of the request as the requester wrote it; equal means "the same task" (`SAM-47`). */
  readonly fingerprint: string;
  /** A further name for the same request, remembered with the task. */
  readonly idempotencyKey?: string;
  readonly queue: QueueName;
  readonly state: 'queued' | 'rejected';
  readonly events: readonly EventBody[];
  readonly timers: readonly NewTimer[];
  /** Why it was rejected. */
  readonly result?: TaskResult;
  /** Refused as `full` when its tenant already has this many waiting tasks. */
  readonly waitingMax: number;
}

/** What became of a submitted task. */
export type SubmitOutcome =
  | { readonly status: 'created'; readonly key: TaskKey; readonly at: number }
  /** The same request was accepted before: this is the task it made. */
  | { readonly status: 'same'; readonly task: Task }
  /** The id (or idempotency key) names a different request. */
  | { readonly status: 'different' }
  | { readonly status: 'full' }
  | { readonly status: 'unknown_dependency'; readonly ids: readonly TaskId[] }
  /** Another task of the atomic batch was not accepted. */
  | { readonly status: 'aborted' };

/** What one worker wants now. */
export interface ClaimPick {
  readonly agentId: AgentId;
  /** Store ids of queues, all of one tenant. */
  readonly queues: readonly number[];
  readonly limit: number;
  readonly leaseMs: number;
  /** What the worker has free; a task asking for more is passed over. Absent means no limit. */
  readonly free?: ResourceLimits;
  /** Busy slots of the tenant by requester: one that holds over half is passed over while another's task waits (`SAM-111`). */
  readonly held?: Readonly<Record<string, number>>;
}

/** A task just leased: `task.lease` is set and its state is `running`. */
export interface Claimed {
  readonly task: Task;
  readonly token: FencingToken;
  readonly queue: number;
}

/** Under which condition a change applies. */
export type Guard =
  /** The task is still led by this lease. */
  | { readonly by: 'lease'; readonly token: FencingToken }
  /** Nothing has happened to the task since this event number. */
  | { readonly by: 'version'; readonly version: number };

/** Where a task goes: `ready` re-enters its queue at its old rank, `nowhere` leaves queue and lease, absent leaves it where it is. */
export type Placement = 'ready' | 'nowhere';

/** One guarded change of one task: all its parts happen together or not at all. */
export interface TaskChange {
  readonly key: TaskKey;
  readonly guard: Guard;
  readonly events: readonly EventBody[];
  /** The state at rest after the change; required with a placement. */
  readonly state?: TaskState;
  /** Set exactly when the task ends; wakes the tasks that depend on it (a `dependency` timer, due at once). */
  readonly outcome?: Outcome;
  /** A placement ends the lease, adding the attempt's running time to `ranMs`. */
  readonly placement?: Placement;
  readonly result?: TaskResult;
  readonly progress?: Progress;
  readonly checkpoint?: Json;
  /** Takes the place of the plan in the task's order; claims, deliveries and later changes go by it (`SAM-88`). */
  readonly notification?: NotificationPlan;
  readonly timers?: readonly NewTimer[];
  readonly deliveries?: readonly NewDelivery[];
  /** A record that changes with the task: where it cannot, nothing of the change happens (`refused`). */
  readonly record?: RecordWrite;
  /**
   * Who holds the lease from now on, under a new token: the attempt goes on, with its deadline and what was reported (`ARMY-46`). Only
   * under a lease guard, and with no placement.
   */
  readonly heir?: Heir;
  /** What it says is not to be stored readable, and whose it is; whoever wraps the store sees to that. */
  readonly sensitiveOf?: TenantId;
  /** The due timer this change answers; removed whatever the guard says. */
  readonly fired?: number;
}

/** Who a lease passes to, and how long it is theirs unless renewed. */
export interface Heir {
  readonly agentId: AgentId;
  readonly leaseMs: number;
}

/** What became of a change. */
export type CommitOutcome =
  | {
      readonly status: 'done';
      readonly version: number;
      readonly at: number;
      readonly dependentsWoken: number;
    }
  | { readonly status: 'stale' }
  /** The guard held, but the record's expectation or limits did not. */
  | { readonly status: 'refused'; readonly record: Extract<RecordOutcome, { status: 'conflict' | 'full' }> };

/** A wish to keep a lease. */
export interface Renewal {
  readonly key: TaskKey;
  readonly token: FencingToken;
  readonly leaseMs: number;
  /** Moves the attempt's deadline back by so much: time in which there was nobody to report to. */
  readonly deadlineMoreMs?: number;
}

/** Whether the lease was kept. */
export type RenewOutcome =
  | { readonly status: 'kept'; readonly expiresAt: number }
  | { readonly status: 'lost' };

/** `overdue`: only leases that expired or passed their deadline; `byToken`: those with these tokens. */
export interface LeaseQuery {
  readonly overdue?: boolean;
  readonly tokens?: readonly FencingToken[];
  readonly agentId?: AgentId;
}

/** A lease as it stands. */
export interface LeaseRow {
  readonly key: TaskKey;
  readonly tenant: TenantId;
  readonly taskId: TaskId;
  readonly token: FencingToken;
  readonly agentId: AgentId;
  readonly requester: AgentId;
  readonly queue: number;
  readonly needs: ResourceLimits;
  readonly claimedAt: number;
  readonly expiresAt: number;
  readonly deadlineAt: number;
  readonly expired: boolean;
  readonly pastDeadline: boolean;
}

/** A timer that is due. */
export interface DueTimer {
  readonly id: number;
  readonly kind: TimerKind;
  readonly task: Task;
}

/** Which tasks to list; all given conditions hold together. */
export interface TaskQuery {
  readonly tenant: TenantId;
  readonly ids?: readonly TaskId[];
  readonly states?: readonly TaskState[];
  readonly outcomes?: readonly Outcome[];
  readonly types?: readonly string[];
  /** Requester's or running agent's id. */
  readonly agentId?: string;
  readonly sessionId?: string;
  readonly userId?: string;
  readonly correlationId?: string;
  /** A label it bears, with its value. */
  readonly label?: { readonly name: string; readonly value: string };
  readonly limit: number;
  readonly offset: number;
}

/** Either one task's events after a sequence, or a tenant's after a cursor (null: from the beginning). */
export type EventQuery =
  | { readonly of: 'task'; readonly key: TaskKey; readonly afterSequence: number; readonly limit: number }
  | {
      readonly of: 'tenant';
      readonly tenant: TenantId;
      readonly afterCursor: string | null;
      readonly limit: number;
    };

/** A queue with ready tasks. */
export interface QueueView {
  readonly id: number;
  readonly name: QueueName;
  /** Ready tasks in it, at most a second old. */
  readonly depth: number;
  /** The rank of its first task, by which queues of one tenant are merged. */
  readonly headRank: number;
}

/** A delivery to send now, with all its body is made of. */
export interface DueDelivery {
  readonly delivery: Delivery;
  readonly task: Task;
  readonly event: TaskEvent;
}

/** What one try of a delivery led to. */
export interface DeliverySettlement {
  readonly id: DeliveryId;
  /** Absent when nothing was tried (breaker open, endpoint over its hourly limit). */
  readonly attempt?: DeliveryAttempt;
  readonly next:
    | { readonly status: 'delivered' | 'failed' | 'dropped' }
    | { readonly status: 'pending'; readonly dueInMs: number };
  readonly change?: Omit<TaskChange, 'record'>;
}

/** Which deliveries to list. */
export interface DeliveryQuery {
  readonly tenant: TenantId;
  readonly id?: DeliveryId;
  readonly taskId?: TaskId;
  readonly endpoint?: string;
  readonly statuses?: readonly DeliveryStatus[];
  readonly since?: number;
  readonly until?: number;
  readonly limit: number;
  readonly offset: number;
}

/** Which artifacts. */
export interface ArtifactQuery {
  readonly tenant: TenantId;
  readonly id?: ArtifactId;
  readonly taskId?: TaskId;
  /** Of any of these tasks. */
  readonly taskIds?: readonly TaskId[];
  readonly name?: string;
}

/** A small named record. */
export interface StoredDocument {
  readonly tenant: TenantId;
  /** What sort of thing it is: `api_key`, `agent`, `tenant`, `revocation` … */
  readonly kind: string;
  readonly id: string;
  readonly body: JsonObject;
  /** Grows by one at each write. */
  readonly version: number;
  readonly expiresAt: number | null;
  /** Its body is kept unreadable, and open here for whoever may read it. */
  readonly isSensitive?: true;
}

/** Which documents; without a tenant those of all. */
export interface DocumentQuery {
  readonly kind: string;
  readonly tenant?: TenantId;
  readonly ids?: readonly string[];
  readonly limit?: number;
  readonly offset?: number;
}

/** A document to write, or delete where `body` is null. */
export interface DocumentWrite {
  readonly tenant: TenantId;
  readonly kind: string;
  readonly id: string;
  readonly body: JsonObject | null;
  /** `absent`: only if there is none; a number: only if that is its version; omitted: whatever is there. */
  readonly expected?: 'absent' | number;
  readonly expiresAt?: number;
  /** Its body is not to be stored readable; whoever wraps the store sees to that. */
  readonly isSensitive?: true;
}

/** Whether a document write happened; `conflict` where its expectation failed. */
export type DocumentOutcome =
  | { readonly status: 'done'; readonly version: number }
  | { readonly status: 'conflict' };

/** How old content may get, in milliseconds (`SAM-181`). */
export interface PurgeTerms {
  readonly resultsMs: number;
  readonly logsMs: number;
  readonly samplesMs: number;
  readonly artifactsMs: number;
}

/** Tasks of one tenant whose content is to go. */
export interface NamedTasks {
  readonly tenant: TenantId;
  readonly ids: readonly TaskId[];
}

/** What a purge deleted; call again while `more`. */
export interface PurgeCounts {
  readonly tasks: number;
  readonly logs: number;
  readonly samples: number;
  readonly artifacts: number;
  readonly documents: number;
  /** Digests of blobs nothing refers to any more. */
  readonly freed: readonly string[];
  readonly more: boolean;
}

/** Sizes and health of a store. */
export interface StoreMeasure {
  readonly ready: number;
  readonly leased: number;
  readonly timers: number;
  readonly deliveriesPending: number;
  readonly bytes: number;
  readonly schemaVersion: number;
  readonly writable: boolean;
  /** What a database server tells of itself; absent where there is none. */
  readonly database?: {
    /** How long the oldest transaction has kept the remains of old rows from being cleared away, in seconds. */
    readonly oldestXminAgeS: number;
    /** Remains of rows not yet cleared away. */
    readonly deadTuples: number;
    /** How far the store's clock is ahead of this process's, in milliseconds, to within half a round trip. */
    readonly clockAheadMs: number;
  };
}

/** What another process did to a shared store; a hint may be lost or come twice, so whoever waits for something polls as well. */
export interface StoreHint {
  /** Tasks that changed; null where there were too many to name. */
  readonly tasks: readonly TaskKey[] | null;
  /** A task became ready. */
  readonly ready: boolean;
  /** A timer or a delivery was set. */
  readonly due: boolean;
  /** Kinds of documents that were written; null where nobody knows which. */
  readonly documents: readonly string[] | null;
  /** Inboxes in which there is something to take; null where there were too many to name. */
  readonly mail: readonly InboxName[] | null;
}
