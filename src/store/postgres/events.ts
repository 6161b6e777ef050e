// The log of what happened: one row per change, holding that change's events as one JSON array. Readers get single events. A
// tenant's events are ordered by transaction and shown only once every earlier transaction has ended, so that no reader passes
// one by that commits late.

import type { EventBody, TaskEvent } from '../../domain/event.ts';
import type { TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { EventQuery } from '../rows.ts';
import { type Context, reading } from './context.ts';
import { plain } from './records.ts';

/** One change's events as the table holds them. */
export interface EventRow {
  readonly id: number;
  readonly task: TaskKey;
  readonly task_id: TaskId;
  readonly tenant: TenantId;
  readonly txn: number;
  readonly seq: number;
  readonly at: number;
  readonly body: string;
}

const SELECT = `SELECT e.id, e.task, t.id AS task_id, e.tenant, e.txn, e.seq, e.at, e.body
  FROM batuta.event e JOIN batuta.task t ON t.key = e.task`;

const OF_TASK = reading(
  'events of task',
  `${SELECT} WHERE e.task = $1 AND e.seq + e.count > $2 AND t.purged = 0 ORDER BY e.seq LIMIT $3`,
);
const OF_TENANT = reading(
  'events of tenant',
  `${SELECT} WHERE e.tenant = $1 AND (e.txn, e.id) >= ($2, $3) AND e.txn < batuta.settled_txn() AND t.purged = 0
   ORDER BY e.txn, e.id LIMIT $4`,
);

/** The events of all tasks. */
export class Events {
  readonly #context: Context;

  constructor(context: Context) {
    this.#context = context;
  }

  /** Events after a sequence (of one task) or cursor (of a tenant), in order. */
  async read(query: EventQuery): Promise<readonly TaskEvent[]> {
    const { limit } = query;
    if (query.of === 'task') {
      const { key, afterSequence } = query;
      const rows = await this.#context.read<EventRow>(OF_TASK, [key, afterSequence + 1, limit]);
      return unpacked(rows, event => event.sequence > afterSequence, limit);
    }
    const after = cursorOf(query.afterCursor);
    const values = [plain(query.tenant), after.txn, after.id, limit + 1];
    const rows = await this.#context.read<EventRow>(OF_TENANT, values);
    return unpacked(
      rows,
      (_, row, index) => row.txn !== after.txn || row.id !== after.id || index > after.index,
      limit,
    );
  }
}

/** The event with this number, of a row that holds it. */
export function eventIn(row: EventRow, sequence: number): TaskEvent | null {
  return unpacked([row], event => event.sequence === sequence, 1)[0] ?? null;
}

function unpacked(
  rows: readonly EventRow[],
  wanted: (event: TaskEvent, row: EventRow, index: number) => boolean,
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
        cursor: `${row.txn}.${row.id}-${index}`,
        tenant: row.tenant,
        key: row.task,
        taskId: row.task_id,
      };
      if (events.length < limit && wanted(event, row, index)) events.push(event);
    });
    if (events.length >= limit) break;
  }
  return events;
}

function cursorOf(text: string | null): {
  readonly txn: number;
  readonly id: number;
  readonly index: number;
} {
  // Without a transaction it was given out by the embedded store that these events were copied from, where they stand before all.
  const match = text === null ? null : /^(?:(\d{1,15})\.)?(\d{1,15})-(\d{1,9})$/.exec(text);
  if (match === null) return { txn: 0, id: 0, index: -1 };
  return { txn: Number(match[1] ?? 0), id: Number(match[2]), index: Number(match[3]) };
}
