// Backups: a copy of a data directory as of one instant, taken while the server serves, and how it is told whole from damaged. A
// backup is a directory named for its instant; it gets that name only once it has been read back and found whole.

import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { DomainError } from '../domain/errors.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import type { Config } from './config.ts';
import { CREDENTIALS_FILE, KEYS_FILE } from './credentials.ts';
import {
  type BackupFile,
  countsIn,
  damaged,
  type Manifest,
  readManifest,
  syncDirectory,
  writeManifest,
} from './manifest.ts';
import { embedded } from './registry.ts';

/** The settings file a backup was taken with, by its name there. */
export const SETTINGS_FILE = 'config.json';

/** The store forgets an artifact before its bytes go, so a copy may name bytes that just went; then it is taken again. */
const COPIES_MAX = 5;

/** A backup in a few words. */
export interface BackupReport extends Omit<Manifest, 'files' | 'format' | 'missing_blobs'> {
  readonly directory: string;
  readonly files: number;
  readonly bytes: number;
  readonly missing_blobs: number;
}

/** Copies everything into a new directory below `to` (`SAM-219`); throws `not_found` where there is nothing to copy. */
export async function takeBackup(
  config: Config,
  options: { readonly to: string; readonly settingsFile?: string | undefined },
  clock: Clock = systemClock,
): Promise<BackupReport> {
  refuseSharedStore(config, 'pg_dump copies a PostgreSQL database');
  const source = resolve(config.dataDir);
  if (!existsSync(join(source, embedded.file)))
    throw new DomainError('not_found', `there is no installation in ${source}`, {
      details: { hint: 'name its data directory with --data or BATUTA_DATA' },
    });
  const takenAt = new Date(clock.now()).toISOString();
  const directory = join(resolve(options.to), takenAt.replaceAll(':', '-'));
  const partial = `${directory}.partial`;
  return await told(`the backup in ${options.to} failed`, async () => {
    await mkdir(dirname(directory), { recursive: true, mode: 0o700 });
    await mkdir(partial, { mode: 0o700 });
    try {
      const store = await copyStore(source, partial);
      const singles = await copySingles(source, partial, options.settingsFile);
      await writeManifest(partial, {
        taken_at: takenAt,
        missing_blobs: store.missing,
        files: [...singles, ...store.files],
      });
      const report = await verifyBackup(partial);
      await rename(partial, directory);
      await syncDirectory(dirname(directory));
      return { ...report, directory };
    } catch (error) {
      await rm(partial, { recursive: true, force: true });
      throw error;
    }
  });
}

/** Reads a whole backup: every sum, the database's pages and event sequences, the counts (`SAM-220`); throws `unavailable` naming what is wrong. */
export async function verifyBackup(from: string): Promise<BackupReport> {
  const directory = resolve(from);
  const manifest = await readManifest(directory);
  for (const file of manifest.files) {
    const found = await told(`the backup is damaged: ${file.path} cannot be read`, () =>
      digestOf(join(directory, file.path)),
    );
    if (found.sha256 !== file.sha256 || found.bytes !== file.bytes)
      throw damaged(`${file.path} is not what it was`);
  }
  const database = join(directory, embedded.file);
  const faults = embedded.faults(database);
  if (faults.length > 0) throw damaged(faults.join('; '));
  const differing = Object.entries(countsIn(database)).find(
    ([name, value]) => manifest[name as keyof Manifest] !== value,
  );
  if (differing !== undefined) throw damaged(`its manifest is wrong about ${differing[0]}`);
  const accounted = new Set([
    ...manifest.files.map(({ path }) => path),
    ...manifest.missing_blobs.map(embedded.blobPath),
  ]);
  const absent = embedded.blobs(database).filter(sha256 => !accounted.has(embedded.blobPath(sha256)));
  if (absent.length > 0) throw damaged(`bytes of artifacts are not there: ${absent.join(', ')}`);
  const { files, missing_blobs, format: _, ...rest } = manifest;
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return { directory, ...rest, files: files.length, bytes, missing_blobs: missing_blobs.length };
}

