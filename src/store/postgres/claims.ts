// Claims and the leases they make.

import { beginAttempt } from '../../domain/attempt.ts';
import type { AgentId, DeliveryId, FencingToken, TaskId, TaskKey } from '../../domain/ids.ts';
import type { QueueName } from '../../domain/queue.ts';
import type { Claimed, ClaimPick, LeaseQuery, LeaseRow, Renewal, RenewOutcome } from '../rows.ts';
import {
  type KeptColumns,
  leasedTaskOf,
  type NeedColumns,
  needColumns,
  needsOf,
  queueNameOf,
} from '../task-row.ts';
import { byCall, gathered } from './calls.ts';
import { Conditions, type Context, reading, repeatable, writing } from './context.ts';
import type { Queues, Start } from './queues.ts';
import { plain } from './records.ts';

interface ClaimedRow extends KeptColumns {
  readonly pick: number;
  readonly queue: number;
  readonly rank: number;
  readonly overtook: boolean;
  readonly attempt: number;
  readonly token: FencingToken;
  readonly agent: AgentId;
  readonly claimed_at: number;
  readonly expires_at: number;
  readonly deadline_at: number;
  readonly lease_version: number;
}

interface LeaseRecord extends NeedColumns {
  readonly task: TaskKey;
  readonly task_id: TaskId;
  readonly token: FencingToken;
  readonly agent: AgentId;
  readonly queue: number;
  readonly queue_name: string;
  readonly claimed_at: number;
  readonly expires_at: number;
  readonly deadline_at: number;
  readonly now: number;
}

// A claim whose answer was lost leaves leases that nobody knows of: they expire, and their tasks come back.
const CLAIM = writing('claim', 'SELECT * FROM batuta.claim($1, $2, $3)');
const RENEW = repeatable('renew', 'SELECT batuta.renew($1, $2) AS until');
// Asked again it would move a deadline twice.
const RENEW_AND_MOVE = writing('renew and move', 'SELECT batuta.renew($1, $2) AS until');
const LEASES = `SELECT l.task, t.id AS task_id, l.token, l.agent, l.queue, q.name AS queue_name, l.claimed_at, l.expires_at,
  l.deadline_at, l.memory_mb, l.cpu_cores, l.disk_mb, l.network_mbps, m.now
  FROM (SELECT batuta.moment($1) AS now) m CROSS JOIN batuta.lease l JOIN batuta.task t ON t.key = l.task
  JOIN batuta.queue q ON q.id = l.queue`;

/** Leases tasks to those who ask. */
export class Claims {
  readonly #context: Context;
  readonly #queues: Queues;
  readonly #claim: (picks: readonly ClaimPick[]) => Promise<readonly (readonly Claimed[])[]>;
  readonly #renew: (renewals: readonly Renewal[]) => Promise<readonly RenewOutcome[]>;

  constructor(context: Context, queues: Queues) {
    this.#context = context;
    this.#queues = queues;
    this.#claim = gathered(calls => this.#runClaims(calls));
    this.#renew = gathered(calls => this.#runRenewals(calls));
  }

  /** Takes tasks out of line for each pick, in turn, and leases them. */
  claim(picks: readonly ClaimPick[]): Promise<readonly (readonly Claimed[])[]> {
    return this.#context.write(() => this.#claim(picks));
  }

  /** Prolongs leases from now. */
  renew(renewals: readonly Renewal[]): Promise<readonly RenewOutcome[]> {
    return this.#context.write(() => this.#renew(renewals));
  }

