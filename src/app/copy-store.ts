// Moving a grown single node into PostgreSQL: all that the embedded store holds, live tasks and history alike, while nobody serves
// from it. The store it comes from is only read; the bytes of artifacts stay where they are.

import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { DomainError } from '../domain/errors.ts';
import type { TransferOutcome, TransferProgress } from '../store/transfer.ts';
import { CREDENTIALS_FILE, KEYS_FILE } from './credentials.ts';
import { embedded, isPostgresUrl, remote } from './registry.ts';

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
  /** Digests whose bytes are not in the database, and where they are. */
  readonly blobs: number;
  readonly blobs_missing: number;
  readonly blobs_stay_in: string;
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
  options: { readonly pooled: boolean; readonly onProgress?: (progress: TransferProgress) => void },
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
      const outcome = await remote.receive(source, { url, ...options });
      const { schemaVersion, tables, altered } = outcome;
      const isThere = (file: string): boolean => existsSync(join(dataDir, file));
      return {
        from: path,
        to: withoutPassword(url),
        schema_version: schemaVersion,
        rows: tables.reduce((sum, { rows }) => sum + rows, 0),
        tables,
        altered,
        blobs: digests.length,
        blobs_missing: digests.filter(sha256 => !isThere(embedded.blobPath(sha256))).length,
        blobs_stay_in: join(dataDir, 'blobs'),
        keys_in: [KEYS_FILE, CREDENTIALS_FILE].filter(isThere).map(file => join(dataDir, file)),
      };
    } finally {
      source.close();
    }
  } finally {
    unlock();
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
