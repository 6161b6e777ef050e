// Guarded changes: who may still change a task, and what one change writes.

import type { FencingToken, TenantId } from '../../domain/ids.ts';
import type { TaskSpec } from '../../domain/task.ts';
import type { CommitOutcome } from '../rows.ts';
import { needColumns } from '../task-row.ts';
import type { Connection, Prepared } from './connection.ts';
import type { Deliveries } from './deliveries.ts';
import type { Edges } from './edges.ts';
import type { Events } from './events.ts';
import type { Lease, Leases } from './leases.ts';
import type { Memories } from './memory.ts';
import type { Queues } from './queues.ts';
import type { ChangeRecord } from './records.ts';
import type { Sequence } from './sequences.ts';
import type { Timers } from './timers.ts';

interface RestingRow {
  readonly tenant: TenantId;
  readonly version: number;
  readonly outcome: string | null;
  readonly queue: number | null;
  readonly rank: number;
}

const STALE: CommitOutcome = { status: 'stale' };

/** Applies changes to tasks. */
export class Changes {
  readonly #connection: Connection;
  readonly #events: Events;
  readonly #queues: Queues;
  readonly #timers: Timers;
  readonly #edges: Edges;
  readonly #deliveries: Deliveries;
  readonly #leases: Leases;
  readonly #memories: Memories;
  readonly #tokens: Sequence;
  readonly #resting: Prepared<RestingRow>;
  readonly #spec: Prepared<{ spec: string }>;
  readonly #saveResult: Prepared<object>;
  readonly #rest: Prepared<object>;
  readonly #moveResting: Prepared<object>;
  readonly #replan: Prepared<object>;

