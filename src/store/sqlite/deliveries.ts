// Notifications on their way out: queued with the change they tell of, handed out in order, settled with what came of them.

import {
  type Delivery,
  type DeliveryAttempt,
  type DeliveryStatus,
  isEndNotification,
  type NewDelivery,
} from '../../domain/delivery.ts';
import type { NotificationEvent, TaskEvent } from '../../domain/event.ts';
import type { DeliveryId, TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { DeliveryQuery, DeliverySettlement, Page } from '../rows.ts';
import type { TaskRow } from '../task-row.ts';
import type { Connection, Prepared, Value } from './connection.ts';
import type { Events } from './events.ts';
import { Lanes } from './lanes.ts';
import { Sequence } from './sequences.ts';
import type { Tasks } from './tasks.ts';

interface DeliveryRow {
  readonly key: number;
  readonly id: DeliveryId;
  readonly tenant: TenantId;
  readonly task: TaskKey;
  readonly task_id: TaskId;
  readonly channel: string;
  readonly endpoint: string;
  readonly event: NotificationEvent;
  readonly sequence: number;
  readonly status: DeliveryStatus;
  readonly attempts: string;
  readonly created_at: number;
  readonly due_at: number;
  readonly redelivery_of: DeliveryId | null;
}

/** Deliveries to send now, their tasks still rows. */
export interface DueDeliveryRows {
  readonly due: readonly { readonly delivery: Delivery; readonly task: TaskRow; readonly event: TaskEvent }[];
  readonly nextDueInMs: number | null;
}

type QueuedDelivery = Pick<
  Delivery,
  'id' | 'tenant' | 'key' | 'channel' | 'endpoint' | 'event' | 'sequence'
> &
  Pick<Delivery, 'dueAt' | 'redeliveryOf'>;

const COLUMNS = `d.key, d.id, d.tenant, d.task, t.id AS task_id, d.channel, d.endpoint, d.event, d.sequence, d.status,
  d.attempts, d.created_at, d.due_at, d.redelivery_of`;
const FROM = 'FROM delivery d JOIN task t ON t.key = d.task';

/** The deliveries of all tasks. */
export class Deliveries {
  readonly #connection: Connection;
  readonly #keys: Sequence;
  readonly #lanes: Lanes;
  readonly #counts = new Map<'open', number>();
  readonly #insert: Prepared<object>;
  readonly #byId: Prepared<DeliveryRow>;
  readonly #due: Prepared<DeliveryRow>;
  readonly #next: Prepared<{ next_at: number }>;
  readonly #take: Prepared<object>;
  readonly #settle: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#keys = new Sequence(connection, 'delivery');
    this.#lanes = new Lanes(connection);
    this.#insert = connection.prepare(
      `INSERT INTO delivery (key, id, tenant, task, channel, endpoint, event, sequence, status, attempts, created_at,
         due_at, redelivery_of) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'pending', '[]', ?, ?, ?)`,
    );
    this.#byId = connection.prepare(`SELECT ${COLUMNS} ${FROM} WHERE d.id = ?`);
    this.#due = connection.prepare(
      `SELECT ${COLUMNS} ${FROM} WHERE d.next_at IS NOT NULL AND d.next_at <= ? ORDER BY d.next_at, d.key LIMIT +?`,
    );
    this.#next = connection.prepare(
      'SELECT next_at FROM delivery WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1',
    );
    this.#take = connection.prepare(`UPDATE delivery SET status = 'sending', due_at = ? WHERE key = ?`);
    this.#settle = connection.prepare(
      'UPDATE delivery SET status = ?, attempts = ?, due_at = ?, next_at = NULL WHERE key = ?',
    );
    const row = connection
      .prepare<{ count: number }>(
        `SELECT count(*) AS count FROM delivery WHERE status IN ('pending', 'sending')`,
      )
      .get();
    this.#counts.set('open', row?.count ?? 0);
  }

  /** Queues a change's notifications, dropping unsent progress they overtake. */
  add(task: Pick<Task, 'key' | 'tenant' | 'version'>, deliveries: readonly NewDelivery[]): void {
    for (const delivery of deliveries) {
      const sequence = task.version + delivery.eventIndex + 1;
      if (delivery.event === 'task_progress' || isEndNotification(delivery.event)) {
        this.#countOpen(-this.#lanes.dropSuperseded(task.key, delivery.endpoint, sequence));
      }
      this.#queue({ ...delivery, key: task.key, tenant: task.tenant, sequence });
    }
  }

  /** Takes due deliveries for sending, for `leaseMs`; of one lane at most one a call. */
  due(
    limit: number,
    leaseMs: number,
    readers: { readonly tasks: Tasks; readonly events: Events },
  ): DueDeliveryRows {
    const { now } = this.#connection;
    const due: DueDeliveryRows['due'][number][] = [];
    const lanes = new Set<string>();
    for (const row of this.#due.all(now, limit)) {
      const lane = `${row.task} ${row.endpoint}`;
      if (lanes.has(lane)) continue;
      lanes.add(lane);
      const task = readers.tasks.find(row.task);
      const event = readers.events.find(row.task, row.sequence);
      if (task === null || event === null) {
        this.#close(row, 'dropped', row.attempts);
        continue;
      }
      this.#take.run(now + leaseMs, row.key);
      this.#lanes.arrange(row.task, row.endpoint);
      due.push({
        delivery: { ...deliveryOf(row), status: 'sending', dueAt: now + leaseMs },
        task,
        event,
      });
    }
    const next = this.#next.get()?.next_at;
    return { due, nextDueInMs: next === undefined ? null : Math.max(0, next - now) };
  }

  /** Records what came of sending; a delivery that has ended keeps its end. */
  settle({ id, attempt, next }: Omit<DeliverySettlement, 'change'>): void {
    const row = this.#byId.get(id);
    if (row === undefined) return;
    const attempts =
      attempt === undefined
        ? row.attempts
        : JSON.stringify([...(JSON.parse(row.attempts) as DeliveryAttempt[]), attempt]);
    if (row.status !== 'pending' && row.status !== 'sending') {
      this.#settle.run(row.status, attempts, row.due_at, row.key);
      return;
    }
    if (next.status !== 'pending') {
      this.#close(row, next.status, attempts);
      return;
    }
    const isProgress = row.event === 'task_progress' && row.redelivery_of === null;
    if (isProgress && this.#lanes.isSuperseded(row.task, row.endpoint, row.sequence)) {
      this.#close(row, 'dropped', attempts);
      return;
    }
    this.#settle.run('pending', attempts, this.#connection.now + next.dueInMs, row.key);
    this.#lanes.arrange(row.task, row.endpoint);
  }

  /** A tenant's deliveries that match, newest first. */
  list(query: DeliveryQuery): Page<Delivery> {
    const { where, values } = conditionsOf(query);
    const count = this.#connection.prepare<{ total: number }>(`SELECT count(*) AS total ${FROM} ${where}`);
    const page = this.#connection.prepare<DeliveryRow>(
      `SELECT ${COLUMNS} ${FROM} ${where} ORDER BY d.key DESC LIMIT +? OFFSET +?`,
    );
    return {
      items: page.all(...values, query.limit, query.offset).map(deliveryOf),
      total: count.get(...values)?.total ?? 0,
    };
  }

  /** Queues a copy, due at once, that remembers the first delivery it goes back to; null where there is none of that id. */
  redeliver(copy: {
    readonly tenant: TenantId;
    readonly of: DeliveryId;
    readonly id: DeliveryId;
  }): Delivery | null {
    const row = this.#byId.get(copy.of);
    if (row === undefined || row.tenant !== copy.tenant) return null;
    this.#queue({
      ...deliveryOf(row),
      id: copy.id,
      dueAt: this.#connection.now,
      redeliveryOf: row.redelivery_of ?? row.id,
    });
    const made = this.#byId.get(copy.id);
    return made === undefined ? null : deliveryOf(made);
  }

  /** Removes a task's deliveries, whatever their status. */
  remove(task: TaskKey): void {
    const open = this.#connection.prepare<{ count: number }>(
      `SELECT count(*) AS count FROM delivery WHERE task = ? AND status IN ('pending', 'sending')`,
    );
    this.#countOpen(-(open.get(task)?.count ?? 0));
    this.#connection.prepare('DELETE FROM delivery WHERE task = ?').run(task);
  }

  /** Deliveries pending or being sent. */
  get open(): number {
    return this.#counts.get('open') ?? 0;
  }

  #queue(delivery: QueuedDelivery): void {
    this.#insert.run(
      this.#keys.next(),
      delivery.id,
      delivery.tenant,
      delivery.key,
      delivery.channel,
      delivery.endpoint,
      delivery.event,
      delivery.sequence,
      this.#connection.now,
      delivery.dueAt,
      delivery.redeliveryOf ?? null,
    );
    this.#countOpen(1);
    this.#lanes.arrange(delivery.key, delivery.endpoint);
  }

  #close(row: DeliveryRow, status: DeliveryStatus, attempts: string): void {
    this.#settle.run(status, attempts, row.due_at, row.key);
    this.#countOpen(-1);
    this.#lanes.arrange(row.task, row.endpoint);
  }

  #countOpen(difference: number): void {
    if (difference !== 0) this.#connection.count(this.#counts, 'open', difference);
  }
}

