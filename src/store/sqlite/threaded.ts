// The store behind threads of its own. Whatever callers ask while the last batch is under way goes as the next one, in one
// transaction; a lone caller's call goes at once. Reads that may look at very many rows have a thread to themselves, so that no
// commit waits for them.

import { Batcher } from '../../runtime/batcher.ts';
import { type Clock, systemClock } from '../../runtime/clock.ts';
import type { Store } from '../store.ts';
import type { Call, VerbName, Verbs } from './core.ts';
import { closed, Thread } from './thread.ts';
import { type Send, storeOf } from './verbs.ts';
import { type PlainReply, toError } from './wire.ts';

/** How to open a store file. */
export interface SqliteOptions {
  readonly path: string;
  /** Keys the audit's chain. */
  readonly auditKey: string | Uint8Array;
  readonly clock?: Clock;
}

/** Calls that go to a thread as one transaction at most. */
const BATCH_MAX = 1_000;

/** Reads whose cost grows with all there ever was, not with what they answer. */
const BROAD_READS: ReadonlySet<VerbName> = new Set<VerbName>(['list', 'deliveries', 'audit']);

/** Opens a durable store in threads of its own; rejects with `unavailable` where it cannot be used. */
export async function openSqlite({ path, auditKey, clock = systemClock }: SqliteOptions): Promise<Store> {
  const owner = new Thread({ path, auditKey, readOnly: false, now: clock.now() });
  await owner.opened;
  const batcherOf = (thread: Thread): Batcher<Call, PlainReply> =>
    new Batcher(calls => thread.run(calls, clock.now()), { batchMax: BATCH_MAX, underWayMax: 2 });
  const calls = batcherOf(owner);
  let stopped = false;
  let latest: Promise<unknown> = Promise.resolve();
  let reader: { readonly thread: Thread; readonly calls: Batcher<Call, PlainReply> } | null = null;

  const ask = (call: Call): Promise<PlainReply> => {
    const reply = calls.add(call);
    latest = reply;
    return reply;
  };
  const read = async (call: Call): Promise<PlainReply> => {
    // Whoever reads sees what was asked before, as if there were one thread.
    await latest.catch(() => {});
    if (stopped) throw closed();
    if (reader === null) {
      const thread = new Thread({ path, auditKey, readOnly: true, now: clock.now() });
      reader = { thread, calls: batcherOf(thread) };
      thread.opened.catch(() => {
        reader = null;
      });
    }
    const { thread, calls: reads } = reader;
    await thread.opened;
    return reads.add(call);
  };
  const send: Send = async <Name extends VerbName>(verb: Name, ...args: Parameters<Verbs[Name]>) => {
    const reply = await (BROAD_READS.has(verb) ? read : ask)({ verb, args });
    if ('error' in reply) throw toError(reply.error);
    return reply.answer as ReturnType<Verbs[Name]>;
  };
  return storeOf(send, {
    backup: to => owner.backup(to),
    async stop() {
      stopped = true;
      await reader?.thread.stop();
      await owner.stop();
    },
  });
}
