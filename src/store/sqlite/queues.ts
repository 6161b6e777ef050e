// Where ready tasks wait: interned queues, the rows in them, and how many there are. Counts live in memory, exact, and are
// rebuilt from the rows when the store opens.

import type { AgentId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { QueueName } from '../../domain/queue.ts';
import type { QueueView } from '../rows.ts';
import { type NeedColumns, queueNameOf, queueText } from '../task-row.ts';
import type { Connection, Prepared } from './connection.ts';
import { Sequence } from './sequences.ts';

/** A ready task's place. */
export interface ReadyRow extends NeedColumns {
  readonly rank: number;
  readonly task: TaskKey;
  readonly since: number;
}

/** A place in a queue. */
export interface Place {
  readonly queue: number;
  readonly rank: number;
}

interface QueueRow {
  readonly id: number;
  readonly tenant: string;
  readonly work_type: string;
  readonly capabilities: string;
  readonly region: string | null;
  readonly requester: string;
}

/** All queues, and how many tasks each tenant has waiting. */
export class Queues {
  readonly #connection: Connection;
  readonly #ids: Sequence;
  readonly #names = new Map<number, QueueName>();
  readonly #idOf = new Map<string, number>();
  readonly #depths = new Map<number, number>();
  readonly #waiting = new Map<TenantId, number>();
  readonly #waitingChanged = new Set<TenantId>();
  readonly #intern: Prepared<object>;
  readonly #enter: Prepared<object>;
  readonly #leave: Prepared<object>;
  readonly #leaveUpTo: Prepared<object>;
  readonly #page: Prepared<ReadyRow>;
  readonly #before: Prepared<{ count: number }>;
  readonly #holds: Prepared<object>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#ids = new Sequence(connection, 'queue');
    this.#intern = connection.prepare(
      'INSERT INTO queue (id, tenant, work_type, capabilities, region, requester) VALUES (?, ?, ?, ?, ?, ?)',
    );
    this.#enter = connection.prepare(
      `INSERT OR IGNORE INTO ready (queue, rank, task, since, memory_mb, cpu_cores, disk_mb, network_mbps)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#leave = connection.prepare('DELETE FROM ready WHERE queue = ? AND rank = ? AND task = ?');
    this.#leaveUpTo = connection.prepare('DELETE FROM ready WHERE queue = ? AND (rank, task) <= (?, ?)');
    this.#page = connection.prepare(
      `SELECT rank, task, since, memory_mb, cpu_cores, disk_mb, network_mbps FROM ready
       WHERE queue = ? AND (rank, task) > (?, ?) ORDER BY rank, task LIMIT +?`,
    );
    this.#before = connection.prepare(
      `SELECT count(*) AS count FROM
       (SELECT 1 FROM ready WHERE queue = ? AND (rank, task) < (?, ?) LIMIT +?)`,
    );
    this.#holds = connection.prepare('SELECT 1 FROM ready WHERE queue = ? AND rank = ? AND task = ?');
    this.#load();
    this.#flushWaiting();
  }

  /** The store's id of the queue with this text for a name, made where there was none. */
  intern(text: string): number {
    const known = this.#idOf.get(text);
    if (known !== undefined) return known;
    const id = this.#ids.next();
    const name = queueNameOf(text);
    const { tenant, workType, capabilities, region, requester } = name;
    this.#intern.run(id, tenant, workType, JSON.stringify(capabilities), region, requester);
    this.#remember(id, name);
    this.#connection.onRollback(() => {
      this.#idOf.delete(text);
      this.#names.delete(id);
    });
    return id;
  }

  /** The name behind an id the store gave; an unknown id is a bug. */
  nameOf(id: number): QueueName {
    const name = this.#names.get(id);
    if (name === undefined) throw new Error(`there is no queue ${id}`);
    return name;
  }

  /** Places a task in line; harmless if it stands there already. */
  enter(place: Place, task: TaskKey, needs: NeedColumns): void {
    const { changes } = this.#enter.run(
      place.queue,
      place.rank,
      task,
      this.#connection.now,
      needs.memory_mb,
      needs.cpu_cores,
      needs.disk_mb,
      needs.network_mbps,
    );
    if (changes > 0) this.#connection.count(this.#depths, place.queue, 1);
  }

  /** Takes a task out of line; harmless if it does not stand there. */
  leave(place: Place, task: TaskKey): void {
    const { changes } = this.#leave.run(place.queue, place.rank, task);
    if (changes > 0) this.#connection.count(this.#depths, place.queue, -1);
  }

  /** Takes a task and all before it out of line. */
  leaveUpTo(queue: number, last: Pick<ReadyRow, 'rank' | 'task'>): void {
    const { changes } = this.#leaveUpTo.run(queue, last.rank, last.task);
    this.#connection.count(this.#depths, queue, -changes);
  }

  /** Ready tasks of a queue after a place, in order. */
  page(queue: number, after: { readonly rank: number; readonly task: number }, limit: number): ReadyRow[] {
    return this.#page.all(queue, after.rank, after.task, limit);
  }

  /** How many ready tasks of the queue's tenant and work type stand before a task, counted up to `limit`; null if it is not ready. */
  position(place: Place, task: TaskKey, limit: number): number | null {
    if (this.#holds.get(place.queue, place.rank, task) === undefined) return null;
    const { tenant, workType } = this.nameOf(place.queue);
    let ahead = 0;
    for (const [id, name] of this.#names) {
      if (name.tenant !== tenant || name.workType !== workType || this.depth(id) === 0) continue;
      ahead += this.#before.get(id, place.rank, task, limit - ahead)?.count ?? 0;
      if (ahead >= limit) return limit;
    }
    return ahead;
  }

  /** Ready tasks in a queue. */
  depth(queue: number): number {
    return this.#depths.get(queue) ?? 0;
  }

  /** Every queue that holds a ready task. */
  views(): readonly QueueView[] {
    const views: QueueView[] = [];
    for (const [id, depth] of this.#depths) {
      const head = depth > 0 ? this.page(id, { rank: -1, task: 0 }, 1)[0] : undefined;
      if (head !== undefined) views.push({ id, name: this.nameOf(id), depth, headRank: head.rank });
    }
    return views;
  }

  /** Ready tasks in all queues. */
  get ready(): number {
    let sum = 0;
    for (const depth of this.#depths.values()) sum += depth;
    return sum;
  }

  /** Tasks of a tenant that have neither ended nor are leased: ready, delayed, paused or waiting for others. */
  waiting(tenant: TenantId): number {
    return this.#waiting.get(tenant) ?? 0;
  }

  /** Counts a task of the tenant as waiting (1) or no longer so (-1). */
  countWaiting(tenant: TenantId, difference: 1 | -1): void {
    this.#connection.count(this.#waiting, tenant, difference);
    this.#waitingChanged.add(tenant);
  }

  #remember(id: number, name: QueueName): void {
    this.#names.set(id, name);
    this.#idOf.set(queueText(name), id);
  }

  #load(): void {
    const queues = this.#connection.prepare<QueueRow>('SELECT * FROM queue');
    for (const row of queues.all()) {
      this.#remember(row.id, {
        tenant: row.tenant as TenantId,
        workType: row.work_type,
        capabilities: JSON.parse(row.capabilities),
        region: row.region,
        requester: row.requester as AgentId,
      });
    }
    const depths = this.#connection.prepare<{ queue: number; depth: number }>(
      'SELECT queue, count(*) AS depth FROM ready GROUP BY queue',
    );
    for (const row of depths.all()) this.#depths.set(row.queue, row.depth);
    const waiting = this.#connection.prepare<{ tenant: string; tasks: number }>('SELECT * FROM waiting');
    for (const row of waiting.all()) this.#waiting.set(row.tenant as TenantId, row.tasks);
  }

  #flushWaiting(): void {
    const save = this.#connection.prepare('INSERT OR REPLACE INTO waiting (tenant, tasks) VALUES (?, ?)');
    this.#connection.beforeCommit(() => {
      for (const tenant of this.#waitingChanged) save.run(tenant, this.waiting(tenant));
      this.#waitingChanged.clear();
    });
  }
}
