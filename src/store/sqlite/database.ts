// Opening a SQLite file: who may, with which settings, and bringing its schema up to date. Every reason why it cannot be used
// becomes `unavailable` with a hint.

import { existsSync, renameSync, rmSync, statSync } from 'node:fs';
import { backup, DatabaseSync } from 'node:sqlite';
import { DomainError } from '../../domain/errors.ts';
import { storeError } from './errors.ts';
import { lockFile } from './lock.ts';
import { MIGRATIONS } from './migrations/migrations.ts';

/** A database ready for use. */
export interface OpenDatabase {
  readonly database: DatabaseSync;
  readonly schemaVersion: number;
  /** Size of the database and its write-ahead log. */
  bytes(): number;
  /** Pages in the write-ahead log. */
  logPages(): number;
  /** Brings what is in the log into the database, as far as readers allow, and has the disk keep it. */
  checkpoint(): CheckpointReach;
  /** Idempotent. */
  close(): void;
}

/** How far a checkpoint came: all of the log is in the database where both are equal. */
export interface CheckpointReach {
  readonly logPages: number;
  readonly donePages: number;
}

/** Marks a file as Batuta's ('Batu'). */
export const APPLICATION_ID = 0x42617475;

const SETTINGS = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA foreign_keys = OFF;
  PRAGMA cache_size = -32768;
  PRAGMA temp_store = MEMORY;
  PRAGMA wal_autocheckpoint = 4000;
  PRAGMA journal_size_limit = 67108864;
`;

/** With NORMAL a commit only writes the log, and checkpoints still sync: the durability of FULL once the log is synced. */
const UNSYNCED = 'PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0';

/**
 * Opens or makes the database at a path (or `:memory:`), for this process alone. `unsynced`: the opener syncs and checkpoints the
 * log; else every commit is on disk when it returns.
 */
export function openDatabase(
  path: string,
  { unsynced = false }: { readonly unsynced?: boolean } = {},
): OpenDatabase {
  const inMemory = path === ':memory:';
  const unlock = inMemory ? () => {} : lockFile(`${path}.lock`);
  let database: DatabaseSync | undefined;
  try {
    if (!inMemory) refuseOrphanedLog(path);
    database = new DatabaseSync(path, { timeout: 5_000 });
    const schemaVersion = prepare(database);
    if (unsynced) database.exec(UNSYNCED);
    return opened(database, { path, inMemory, schemaVersion, unlock });
  } catch (error) {
    database?.close();
    unlock();
    throw storeError(error);
  }
}

/** Opens a second connection to a database that is open, for reading and checkpoints; it sees what is committed when it asks. */
export function openForReading(path: string): OpenDatabase {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: 5_000 });
    database.exec(
      'PRAGMA query_only = ON; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -4096; PRAGMA temp_store = MEMORY',
    );
    return opened(database, { path, inMemory: false, schemaVersion: MIGRATIONS.length, unlock: () => {} });
  } catch (error) {
    database?.close();
    throw storeError(error);
  }
}

function opened(
  database: DatabaseSync,
  about: {
    readonly path: string;
    readonly inMemory: boolean;
    readonly schemaVersion: number;
    readonly unlock: () => void;
  },
): OpenDatabase {
  const pages = database.prepare('PRAGMA page_count');
  const pageSize = numberOf(database, 'PRAGMA page_size');
  const reach = (mode: 'NOOP' | 'PASSIVE'): CheckpointReach => {
    const row = database.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
    return { logPages: Number(row?.log), donePages: Number(row?.checkpointed) };
  };
  return {
    database,
    schemaVersion: about.schemaVersion,
    logPages: () => reach('NOOP').logPages,
    checkpoint: () => reach('PASSIVE'),
    bytes() {
      const log = about.inMemory ? undefined : statSync(`${about.path}-wal`, { throwIfNoEntry: false });
      return Number(Object.values(pages.get() ?? {})[0] ?? 0) * pageSize + (log?.size ?? 0);
    },
    close() {
      if (database.isOpen) database.close();
      about.unlock();
    },
  };
}

function prepare(database: DatabaseSync): number {
  const application = numberOf(database, 'PRAGMA application_id');
  const tables = numberOf(database, 'SELECT count(*) FROM sqlite_schema');
  if (tables > 0 && application !== APPLICATION_ID) {
    throw new DomainError('unavailable', 'the file is a database of another program; choose another path');
  }
  const version = numberOf(database, 'PRAGMA user_version');
  if (version > MIGRATIONS.length) {
    throw new DomainError(
      'unavailable',
      `the database has schema ${version}, this program knows up to ${MIGRATIONS.length}; use the newer program`,
      { details: { schema: version, known: MIGRATIONS.length } },
    );
  }
  database.exec(SETTINGS);
  for (const [index, sql] of MIGRATIONS.entries()) {
    if (index < version) continue;
    database.exec('BEGIN IMMEDIATE');
    database.exec(sql);
    database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${index + 1}`);
    database.exec('COMMIT');
  }
  return MIGRATIONS.length;
}

/** SQLite would silently discard the committed content of a write-ahead log whose database is gone. */
function refuseOrphanedLog(path: string): void {
  const log = statSync(`${path}-wal`, { throwIfNoEntry: false });
  const file = statSync(path, { throwIfNoEntry: false });
  if ((file?.size ?? 0) > 0 || (log?.size ?? 0) === 0) return;
  throw new DomainError(
    'unavailable',
    `the database is gone but its write-ahead log is there; put the database back beside ${path}-wal`,
  );
}

/** Writes a consistent copy of what is committed, whole or not at all; rejects with `conflict` where there is a file already. */
export async function writeCopy(database: DatabaseSync, path: string): Promise<void> {
  const partial = `${path}.partial`;
  if (existsSync(path)) throw new DomainError('conflict', `there is already a file at ${path}`);
  try {
    // All pages in one step: a copy in several would start anew whenever a commit comes between them.
    await backup(database, partial, { rate: 0x7fffffff });
    renameSync(partial, path);
  } catch (error) {
    rmSync(partial, { force: true });
    throw storeError(error);
  }
}

function numberOf(database: DatabaseSync, sql: string): number {
  return Number(Object.values(database.prepare(sql).get() ?? {})[0] ?? 0);
}
