// Blobs in a directory: each under its digest, written beside and renamed into place, so that a file that has its name is whole.

import { createHash } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { DomainError } from '../../domain/errors.ts';
import type { Random } from '../../runtime/random.ts';
import type { Blobs, StoredBytes } from '../blobs.ts';
import { Traffic } from './traffic.ts';

/** How many leading bytes a write answers, for whoever judges the type. */
export const HEAD_BYTES = 4_096;

const DIGEST = /^[0-9a-f]{64}$/;

/** Opens the blobs under a directory, making it where it is missing and clearing what unfinished writes left; rejects with `unavailable`. */
export async function openFileBlobs(directory: string, random: Random): Promise<Blobs> {
  const root = join(directory, 'blobs');
  const incoming = join(root, 'incoming');
  await guarded(async () => {
    await mkdir(incoming, { recursive: true, mode: 0o700 });
    for (const name of await readdir(incoming)) await rm(join(incoming, name), { force: true });
  });
  const pathOf = (sha256: string): string => join(directory, blobPath(sha256));
  const traffic = new Traffic();
  return {
    async write(source, bytesMax, keep) {
      const partial = join(incoming, random.uuid());
      try {
        const written = await guarded(() => writeFile(partial, source, bytesMax));
        const { sha256 } = written;
        await traffic.storing(sha256, async () => {
          await guarded(() => publish(partial, pathOf(sha256), root));
          await keep?.(written);
        });
        return written;
      } finally {
        await rm(partial, { force: true });
      }
    },
    async read(sha256, range) {
      const path = pathOf(sha256);
      let file: FileHandle;
      try {
        file = await open(path, 'r');
      } catch (error) {
        throw isMissing(error) ? notFound(sha256, error) : unavailable(error);
      }
      return range === undefined ? file.createReadStream() : file.createReadStream({ ...range });
    },
    removeFreed: decide =>
      traffic.removing(decide, sha256 => {
        const path = pathOf(sha256);
        return guarded(() => rm(path, { force: true }));
      }),
    async free() {
      const { bavail, bsize } = await guarded(() => statfs(root));
      return bavail * bsize;
    },
  };
}

/** Where the bytes of this digest lie, below the directory the blobs were opened in; throws `not_found` for what is no digest. */
export function blobPath(sha256: string): string {
  if (!DIGEST.test(sha256)) throw notFound(sha256);
  return join('blobs', sha256.slice(0, 2), sha256.slice(2));
}

async function writeFile(
  path: string,
  source: Readable | Uint8Array,
  bytesMax: number,
): Promise<StoredBytes> {
  const file = await open(path, 'wx', 0o600);
  try {
    const hash = createHash('sha256');
    const head: Buffer[] = [];
    let headBytes = 0;
    let sizeBytes = 0;
    for await (const chunk of source instanceof Readable ? source : [source]) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : Buffer.from(chunk);
      sizeBytes += bytes.length;
      if (sizeBytes > bytesMax) {
        throw new DomainError('payload_too_large', `more than ${bytesMax} bytes`, {
          details: { limit_bytes: bytesMax },
        });
      }
      if (headBytes < HEAD_BYTES) {
        head.push(bytes.subarray(0, HEAD_BYTES - headBytes));
        headBytes += head[head.length - 1]?.length ?? 0;
      }
      hash.update(bytes);
      await writeWhole(file, bytes);
    }
    await file.sync();
    return { sha256: hash.digest('hex'), sizeBytes, head: new Uint8Array(Buffer.concat(head)) };
  } finally {
    await file.close();
  }
}

async function writeWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  let done = 0;
  while (done < bytes.length) done += (await file.write(bytes, done)).bytesWritten;
}

/** Renames into place and makes the names durable: of the file, and of its directory where that is new. */
async function publish(partial: string, path: string, root: string): Promise<void> {
  const directory = dirname(path);
  const made = await mkdir(directory, { recursive: true, mode: 0o700 });
  await rename(partial, path);
  await syncDirectory(directory);
  if (made !== undefined) await syncDirectory(root);
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function guarded<Answer>(work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof Error && 'syscall' in error ? unavailable(error) : error;
  }
}

function unavailable(cause: unknown): DomainError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
  return new DomainError('unavailable', `the artifact directory cannot be used (${code})`, { cause });
}

function notFound(sha256: string, cause?: unknown): DomainError {
  return new DomainError('not_found', 'there are no such bytes', { details: { sha256 }, cause });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
