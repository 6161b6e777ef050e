// Leases: taking tasks out of line into them, keeping them, and seeing which are held.

import { beginAttempt } from '../../domain/attempt.ts';
import type { NotificationPlan } from '../../domain/delivery.ts';
import type { AgentId, DeliveryId, FencingToken, TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { TaskSpec } from '../../domain/task.ts';
import type { Random } from '../../runtime/random.ts';
import type { ClaimPick, LeaseQuery, LeaseRow, Renewal, RenewOutcome } from '../rows.ts';
import type { Connection, Prepared, Value } from './connection.ts';
import type { Deliveries } from './deliveries.ts';
import type { Events } from './events.ts';
import { type Chosen, choose, type Shares } from './line.ts';
import type { Queues } from './queues.ts';
import { type ClaimedRow, type NeedColumns, needsOf, type RestingRow } from './records.ts';
import { Sequence } from './sequences.ts';
import { TASK_COLUMNS } from './tasks.ts';

interface HeldRow extends NeedColumns {
  readonly task: TaskKey;
  readonly task_id: TaskId;
  readonly token: FencingToken;
  readonly agent: AgentId;
  readonly queue: number;
  readonly claimed_at: number;
  readonly expires_at: number;
  readonly deadline_at: number;
}

/** What of a specification decides how an attempt begins. */
interface AttemptTerms {
  readonly timeout_ms: number;
  readonly attempt_timeout_ms: number | null;
  readonly notification: string | null;
}

/** The leases of all tasks. */
export class Claims {
  readonly #connection: Connection;
  readonly #random: Random;
  readonly #queues: Queues;
  readonly #events: Events;
  readonly #deliveries: Deliveries;
  readonly #tokens: Sequence;
  readonly #resting: Prepared<RestingRow & AttemptTerms>;
  readonly #insert: Prepared<object>;
  readonly #renew: Prepared<object>;
  readonly #place: Prepared<{ queue: number | null; rank: number }>;
  readonly #count: Prepared<{ count: number }>;

  constructor(
    connection: Connection,
    rooms: {
      readonly random: Random;
      readonly queues: Queues;
      readonly events: Events;
      readonly deliveries: Deliveries;
    },
  ) {
    this.#connection = connection;
    this.#random = rooms.random;
    this.#queues = rooms.queues;
    this.#events = rooms.events;
    this.#deliveries = rooms.deliveries;
    this.#tokens = new Sequence(connection, 'token');
    this.#resting = connection.prepare(
      `SELECT ${TASK_COLUMNS}, t.timeout_ms, t.attempt_timeout_ms, t.notification FROM task t WHERE t.key = ?`,
    );
    this.#insert = connection.prepare(
      `INSERT INTO lease (task, token, agent, queue, rank, claimed_at, expires_at, deadline_at, version, attempt,
         updated_at, memory_mb, cpu_cores, disk_mb, network_mbps)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?6, ?11, ?12, ?13, ?14)`,
    );
    this.#renew = connection.prepare('UPDATE lease SET expires_at = ? WHERE task = ? AND token = ?');
    this.#place = connection.prepare('SELECT queue, rank FROM task WHERE key = ?');
    this.#count = connection.prepare('SELECT count(*) AS count FROM lease');
  }

  /** Takes tasks out of line for each pick, in turn, and leases them. */
  claim(picks: readonly ClaimPick[]): readonly (readonly ClaimedRow[])[] {
    const sharesOf = new Map<TenantId, Shares>();
    return picks.map(pick => {
      const shares = this.#sharesFor(pick, sharesOf);
      const chosen = choose(pick, this.#queues, { now: this.#connection.now, shares });
      return chosen.map(one => this.#lease(one, pick));
    });
  }

  /** Prolongs leases from now. */
  renew(renewals: readonly Renewal[]): readonly RenewOutcome[] {
    return renewals.map(({ key, token, leaseMs }) => {
      const expiresAt = this.#connection.now + leaseMs;
      const { changes } = this.#renew.run(expiresAt, key, token);
      return changes > 0 ? { status: 'kept', expiresAt } : { status: 'lost' };
    });
  }

  /** The leases that match, oldest claim first. */
  held(query: LeaseQuery): readonly LeaseRow[] {
    const { now } = this.#connection;
    const conditions = ['1'];
    const values: Value[] = [];
    if (query.overdue === true) {
      conditions.push('(l.expires_at <= ? OR l.deadline_at <= ?)');
      values.push(now, now);
    }
    if (query.tokens !== undefined) {
      conditions.push('l.token IN (SELECT value FROM json_each(?))');
      values.push(JSON.stringify(query.tokens));
    }
    if (query.agentId !== undefined) {
      conditions.push('l.agent = ?');
      values.push(query.agentId);
    }
    const rows = this.#connection.prepare<HeldRow>(
      `SELECT l.*, t.id AS task_id FROM lease l JOIN task t ON t.key = l.task
       WHERE ${conditions.join(' AND ')} ORDER BY l.token`,
    );
    return rows.all(...values).map(row => this.#leaseRowOf(row));
  }

  /** How many ready tasks of its tenant and work type stand before a task, counted up to `limit`; null if it is not ready. */
  position(key: TaskKey, limit: number): number | null {
    const place = this.#place.get(key);
    if (place === undefined || place.queue === null) return null;
    return this.#queues.position({ queue: place.queue, rank: place.rank }, key, limit);
  }

  /** Leases held. */
  get count(): number {
    return this.#count.get()?.count ?? 0;
  }

  /** Busy slots of the pick's tenant: what its asker knows, and what earlier picks of the same call got. */
  #sharesFor(pick: ClaimPick, sharesOf: Map<TenantId, Shares>): Shares | null {
    const queue = pick.queues[0];
    if (pick.held === undefined || queue === undefined) return null;
    const { tenant } = this.#queues.nameOf(queue);
    const shares: Shares = sharesOf.get(tenant) ?? new Map(Object.entries(pick.held) as [AgentId, number][]);
    sharesOf.set(tenant, shares);
    return shares;
  }

  #lease({ queue, row }: Chosen, pick: ClaimPick): ClaimedRow {
    const { now } = this.#connection;
    const { agentId } = pick;
    this.#queues.leave({ queue, rank: row.rank }, row.task);
    const resting = this.#resting.get(row.task);
    if (resting === undefined) throw new Error(`ready task ${row.task} has no row`);
    this.#queues.countWaiting(resting.tenant, -1);

    const newDeliveryId = (): DeliveryId => this.#random.uuid() as DeliveryId;
    const start = beginAttempt(
      { spec: termsOf(resting), attempt: resting.attempt, ranMs: resting.ran_ms },
      { agentId, now, newDeliveryId },
    );
    const version = this.#events.append(resting, JSON.stringify(start.events), start.events.length);
    this.#deliveries.add(resting, start.deliveries);

    const token = this.#tokens.next() as FencingToken;
    const lease = {
      lease_token: token,
      lease_agent: agentId,
      lease_claimed_at: now,
      lease_expires_at: now + pick.leaseMs,
      lease_deadline_at: now + start.runMsMax,
      lease_version: version,
      lease_attempt: resting.attempt + 1,
      lease_updated_at: now,
      lease_progress: null,
      lease_checkpoint: null,
    };
    this.#insert.run(
      row.task,
      token,
      agentId,
      queue,
      row.rank,
      now,
      lease.lease_expires_at,
      lease.lease_deadline_at,
      version,
      lease.lease_attempt,
      row.memory_mb,
      row.cpu_cores,
      row.disk_mb,
      row.network_mbps,
    );
    return { resting, lease, queue };
  }

  #leaseRowOf(row: HeldRow): LeaseRow {
    const { now } = this.#connection;
    const name = this.#queues.nameOf(row.queue);
    return {
      key: row.task,
      tenant: name.tenant,
      taskId: row.task_id,
      token: row.token,
      agentId: row.agent,
      requester: name.requester,
      queue: row.queue,
      needs: needsOf(row),
      claimedAt: row.claimed_at,
      expiresAt: row.expires_at,
      deadlineAt: row.deadline_at,
      expired: row.expires_at <= now,
      pastDeadline: row.deadline_at <= now,
    };
  }
}

function termsOf(row: AttemptTerms): Pick<TaskSpec, 'timeoutMs' | 'attemptTimeoutMs' | 'notification'> {
  return {
    timeoutMs: row.timeout_ms,
    ...(row.attempt_timeout_ms !== null && { attemptTimeoutMs: row.attempt_timeout_ms }),
    ...(row.notification !== null && { notification: JSON.parse(row.notification) as NotificationPlan }),
  };
}