function deliveryOf(row: DeliveryRow): Delivery {
  return {
    id: row.id,
    tenant: row.tenant,
    key: row.task,
    taskId: row.task_id,
    channel: row.channel,
    endpoint: row.endpoint,
    event: row.event,
    sequence: row.sequence,
    status: row.status,
    attempts: JSON.parse(row.attempts) as DeliveryAttempt[],
    createdAt: row.created_at,
    dueAt: row.due_at,
    ...(row.redelivery_of !== null && { redeliveryOf: row.redelivery_of }),
  };
}

function conditionsOf(query: DeliveryQuery): { readonly where: string; readonly values: readonly Value[] } {
  const conditions = ['d.tenant = ?'];
  const values: Value[] = [query.tenant];
  const add = (condition: string, value: Value | undefined): void => {
    if (value === undefined) return;
    conditions.push(condition);
    values.push(value);
  };
  add('d.id = ?', query.id);
  add('t.id = ?', query.taskId);
  add('d.endpoint = ?', query.endpoint);
  add(
    'd.status IN (SELECT value FROM json_each(?))',
    query.statuses === undefined ? undefined : JSON.stringify(query.statuses),
  );
  add('d.created_at >= ?', query.since);
  add('d.created_at < ?', query.until);
  return { where: `WHERE ${conditions.join(' AND ')}`, values };
}
