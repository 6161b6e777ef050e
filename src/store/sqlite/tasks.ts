// Finding tasks: the cold row says what rests, the lease row, while there is one, what moves.

import type { TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { Page, TaskQuery } from '../rows.ts';
import { TASK_COLUMNS, type TaskRow } from '../task-row.ts';
import type { Connection, Prepared, Value } from './connection.ts';

const FROM = 'FROM task t LEFT JOIN lease l ON l.task = t.key';

/** The tasks, for reading. */
export class Tasks {
  readonly #connection: Connection;
  readonly #byKey: Prepared<TaskRow>;
  readonly #byId: Prepared<TaskRow>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#byKey = connection.prepare(`SELECT ${TASK_COLUMNS} ${FROM} WHERE t.key = ?`);
    this.#byId = connection.prepare(`SELECT ${TASK_COLUMNS} ${FROM} WHERE t.id = ? AND t.tenant = ?`);
  }

  /** The task of a key, or null. */
  find(key: TaskKey): TaskRow | null {
    return this.#byKey.get(key) ?? null;
  }

  /** The task of a tenant's id, or null. */
  read(tenant: TenantId, id: TaskId): TaskRow | null {
    return this.#byId.get(id, tenant) ?? null;
  }

  /** A tenant's tasks that match, newest first. */
  list(query: TaskQuery): Page<TaskRow> {
    const { where, values } = conditionsOf(query);
    const count = this.#connection.prepare<{ total: number }>(`SELECT count(*) AS total ${FROM} ${where}`);
    const page = this.#connection.prepare<TaskRow>(
      `SELECT ${TASK_COLUMNS} ${FROM} ${where} ORDER BY t.key DESC LIMIT +? OFFSET +?`,
    );
    return {
      items: page.all(...values, query.limit, query.offset),
      total: count.get(...values)?.total ?? 0,
    };
  }
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
  if (query.label !== undefined) {
    conditions.push(`t.spec -> '$.labels' ->> ? = ?`);
    values.push(query.label.name, query.label.value);
  }
  return { where: `WHERE ${conditions.join(' AND ')}`, values };
}
