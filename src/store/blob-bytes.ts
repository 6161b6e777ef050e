// What every blob store learns of bytes while they pass: their digest, how many they are, and the first of them.

import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { DomainError } from '../domain/errors.ts';
import type { StoredBytes } from './blobs.ts';

/** How many leading bytes a write answers, for whoever judges the type. */
export const HEAD_BYTES = 4_096;

const DIGEST = /^[0-9a-f]{64}$/;

/** Bytes on their way in. */
export interface PassingBytes {
  /** As they come; rejects like the source, and with `payload_too_large` past the limit. */
  readonly chunks: AsyncIterable<Buffer>;
  /** What passed; final once all chunks were read. */
  stored(): StoredBytes;
}

/** Watches bytes pass. */
export function passing(source: Readable | Uint8Array, bytesMax: number): PassingBytes {
  const hash = createHash('sha256');
  const head: Buffer[] = [];
  let headBytes = 0;
  let sizeBytes = 0;
  return {
    chunks: {
      async *[Symbol.asyncIterator]() {
        for await (const chunk of source instanceof Readable ? source : [source]) {
          const bytes = Buffer.from(chunk);
          sizeBytes += bytes.length;
          if (sizeBytes > bytesMax) {
            throw new DomainError('payload_too_large', `more than ${bytesMax} bytes`, {
              details: { limit_bytes: bytesMax },
            });
          }
          if (headBytes < HEAD_BYTES) {
            const leading = bytes.subarray(0, HEAD_BYTES - headBytes);
            head.push(leading);
            headBytes += leading.length;
          }
          hash.update(bytes);
          yield bytes;
        }
      },
    },
    stored: () => ({
      sha256: hash.copy().digest('hex'),
      sizeBytes,
      head: new Uint8Array(Buffer.concat(head)),
    }),
  };
}

/** Throws `not_found` for what is no digest. */
export function requireDigest(sha256: string): void {
  if (!DIGEST.test(sha256)) throw noSuchBytes(sha256);
}

/** That there are no such bytes. */
export function noSuchBytes(sha256: string, cause?: unknown): DomainError {
  return new DomainError('not_found', 'there are no such bytes', { details: { sha256 }, cause });
}
