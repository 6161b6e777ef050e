// What may be done with a database's file from outside the server that has it open, and with a copy of it: copying, looking,
// judging, and making a restored one fit to be served again. Nothing here needs the server's lock.

import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { DomainError } from '../../domain/errors.ts';
import { APPLICATION_ID, openDatabase, writeCopy } from './database.ts';
import { storeError } from './errors.ts';
import { MIGRATIONS } from './migrations/migrations.ts';

/** What is known of a database at a glance. */
export interface DatabaseGlance {
  readonly schemaVersion: number;
  /** What this program would bring the schema to. */
  readonly schemaKnown: number;
  /** Epoch milliseconds; null before anything happened. */
  readonly lastEventAt: number | null;
}

/** What a database holds. */
export interface DatabaseCounts {
  readonly tasks: number;
  /** Tasks that have not ended. */
  readonly active: number;
  /** Tasks an agent holds. */
  readonly running: number;
  readonly events: number;
  readonly artifacts: number;
  readonly deliveriesPending: number;
}

/** Further than any server gets between a backup and its restore: 10^12 numbers are four months of 100,000 a second. */
const LEAP = 1_000_000_000_000;
/** Sequences whose numbers callers keep: workers their fencing tokens, streams and readers their place, receivers their messages. */
const NUMBERS_GIVEN_OUT = ['token', 'event', 'log', 'mail', 'inbox', 'dead_letter'];
const FAULTS_MAX = 20;

const COUNTS = `SELECT
  (SELECT count(*) FROM task) AS tasks,
  (SELECT count(*) FROM task WHERE outcome IS NULL) AS active,
  (SELECT count(*) FROM lease) AS running,
  (SELECT coalesce(sum(count), 0) FROM event) AS events,
  (SELECT count(*) FROM artifact) AS artifacts,
  (SELECT count(*) FROM delivery WHERE status IN ('pending', 'sending')) AS deliveriesPending`;

/** Each answers the ids of what breaks the law it is named for. */
const LAWS: Readonly<Record<string, string>> = {
  'events are missing within the sequence of task': `
    SELECT DISTINCT id FROM (
      SELECT t.id, e.seq, lag(e.seq + e.count, 1, 1) OVER (PARTITION BY e.task ORDER BY e.seq) AS due
      FROM event e JOIN task t ON t.key = e.task WHERE t.purged = 0
    ) WHERE seq <> due`,
  'the last event is not the one the task stands at, of task': `
    SELECT t.id FROM task t LEFT JOIN lease l ON l.task = t.key
    WHERE t.purged = 0 AND coalesce(l.version, t.version) <>
      coalesce((SELECT max(e.seq + e.count - 1) FROM event e WHERE e.task = t.key), 0)`,
  'an event row does not hold as many events as it says, of task': `
    SELECT DISTINCT t.id FROM event e JOIN task t ON t.key = e.task WHERE json_array_length(e.body) <> e.count`,
  'there are events of a task that is not there, of key': `
    SELECT DISTINCT task AS id FROM event WHERE task NOT IN (SELECT key FROM task)`,
  'an entry of an inbox is of a message that is not there, of entry': `
    SELECT entry AS id FROM inbox WHERE mail NOT IN (SELECT position FROM mail)`,
  'the turn is not that of the first entry that waits, of entry': `
    SELECT entry AS id FROM (
      SELECT *, row_number() OVER (PARTITION BY box, lane, priority ORDER BY entry) AS place FROM inbox
      WHERE visible_until IS NULL
    ) i WHERE turn IS NOT CASE WHEN place = 1 AND not_before IS NULL THEN (
      SELECT CASE count(DISTINCT h.reader) WHEN 0 THEN '' WHEN 1 THEN min(h.reader) END FROM inbox h
      WHERE h.box = i.box AND h.lane = i.lane AND h.visible_until IS NOT NULL) END`,
  'a task is both held and waiting': `
    SELECT t.id FROM ready r JOIN lease l ON l.task = r.task JOIN task t ON t.key = r.task`,
};

/** Writes a copy as of one instant, in one file that leaves none beside it when read; the server that has it open goes on serving. */
export async function copyDatabase(from: string, to: string): Promise<void> {
  const source = openToRead(from);
  try {
    await writeCopy(source, to);
  } finally {
    source.close();
  }
  const copy = new DatabaseSync(to);
  try {
    copy.exec('PRAGMA journal_mode = DELETE');
  } catch (error) {
    throw storeError(error);
  } finally {
    copy.close();
  }
}

