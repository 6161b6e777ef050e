// The task row and how a Task is read from it: the cold row says what rests, the lease row, while there is one, what moves.

import type { AgentId, ExecutionId, FencingToken, TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { Json } from '../../domain/json.ts';
import type { Lease, Progress, Task, TaskResult, TaskSpec } from '../../domain/task.ts';
import type { Outcome, TaskState } from '../../domain/transitions.ts';
import type { Page, TaskQuery } from '../rows.ts';
import type { Connection, Prepared, Value } from './connection.ts';

/** A task's columns, without those of its lease. */
export interface TaskRow {
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

/** What a lease overlays on its task; all null where there is none. */
interface LeaseOverlay {
  readonly lease_token: FencingToken | null;
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

/** The columns of a `TaskRow`, of the table aliased `t`. */
export const TASK_COLUMNS = `t.key, t.tenant, t.id, t.execution_id, t.state, t.outcome, t.version, t.attempt, t.created_at,
  t.queued_at, t.started_at, t.ended_at, t.updated_at, t.ran_ms, t.agent, t.last_token, t.purged, t.progress, t.spec, t.result, t.checkpoint`;

const LEASE_COLUMNS = `l.token AS lease_token, l.agent AS lease_agent, l.claimed_at AS lease_claimed_at,
  l.expires_at AS lease_expires_at, l.deadline_at AS lease_deadline_at, l.version AS lease_version,
  l.attempt AS lease_attempt, l.updated_at AS lease_updated_at, l.progress AS lease_progress,
  l.checkpoint AS lease_checkpoint`;

const FROM = 'FROM task t LEFT JOIN lease l ON l.task = t.key';

/** The tasks, for reading. */
export class Tasks {
  readonly #connection: Connection;
  readonly #byKey: Prepared<TaskRow & LeaseOverlay>;
  readonly #byId: Prepared<TaskRow & LeaseOverlay>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#byKey = connection.prepare(`SELECT ${TASK_COLUMNS}, ${LEASE_COLUMNS} ${FROM} WHERE t.key = ?`);
    this.#byId = connection.prepare(
      `SELECT ${TASK_COLUMNS}, ${LEASE_COLUMNS} ${FROM} WHERE t.id = ? AND t.tenant = ?`,
    );
  }

  /** The task of a key, or null. */
  find(key: TaskKey): Task | null {
    const row = this.#byKey.get(key);
    return row === undefined ? null : taskOf(row);
  }

  /** The task of a tenant's id, or null. */
  read(tenant: TenantId, id: TaskId): Task | null {
    const row = this.#byId.get(id, tenant);
    return row === undefined ? null : taskOf(row);
  }

  /** A tenant's tasks that match, newest first. */
  list(query: TaskQuery): Page<Task> {
    const { where, values } = conditionsOf(query);
    const count = this.#connection.prepare<{ total: number }>(`SELECT count(*) AS total ${FROM} ${where}`);
    const page = this.#connection.prepare<TaskRow & LeaseOverlay>(
      `SELECT ${TASK_COLUMNS}, ${LEASE_COLUMNS} ${FROM} ${where} ORDER BY t.key DESC LIMIT ? OFFSET ?`,
    );
    return {
      items: page.all(...values, query.limit, query.offset).map(taskOf),
      total: count.get(...values)?.total ?? 0,
    };
  }
}

/** A task at rest, from its own columns alone. */
export function restingTaskOf(row: TaskRow): Task {
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

function taskOf(row: TaskRow & LeaseOverlay): Task {
  const resting = restingTaskOf(row);
  if (row.lease_token === null) return resting;
  const lease: Lease = {
    token: row.lease_token,
    agentId: row.lease_agent,
    claimedAt: row.lease_claimed_at,
    expiresAt: row.lease_expires_at,
    deadlineAt: row.lease_deadline_at,
  };
  return {
    ...resting,
    state: 'running',
    version: row.lease_version,
    attempt: row.lease_attempt,
    startedAt: row.started_at ?? row.lease_claimed_at,
    updatedAt: row.lease_updated_at,
    agentId: row.lease_agent,
    lease,
    progress: parsed<Progress>(row.lease_progress),
    checkpoint: row.lease_checkpoint === null ? resting.checkpoint : parsed<Json>(row.lease_checkpoint),
  };
}

function parsed<Shape>(text: string | null): Shape | null {
  return text === null ? null : (JSON.parse(text) as Shape);
}

function conditionsOf(query: TaskQuery): { readonly where: string; readonly values: readonly Value[] } {
  const conditions = ['t.tenant = ?'];
  const values: Value[] = [query.tenant];
  const within = (expression: string, list: readonly string[] | undefined): void => {
    if (list === undefined) return;
    conditions.push(`${expression} IN (SELECT value FROM json_each(?))`);
    values.push(JSON.stringify(list));
  };
  const equals = (expression: string, value: string | undefined): void => {
    if (value === undefined) return;
    conditions.push(`${expression} = ?`);
    values.push(value);
  };
  within('t.id', query.ids);
  within(`CASE WHEN l.task IS NULL THEN t.state ELSE 'running' END`, query.states);
  within('t.outcome', query.outcomes);
  within(`CASE WHEN t.work_type LIKE 'custom:%' THEN 'custom' ELSE t.work_type END`, query.types);
  if (query.agentId !== undefined) {
    conditions.push('(t.requester = ? OR coalesce(l.agent, t.agent) = ?)');
    values.push(query.agentId, query.agentId);
  }
  equals('t.session', query.sessionId);
  equals('t.user', query.userId);
  equals('t.correlation', query.correlationId);
  return { where: `WHERE ${conditions.join(' AND ')}`, values };
}
