// The store as a server opens it: SQLite in the serving thread, whose point statements cost less than the way to another thread
// would, and threads of their own for what takes long: waiting for the disk, broad reads, checkpoints.

import { Batcher } from '../../runtime/batcher.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import { systemRandom } from '../../runtime/random.ts';
import type { Store } from '../store.ts';
import { type Call, SqliteCore, type VerbName, type Verbs } from './core.ts';
import { closed } from './errors.ts';
import { GroupCommit } from './group-commit.ts';
import { LogSync } from './log-sync.ts';
import { SideReader } from './side-reader.ts';
import { type Send, storeOf } from './verbs.ts';
import { type PlainReply, toError } from './wire.ts';

/** How to open a store file. */
export interface SqliteOptions {
  readonly path: string;
  /** Keys the audit's chain. */
  readonly auditKey: string | Uint8Array;
  readonly clock?: Clock;
}

/** Reads whose cost grows with all there ever was, not with what they answer. */
const BROAD_READS: ReadonlySet<VerbName> = new Set<VerbName>([
  ...(['list', 'deliveries', 'audit', 'logs', 'mail.depths', 'mail.deadLetters', 'mail.deadCounts'] as const),
  ...(['memory.find', 'memory.unembedded'] as const),
]);

/** Pages the log may hold before it is brought into the database: 16 MB, and how many commits may pass between looks at it. */
const LOG_PAGES_MAX = 4_000;
const COMMITS_PER_LOOK = 32;

/** Opens a durable store; rejects with `unavailable` where it cannot be used. */
export async function openSqlite(options: SqliteOptions): Promise<Store> {
  const { path, auditKey, clock = systemClock } = options;
  const core = new SqliteCore({ path, auditKey, clock, random: systemRandom, unsynced: true });
  const log = new LogSync(`${path}-wal`);
  const aside = sideReading({ path, auditKey, clock });
  const upkeep = checkpointing(core, aside);
  const commits = new GroupCommit(core, () => log.sync(), upkeep);
  let stopping: Promise<void> | null = null;
  let latest: Promise<unknown> = Promise.resolve();

  const send: Send = async <Name extends VerbName>(verb: Name, ...args: Parameters<Verbs[Name]>) => {
    if (stopping !== null) throw closed();
    if (!isBroad({ verb, args })) {
      const answer = commits.ask({ verb, args });
      latest = answer;
      return (await answer) as ReturnType<Verbs[Name]>;
    }
    // Whoever reads sees what was asked before, as if there were one thread.
    await latest.catch(() => {});
    const reply = await aside.read({ verb, args });
    if ('error' in reply) throw toError(reply.error);
    return reply.answer as ReturnType<Verbs[Name]>;
  };
  const stop = async (): Promise<void> => {
    await commits.idle();
    await aside.stop();
    await log.stop();
    core.close();
  };
  return storeOf(send, {
    stop: () => {
      stopping ??= stop();
      return stopping;
    },
  });
}

function isBroad({ verb, args }: Call): boolean {
  if (verb !== 'mail.mail') return BROAD_READS.has(verb);
  const [{ ids, correlationId, replyTo, taskId, dialect, type }] = args as Parameters<Verbs['mail.mail']>;
  const isLookup = [ids, correlationId, replyTo, taskId].some(name => name !== undefined);
  // What is looked for by neither an index nor its place may be far between.
  return !isLookup && (dialect !== undefined || type !== undefined);
}

interface SideReading {
  read(call: Call): Promise<PlainReply>;
  checkpoint: SideReader['checkpoint'];
  stop(): Promise<void>;
}

/** A side reader that starts when it is first wanted, and anew should it have failed. */
function sideReading({ path, auditKey, clock }: Required<SqliteOptions>): SideReading {
  let reader: SideReader | null = null;
  const using = async <Answer>(work: (reader: SideReader) => Promise<Answer>): Promise<Answer> => {
    const used = reader ?? new SideReader({ path, auditKey });
    reader = used;
    try {
      return await work(used);
    } catch (error) {
      if (reader === used) reader = null;
      void used.stop();
      throw error;
    }
  };
  const reads = new Batcher<Call, PlainReply>(calls => using(used => used.read(calls, clock.now())));
  return {
    read: call => reads.add(call),
    checkpoint: () => using(used => used.checkpoint()),
    stop: async () => reader?.stop(),
  };
}

/**
 * Looks after the log's length, called after each commit. The side reader does the long part; the rest, what was written meanwhile,
 * is done here between two transactions, or the log would never be found all done and begin anew.
 */
function checkpointing(core: SqliteCore, aside: Pick<SideReading, 'checkpoint'>): () => void {
  let commits = 0;
  let underWay = false;
  let finishing = false;
  const begin = async (): Promise<void> => {
    underWay = true;
    try {
      const { logPages } = await aside.checkpoint();
      finishing = logPages >= LOG_PAGES_MAX;
    } finally {
      underWay = false;
    }
  };
  return () => {
    commits++;
    try {
      if (finishing) core.checkpoint();
      finishing = false;
      if (underWay || commits % COMMITS_PER_LOOK !== 0 || core.logPages() < LOG_PAGES_MAX) return;
      begin().catch(() => {});
    } catch {
      // The log stays as long as it is; the next look tries again.
    }
  };
}