/** The schema and the last instant of a database; throws `unavailable` for one that is no Batuta database or too new. */
export function glanceAtDatabase(path: string): DatabaseGlance {
  return reading(path, database => {
    const last = database.prepare('SELECT at FROM event ORDER BY id DESC LIMIT 1').get();
    return {
      schemaVersion: numberOf(database, 'PRAGMA user_version'),
      schemaKnown: MIGRATIONS.length,
      lastEventAt: last === undefined ? null : Number(last.at),
    };
  });
}

/** Brings a database to this program's schema, making it where there is none; answers its version. Throws `unavailable` while a server has it open. */
export function migrateDatabase(path: string): number {
  const opened = openDatabase(path);
  opened.close();
  return opened.schemaVersion;
}

/** The digests of all artifacts a database knows, each once. */
export function blobsOfDatabase(path: string): readonly string[] {
  return reading(path, database =>
    database
      .prepare('SELECT DISTINCT sha256 FROM artifact ORDER BY sha256')
      .all()
      .map(row => String(row.sha256)),
  );
}

/** What a database holds. */
export function countInDatabase(path: string): DatabaseCounts {
  return reading(path, database => ({ ...(database.prepare(COUNTS).get() as unknown as DatabaseCounts) }));
}

/** Reads the whole database: pages, indexes, and whether every task's events are there without a gap; answers what is wrong, in words. */
export function faultsInDatabase(path: string): readonly string[] {
  return reading(path, database => {
    const pages = database.prepare(`PRAGMA integrity_check(${FAULTS_MAX})`).all();
    const damage = pages.map(row => String(Object.values(row)[0])).filter(text => text !== 'ok');
    const broken = Object.entries(LAWS).flatMap(([law, sql]) =>
      database
        .prepare(`${sql} LIMIT ${FAULTS_MAX}`)
        .all()
        .map(row => `${law} ${row.id}`),
    );
    return [...damage, ...broken];
  });
}

/**
 * Makes a restored database fit to be served after having slept for so long: indexes are rebuilt, numbers given out before it was
 * lost are never given out again, the sleep does not count as running time of the tasks and messages that were held, and no delivery
 * waits for the sender that died with it.
 */
export function wakeDatabase(path: string, sleptMs: number): void {
  const database = new DatabaseSync(path);
  try {
    database.exec('BEGIN IMMEDIATE; REINDEX');
    const leap = database.prepare(
      `INSERT INTO sequence (name, reserved) VALUES (?1, 1 + ?2)
       ON CONFLICT (name) DO UPDATE SET reserved = reserved + ?2`,
    );
    for (const name of NUMBERS_GIVEN_OUT) leap.run(name, LEAP);
    database.exec(`UPDATE task SET started_at = (SELECT claimed_at FROM lease WHERE task = key)
      WHERE started_at IS NULL AND key IN (SELECT task FROM lease)`);
    database.prepare('UPDATE lease SET claimed_at = claimed_at + ?').run(sleptMs);
    database
      .prepare('UPDATE inbox SET visible_until = visible_until + ? WHERE visible_until IS NOT NULL')
      .run(sleptMs);
    database.exec(`UPDATE delivery SET due_at = created_at, next_at = created_at WHERE status = 'sending'`);
    database.exec('COMMIT');
  } catch (error) {
    throw storeError(error);
  } finally {
    database.close();
  }
}

function reading<Answer>(path: string, read: (database: DatabaseSync) => Answer): Answer {
  const database = openToRead(path);
  try {
    return read(database);
  } catch (error) {
    throw storeError(error);
  } finally {
    database.close();
  }
}

/** Opens a database for reading alone; throws `not_found`, or `unavailable` for one that is no Batuta database or too new. */
export function openToRead(path: string): DatabaseSync {
  if (!existsSync(path)) throw new DomainError('not_found', `there is no database at ${path}`);
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
    refuseStranger(database, path);
    return database;
  } catch (error) {
    database?.close();
    throw storeError(error);
  }
}

function refuseStranger(database: DatabaseSync, path: string): void {
  if (numberOf(database, 'PRAGMA application_id') !== APPLICATION_ID)
    throw new DomainError('unavailable', `${path} is not a Batuta database`);
  const version = numberOf(database, 'PRAGMA user_version');
  if (version <= MIGRATIONS.length) return;
  throw new DomainError(
    'unavailable',
    `${path} has schema ${version}, this program knows up to ${MIGRATIONS.length}; use the newer program`,
    { details: { schema: version, known: MIGRATIONS.length } },
  );
}

function numberOf(database: DatabaseSync, sql: string): number {
  return Number(Object.values(database.prepare(sql).get() ?? {})[0] ?? 0);
}
