// The blob store's port: the bytes of artifacts, addressed by what they are. Identical bytes are stored once (`SAM-75`).

import type { Readable } from 'node:stream';

/** Bytes that were stored; `head` are the first of them, for whoever judges the type. */
export interface StoredBytes {
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly head: Uint8Array;
}

/** Where artifact bytes live. */
export interface Blobs {
  /**
   * Streams bytes in, never whole in memory; rejects with `payload_too_large` past the limit, keeping nothing. Durable when it resolves.
   * While `keep` writes down who refers to them, nobody removes them: nobody in this process, and nobody at all where processes
   * share the blobs through a database.
   */
  write(
    source: Readable | Uint8Array,
    bytesMax: number,
    keep?: (stored: StoredBytes) => Promise<void>,
  ): Promise<StoredBytes>;
  /** Streams bytes out, from `start` to `end` inclusive; rejects with `not_found`. */
  read(sha256: string, range?: { readonly start: number; readonly end: number }): Promise<Readable>;
  /**
   * Forgets the bytes that `decide` finds to be referred to by nobody, but those that somebody stored anew since it began to decide.
   * Harmless for bytes that are not there; answers what was decided.
   */
  removeFreed<Decision extends { readonly freed: readonly string[] }>(
    decide: () => Promise<Decision>,
  ): Promise<Decision>;
  /** Bytes free where the blobs lie; null where that cannot be known. */
  free(): Promise<number | null>;
  /** Lets go of what it holds. Idempotent. */
  stop(): Promise<void>;
}
