// Finding tasks, what they wait for, and the timers that are due for them.

import type { TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { DueTimer, Page, TaskQuery, TimerKind } from '../rows.ts';
import { TASK_COLUMNS, type TaskRow, taskOf } from '../task-row.ts';
import { Conditions, type Context, reading } from './context.ts';
import { plain, TASK_TABLES } from './records.ts';

const READ = reading(
  'read',
  `SELECT w.pos, ${TASK_COLUMNS} FROM unnest($1::text[], $2::text[]) WITH ORDINALITY w(tenant, id, pos)
   JOIN ${TASK_TABLES} ON t.id = w.id AND t.tenant = w.tenant`,
);
const DEPENDENCIES = reading(
  'dependencies',
  `SELECT t.id, t.outcome FROM batuta.edge e JOIN batuta.task t ON t.key = e.dependency
   WHERE e.dependent = $1 ORDER BY t.key`,
);
const POSITION = reading(
  'position',
  `SELECT count(a.task) AS ahead FROM batuta.task t
   JOIN batuta.ready r ON r.queue = t.queue AND r.rank = t.rank AND r.task = t.key
   JOIN batuta.queue own ON own.id = t.queue
   LEFT JOIN LATERAL (
     SELECT b.task FROM batuta.queue q JOIN batuta.ready b ON b.queue = q.id
     WHERE q.tenant = own.tenant AND q.work_type = own.work_type AND (b.rank, b.task) < (t.rank, t.key) LIMIT $2
   ) a ON true WHERE t.key = $1 GROUP BY t.key`,
);
const DUE = reading(
  'due timers',
  `SELECT d.timer_id, d.kind, d.due, ${TASK_COLUMNS}
   FROM (SELECT id AS timer_id, kind, task, due FROM batuta.timer WHERE due <= batuta.moment($2)
     ORDER BY due, id LIMIT $1) d
   JOIN ${TASK_TABLES} ON t.key = d.task ORDER BY d.due, d.timer_id`,
);
const NEXT_DUE = reading(
  'next timer',
  `SELECT greatest(0, due - m.now) AS in_ms FROM batuta.timer, (SELECT batuta.moment($1) AS now) m
   ORDER BY due OFFSET $2 LIMIT 1`,
);

interface DueRow {
  readonly timer_id: number;
  readonly kind: TimerKind;
}

/** The tasks, for reading. */
export class Tasks {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Tasks by tenant and id, in order. */
  async read(
    ids: readonly { readonly tenant: TenantId; readonly id: TaskId }[],
  ): Promise<readonly (Task | null)[]> {
    const rows = await this.#context.read<TaskRow & { readonly pos: number }>(READ, [
      ids.map(({ tenant }) => plain(tenant)),
      ids.map(({ id }) => plain(id)),
    ]);
    const byPos = new Map(rows.map(row => [row.pos, row]));
    return ids.map((_, index) => {
      const row = byPos.get(index + 1);
      return row === undefined ? null : taskOf(row);
    });
  }

  /** A tenant's tasks that match, newest first. */
  async list(query: TaskQuery): Promise<Page<Task>> {
    const conditions = conditionsOf(query);
    const { shape, where } = conditions;
    const counting = reading(`count tasks ${shape}`, `SELECT count(*) AS total FROM ${TASK_TABLES} ${where}`);
    const counted = [...conditions.values];
    const page = reading(
      `list tasks ${shape}`,
      `SELECT ${TASK_COLUMNS} FROM ${TASK_TABLES} ${where} ORDER BY t.key DESC
       LIMIT ${conditions.param(query.limit)} OFFSET ${conditions.param(query.offset)}`,
    );
    const [rows, [count]] = await Promise.all([
      this.#context.read<TaskRow>(page, conditions.values),
      this.#context.read<{ total: number }>(counting, counted),
    ]);
    return { items: rows.map(taskOf), total: count?.total ?? 0 };
  }

  /** The tasks a task waits for. */
  dependencies(key: TaskKey): Promise<readonly { readonly id: TaskId; readonly outcome: Task['outcome'] }[]> {
    return this.#context.read(DEPENDENCIES, [key]);
  }

  /** How many ready tasks of its tenant and work type stand before a task; null if it is not ready. */
  async position(key: TaskKey, limit: number): Promise<number | null> {
    const [row] = await this.#context.read<{ ahead: number }>(POSITION, [key, limit]);
    return row?.ahead ?? null;
  }

  /** Timers due now with their tasks, and how long until the next one after them. */
  async dueTimers(
    limit: number,
  ): Promise<{ readonly due: readonly DueTimer[]; readonly nextDueInMs: number | null }> {
    const { given } = this.#context;
    const rows = await this.#context.read<TaskRow & DueRow>(DUE, [limit, given]);
    const [next] = await this.#context.read<{ in_ms: number }>(NEXT_DUE, [given, rows.length]);
    const due = rows.map(row => ({ id: row.timer_id, kind: row.kind, task: taskOf(row) }));
    return { due, nextDueInMs: next?.in_ms ?? null };
  }
}

/** A specification without the characters that PostgreSQL cannot read out of JSON: zero, and halves of surrogate pairs. */
const READABLE = String.raw`regexp_replace(t.spec, '(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})', '\1', 'g')`;

function conditionsOf(query: TaskQuery): Conditions {
  const text = (value: string | undefined): string | undefined =>
    value === undefined ? undefined : plain(value);
  const conditions = new Conditions('t.tenant = $1', plain(query.tenant))
    .add('t.id = ANY (?::text[])', query.ids?.map(plain))
    .add(`CASE WHEN l.task IS NULL THEN t.state ELSE 'running' END = ANY (?::text[])`, query.states)
    .add('t.outcome = ANY (?::text[])', query.outcomes)
    .add(
      `CASE WHEN t.work_type LIKE 'custom:%' THEN 'custom' ELSE t.work_type END = ANY (?::text[])`,
      query.types?.map(plain),
    )
    .add('(t.requester = ? OR coalesce(l.agent, t.agent) = ?)', text(query.agentId))
    .add('t.session = ?', text(query.sessionId))
    .add('t.user_id = ?', text(query.userId))
    .add('t.correlation = ?', text(query.correlationId));
  const { label } = query;
  if (label === undefined) return conditions;
  const wanted = conditions.param(JSON.stringify({ [plain(label.name)]: plain(label.value) }));
  return conditions.and(
    `CASE WHEN strpos(t.spec, '"labels":') > 0 THEN (${READABLE}::json -> 'labels')::jsonb @> ${wanted}::jsonb ELSE false END`,
  );
}
