// Records as a store has them after a while: kept, replaced, removed, with vectors.

import { remembering } from '../src/store/conformance-memory.ts';
import { ACME } from '../src/store/conformance-setup.ts';
import type { MemoryStore } from '../src/store/memory.ts';

/** Fills a store's memory. */
export async function growMemory(memory: MemoryStore): Promise<void> {
  const chunks = [{ id: 'chunk-001', content: 'text', vectors: { local: 'dmVj' } }];
  await memory.put(
    ['kept', 'replaced', 'replaced', 'removed'].map(key => remembering(key, { chunks, tags: ['ä', '“b”'] })),
  );
  await memory.put([{ ...remembering('removed'), record: null }]);
  await memory.enforce('local', null);
}

/** Whether a change made now is the one change after all there were. */
export async function feedGoesOn(memory: MemoryStore): Promise<boolean> {
  const { position } = await memory.feed(ACME, 0, 100);
  await memory.put([remembering('after the move')]);
  return (await memory.feed(ACME, position, 100)).changes.length === 1;
}
