// Blobs in a directory: each under its digest, written beside and renamed into place, so that a file that has its name is whole.

import { type FileHandle, mkdir, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { DomainError } from '../../domain/errors.ts';
import type { Random } from '../../runtime/random.ts';
import { noSuchBytes, passing, requireDigest } from '../blob-bytes.ts';
import type { Blobs, StoredBytes } from '../blobs.ts';
import { Traffic } from './traffic.ts';

/** So long does an unfinished write lie still in a shared folder before it is taken for broken. */
const ABANDONED_MS = 3_600_000;

/**
 * Opens the blobs under a directory, making it where it is missing and clearing what unfinished writes left; rejects with `unavailable`.
 * In a folder that processes share, writes may be another's and are cleared an hour after their last byte; the processes do not keep
 * removals from what others store anew at that instant, as a database does.
 */
export async function openFileBlobs(
  directory: string,
  random: Random,
  { isShared = false }: { readonly isShared?: boolean } = {},
): Promise<Blobs> {
  const root = join(directory, 'blobs');
  const incoming = join(root, 'incoming');
  await guarded(async () => {
    await mkdir(incoming, { recursive: true, mode: 0o700 });
    const clearedBefore = isShared
      ? (await timeIn(incoming, random)) - ABANDONED_MS
      : Number.POSITIVE_INFINITY;
    for (const name of await readdir(incoming)) {
      const path = join(incoming, name);
      const found = await stat(path).catch(() => null);
      if (found !== null && found.mtimeMs < clearedBefore) await rm(path, { force: true });
    }
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
        throw isMissing(error) ? noSuchBytes(sha256, error) : unavailable(error);
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
    stop: async () => {},
  };
}

/** Where the bytes of this digest lie, below the directory the blobs were opened in; throws `not_found` for what is no digest. */
export function blobPath(sha256: string): string {
  requireDigest(sha256);
  return join('blobs', sha256.slice(0, 2), sha256.slice(2));
}

/** Now, by the clock of whoever keeps the folder. */
async function timeIn(folder: string, random: Random): Promise<number> {
  const path = join(folder, random.uuid());
  const file = await open(path, 'wx', 0o600);
  try {
    return (await file.stat()).mtimeMs;
  } finally {
    await file.close();
    await rm(path, { force: true });
  }
}

async function writeFile(
  path: string,
  source: Readable | Uint8Array,
  bytesMax: number,
): Promise<StoredBytes> {
  const file = await open(path, 'wx', 0o600);
  try {
    const bytes = passing(source, bytesMax);
    for await (const chunk of bytes.chunks) await writeWhole(file, chunk);
    await file.sync();
    return bytes.stored();
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

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
