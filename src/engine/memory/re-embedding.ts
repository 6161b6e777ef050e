// Giving all texts vectors of another embedder while searches go on with the old ones (`ARMY-42`). The leader walks through the chunks
// that have none yet; once there are no more, the new embedder is put in force and every index is made anew of its vectors.

import type { Clock } from '../../runtime/clock.ts';
import { pause } from '../../runtime/clock.ts';
import type { ChunkPlace, MemoryStore } from '../../store/memory.ts';
import type { Embedder } from '../ports/embedder.ts';
import { encodeVector } from './vectors.ts';

const CHUNKS_AT_ONCE = 64;
const VECTORS_PRUNED = 500;
/** So long the event loop and the embedder have for others between two portions. */
const STEP_MS = 5;

type ReembeddingStore = Pick<
  MemoryStore,
  'unembedded' | 'putVectors' | 'embedder' | 'enforce' | 'pruneVectors'
>;

/**
 * Puts an embedder in force once all chunks have its vectors; rejects where it fails, to go on from there when asked again. A store
 * without any embedder takes it at once. Answers how many chunks it embedded.
 */
export async function putInForce(
  clock: Clock,
  store: ReembeddingStore,
  embedder: Embedder,
  signal: AbortSignal,
): Promise<number> {
  const present = await store.embedder();
  if (present === null) await store.enforce(embedder.name, null);
  let embedded = 0;
  // What another node replaced behind the walk, not knowing the new embedder, is found by the next one.
  for (let more = 1; more > 0; embedded += more) more = await embedMissing(clock, store, embedder, signal);
  if (present !== null && present !== embedder.name) await store.enforce(embedder.name, present);
  for (;;) {
    signal.throwIfAborted();
    const pruned = await store.pruneVectors([embedder.name], VECTORS_PRUNED);
    if (pruned < VECTORS_PRUNED) return embedded;
    await pause(clock, STEP_MS, signal);
  }
}

async function embedMissing(
  clock: Clock,
  store: ReembeddingStore,
  embedder: Embedder,
  signal: AbortSignal,
): Promise<number> {
  let embedded = 0;
  let after: ChunkPlace | null = null;
  for (;;) {
    signal.throwIfAborted();
    const chunks: Awaited<ReturnType<MemoryStore['unembedded']>> = await store.unembedded(
      embedder.name,
      after,
      CHUNKS_AT_ONCE,
    );
    if (chunks.length === 0) return embedded;
    const vectors = await embedder.embed(chunks.map(({ content }) => content));
    await store.putVectors(
      embedder.name,
      chunks.map((chunk, at) => ({
        ...chunk,
        vector: encodeVector(vectors[at] ?? new Float32Array(embedder.dimensions)),
      })),
    );
    embedded += chunks.length;
    after = chunks.at(-1) ?? after;
    await pause(clock, STEP_MS, signal);
  }
}
