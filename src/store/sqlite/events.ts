// The log of what happened: one row per change, holding that change's events as one JSON array. Readers get single events.

import type { EventBody, TaskEvent } from '../../domain/event.ts';
import type { TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { EventQuery } from '../rows.ts';
import type { Connection, Prepared } from './connection.ts';
import { RowBuffer } from './row-buffer.ts';
import { Sequence } from './sequences.ts';

/** One change's events as the table holds them. */
export interface EventRow {
  readonly id: number;
  readonly task: number;
  readonly task_id: string;
  readonly tenant: string;
  readonly seq: number;
  readonly at: number;
  readonly body: string;
}

const SELECT = `SELECT e.id, e.task, t.id AS task_id, e.tenant, e.seq, e.at, e.body
  FROM event e JOIN task t ON t.key = e.task`;

/** The events of all tasks. */
export class Events {
  readonly #connection: Connection;
  readonly #ids: Sequence;
  readonly #rows: RowBuffer;
  readonly #ofTask: Prepared<EventRow>;
  readonly #ofTenant: Prepared<EventRow>;
  readonly #at: Prepared<EventRow>;
  readonly #remove: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#ids = new Sequence(connection, 'event');
    this.#rows = new RowBuffer(connection, 'event', ['id', 'task', 'tenant', 'seq', 'count', 'at', 'body']);
    this.#ofTask = connection.prepare(
      `${SELECT} WHERE e.task = ? AND e.seq >= coalesce(
         (SELECT max(seq) FROM event WHERE task = ? AND seq <= ?), 0) ORDER BY e.seq LIMIT +?`,
    );
    this.#ofTenant = connection.prepare(`${SELECT} WHERE e.tenant = ? AND e.id >= ? ORDER BY e.id LIMIT +?`);
    this.#at = connection.prepare(`${SELECT} WHERE e.task = ? AND e.seq <= ? ORDER BY e.seq DESC LIMIT 1`);
    this.#remove = connection.prepare('DELETE FROM event WHERE task = ?');
  }

  /** Adds a change's events, as JSON, after the version the task had; answers its new version. */
  append(task: Pick<Task, 'key' | 'tenant' | 'version'>, events: string, count: number): number {
    if (count === 0) return task.version;
    const { key, tenant, version } = task;
    this.#rows.add(this.#ids.next(), key, tenant, version + 1, count, this.#connection.now, events);
    return task.version + count;
  }

  /** Rows that hold the events that match, in order. */
  read(query: EventQuery): readonly EventRow[] {
    this.#rows.flush();
    const { limit } = query;
    if (query.of === 'task') return this.#ofTask.all(query.key, query.key, query.afterSequence + 1, limit);
    return this.#ofTenant.all(query.tenant, cursorOf(query.afterCursor).id, limit + 1);
  }

  /** The event with this number, or null where it was removed. */
  find(key: TaskKey, sequence: number): TaskEvent | null {
    this.#rows.flush();
    const row = this.#at.get(key, sequence);
    if (row === undefined) return null;
    return unpacked([row], event => event.sequence === sequence, 1)[0] ?? null;
  }

  /** Removes a task's events. */
  remove(key: TaskKey): void {
    this.#rows.flush();
    this.#remove.run(key);
  }
}

/** The events of rows that match, in order, at most `limit`. */
export function eventsOf(rows: readonly EventRow[], query: EventQuery): readonly TaskEvent[] {
  if (query.of === 'task') return unpacked(rows, event => event.sequence > query.afterSequence, query.limit);
  const after = cursorOf(query.afterCursor);
  return unpacked(rows, (_, id, index) => id > after.id || index > after.index, query.limit);
}

function unpacked(
  rows: readonly EventRow[],
  wanted: (event: TaskEvent, id: number, index: number) => boolean,
  limit: number,
): readonly TaskEvent[] {
  const events: TaskEvent[] = [];
  for (const row of rows) {
    const bodies = JSON.parse(row.body) as EventBody[];
    bodies.forEach((body, index) => {
      const event: TaskEvent = {
        ...body,
        sequence: row.seq + index,
        at: row.at,
        cursor: `${row.id}-${index}`,
        tenant: row.tenant as TenantId,
        key: row.task as TaskKey,
        taskId: row.task_id as TaskId,
      };
      if (events.length < limit && wanted(event, row.id, index)) events.push(event);
    });
    if (events.length >= limit) break;
  }
  return events;
}

function cursorOf(text: string | null): { readonly id: number; readonly index: number } {
  const match = text === null ? null : /^(\d+)-(\d+)$/.exec(text);
  return match === null ? { id: 0, index: -1 } : { id: Number(match[1]), index: Number(match[2]) };
}