  constructor(
    connection: Connection,
    rooms: {
      readonly events: Events;
      readonly queues: Queues;
      readonly timers: Timers;
      readonly edges: Edges;
      readonly deliveries: Deliveries;
      readonly leases: Leases;
      readonly memories: Memories;
      readonly tokens: Sequence;
    },
  ) {
    this.#connection = connection;
    this.#events = rooms.events;
    this.#queues = rooms.queues;
    this.#timers = rooms.timers;
    this.#edges = rooms.edges;
    this.#deliveries = rooms.deliveries;
    this.#leases = rooms.leases;
    this.#memories = rooms.memories;
    this.#tokens = rooms.tokens;
    this.#resting = connection.prepare(
      'SELECT tenant, version, outcome, queue, rank FROM task WHERE key = ?',
    );
    this.#spec = connection.prepare('SELECT spec FROM task WHERE key = ?');
    this.#saveResult = connection.prepare('UPDATE task SET result = ? WHERE key = ?');
    this.#rest = connection.prepare(
      `UPDATE task SET state = ?, outcome = ?, version = ?, attempt = ?, started_at = coalesce(started_at, ?),
         ended_at = ?, updated_at = ?, ran_ms = ran_ms + ?, agent = ?, last_token = ?, progress = ?, result = coalesce(?, result),
         checkpoint = coalesce(?, checkpoint) WHERE key = ?`,
    );
    this.#moveResting = connection.prepare(
      `UPDATE task SET state = coalesce(?, state), outcome = coalesce(?, outcome), version = ?,
         ended_at = coalesce(ended_at, ?), updated_at = ?, progress = coalesce(?, progress),
         result = coalesce(?, result), checkpoint = coalesce(?, checkpoint) WHERE key = ?`,
    );
    this.#replan = connection.prepare(
      `UPDATE task SET notification = ?1, spec = json_set(spec, '$.notification', json(?1)) WHERE key = ?2`,
    );
  }

  /** Applies one change if its guard holds; drops the timer it answers in any case. */
  apply(change: ChangeRecord): CommitOutcome {
    if (change.fired !== null) this.#timers.drop(change.fired);
    if (change.placement !== null && change.state === null) {
      throw new Error('a change that places a task must name its state');
    }
    if (change.placement === 'ready' && change.outcome !== null) {
      throw new Error('a task that ends has no place in its queue');
    }
    if (change.heir !== null && (change.guard.by !== 'lease' || change.placement !== null)) {
      throw new Error('only a lease that goes on is passed on, by who holds it');
    }
    const lease = this.#leases.of(change.key);
    if (lease === undefined) return this.#changeResting(change);
    const { guard } = change;
    const holds = guard.by === 'lease' ? guard.token === lease.token : guard.version === lease.version;
    if (!holds) return STALE;
    const refused = this.#keep(change);
    if (refused !== null) return refused;
    return change.placement === null ? this.#changeLeased(change, lease) : this.#release(change, lease);
  }

  /** Keeps the change's record, before anything else is written; why it cannot, or null. */
  #keep({ record }: ChangeRecord): CommitOutcome | null {
    if (record === null) return null;
    const outcome = this.#memories.put(record);
    if (outcome.status === 'stored' || outcome.status === 'removed') return null;
    return { status: 'refused', record: outcome };
  }

  #changeLeased(change: ChangeRecord, lease: Lease): CommitOutcome {
    if (change.outcome !== null) throw new Error('a leased task ends only by leaving its lease');
    const { tenant } = this.#queues.nameOf(lease.queue);
    this.#leases.move(lease, lease.version + change.eventCount, change);
    if (change.heir !== null) this.#leases.pass(change.key, this.#tokens.next() as FencingToken, change.heir);
    if (change.result !== null) this.#saveResult.run(change.result, change.key);
    return this.#record(change, tenant, lease.version);
  }

  #release(change: ChangeRecord, lease: Lease): CommitOutcome {
    const { now } = this.#connection;
    const { key, outcome } = change;
    const { tenant } = this.#queues.nameOf(lease.queue);
    const report = this.#leases.end(lease);
    this.#rest.run(
      change.state,
      outcome,
      lease.version + change.eventCount,
      lease.attempt,
      lease.claimed_at,
      outcome === null ? null : now,
      now,
      now - lease.claimed_at,
      lease.agent,
      lease.token,
      change.progress ?? report.progress,
      change.result,
      change.checkpoint ?? report.checkpoint,
      key,
    );
    if (outcome === null) this.#queues.countWaiting(tenant, 1);
    if (change.placement === 'ready') this.#queues.enter(lease, key, lease);
    return this.#record(change, tenant, lease.version);
  }

  #changeResting(change: ChangeRecord): CommitOutcome {
    const { key, guard, outcome } = change;
    const row = this.#resting.get(key);
    if (row === undefined || guard.by === 'lease' || guard.version !== row.version) return STALE;
    if (outcome !== null && row.outcome !== null) throw new Error('an outcome never changes');
    const refused = this.#keep(change);
    if (refused !== null) return refused;
    const { now } = this.#connection;
    this.#moveResting.run(
      change.state,
      outcome,
      row.version + change.eventCount,
      outcome === null ? null : now,
      now,
      change.progress,
      change.result,
      change.checkpoint,
      key,
    );
    if (outcome !== null) this.#queues.countWaiting(row.tenant, -1);
    if (row.queue !== null) this.#place(change, { queue: row.queue, rank: row.rank });
    return this.#record(change, row.tenant, row.version);
  }

  #place(change: ChangeRecord, place: { readonly queue: number; readonly rank: number }): void {
    if (change.outcome !== null || change.placement === 'nowhere') this.#queues.leave(place, change.key);
    if (change.placement !== 'ready') return;
    const row = this.#spec.get(change.key);
    const spec = JSON.parse(row?.spec ?? '{}') as Partial<TaskSpec>;
    this.#queues.enter(place, change.key, needColumns(spec.resources ?? {}));
  }

  #record(change: ChangeRecord, tenant: TenantId, versionBefore: number): CommitOutcome {
    const { key, notification } = change;
    if (notification !== null) this.#replan.run(notification, key);
    const before = { key, tenant, version: versionBefore };
    const version = this.#events.append(before, change.events, change.eventCount);
    for (const timer of change.timers) this.#timers.set(key, timer);
    this.#deliveries.add(before, change.deliveries);
    const dependentsWoken = change.outcome === null ? 0 : this.#edges.wake(key);
    return { status: 'done', version, at: this.#connection.now, dependentsWoken };
  }
}
