// Moving a grown single node into PostgreSQL: all that the embedded store holds, live tasks and history alike, while nobody serves
// from it. The store it comes from is only read. The bytes of artifacts go where the nodes will look for them.

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DomainError } from '../domain/errors.ts';
import { type Random, systemRandom } from '../runtime/random.ts';
import type { Blobs } from '../store/blobs.ts';
import type { TransferOutcome, TransferProgress } from '../store/transfer.ts';
import type { Config } from './config.ts';
import { CREDENTIALS_FILE, KEYS_FILE } from './credentials.ts';
import { embedded, isPostgresUrl, openBlobs, remote } from './registry.ts';

/** What was copied. */
export interface CopyReport {
  readonly from: string;
  /** Without the password. */
  readonly to: string;
  readonly schema_version: number;
  readonly rows: number;
  readonly tables: TransferOutcome['tables'];
  /** Values that PostgreSQL cannot hold as they were (the character zero), by table. */
  readonly altered: TransferOutcome['altered'];
  /** Digests of artifacts, how many of them have no bytes any more, and where the bytes stay unless they went along. */
  readonly blobs: number;
  readonly blobs_missing: number;
  readonly blobs_stay_in: string | null;
  /** What else the nodes need from there. */
  readonly keys_in: readonly string[];
}

/** From where to where, as the command line words it. */
export interface CopyRoute {
  /** `sqlite:` and a data directory, or the database's file in it. */
  readonly from: string;
  /** A `postgres://` URL, with or without `postgres:` before it. */
  readonly to: string;
}

/**
 * Copies everything, or nothing. Throws `invalid_request` for a route it does not know, `unavailable` while a server has the source
 * open, `conflict` where the target is not empty.
 */
export async function copyStore(
  route: CopyRoute,
  settings: Config,
  onProgress: (progress: TransferProgress) => void = () => {},
  random: Random = systemRandom,
): Promise<CopyReport> {
  const dataDir = sourceOf(route.from);
  const url = targetOf(route.to);
  const path = join(dataDir, embedded.file);
  if (!existsSync(path)) throw new DomainError('not_found', `there is no database in ${dataDir}`);
  const unlock = embedded.lock(dataDir);
  try {
    const source = embedded.source(path);
    try {
      const digests = embedded.blobs(path);
      const bytes = new Bytes({ ...settings, dataDir, databaseUrl: url }, random);
      const before = (): Promise<void> => bytes.move(digests, onProgress);
      const reach = { url, pooled: settings.databasePooled };
      const outcome = await remote
        .receive(source, { ...reach, before, onProgress })
        .catch(error => bytes.takeBack().then(() => Promise.reject(error)));
      await bytes.stop();
      const { schemaVersion, tables, altered } = outcome;
      const keys = [KEYS_FILE, CREDENTIALS_FILE].map(file => join(dataDir, file));
      return {
        from: path,
        to: withoutPassword(url),
        schema_version: schemaVersion,
        rows: tables.reduce((sum, { rows }) => sum + rows, 0),
        tables,
        altered,
        blobs: digests.length,
        blobs_missing: bytes.missing,
        blobs_stay_in: bytes.stay ? join(dataDir, 'blobs') : null,
        keys_in: keys.filter(file => existsSync(file)),
      };
    } finally {
      source.close();
    }
  } finally {
    unlock();
  }
}

/** The bytes of artifacts on their way from files to where the nodes look for them, which may be those files. */
class Bytes {
  readonly stay: boolean;
  missing = 0;
  readonly #settings: Config;
  readonly #random: Random;
  readonly #moved: string[] = [];
  #target: Blobs | null = null;

  constructor(settings: Config, random: Random) {
    this.#settings = settings;
    this.#random = random;
    this.stay = settings.blobs === 'files';
  }

  /** Writes what is there; bytes that are gone, or not those of their digest any more, stay behind and are counted. */
  async move(digests: readonly string[], onProgress: (progress: TransferProgress) => void): Promise<void> {
    const source = await openBlobs({ ...this.#settings, databaseUrl: null, blobs: 'files' }, this.#random);
    try {
      if (!this.stay) this.#target = await openBlobs(this.#settings, this.#random);
      for (const [index, sha256] of digests.entries()) {
        const bytes = await source.read(sha256).catch(error => {
          if (error instanceof DomainError && error.code === 'not_found') return null;
          throw error;
        });
        if (bytes === null) this.missing += 1;
        else if (this.#target === null) bytes.destroy();
        else {
          const written = await this.#target.write(bytes, Number.MAX_SAFE_INTEGER);
          this.#moved.push(written.sha256);
          if (written.sha256 !== sha256) this.missing += 1;
        }
        onProgress({ table: 'blob', rows: index + 1, of: digests.length });
      }
      const wanted = new Set(digests);
      await this.#remove(this.#moved.filter(sha256 => !wanted.has(sha256)));
    } finally {
      await source.stop();
    }
  }

  /** Removes again what was written: nobody refers to it. */
  async takeBack(): Promise<void> {
    await this.#remove(this.#moved).catch(() => {});
    await this.stop();
  }

  /** Lets go of the target. */
  async stop(): Promise<void> {
    await this.#target?.stop();
  }

  async #remove(freed: readonly string[]): Promise<void> {
    if (freed.length > 0) await this.#target?.removeFreed(async () => ({ freed }));
  }
}

function sourceOf(from: string): string {
  const path = /^sqlite:(.+)$/.exec(from)?.[1];
  if (path === undefined)
    throw unknown('--from', from, 'sqlite: and the data directory of the node, as sqlite:/var/lib/batuta');
  const whole = resolve(path.replace(/^\/\/(?=\/)/, ''));
  const isDirectory = statSync(whole, { throwIfNoEntry: false })?.isDirectory() === true;
  return !isDirectory && basename(whole) === embedded.file ? dirname(whole) : whole;
}

function targetOf(to: string): string {
  const url = to.replace(/^postgres(?:ql)?:(?=postgres(?:ql)?:\/\/)/, '');
  if (!isPostgresUrl(url))
    throw unknown('--to', withoutPassword(url), 'a URL such as postgres://batuta@db.internal/batuta');
  return url;
}

function unknown(flag: string, value: string, hint: string): DomainError {
  return new DomainError('invalid_request', `there is no copying ${flag.slice(2)} ${value}`, {
    details: { setting: flag, hint },
  });
}

/** A URL that may be shown. */
export function withoutPassword(url: string): string {
  if (!URL.canParse(url)) return url;
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  return shown.href;
}
