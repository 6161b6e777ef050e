// Tasks as rows: the shapes that the tables of every driver hold, and the domain's nouns made of them.

import type { AgentId, ExecutionId, FencingToken, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import type { Json } from '../domain/json.ts';
import type { QueueName } from '../domain/queue.ts';
import type { Progress, ResourceLimits, Task, TaskResult, TaskSpec } from '../domain/task.ts';
import type { Outcome, TaskState } from '../domain/transitions.ts';

/** Needs as columns; null where the task names no limit. */
export interface NeedColumns {
  readonly memory_mb: number | null;
  readonly cpu_cores: number | null;
  readonly disk_mb: number | null;
  readonly network_mbps: number | null;
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

/** What of a resting row a lease leaves as it was. */
export type KeptColumns = Pick<
  RestingRow,
  | 'key'
  | 'tenant'
  | 'id'
  | 'execution_id'
  | 'created_at'
  | 'queued_at'
  | 'started_at'
  | 'ran_ms'
  | 'last_token'
  | 'spec'
  | 'result'
  | 'checkpoint'
>;

/** The columns of a `TaskRow`, of tables aliased `t` and `l`. */
export const TASK_COLUMNS = `t.key, t.tenant, t.id, t.execution_id, t.state, t.outcome, t.version, t.attempt, t.created_at,
  t.queued_at, t.started_at, t.ended_at, t.updated_at, t.ran_ms, t.agent, t.last_token, t.purged, t.progress, t.spec, t.result,
  t.checkpoint, l.token AS lease_token, l.agent AS lease_agent, l.claimed_at AS lease_claimed_at,
  l.expires_at AS lease_expires_at, l.deadline_at AS lease_deadline_at, l.version AS lease_version,
  l.attempt AS lease_attempt, l.updated_at AS lease_updated_at, l.progress AS lease_progress,
  l.checkpoint AS lease_checkpoint`;

/** The task of a row. */
export function taskOf(row: TaskRow): Task {
  return row.lease_token === null ? restingTaskOf(row) : leasedTaskOf(row, row);
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

/** A leased task: what rests is the row's, what moves is the lease's. */
export function leasedTaskOf(row: KeptColumns, lease: LeaseColumns): Task {
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

/** A value as JSON; null where there is none. */
export function textOf(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}

function parsed<Shape>(text: string | null): Shape | null {
  return text === null ? null : (JSON.parse(text) as Shape);
}
