// The store's verbs as plain functions over one SQLite database, in the thread that calls them. How calls reach it (in this
// thread, or gathered for a worker) is decided in open.ts.

import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { Store } from '../store.ts';
import { Artifacts } from './artifacts.ts';
import { Audit } from './audit.ts';
import { Changes } from './changes.ts';
import { Claims } from './claims.ts';
import { type CommitHook, Connection } from './connection.ts';
import { type OpenDatabase, openDatabase } from './database.ts';
import { Deliveries } from './deliveries.ts';
import { Documents } from './documents.ts';
import { Edges } from './edges.ts';
import { Events } from './events.ts';
import { Intake } from './intake.ts';
import { Logs } from './logs.ts';
import { Purge } from './purge.ts';
import { Queues } from './queues.ts';
import { Tasks } from './tasks.ts';
import { Timers } from './timers.ts';

/** The verbs of the port that are one synchronous transaction here. */
export type VerbName = Exclude<keyof Store, 'capabilities' | 'backup' | 'stop'>;

/** The port's verbs, answering at once. */
export type Verbs = {
  readonly [Name in VerbName]: (...args: Parameters<Store[Name]>) => Awaited<ReturnType<Store[Name]>>;
};

/** A verb to run, with its arguments. */
export interface Call {
  readonly verb: VerbName;
  readonly args: readonly unknown[];
}

/** What came of a call. */
export type Reply = { readonly answer: unknown } | { readonly error: unknown };

/** What a core is made of. */
export interface CoreOptions {
  /** A file's path, or `:memory:`. */
  readonly path: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Keys the audit's chain. */
  readonly auditKey: string | Uint8Array;
  /** For simulation: what to do around each commit. */
  readonly faults?: CommitHook;
}

/** The verbs that change nothing. */
const READS: ReadonlySet<VerbName> = new Set<VerbName>([
  'read',
  'list',
  'events',
  'dependencies',
  'queues',
  'position',
  'leases',
  'logs',
  'samples',
  'deliveries',
  'artifacts',
  'documents',
  'audit',
]);

/** One open database and everything the port can do with it. */
export class SqliteCore {
  readonly #opened: OpenDatabase;
  readonly #connection: Connection;
  readonly #verbs: Verbs;

  /** Opens or makes the database; throws `unavailable` where it cannot be used. */
  constructor(options: CoreOptions) {
    this.#opened = openDatabase(options.path);
    try {
      this.#connection = new Connection(this.#opened.database, options.clock, options.faults);
      this.#verbs = verbsOf(this.#connection, this.#opened, options);
    } catch (error) {
      this.#opened.close();
      throw error;
    }
  }

  /** Runs one call in a transaction of its own. */
  run({ verb, args }: Call): unknown {
    const work = (): unknown => (this.#verbs[verb] as (...args: readonly unknown[]) => unknown)(...args);
    return READS.has(verb) ? this.#connection.reading(work) : this.#connection.transaction(work);
  }

  /** Runs calls in one transaction; should one of them fail, each in its own, so that it fails alone. */
  runAll(calls: readonly Call[]): readonly Reply[] {
    if (calls.length > 1) {
      try {
        return this.#connection.transaction(() =>
          calls.map(({ verb, args }) => ({
            answer: (this.#verbs[verb] as (...args: readonly unknown[]) => unknown)(...args),
          })),
        );
      } catch {
        // Whoever failed shall fail again below, alone.
      }
    }
    return calls.map(call => {
      try {
        return { answer: this.run(call) };
      } catch (error) {
        return { error };
      }
    });
  }

  /** Writes a consistent copy while serving. */
  backup(path: string): Promise<void> {
    return this.#opened.backup(path);
  }

  /** Checkpoints and closes; idempotent. */
  close(): void {
    this.#opened.close();
  }
}

function verbsOf(connection: Connection, opened: OpenDatabase, options: CoreOptions): Verbs {
  const tasks = new Tasks(connection);
  const events = new Events(connection);
  const queues = new Queues(connection);
  const timers = new Timers(connection);
  const edges = new Edges(connection, timers);
  const deliveries = new Deliveries(connection);
  const intake = new Intake(connection, { tasks, events, queues, timers, edges });
  const claims = new Claims(connection, { random: options.random, queues, events, deliveries });
  const changes = new Changes(connection, { events, queues, timers, edges, deliveries });
  const logs = new Logs(connection);
  const artifacts = new Artifacts(connection);
  const documents = new Documents(connection);
  const audit = new Audit(connection, options.auditKey);
  const purge = new Purge(connection, { events, deliveries, edges, artifacts, documents });

  return {
    submit: (newTasks, how) => intake.submit(newTasks, how),
    claim: picks => claims.claim(picks),
    commit: list => list.map(change => changes.apply(change)),
    renew: renewals => claims.renew(renewals),
    leases: query => claims.held(query),
    dueTimers: limit => timers.due(limit, tasks),
    read: ids => ids.map(({ tenant, id }) => tasks.read(tenant, id)),
    list: query => tasks.list(query),
    events: query => events.read(query),
    dependencies: key => edges.of(key),
    queues: () => queues.views(),
    position: (key, limit) => claims.position(key, limit),
    record: (lines, samples) => logs.record(lines, samples),
    logs: query => logs.lines(query),
    samples: query => logs.samples(query),
    dueDeliveries: (limit, leaseMs) => deliveries.due(limit, leaseMs, { tasks, events }),
    settleDeliveries: settlements => {
      for (const one of settlements) {
        deliveries.settle(one);
        if (one.change !== undefined) changes.apply(one.change);
      }
    },
    deliveries: query => deliveries.list(query),
    redeliver: copies => copies.map(copy => deliveries.redeliver(copy)),
    putArtifacts: list => artifacts.put(list),
    artifacts: query => artifacts.list(query),
    dropArtifacts: refs => artifacts.drop(refs),
    documents: query => documents.list(query),
    putDocuments: writes => documents.put(writes),
    appendAudit: entries => audit.append(entries),
    audit: query => audit.list(query),
    purge: (terms, limit) => purge.run(terms, limit),
    measure: () => ({
      ready: queues.ready,
      leased: claims.count,
      timers: timers.count,
      deliveriesPending: deliveries.open,
      bytes: opened.bytes(),
      schemaVersion: opened.schemaVersion,
      writable: opened.writable(),
    }),
  };
}
