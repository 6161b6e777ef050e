// Accepting tasks: who is new, who came before, who must wait for others, and who finds the house full.

import type { TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import { rankOf } from '../../domain/priority.ts';
import type { Connection, Prepared } from './connection.ts';
import type { Deliveries } from './deliveries.ts';
import type { Edges } from './edges.ts';
import type { Events } from './events.ts';
import type { Queues } from './queues.ts';
import type { SubmitAnswer, TaskRecord } from './records.ts';
import { Sequence } from './sequences.ts';
import type { Tasks } from './tasks.ts';
import type { Timers } from './timers.ts';

interface Known {
  readonly key: TaskKey;
  readonly id: TaskId;
  readonly fingerprint: string;
  readonly outcome: string | null;
}

/** Writes new tasks. */
export class Intake {
  readonly #connection: Connection;
  readonly #tasks: Tasks;
  readonly #events: Events;
  readonly #queues: Queues;
  readonly #timers: Timers;
  readonly #edges: Edges;
  readonly #deliveries: Deliveries;
  readonly #keys: Sequence;
  readonly #byId: Prepared<Known>;
  readonly #byIdempotencyKey: Prepared<Known>;
  readonly #insert: Prepared<object>;
  readonly #remove: Prepared<object>;
  readonly #freeIdempotencyKey: Prepared<object>;

  constructor(
    connection: Connection,
    rooms: {
      readonly tasks: Tasks;
      readonly events: Events;
      readonly queues: Queues;
      readonly timers: Timers;
      readonly edges: Edges;
      readonly deliveries: Deliveries;
    },
  ) {
    this.#connection = connection;
    this.#tasks = rooms.tasks;
    this.#events = rooms.events;
    this.#queues = rooms.queues;
    this.#timers = rooms.timers;
    this.#edges = rooms.edges;
    this.#deliveries = rooms.deliveries;
    this.#keys = new Sequence(connection, 'task');
    this.#byId = connection.prepare(
      'SELECT key, id, fingerprint, outcome FROM task WHERE id = ? AND tenant = ?',
    );
    this.#byIdempotencyKey = connection.prepare(
      'SELECT key, id, fingerprint, outcome FROM task WHERE idempotency_key = ? AND tenant = ?',
    );
    this.#insert = connection.prepare(
      `INSERT OR IGNORE INTO task (key, tenant, id, execution_id, state, outcome, version, created_at, updated_at,
         queued_at, ended_at, queue, rank, work_type, requester, session, user, correlation, fingerprint,
         idempotency_key, timeout_ms, attempt_timeout_ms, notification, spec, result)
       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
         ?22, ?23, ?24)`,
    );
    this.#remove = connection.prepare('DELETE FROM task WHERE key = ?');
    this.#freeIdempotencyKey = connection.prepare('UPDATE task SET idempotency_key = NULL WHERE key = ?');
  }

  /** Accepts tasks in order; `atomic` accepts all or none. */
  submit(tasks: readonly TaskRecord[], atomic: boolean): readonly SubmitAnswer[] {
    if (!atomic) return tasks.map(task => this.#accept(task));
    let outcomes: readonly SubmitAnswer[] = [];
    const accepted = this.#connection.attempt(() => {
      outcomes = tasks.map(task => this.#accept(task));
      return outcomes.every(({ status }) => status === 'created' || status === 'same') ? outcomes : null;
    });
    return accepted ?? outcomes.map(outcome => (isMade(outcome, this.#tasks) ? ABORTED : outcome));
  }

  #accept(task: TaskRecord): SubmitAnswer {
    const full = task.state === 'queued' && this.#queues.waiting(task.tenant) >= task.waitingMax;
    const looksFirst = full || task.idempotencyKey !== null || task.dependsOn.length > 0;
    const known = looksFirst ? this.#known(task) : undefined;
    if (known !== undefined && known.outcome !== 'rejected') return this.#repeated(task, known);
    if (full) return { status: 'full' };
    // A rejected task waits for nothing, whatever it named.
    const dependencies = this.#resolve(task.tenant, task.state === 'rejected' ? [] : task.dependsOn);
    if ('unknown' in dependencies) return { status: 'unknown_dependency', ids: dependencies.unknown };

    if (known !== undefined) return this.#replace(task, known, dependencies.keys);
    const key = this.#write(task, dependencies.keys);
    if (key !== null) return { status: 'created', key, at: this.#connection.now };
    const earlier = this.#known(task);
    if (earlier === undefined) throw new Error(`task ${task.id} was neither new nor known`);
    if (earlier.outcome === 'rejected') return this.#replace(task, earlier, dependencies.keys);
    return this.#repeated(task, earlier);
  }

  #known(task: TaskRecord): Known | undefined {
    const byId = this.#byId.get(task.id, task.tenant);
    if (byId !== undefined && byId.outcome !== 'rejected') return byId;
    if (task.idempotencyKey === null) return byId;
    const byKey = this.#byIdempotencyKey.get(task.idempotencyKey, task.tenant);
    if (byKey?.outcome === 'rejected' && byKey.id !== task.id) {
      // The rejected task keeps its id, but its key goes to the request that is judged afresh.
      this.#freeIdempotencyKey.run(byKey.key);
      return byId;
    }
    return byKey ?? byId;
  }

  #repeated(task: TaskRecord, known: Known): SubmitAnswer {
    const row = known.fingerprint === task.fingerprint ? this.#tasks.find(known.key) : null;
    return row === null ? { status: 'different' } : { status: 'same', row };
  }

  #resolve(
    tenant: TenantId,
    ids: readonly TaskId[],
  ): { readonly keys: readonly TaskKey[] } | { readonly unknown: readonly TaskId[] } {
    const keys: TaskKey[] = [];
    const unknown: TaskId[] = [];
    for (const id of ids) {
      const known = this.#byId.get(id, tenant);
      if (known === undefined) unknown.push(id);
      else keys.push(known.key);
    }
    return unknown.length > 0 ? { unknown } : { keys };
  }

  /** The new task takes the rejected one's id and its dependents; the rejected row goes with its events and what was to be told of it. */
  #replace(task: TaskRecord, rejected: Known, dependencies: readonly TaskKey[]): SubmitAnswer {
    this.#remove.run(rejected.key);
    const key = this.#write(task, dependencies);
    if (key === null) throw new Error(`task ${task.id} could not take the place of its rejection`);
    this.#events.remove(rejected.key);
    this.#deliveries.remove(rejected.key);
    this.#edges.move(rejected.key, key);
    return { status: 'created', key, at: this.#connection.now };
  }

  /** Writes all rows of a task; null if its id or idempotency key is taken. */
  #write(task: TaskRecord, dependencies: readonly TaskKey[]): TaskKey | null {
    const { now } = this.#connection;
    const rejected = task.state === 'rejected';
    const key = this.#keys.next() as TaskKey;
    const rank = rankOf(now, task.priority);
    const queue = rejected ? null : this.#queues.intern(task.queue);
    const { changes } = this.#insert.run(
      key,
      task.tenant,
      task.id,
      task.executionId,
      task.state,
      rejected ? 'rejected' : null,
      task.eventCount,
      now,
      rejected ? null : now,
      rejected ? now : null,
      queue,
      rank,
      task.workType,
      task.requester,
      task.session,
      task.user,
      task.correlation,
      task.fingerprint,
      task.idempotencyKey,
      task.timeoutMs,
      task.attemptTimeoutMs,
      task.notification,
      task.spec,
      task.result,
    );
    if (changes === 0) return null;
    const { tenant } = task;
    this.#events.append({ key, tenant, version: 0 }, task.events, task.eventCount);
    for (const timer of task.timers) this.#timers.set(key, timer);
    this.#edges.add(key, dependencies);
    if (queue === null) return key;

    this.#queues.countWaiting(tenant, 1);
    const delayed = dependencies.length > 0 || task.timers.some(timer => timer.kind === 'ready');
    if (!delayed) this.#queues.enter({ queue, rank }, key, task);
    return key;
  }
}

const ABORTED: SubmitAnswer = { status: 'aborted' };

/** True where the outcome speaks of a task that the undone batch itself had made. */
function isMade(outcome: SubmitAnswer, tasks: Tasks): boolean {
  if (outcome.status === 'created') return true;
  return outcome.status === 'same' && tasks.find(outcome.row.key) === null;
}
