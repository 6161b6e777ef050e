// The leases held: rows that survive a crash, and beside them in memory what every change must know of its lease. Reports stay
// in the rows alone, as they may be large.

import type { AgentId, FencingToken, TaskId, TaskKey } from '../../domain/ids.ts';
import type { Heir, LeaseQuery, LeaseRow, Renewal, RenewOutcome } from '../rows.ts';
import { type NeedColumns, needsOf } from '../task-row.ts';
import type { Connection, Prepared } from './connection.ts';
import type { Queues } from './queues.ts';

/** A lease as it is kept in memory. */
export interface Lease extends NeedColumns {
  readonly task: TaskKey;
  readonly task_id: TaskId;
  readonly token: FencingToken;
  readonly agent: AgentId;
  readonly queue: number;
  readonly rank: number;
  readonly claimed_at: number;
  readonly expires_at: number;
  readonly deadline_at: number;
  readonly version: number;
  readonly attempt: number;
  /** Whether its row holds progress or a checkpoint. */
  readonly reported: boolean;
}

/** What an attempt last reported, as JSON. */
export interface Report {
  readonly progress: string | null;
  readonly checkpoint: string | null;
}

const NOTHING: Report = { progress: null, checkpoint: null };

/** The leases of all tasks. */
export class Leases {
  readonly #connection: Connection;
  readonly #queues: Queues;
  readonly #held = new Map<TaskKey, Lease>();
  readonly #insert: Prepared<object>;
  readonly #renew: Prepared<object>;
  readonly #move: Prepared<object>;
  readonly #pass: Prepared<object>;
  readonly #report: Prepared<Report>;
  readonly #end: Prepared<object>;

  constructor(connection: Connection, queues: Queues) {
    this.#connection = connection;
    this.#queues = queues;
    this.#insert = connection.prepare(
      `INSERT INTO lease (task, token, agent, queue, rank, claimed_at, expires_at, deadline_at, version, attempt,
         updated_at, memory_mb, cpu_cores, disk_mb, network_mbps)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?6, ?11, ?12, ?13, ?14)`,
    );
    this.#renew = connection.prepare('UPDATE lease SET expires_at = ?, deadline_at = ? WHERE task = ?');
    this.#move = connection.prepare(
      `UPDATE lease SET version = ?, updated_at = ?, progress = coalesce(?, progress),
         checkpoint = coalesce(?, checkpoint) WHERE task = ?`,
    );
    this.#pass = connection.prepare('UPDATE lease SET token = ?, agent = ?, expires_at = ? WHERE task = ?');
    this.#report = connection.prepare('SELECT progress, checkpoint FROM lease WHERE task = ?');
    this.#end = connection.prepare('DELETE FROM lease WHERE task = ?');
    const all = connection.prepare<Lease & { readonly reported: unknown }>(
      `SELECT l.task, t.id AS task_id, l.token, l.agent, l.queue, l.rank, l.claimed_at, l.expires_at, l.deadline_at,
         l.version, l.attempt, l.memory_mb, l.cpu_cores, l.disk_mb, l.network_mbps,
         l.progress IS NOT NULL OR l.checkpoint IS NOT NULL AS reported
       FROM lease l JOIN task t ON t.key = l.task`,
    );
    for (const row of all.all()) this.#held.set(row.task, { ...row, reported: Boolean(row.reported) });
  }

  /** The lease of a task, if it is held. */
  of(task: TaskKey): Lease | undefined {
    return this.#held.get(task);
  }

  /** Begins a lease. */
  begin(lease: Lease): void {
    this.#insert.run(
      lease.task,
      lease.token,
      lease.agent,
      lease.queue,
      lease.rank,
      lease.claimed_at,
      lease.expires_at,
      lease.deadline_at,
      lease.version,
      lease.attempt,
      lease.memory_mb,
      lease.cpu_cores,
      lease.disk_mb,
      lease.network_mbps,
    );
    this.#remember(lease.task, lease);
  }

  /** Prolongs leases from now. */
  renew(renewals: readonly Renewal[]): readonly RenewOutcome[] {
    return renewals.map(({ key, token, leaseMs, deadlineMoreMs = 0 }) => {
      const lease = this.#held.get(key);
      if (lease?.token !== token) return { status: 'lost' };
      const expiresAt = this.#connection.now + leaseMs;
      const deadlineAt = lease.deadline_at + deadlineMoreMs;
      this.#renew.run(expiresAt, deadlineAt, key);
      this.#remember(key, { ...lease, expires_at: expiresAt, deadline_at: deadlineAt });
      return { status: 'kept', expiresAt };
    });
  }

  /** Brings a lease to a version, with what was reported. */
  move(lease: Lease, version: number, { progress, checkpoint }: Report): void {
    this.#move.run(version, this.#connection.now, progress, checkpoint, lease.task);
    const reported = lease.reported || progress !== null || checkpoint !== null;
    this.#remember(lease.task, { ...lease, version, reported });
  }

  /** Passes the lease of a task to another holder, under a new token. */
  pass(task: TaskKey, token: FencingToken, { agentId, leaseMs }: Heir): void {
    const lease = this.#held.get(task);
    if (lease === undefined) throw new Error(`task ${task} has no lease to pass on`);
    const expiresAt = this.#connection.now + leaseMs;
    this.#pass.run(token, agentId, expiresAt, task);
    this.#remember(task, { ...lease, token, agent: agentId, expires_at: expiresAt });
  }

  /** Ends a lease; answers what was last reported under it. */
  end(lease: Lease): Report {
    const report = (lease.reported ? this.#report.get(lease.task) : undefined) ?? NOTHING;
    this.#end.run(lease.task);
    this.#remember(lease.task, undefined);
    return report;
  }

  /** The leases that match, oldest claim first. */
  list(query: LeaseQuery): readonly LeaseRow[] {
    const { now } = this.#connection;
    const { tokens, agentId, overdue = false } = query;
    const wanted = tokens === undefined ? null : new Set(tokens);
    return [...this.#held.values()]
      .filter(lease => wanted === null || wanted.has(lease.token))
      .filter(lease => agentId === undefined || lease.agent === agentId)
      .filter(lease => !overdue || lease.expires_at <= now || lease.deadline_at <= now)
      .sort((one, other) => one.token - other.token)
      .map(lease => this.#rowOf(lease));
  }

  /** Leases held. */
  get count(): number {
    return this.#held.size;
  }

  #remember(task: TaskKey, lease: Lease | undefined): void {
    const before = this.#held.get(task);
    put(this.#held, task, lease);
    this.#connection.onRollback(() => put(this.#held, task, before));
  }

  #rowOf(lease: Lease): LeaseRow {
    const { now } = this.#connection;
    const name = this.#queues.nameOf(lease.queue);
    return {
      key: lease.task,
      tenant: name.tenant,
      taskId: lease.task_id,
      token: lease.token,
      agentId: lease.agent,
      requester: name.requester,
      queue: lease.queue,
      needs: needsOf(lease),
      claimedAt: lease.claimed_at,
      expiresAt: lease.expires_at,
      deadlineAt: lease.deadline_at,
      expired: lease.expires_at <= now,
      pastDeadline: lease.deadline_at <= now,
    };
  }
}

function put(held: Map<TaskKey, Lease>, task: TaskKey, lease: Lease | undefined): void {
  if (lease === undefined) held.delete(task);
  else held.set(task, lease);
}
