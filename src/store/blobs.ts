// The blob store's port: the bytes of artifacts, addressed by what they are. Identical bytes are stored once (`SAM-75`).

import type { Readable } from 'node:stream';

/** Where artifact bytes live. */
export interface Blobs {
  /** Streams bytes in, never whole in memory; rejects with `payload_too_large` past the limit, keeping nothing. Durable when it resolves. */
  write(
    source: Readable | Uint8Array,
    bytesMax: number,
  ): Promise<{ readonly sha256: string; readonly sizeBytes: number; readonly head: Uint8Array }>;
  /** Streams bytes out, from `start` to `end` inclusive; rejects with `not_found`. */
  read(sha256: string, range?: { readonly start: number; readonly end: number }): Promise<Readable>;
  /** Forgets bytes; harmless if there are none. */
  remove(sha256: string): Promise<void>;
  /** Bytes free where the blobs lie. */
  free(): Promise<number>;
}
