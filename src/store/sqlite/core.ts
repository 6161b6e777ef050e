// The store's verbs as plain functions over one SQLite database, in the thread that calls them. How calls reach it (one by
// one, gathered, or from another thread) is decided in open.ts.

import type { TaskId, TenantId } from '../../domain/ids.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { MailStore } from '../mail.ts';
import type { MemoryStore } from '../memory.ts';
import type { ClaimPick, CommitOutcome, DeliverySettlement, EventQuery, Page, TaskQuery } from '../rows.ts';
import type { Store } from '../store.ts';
import type { TaskRow } from '../task-row.ts';
import { Artifacts } from './artifacts.ts';
import { Audit } from './audit.ts';
import { Changes } from './changes.ts';
import { Claims } from './claims.ts';
import { type CommitHook, Connection } from './connection.ts';
import { type CheckpointReach, type OpenDatabase, openDatabase, openForReading } from './database.ts';
import { Deliveries, type DueDeliveryRows } from './deliveries.ts';
import { Documents } from './documents.ts';
import { Edges } from './edges.ts';
import { type EventRow, Events } from './events.ts';
import { Intake } from './intake.ts';
import { Leases } from './leases.ts';
import { Logs } from './logs.ts';
import { Mail } from './mail.ts';
import { Memories } from './memory.ts';
import { Purge } from './purge.ts';
import { Queues } from './queues.ts';
import type { ChangeRecord, ClaimedRow, SubmitAnswer, TaskRecord } from './records.ts';
import { Sequence } from './sequences.ts';
import { Tasks } from './tasks.ts';
import { type DueTimerRows, Timers } from './timers.ts';

type StoreVerb = Exclude<keyof Store, 'capabilities' | 'mail' | 'memory' | 'hear' | 'stop'>;

/** A verb of the port that is one transaction here; one of a part of the port bears the part's name before its own. */
export type VerbName = StoreVerb | keyof MailVerbs | keyof MemoryVerbs;

/** The verbs of messages, answering at once. */
export type MailVerbs = {
  readonly [Name in keyof MailStore as `mail.${Name}`]: (
    ...args: Parameters<MailStore[Name]>
  ) => Awaited<ReturnType<MailStore[Name]>>;
};

/** The verbs of records. */
export type MemoryVerbs = {
  readonly [Name in keyof MemoryStore as `memory.${Name}`]: (
    ...args: Parameters<MemoryStore[Name]>
  ) => Awaited<ReturnType<MemoryStore[Name]>>;
};

type Packed =
  | 'submit'
  | 'claim'
  | 'commit'
  | 'read'
  | 'list'
  | 'events'
  | 'dueTimers'
  | 'dueDeliveries'
  | 'settleDeliveries';

type Plain = {
  readonly [Name in Exclude<StoreVerb, Packed>]: (
    ...args: Parameters<Store[Name]>
  ) => Awaited<ReturnType<Store[Name]>>;
};

/** The port's verbs, answering at once; the hot ones in records instead of domain objects. */
export interface Verbs extends Plain, MailVerbs, MemoryVerbs {
  submit(tasks: readonly TaskRecord[], atomic: boolean): readonly SubmitAnswer[];
  claim(picks: readonly ClaimPick[]): readonly (readonly ClaimedRow[])[];
  commit(changes: readonly ChangeRecord[]): readonly CommitOutcome[];
  read(ids: readonly { readonly tenant: TenantId; readonly id: TaskId }[]): readonly (TaskRow | null)[];
  list(query: TaskQuery): Page<TaskRow>;
  events(query: EventQuery): readonly EventRow[];
  dueTimers(limit: number): DueTimerRows;
  dueDeliveries(limit: number, leaseMs: number): DueDeliveryRows;
  settleDeliveries(settlements: readonly SettlementRecord[]): void;
}

/** A delivery's settlement with its change packed. */
export type SettlementRecord = Omit<DeliverySettlement, 'change'> & { readonly change: ChangeRecord | null };

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
  /** Opens a database that is open already, for reads that may take long; the verbs that write fail. */
  readonly readOnly?: boolean;
  /** Whoever opens it syncs the log and checkpoints it: a commit is on disk only once they have synced. */
  readonly unsynced?: boolean;
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
  'measure',
  'mail.mail',
  'mail.depths',
  'mail.deadLetters',
  'mail.deadCounts',
  'mail.untold',
  'memory.read',
  'memory.find',
  'memory.passages',
  'memory.feed',
  'memory.usage',
  'memory.unembedded',
  'memory.embedder',
]);

/** Whether the verb changes nothing. */
export function isRead(verb: VerbName): boolean {
  return READS.has(verb);
}

/** One open database and everything the port can do with it. */
export class SqliteCore {
  readonly #opened: OpenDatabase;
  readonly #connection: Connection;
  readonly #verbs: Verbs;
  readonly #readOnly: boolean;

  /** Opens or makes the database; throws `unavailable` where it cannot be used. */
  constructor(options: CoreOptions) {
    this.#readOnly = options.readOnly === true;
    this.#opened = this.#readOnly
      ? openForReading(options.path)
      : openDatabase(options.path, { unsynced: options.unsynced === true });
    try {
      this.#connection = new Connection(this.#opened.database, options.clock, options.faults);
      this.#verbs = verbsOf(roomsOf(this.#connection, options), this.#connection, this.#opened);
    } catch (error) {
      this.#opened.close();
      throw error;
    }
  }

  /** Runs one call in a transaction of its own. */
  run(call: Call): unknown {
    const work = (): unknown => this.#do(call);
    return isRead(call.verb) ? this.#connection.reading(work) : this.#connection.transaction(work);
  }

