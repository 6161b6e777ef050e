// Blobs in the database that nodes share: any node reads what another stored, whether that one still lives or not. An upload's chunks
// are apart until it is whole; the database itself keeps storing and removing the same bytes apart, for all processes.

import { Readable } from 'node:stream';
import { DomainError } from '../../domain/errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import { noSuchBytes, passing, requireDigest } from '../blob-bytes.ts';
import type { Blobs, StoredBytes } from '../blobs.ts';
import { reading, repeatable } from './context.ts';
import { Database, type Statement, type Value } from './database.ts';
import { migrate } from './migrate.ts';

/** Where the blobs lie. */
export interface BlobsOptions {
  /** As of the store. */
  readonly url: string;
  readonly pooled?: boolean;
  /** How long an upload may stand still until it is taken for broken; an hour unless said otherwise. */
  readonly abandonedMs?: number;
  /** So often at most is looked for what is broken: that reads all blobs; ten minutes unless said otherwise. */
  readonly sweepMs?: number;
}

const CHUNK_BYTES = 262_144;
/** Two of these are for verbs that blobs do not have, and are never opened. */
const CONNECTIONS = 5;
const STATEMENT_MS_MAX = 30_000;
const ABANDONED_MS = 3_600_000;
const SWEEP_MS = 600_000;
/** So long may it take at most to write down who refers to stored bytes. */
const HOLD_MS = 900_000;
const SWEPT_AT_ONCE = 1_000;

const PUT = repeatable('put blob chunk', 'SELECT batuta.put_blob_chunk($1, $2, $3)');
const PUBLISH = repeatable('publish blob', 'SELECT batuta.publish_blob($1, $2, $3, $4, $5) AS done');
const RELEASE = repeatable('release blob', 'SELECT batuta.release_blob($1, $2)');
const DROP = repeatable('drop upload', 'SELECT batuta.drop_upload($1)');
const PLACE = reading('blob place', `SELECT nextval('batuta.blob_place') AS place`);
const REMOVE = repeatable('remove blobs', 'SELECT batuta.remove_blobs($1, $2)');
const SWEEP = repeatable('sweep blobs', 'SELECT batuta.sweep_blobs($1, $2)');
const SIZE = reading('blob size', 'SELECT size_bytes FROM batuta.blob WHERE sha256 = $1');
// By the digest each time: bytes that were removed and stored anew under way are the same bytes.
const CHUNK = reading(
  'blob chunk',
  `SELECT c.bytes FROM batuta.blob b JOIN batuta.blob_chunk c ON c.upload = b.upload AND c.number = $2
   WHERE b.sha256 = $1`,
);

/**
 * Opens the blobs of a database over three connections of its own at most, bringing its schema up to date and clearing what broken
 * uploads left; rejects with `unavailable`. A reader is cut off with `not_found` where the bytes are removed under it.
 */
export async function openPostgresBlobs(options: BlobsOptions, random: Random): Promise<Blobs> {
  const { url, pooled = false, abandonedMs = ABANDONED_MS, sweepMs = SWEEP_MS } = options;
  const database = new Database({ url, pooled, connections: CONNECTIONS, statementMsMax: STATEMENT_MS_MAX });
  const ask = async <Row extends object>(statement: Statement, ...values: readonly Value[]) =>
    (await database.ask<Row>(statement, values)).rows;
  let sweptAt = Number.NEGATIVE_INFINITY;
  const sweep = async (): Promise<void> => {
    if (systemClock.monotonic() - sweptAt < sweepMs) return;
    sweptAt = systemClock.monotonic();
    await ask(SWEEP, abandonedMs, SWEPT_AT_ONCE);
  };
  try {
    await migrate(database);
    await sweep();
  } catch (error) {
    await database.stop();
    throw error;
  }
  return {
    async write(source, bytesMax, keep) {
      const upload = random.uuid();
      let stored: StoredBytes;
      try {
        stored = await send(ask, upload, source, bytesMax);
      } catch (error) {
        // What cannot be dropped now is swept later.
        await ask(DROP, upload).catch(() => {});
        throw error;
      }
      try {
        await keep?.(stored);
      } finally {
        await ask(RELEASE, stored.sha256, upload);
      }
      return stored;
    },
    async read(sha256, range) {
      requireDigest(sha256);
      const [found] = await ask<{ size_bytes: number }>(SIZE, sha256);
      if (found === undefined) throw noSuchBytes(sha256);
      const end = Math.min(range?.end ?? Number.POSITIVE_INFINITY, found.size_bytes - 1);
      const start = range?.start ?? 0;
      return Readable.from(chunksOf(ask, sha256, start, end), { objectMode: false, highWaterMark: 1 });
    },
    async removeFreed(decide) {
      const [now] = await ask<{ place: number }>(PLACE);
      const decision = await decide();
      if (decision.freed.length > 0) await ask(REMOVE, decision.freed, now?.place ?? 0);
      await sweep();
      return decision;
    },
    free: async () => null,
    stop: () => database.stop(),
  };
}

type Asking = <Row extends object>(
  statement: Statement,
  ...values: readonly Value[]
) => Promise<readonly Row[]>;

/** Uploads chunk by chunk and publishes what came; the upload then holds it. */
async function send(
  ask: Asking,
  upload: string,
  source: Readable | Uint8Array,
  bytesMax: number,
): Promise<StoredBytes> {
  const bytes = passing(source, bytesMax);
  let chunks = 0;
  for await (const chunk of inChunks(bytes.chunks)) await ask(PUT, upload, chunks++, chunk);
  const stored = bytes.stored();
  const { sha256, sizeBytes } = stored;
  const [answer] = await ask<{ done: boolean }>(PUBLISH, sha256, upload, sizeBytes, chunks, HOLD_MS);
  if (answer?.done !== true)
    throw new DomainError(
      'unavailable',
      'the upload stood still for too long and was given up; send it again',
    );
  return stored;
}

/** The same bytes in pieces of one size, the last one smaller. */
async function* inChunks(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let size = 0;
  for await (const bytes of source) {
    for (let start = 0; start < bytes.length; ) {
      const part = bytes.subarray(start, start + CHUNK_BYTES - size);
      gathered.push(part);
      size += part.length;
      start += part.length;
      if (size < CHUNK_BYTES) continue;
      yield Buffer.concat(gathered);
      gathered = [];
      size = 0;
    }
  }
  if (size > 0) yield Buffer.concat(gathered);
}

async function* chunksOf(ask: Asking, sha256: string, start: number, end: number): AsyncGenerator<Buffer> {
  for (let at = start; at <= end; ) {
    const number = Math.floor(at / CHUNK_BYTES);
    const [row] = await ask<{ bytes: Buffer }>(CHUNK, sha256, number);
    if (row === undefined) throw noSuchBytes(sha256);
    const from = number * CHUNK_BYTES;
    yield row.bytes.subarray(at - from, end + 1 - from);
    at = from + CHUNK_BYTES;
  }
}
