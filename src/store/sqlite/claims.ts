// Claims: taking tasks out of line and leasing them.

import { beginAttempt } from '../../domain/attempt.ts';
import type { NotificationPlan } from '../../domain/delivery.ts';
import type { AgentId, DeliveryId, FencingToken, TaskKey, TenantId } from '../../domain/ids.ts';
import type { TaskSpec } from '../../domain/task.ts';
import type { Random } from '../../runtime/random.ts';
import type { ClaimPick } from '../rows.ts';
import type { KeptColumns, RestingRow } from '../task-row.ts';
import type { Connection, Prepared } from './connection.ts';
import type { Deliveries } from './deliveries.ts';
import type { Events } from './events.ts';
import type { Leases } from './leases.ts';
import { type Chosen, choose, type Shares } from './line.ts';
import type { Queues } from './queues.ts';
import type { ClaimedRow } from './records.ts';
import type { Sequence } from './sequences.ts';

/** What a task just taken out of line stands at. */
type ReadyColumns = KeptColumns & Pick<RestingRow, 'version' | 'attempt'>;

/** What of a specification decides how an attempt begins. */
interface AttemptTerms {
  readonly timeout_ms: number;
  readonly attempt_timeout_ms: number | null;
  readonly notification: string | null;
}

/** Leases tasks to those who ask. */
export class Claims {
  readonly #connection: Connection;
  readonly #random: Random;
  readonly #queues: Queues;
  readonly #events: Events;
  readonly #deliveries: Deliveries;
  readonly #leases: Leases;
  readonly #tokens: Sequence;
  readonly #resting: Prepared<ReadyColumns & AttemptTerms>;
  readonly #place: Prepared<{ queue: number | null; rank: number }>;

  constructor(
    connection: Connection,
    rooms: {
      readonly random: Random;
      readonly queues: Queues;
      readonly events: Events;
      readonly deliveries: Deliveries;
      readonly leases: Leases;
      readonly tokens: Sequence;
    },
  ) {
    this.#connection = connection;
    this.#random = rooms.random;
    this.#queues = rooms.queues;
    this.#events = rooms.events;
    this.#deliveries = rooms.deliveries;
    this.#leases = rooms.leases;
    this.#tokens = rooms.tokens;
    this.#resting = connection.prepare(
      `SELECT key, tenant, id, execution_id, version, attempt, created_at, queued_at, started_at, ran_ms, last_token,
         spec, result, checkpoint, timeout_ms, attempt_timeout_ms, notification FROM task WHERE key = ?`,
    );
    this.#place = connection.prepare('SELECT queue, rank FROM task WHERE key = ?');
  }

  /** Takes tasks out of line for each pick, in turn, and leases them. */
  claim(picks: readonly ClaimPick[]): readonly (readonly ClaimedRow[])[] {
    const sharesOf = new Map<TenantId, Shares>();
    return picks.map(pick => {
      const shares = this.#sharesFor(pick, sharesOf);
      const chosen = choose(pick, this.#queues, { now: this.#connection.now, shares });
      this.#takeOut(chosen);
      return chosen.map(one => this.#lease(one, pick));
    });
  }

  /** How many ready tasks of its tenant and work type stand before a task, counted up to `limit`; null if it is not ready. */
  position(key: TaskKey, limit: number): number | null {
    const place = this.#place.get(key);
    if (place === undefined || place.queue === null) return null;
    return this.#queues.position({ queue: place.queue, rank: place.rank }, key, limit);
  }

  #takeOut(chosen: readonly Chosen[]): void {
    for (const [queue, ofQueue] of Map.groupBy(chosen, one => one.queue)) {
      const last = ofQueue[ofQueue.length - 1];
      // Most claims take the head of a queue whole: one statement instead of one a task.
      if (last !== undefined && last.ahead === ofQueue.length - 1) this.#queues.leaveUpTo(queue, last.row);
      else for (const { row } of ofQueue) this.#queues.leave({ queue, rank: row.rank }, row.task);
    }
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
    this.#leases.begin({
      task: row.task,
      task_id: resting.id,
      token,
      agent: agentId,
      queue,
      rank: row.rank,
      claimed_at: now,
      expires_at: lease.lease_expires_at,
      deadline_at: lease.lease_deadline_at,
      version,
      attempt: lease.lease_attempt,
      reported: false,
      memory_mb: row.memory_mb,
      cpu_cores: row.cpu_cores,
      disk_mb: row.disk_mb,
      network_mbps: row.network_mbps,
    });
    return { resting, lease, queue };
  }
}

function termsOf(row: AttemptTerms): Pick<TaskSpec, 'timeoutMs' | 'attemptTimeoutMs' | 'notification'> {
  return {
    timeoutMs: row.timeout_ms,
    ...(row.attempt_timeout_ms !== null && { attemptTimeoutMs: row.attempt_timeout_ms }),
    ...(row.notification !== null && { notification: JSON.parse(row.notification) as NotificationPlan }),
  };
}
