// The port's hottest shapes as flat records of scalars and JSON texts: what the tables hold, and what crosses to another thread
// cheaply.

import type { NewDelivery } from '../../domain/delivery.ts';
import type { AgentId, ExecutionId, FencingToken, TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { Json } from '../../domain/json.ts';
import type { QueueName } from '../../domain/queue.ts';
import type { Progress, ResourceLimits, Task, TaskResult, TaskSpec } from '../../domain/task.ts';
import type { Outcome, TaskState } from '../../domain/transitions.ts';
import type { Claimed, NewTask, NewTimer, Placement, SubmitOutcome, TaskChange } from '../rows.ts';

/** Needs as columns; null where the task names no limit. */
export interface NeedColumns {
  readonly memory_mb: number | null;
  readonly cpu_cores: number | null;
  readonly disk_mb: number | null;
  readonly network_mbps: number | null;
}

/** A task to accept. */
export interface TaskRecord extends NeedColumns {
  readonly tenant: TenantId;
  readonly id: TaskId;
  readonly executionId: ExecutionId;
  readonly state: NewTask['state'];
  readonly fingerprint: string;
  readonly idempotencyKey: string | null;
  /** The queue's name as `queueText` writes it. */
  readonly queue: string;
  readonly workType: string;
  readonly requester: AgentId;
  readonly session: string | null;
  readonly user: string | null;
  readonly correlation: string | null;
  readonly priority: TaskSpec['priority'];
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number | null;
  readonly notification: string | null;
  readonly dependsOn: readonly TaskId[];
  readonly timers: readonly NewTimer[];
  readonly waitingMax: number;
  readonly eventCount: number;
  readonly events: string;
  readonly spec: string;
  readonly result: string | null;
}

/** A guarded change. */
export interface ChangeRecord {
  readonly key: TaskKey;
  readonly guard: TaskChange['guard'];
  readonly eventCount: number;
  readonly events: string;
  readonly state: TaskState | null;
  readonly outcome: Outcome | null;
  readonly placement: Placement | null;
  readonly result: string | null;
  readonly progress: string | null;
  readonly checkpoint: string | null;
  readonly notification: string | null;
  readonly timers: readonly NewTimer[];
  readonly deliveries: readonly NewDelivery[];
  readonly fired: number | null;
}

/** A task's columns, without those of its lease. */
export interface RestingRow {
  readonly key: TaskKey;
  readonly tenant: TenantId;
  readonly id: TaskId;
  readonly execution_id: ExecutionId;
  readonly state: TaskState;
  readonly outcome: Outcome | null;
  readonly version: number;
  readonly attempt: number;
  readonly created_at: number;
  readonly queued_at: number | null;
  readonly started_at: number | null;
  readonly ended_at: number | null;
  readonly updated_at: number;
  readonly ran_ms: number;
  readonly agent: AgentId | null;
  readonly last_token: FencingToken | null;
  readonly purged: number;
  readonly progress: string | null;
  readonly spec: string;
  readonly result: string | null;
  readonly checkpoint: string | null;
}

/** What a lease overlays on its task. */
export interface LeaseColumns {
  readonly lease_token: FencingToken;
  readonly lease_agent: AgentId;
  readonly lease_claimed_at: number;
  readonly lease_expires_at: number;
  readonly lease_deadline_at: number;
  readonly lease_version: number;
  readonly lease_attempt: number;
  readonly lease_updated_at: number;
  readonly lease_progress: string | null;
  readonly lease_checkpoint: string | null;
}

/** A task as it stands, with its lease where there is one. */
export type TaskRow = RestingRow & (LeaseColumns | { readonly lease_token: null });

/** What a lease leaves of a resting task as it was. */
export type KeptColumns = Pick<
  RestingRow,
  | 'key'
  | 'tenant'
  | 'id'
  | 'execution_id'
  | 'version'
  | 'attempt'
  | 'created_at'
  | 'queued_at'
  | 'started_at'
  | 'ran_ms'
  | 'last_token'
  | 'spec'
  | 'result'
  | 'checkpoint'
>;

/** A task just leased, as it rested before. */
export interface ClaimedRow {
  readonly resting: KeptColumns;
  readonly lease: LeaseColumns;
  readonly queue: number;
}

/** What became of a submitted task, the task still a row. */
export type SubmitAnswer =
  | Exclude<SubmitOutcome, { status: 'same' }>
  | { readonly status: 'same'; readonly row: TaskRow };

/** A task to accept, packed. */
export function packTask(task: NewTask): TaskRecord {
  const { spec } = task;
  const { requester } = spec;
  return {
    tenant: task.tenant,
    id: task.id,
    executionId: task.executionId,
    state: task.state,
    fingerprint: task.fingerprint,
    idempotencyKey: task.idempotencyKey ?? null,
    queue: queueText(task.queue),
    workType: task.queue.workType,
    requester: requester.agentId,
    session: requester.sessionId ?? null,
    user: requester.userId ?? null,
    correlation: requester.correlationId ?? null,
    priority: spec.priority,
    timeoutMs: spec.timeoutMs,
    attemptTimeoutMs: spec.attemptTimeoutMs ?? null,
    notification: textOf(spec.notification),
    ...needColumns(spec.resources),
    dependsOn: spec.dependsOn,
    timers: task.timers,
    waitingMax: task.waitingMax,
    eventCount: task.events.length,
    events: JSON.stringify(task.events),
    spec: JSON.stringify(spec),
    result: textOf(task.result),
  };
}

/** A change, packed. */
export function packChange(change: TaskChange): ChangeRecord {
  return {
    key: change.key,
    guard: change.guard,
    eventCount: change.events.length,
    events: JSON.stringify(change.events),
    state: change.state ?? null,
    outcome: change.outcome ?? null,
    placement: change.placement ?? null,
    result: textOf(change.result),
    progress: textOf(change.progress),
    checkpoint: textOf(change.checkpoint),
    notification: textOf(change.notification),
    timers: change.timers ?? [],
    deliveries: change.deliveries ?? [],
    fired: change.fired ?? null,
  };
}

/** What became of a submitted task. */
export function outcomeOf(answer: SubmitAnswer): SubmitOutcome {
  return answer.status === 'same' ? { status: 'same', task: taskOf(answer.row) } : answer;
}

/** The task of a row. */
export function taskOf(row: TaskRow): Task {
  return row.lease_token === null ? restingTaskOf(row) : leasedTaskOf(row, row);
}

/** The task a claim made of a resting one. */
export function claimedOf({ resting, lease, queue }: ClaimedRow): Claimed {
  return { task: leasedTaskOf(resting, lease), token: lease.lease_token, queue };
}

function restingTaskOf(row: RestingRow): Task {
  return {
    key: row.key,
    tenant: row.tenant,
    id: row.id,
    executionId: row.execution_id,
    spec: JSON.parse(row.spec) as TaskSpec,
    state: row.state,
    outcome: row.outcome,
    version: row.version,
    attempt: row.attempt,
    createdAt: row.created_at,
    queuedAt: row.queued_at,
    startedAt: row.started_at,
    endedAt: row.ended_at,
    updatedAt: row.updated_at,
    ranMs: row.ran_ms,
    agentId: row.agent,
    lease: null,
    lastToken: row.last_token,
    progress: parsed<Progress>(row.progress),
    checkpoint: parsed<Json>(row.checkpoint),
    result: parsed<TaskResult>(row.result),
    purged: row.purged !== 0,
  };
}

/** What rests is the row's, what moves is the lease's. */
function leasedTaskOf(row: KeptColumns, lease: LeaseColumns): Task {
  const { lease_token: token, lease_agent: agentId, lease_claimed_at: claimedAt } = lease;
  return {
    key: row.key,
    tenant: row.tenant,
    id: row.id,
    executionId: row.execution_id,
    spec: JSON.parse(row.spec) as TaskSpec,
    state: 'running',
    outcome: null,
    version: lease.lease_version,
    attempt: lease.lease_attempt,
    createdAt: row.created_at,
    queuedAt: row.queued_at,
    startedAt: row.started_at ?? claimedAt,
    endedAt: null,
    updatedAt: lease.lease_updated_at,
    ranMs: row.ran_ms,
    agentId,
    lease: {
      token,
      agentId,
      claimedAt,
      expiresAt: lease.lease_expires_at,
      deadlineAt: lease.lease_deadline_at,
    },
    lastToken: row.last_token,
    progress: parsed<Progress>(lease.lease_progress),
    checkpoint: parsed<Json>(lease.lease_checkpoint ?? row.checkpoint),
    result: parsed<TaskResult>(row.result),
    purged: false,
  };
}

/** A queue's name as one text: equal names have equal texts. */
export function queueText({ tenant, workType, capabilities, region, requester }: QueueName): string {
  return JSON.stringify([tenant, workType, capabilities, region, requester]);
}

/** The name in a queue's text. */
export function queueNameOf(text: string): QueueName {
  const [tenant, workType, capabilities, region, requester] = JSON.parse(text) as [
    TenantId,
    string,
    readonly string[],
    string | null,
    AgentId,
  ];
  return { tenant, workType, capabilities, region, requester };
}

/** Columns as limits. */
export function needsOf(row: NeedColumns): ResourceLimits {
  return {
    ...(row.memory_mb !== null && { memoryMb: row.memory_mb }),
    ...(row.cpu_cores !== null && { cpuCores: row.cpu_cores }),
    ...(row.disk_mb !== null && { diskMb: row.disk_mb }),
    ...(row.network_mbps !== null && { networkMbps: row.network_mbps }),
  };
}

/** Limits as columns. */
export function needColumns(needs: ResourceLimits): NeedColumns {
  return {
    memory_mb: needs.memoryMb ?? null,
    cpu_cores: needs.cpuCores ?? null,
    disk_mb: needs.diskMb ?? null,
    network_mbps: needs.networkMbps ?? null,
  };
}

function textOf(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function parsed<Shape>(text: string | null): Shape | null {
  return text === null ? null : (JSON.parse(text) as Shape);
}
