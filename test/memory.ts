// Records as a store has them after a while: kept, replaced, removed, with vectors.

import { remembering } from '../src/store/conformance-memory.ts';
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