  /** Runs calls in one transaction; should one of them fail, each in its own, so that it fails alone. */
  runAll(calls: readonly Call[]): readonly Reply[] {
    if (calls.length > 1) {
      const work = (): readonly Reply[] => calls.map(call => ({ answer: this.#do(call) }));
      try {
        return calls.every(({ verb }) => isRead(verb))
          ? this.#connection.snapshot(work)
          : this.#connection.transaction(work);
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

  /** Pages in the write-ahead log. */
  logPages(): number {
    return this.#opened.logPages();
  }

  /** Brings what is in the write-ahead log into the database, as far as readers allow, and has the disk keep it. */
  checkpoint(): CheckpointReach {
    return this.#opened.checkpoint();
  }

  /** Checkpoints and closes; idempotent. */
  close(): void {
    this.#opened.close();
  }

  #do({ verb, args }: Call): unknown {
    const work = this.#verbs[verb] as (...args: readonly unknown[]) => unknown;
    return work(...args);
  }
}

type Rooms = ReturnType<typeof roomsOf>;

function roomsOf(connection: Connection, { random, auditKey }: CoreOptions) {
  const events = new Events(connection);
  const queues = new Queues(connection);
  const timers = new Timers(connection);
  const tasks = new Tasks(connection);
  const edges = new Edges(connection, timers);
  const deliveries = new Deliveries(connection);
  const leases = new Leases(connection, queues);
  const artifacts = new Artifacts(connection);
  const documents = new Documents(connection);
  const memories = new Memories(connection);
  const tokens = new Sequence(connection, 'token');
  const moving = { events, queues, timers, edges, deliveries, leases, tokens };
  return {
    ...moving,
    tasks,
    artifacts,
    documents,
    intake: new Intake(connection, { ...moving, tasks }),
    claims: new Claims(connection, { ...moving, random }),
    changes: new Changes(connection, { ...moving, memories }),
    logs: new Logs(connection),
    audit: new Audit(connection, auditKey),
    mail: new Mail(connection),
    memories,
    purge: new Purge(connection, { ...moving, artifacts, documents }),
  };
}

function verbsOf(rooms: Rooms, connection: Connection, opened: OpenDatabase): Verbs {
  const { tasks, events, queues, timers, edges, deliveries, leases, artifacts, documents } = rooms;
  const { intake, claims, changes, logs, audit, purge } = rooms;
  return {
    submit: (newTasks, atomic) => intake.submit(newTasks, atomic),
    claim: picks => claims.claim(picks),
    commit: list => list.map(change => changes.apply(change)),
    renew: renewals => leases.renew(renewals),
    leases: query => leases.list(query),
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
        if (one.change !== null) changes.apply(one.change);
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
    ...memoryVerbsOf(rooms.memories),
    purge: (what, limit) => ('ids' in what ? purge.named(what) : purge.run(what, limit)),
    measure: () => ({
      ready: queues.ready,
      leased: leases.count,
      timers: timers.count,
      deliveriesPending: deliveries.open,
      bytes: opened.bytes(),
      schemaVersion: opened.schemaVersion,
      writable: connection.writable(),
    }),
    ...mailVerbsOf(rooms.mail),
  };
}

function mailVerbsOf(mail: Mail): MailVerbs {
  const { log, dead } = mail;
  return {
    'mail.post': list => list.map(one => mail.post(one)),
    'mail.fanOut': copies => copies.map(copy => mail.fanOut(copy)),
    'mail.take': picks => mail.take(picks),
    'mail.settle': settlements => settlements.map(one => mail.settle(one)),
    'mail.release': reader => mail.release(reader),
    'mail.sweep': (limit, deliveriesMax) => mail.sweep(limit, deliveriesMax),
    'mail.mail': query => log.list(query),
    'mail.depths': (tenant, inboxes) => mail.depths(tenant, inboxes),
    'mail.bury': letters => dead.bury(letters),
    'mail.deadLetters': query => dead.list(query),
    'mail.deadCounts': tenant => dead.counts(tenant),
    'mail.untold': limit => dead.untold(limit),
    'mail.told': ids => dead.told(ids),
    'mail.replay': (tenant, ids) => dead.replay(tenant, ids),
    'mail.drop': (tenant, ids) => dead.drop(tenant, ids),
    'mail.blank': (tenant, list) => log.blank(tenant, list),
    'mail.purge': (terms, limit) => mail.purge(terms, limit),
  };
}

function memoryVerbsOf(memories: Memories): MemoryVerbs {
  return {
    'memory.put': writes => writes.map(write => memories.put(write)),
    'memory.read': names => names.map(name => memories.read(name)),
    'memory.find': query => memories.find(query),
    'memory.passages': (tenant, refs) => refs.map(ref => memories.passage(tenant, ref)),
    'memory.feed': (tenant, after, limit) => memories.feed(tenant, after, limit),
    'memory.usage': tenant => memories.usage(tenant),
    'memory.unembedded': (embedder, after, limit) => memories.unembedded(embedder, after, limit),
    'memory.putVectors': (embedder, vectors) => memories.putVectors(embedder, vectors),
    'memory.embedder': () => memories.embedder(),
    'memory.enforce': (embedder, expected) => memories.enforce(embedder, expected),
    'memory.pruneVectors': (kept, limit) => memories.pruneVectors(kept, limit),
    'memory.sweep': limit => memories.sweep(limit),
    'memory.erase': (tenant, userId, limit) => memories.erase(tenant, userId, limit),
  };
}