/** Copies a file, readable by its owner alone and on disk when this resolves; answers what was copied. */
export async function copyFile(from: string, to: string): Promise<Omit<BackupFile, 'path'>> {
  await mkdir(dirname(to), { recursive: true, mode: 0o700 });
  return await digestOf(from, createWriteStream(to, { mode: 0o600, flags: 'wx', flush: true }));
}

/** Refuses settings of a store these commands do not serve. */
export function refuseSharedStore({ databaseUrl }: Config, hint: string): void {
  if (databaseUrl === null) return;
  throw new DomainError('invalid_request', 'backup and restore serve the embedded database only', {
    details: { hint },
  });
}

/** Does what touches files, telling a system's refusal in words; a `DomainError` passes as it is. */
export async function told<Answer>(what: string, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof Error) || !('syscall' in cause)) throw cause;
    throw new DomainError('unavailable', `${what}: ${cause.message}`, { cause });
  }
}

interface StoreCopy {
  readonly files: readonly BackupFile[];
  readonly missing: readonly string[];
}

/** Copies the database and the bytes of the artifacts it names. */
async function copyStore(source: string, target: string): Promise<StoreCopy> {
  const live = join(source, embedded.file);
  const copy = join(target, embedded.file);
  const tried = new Map<string, BackupFile | null>();
  for (let copies = 1; ; copies++) {
    await embedded.copy(live, copy);
    await chmod(copy, 0o600);
    const named = embedded.blobs(copy);
    for (const sha256 of named)
      if (!tried.has(sha256)) tried.set(sha256, await copyBlob(source, target, sha256));
    const missing = named.filter(sha256 => tried.get(sha256) === null);
    const stillNamed = new Set(missing.length === 0 ? [] : embedded.blobs(live));
    if (copies < COPIES_MAX && missing.some(sha256 => !stillNamed.has(sha256))) {
      await rm(copy);
      continue;
    }
    const wanted = new Set(named);
    for (const sha256 of tried.keys())
      if (!wanted.has(sha256)) await rm(join(target, embedded.blobPath(sha256)), { force: true });
    const blobs = named.flatMap(sha256 => tried.get(sha256) ?? []);
    return { files: [{ path: embedded.file, ...(await digestOf(copy)) }, ...blobs], missing };
  }
}

/** Null where the bytes are gone, or are not those of the digest any more. */
async function copyBlob(source: string, target: string, sha256: string): Promise<BackupFile | null> {
  const path = embedded.blobPath(sha256);
  try {
    const copied = await copyFile(join(source, path), join(target, path));
    if (copied.sha256 === sha256) return { path, ...copied };
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
  await rm(join(target, path), { force: true });
  return null;
}

/** Copies the files beside the database; credentials are there unless all are configured. */
async function copySingles(source: string, target: string, settingsFile?: string): Promise<BackupFile[]> {
  const credentials = join(source, CREDENTIALS_FILE);
  const singles = [
    [join(source, KEYS_FILE), KEYS_FILE],
    ...(existsSync(credentials) ? [[credentials, CREDENTIALS_FILE]] : []),
    ...(settingsFile === undefined ? [] : [[settingsFile, SETTINGS_FILE]]),
  ];
  const files: BackupFile[] = [];
  for (const [from = '', path = ''] of singles)
    files.push({ path, ...(await copyFile(from, join(target, path))) });
  return files;
}

/** Reads a file to its end, passing its bytes on. */
async function digestOf(path: string, onward?: Writable): Promise<Omit<BackupFile, 'path'>> {
  const hash = createHash('sha256');
  let bytes = 0;
  const measure = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      hash.update(chunk);
      bytes += chunk.length;
      yield chunk;
    }
  };
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  await pipeline(createReadStream(path), measure, onward ?? nowhere);
  return { bytes, sha256: hash.digest('hex') };
}
