// Notifications on their way out: handed out in order, settled with what came of them.

import type { Delivery, DeliveryAttempt, DeliveryStatus } from '../../domain/delivery.ts';
import type { NotificationEvent } from '../../domain/event.ts';
import type { DeliveryId, TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { DeliveryQuery, DeliverySettlement, DueDelivery, Page } from '../rows.ts';
import { TASK_COLUMNS, type TaskRow, taskOf } from '../task-row.ts';
import { gathered } from './calls.ts';
import { type Changes, type CommittedRow, checkChange } from './changes.ts';
import { Conditions, type Context, reading, writing } from './context.ts';
import { type EventRow, eventIn } from './events.ts';
import { packChange, plain, TASK_TABLES } from './records.ts';

interface DeliveryRow {
  readonly delivery_id: DeliveryId;
  readonly delivery_tenant: TenantId;
  readonly delivery_task: TaskKey;
  readonly task_id: TaskId;
  readonly channel: string;
  readonly endpoint: string;
  readonly event: NotificationEvent;
  readonly sequence: number;
  readonly status: DeliveryStatus;
  readonly attempts: string;
  readonly delivery_created_at: number;
  readonly due_at: number;
  readonly redelivery_of: DeliveryId | null;
}

type EventColumns = {
  readonly event_id: number;
  readonly event_txn: number;
  readonly event_seq: number;
  readonly event_at: number;
  readonly event_body: string;
};

const COLUMNS = `d.id AS delivery_id, d.tenant AS delivery_tenant, d.task AS delivery_task, t.id AS task_id, d.channel,
  d.endpoint, d.event, d.sequence, d.status, d.attempts, d.created_at AS delivery_created_at, d.due_at, d.redelivery_of`;
const FROM = 'FROM batuta.delivery d JOIN batuta.task t ON t.key = d.task';

// Taken twice, a delivery would wait for its sender's lease; the first answer being lost, it does so in any case.
const TAKE = writing('take deliveries', 'SELECT batuta.due_deliveries($1, $2, $3) AS key');
const TAKEN = reading(
  'taken deliveries',
  `SELECT ${COLUMNS}, ${TASK_COLUMNS}, e.id AS event_id, e.txn AS event_txn, e.seq AS event_seq, e.at AS event_at,
     e.body AS event_body
   FROM unnest($1::bigint[]) WITH ORDINALITY w(key, pos) JOIN batuta.delivery d ON d.key = w.key
   JOIN ${TASK_TABLES} ON t.key = d.task
   JOIN LATERAL (SELECT * FROM batuta.event e WHERE e.task = d.task AND e.seq <= d.sequence
     ORDER BY e.seq DESC LIMIT 1) e ON true ORDER BY w.pos`,
);
const NEXT_DUE = reading(
  'next delivery',
  `SELECT greatest(0, next_at - batuta.moment($1)) AS in_ms FROM batuta.delivery
   WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1`,
);
const SETTLE = writing('settle deliveries', 'SELECT * FROM batuta.settle_deliveries($1, $2)');
const REDELIVER = writing('redeliver', 'SELECT batuta.redeliver($1, $2)');
const BY_ID = reading('deliveries by id', `SELECT ${COLUMNS} ${FROM} WHERE d.id = ANY ($1::text[])`);

type Copy = { readonly tenant: TenantId; readonly of: DeliveryId; readonly id: DeliveryId };

/** The deliveries of all tasks. */
export class Deliveries {
  readonly #context: Context;
  readonly #settle: (settlements: readonly DeliverySettlement[]) => Promise<null>;

  constructor(context: Context, changes: Changes) {
    this.#context = context;
    this.#settle = gathered(async calls => {
      const settlements = calls.flat();
      const packed = settlements.map(({ id, attempt, next, change }, index) => ({
        id,
        attempt: attempt === undefined ? null : JSON.stringify(attempt),
        status: next.status,
        due_in_ms: next.status === 'pending' ? next.dueInMs : null,
        change: change === undefined ? null : packChange(change, index),
      }));
      const { rows } = await context.hot<CommittedRow>(SETTLE, [JSON.stringify(packed), context.given]);
      changes.report(
        settlements.flatMap(({ change }) => change ?? []),
        rows,
      );
      if (settlements.some(({ next }) => next.status === 'pending')) context.tell({ due: true });
      return calls.map(() => null);
    });
  }

  /** Takes due deliveries for sending, for `leaseMs`; of one lane at most one a call. */
  async due(
    limit: number,
    leaseMs: number,
  ): Promise<{ readonly due: readonly DueDelivery[]; readonly nextDueInMs: number | null }> {
    const { given } = this.#context;
    const { rows: keys } = await this.#context.write(() =>
      this.#context.hot<{ key: number }>(TAKE, [limit, leaseMs, given]),
    );
    const rows =
      keys.length === 0
        ? []
        : await this.#context.glance<DeliveryRow & TaskRow & EventColumns>(TAKEN, [
            keys.map(({ key }) => key),
          ]);
    const [next] = await this.#context.glance<{ in_ms: number }>(NEXT_DUE, [given]);
    const due = rows.flatMap(row => {
      const event = eventIn(eventRowOf(row), row.sequence);
      return event === null ? [] : [{ delivery: deliveryOf(row), task: taskOf(row), event }];
    });
    return { due, nextDueInMs: next?.in_ms ?? null };
  }

  /** Records what came of sending, with the changes that go with it. */
  async settle(settlements: readonly DeliverySettlement[]): Promise<void> {
    for (const { change } of settlements) if (change !== undefined) checkChange(change);
    if (settlements.length > 0) await this.#context.write(() => this.#settle(settlements));
  }

  /** A tenant's deliveries that match, newest first. */
  async list(query: DeliveryQuery): Promise<Page<Delivery>> {
    const conditions = conditionsOf(query);
    const { shape, where } = conditions;
    const counting = reading(`count deliveries ${shape}`, `SELECT count(*) AS total ${FROM} ${where}`);
    const counted = [...conditions.values];
    const page = reading(
      `list deliveries ${shape}`,
      `SELECT ${COLUMNS} ${FROM} ${where} ORDER BY d.key DESC
       LIMIT ${conditions.param(query.limit)} OFFSET ${conditions.param(query.offset)}`,
    );
    const [rows, [count]] = await Promise.all([
      this.#context.read<DeliveryRow>(page, conditions.values),
      this.#context.read<{ total: number }>(counting, counted),
    ]);
    return { items: rows.map(deliveryOf), total: count?.total ?? 0 };
  }

  /** Queues copies that are due at once; null where there is none of that id. */
  async redeliver(copies: readonly Copy[]): Promise<readonly (Delivery | null)[]> {
    const packed = copies.map(({ tenant, of, id }) => ({
      tenant: plain(tenant),
      of: plain(of),
      id: plain(id),
    }));
    await this.#context.write(() =>
      this.#context.hot(REDELIVER, [JSON.stringify(packed), this.#context.given]),
    );
    this.#context.tell({ due: true });
    const rows = await this.#context.glance<DeliveryRow>(BY_ID, [packed.map(({ id }) => id)]);
    const made = new Map(rows.map(row => [row.delivery_id, deliveryOf(row)]));
    return copies.map(({ id }) => made.get(id) ?? null);
  }
}

