// A memory for tests: the real one over a real store, with a clock of our own, and notes in one line each.

import type { TestContext } from 'node:test';
import type { AgentId, TenantId } from '../src/domain/ids.ts';
import type { MemoryRecord } from '../src/domain/record.ts';
import {
  type KnowledgeDocument,
  Memory,
  type MemoryOptions,
  type Note,
} from '../src/engine/memory/memory.ts';
import type { SearchAnswer, SearchQuery } from '../src/engine/memory/search.ts';
import type { Embedder, Reranker } from '../src/engine/ports/embedder.ts';
import { silentLog } from '../src/runtime/log.ts';
import { seededRandom } from '../src/runtime/random.ts';
import type { Store } from '../src/store/store.ts';
import { VirtualClock } from './simulation/clock.ts';
import { openTestStore } from './store.ts';

/** The tenant of all notes that name none. */
export const ACME = 'acme' as TenantId;
/** Another one. */
export const GLOBEX = 'globex' as TenantId;
/** Who stores all that names nobody. */
export const SCOUT = 'scout' as AgentId;

/** A memory under test. */
export interface MemoryBundle {
  readonly clock: VirtualClock;
  readonly store: Store;
  readonly memory: Memory;
  /** Another memory on the same store, as after a restart or at another node. */
  again(parts?: { readonly embedder?: Embedder; readonly reranker?: Reranker }): Promise<Memory>;
}

/** A started memory over an empty store. */
export async function openMemory(
  t: TestContext,
  parts: {
    readonly embedder?: Embedder;
    readonly reranker?: Reranker;
    readonly options?: MemoryOptions;
  } = {},
): Promise<MemoryBundle> {
  const clock = new VirtualClock();
  const random = seededRandom(1, () => clock.now());
  const store = await openTestStore({ clock, random });
  const opened: Memory[] = [];
  const again: MemoryBundle['again'] = async others => {
    const memory = new Memory(
      { log: silentLog, clock, store: store.memory, leads: () => true, ...(others ?? parts) },
      parts.options,
    );
    await memory.start();
    opened.push(memory);
    return memory;
  };
  t.after(async () => {
    for (const memory of opened) await memory.stop();
    await store.stop();
  });
  return { clock, store, again, memory: await again() };
}

/** Remembers something. */
export function remember(memory: Memory, key: string, note: Partial<Note> = {}): Promise<MemoryRecord> {
  return memory.remember({ tenant: ACME, owner: SCOUT, key, value: { about: key }, ...note });
}

/** Learns a document. */
export function learn(memory: Memory, id: string, content: string, more: Partial<KnowledgeDocument> = {}) {
  return memory.learn({ tenant: ACME, collection: 'kb', owner: SCOUT, id, content, ...more });
}

/** Searches; by meaning unless told otherwise. */
export function search(memory: Memory, text: string, more: Partial<SearchQuery> = {}): Promise<SearchAnswer> {
  return memory.search({ tenant: ACME, type: 'semantic', text, ...more });
}

/** The keys of what was found, best first. */
export function keysOf({ hits }: SearchAnswer): readonly string[] {
  return hits.map(({ record }) => record.key);
}