  /** The leases that match, oldest claim first. */
  async leases({ tokens, agentId, overdue = false }: LeaseQuery): Promise<readonly LeaseRow[]> {
    const conditions = new Conditions('true', this.#context.given)
      .add('l.token = ANY (?::bigint[])', tokens)
      .add('l.agent = ?', agentId);
    if (overdue) conditions.and('(l.expires_at <= m.now OR l.deadline_at <= m.now)');
    const statement = reading(`leases ${conditions.shape}`, `${LEASES} ${conditions.where} ORDER BY l.token`);
    const rows = await this.#context.read<LeaseRecord>(statement, conditions.values);
    return rows.map(leaseOf);
  }

  async #runClaims(
    calls: readonly (readonly ClaimPick[])[],
  ): Promise<readonly (readonly (readonly Claimed[])[])[]> {
    const picks = calls.flat();
    const names = await this.#queues.namesOf(picks.flatMap(({ queues }) => queues));
    const wanted = [...new Set(picks.flatMap(({ queues }) => queues))].filter(queue => names.has(queue));
    const claims = picks.map((): Claimed[] => []);
    if (wanted.length > 0) {
      await this.#queues.scan(wanted, async starts => {
        const { rows } = await this.#context.hot<ClaimedRow>(CLAIM, [
          JSON.stringify(packPicks(picks, names, starts)),
          EVENTS_PER_CLAIM,
          this.#context.given,
        ]);
        for (const row of rows) claims[row.pick - 1]?.push(claimedOf(row));
        // What was overtaken, or stepped over, still stands before what was claimed.
        const passed = new Set(rows.filter(({ overtook }) => overtook).map(({ queue }) => queue));
        return rows.flatMap(({ queue, rank, key }) =>
          passed.has(queue) ? [] : [{ queue, rank, task: key }],
        );
      });
    }
    this.#context.tell({ tasks: claims.flat().map(({ task }) => task.key) });
    return byCall(calls, claims);
  }

  async #runRenewals(calls: readonly (readonly Renewal[])[]): Promise<readonly (readonly RenewOutcome[])[]> {
    const renewals = calls.flat();
    const statement = renewals.some(({ deadlineMoreMs = 0 }) => deadlineMoreMs > 0) ? RENEW_AND_MOVE : RENEW;
    const { rows } = await this.#context.hot<{ until: number | null }>(statement, [
      JSON.stringify(renewals),
      this.#context.given,
    ]);
    const outcomes = rows.map(
      ({ until }): RenewOutcome =>
        until === null ? { status: 'lost' } : { status: 'kept', expiresAt: until },
    );
    return byCall(calls, outcomes);
  }
}

/** An attempt's first events but for its number, which the database puts in. */
function eventsOf(agentId: AgentId): ReturnType<typeof beginAttempt>['events'] {
  const claim = { agentId, now: 0, newDeliveryId: () => '' as DeliveryId };
  return beginAttempt({ spec: { timeoutMs: 0 }, attempt: -1, ranMs: 0 }, claim).events;
}

const EVENTS_PER_CLAIM = eventsOf('' as AgentId).length;

function packPicks(
  picks: readonly ClaimPick[],
  names: ReadonlyMap<number, QueueName>,
  starts: readonly Start[],
): readonly object[] {
  const startOf = new Map(starts.map(start => [start.queue, start]));
  return picks.map(pick => {
    const queues = [...new Set(pick.queues)].filter(queue => names.has(queue));
    return {
      agent: plain(pick.agentId),
      limit_count: pick.limit,
      lease_ms: pick.leaseMs,
      events: JSON.stringify(eventsOf(pick.agentId)),
      tenant: names.get(queues[0] ?? 0)?.tenant ?? '',
      queues,
      requesters: queues.map(queue => names.get(queue)?.requester ?? ''),
      from_ranks: queues.map(queue => startOf.get(queue)?.rank ?? -1),
      from_tasks: queues.map(queue => startOf.get(queue)?.task ?? 0),
      ...needColumns(pick.free ?? {}),
      held: pick.held ?? null,
    };
  });
}

function claimedOf(row: ClaimedRow): Claimed {
  const task = leasedTaskOf(row, {
    lease_token: row.token,
    lease_agent: row.agent,
    lease_claimed_at: row.claimed_at,
    lease_expires_at: row.expires_at,
    lease_deadline_at: row.deadline_at,
    lease_version: row.lease_version,
    lease_attempt: row.attempt + 1,
    lease_updated_at: row.claimed_at,
    lease_progress: null,
    lease_checkpoint: null,
  });
  return { task, token: row.token, queue: row.queue };
}

function leaseOf(row: LeaseRecord): LeaseRow {
  const { tenant, requester } = queueNameOf(row.queue_name);
  return {
    key: row.task,
    tenant,
    taskId: row.task_id,
    token: row.token,
    agentId: row.agent,
    requester,
    queue: row.queue,
    needs: needsOf(row),
    claimedAt: row.claimed_at,
    expiresAt: row.expires_at,
    deadlineAt: row.deadline_at,
    expired: row.expires_at <= row.now,
    pastDeadline: row.deadline_at <= row.now,
  };
}