function eventRowOf(row: DeliveryRow & EventColumns): EventRow {
  return {
    id: row.event_id,
    task: row.delivery_task,
    task_id: row.task_id,
    tenant: row.delivery_tenant,
    txn: row.event_txn,
    seq: row.event_seq,
    at: row.event_at,
    body: row.event_body,
  };
}

function deliveryOf(row: DeliveryRow): Delivery {
  return {
    id: row.delivery_id,
    tenant: row.delivery_tenant,
    key: row.delivery_task,
    taskId: row.task_id,
    channel: row.channel,
    endpoint: row.endpoint,
    event: row.event,
    sequence: row.sequence,
    status: row.status,
    attempts: JSON.parse(row.attempts) as DeliveryAttempt[],
    createdAt: row.delivery_created_at,
    dueAt: row.due_at,
    ...(row.redelivery_of !== null && { redeliveryOf: row.redelivery_of }),
  };
}

function conditionsOf(query: DeliveryQuery): Conditions {
  return new Conditions('d.tenant = $1', plain(query.tenant))
    .add('d.id = ?', query.id === undefined ? undefined : plain(query.id))
    .add('t.id = ?', query.taskId === undefined ? undefined : plain(query.taskId))
    .add('d.endpoint = ?', query.endpoint === undefined ? undefined : plain(query.endpoint))
    .add('d.status = ANY (?::text[])', query.statuses)
    .add('d.created_at >= ?', query.since)
    .add('d.created_at < ?', query.until);
}
