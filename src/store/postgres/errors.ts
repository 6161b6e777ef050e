// What PostgreSQL's errors mean to a caller: whether the statement may have happened, whether to try it again, and what to tell.

import { DatabaseError } from 'pg';
import { DomainError } from '../../domain/errors.ts';

/**
 * What became of a statement that failed: `undone` surely did not happen and may be tried again, `unknown` may have happened (the
 * connection broke before its answer), `refused` did not happen and never will.
 */
export type Fate = 'undone' | 'unknown' | 'refused';

/** The database itself says that it took the transaction back for reasons of the moment. */
const UNDONE = new Set([
  '40001', // serialization failure
  '40P01', // deadlock
  '55P03', // lock timeout
  '53300', // too many connections
]);

/** The database is leaving, or the connection is: nobody knows how far the statement came. */
const LEAVING = new Set([
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '08000',
  '08001',
  '08003',
  '08004',
  '08006',
  '08P01',
]);

/** Reasons that are the database's, not the statement's. */
const AT_FAULT: Readonly<Record<string, string>> = {
  '25006': 'the database is read-only; point BATUTA_DATABASE_URL at the primary',
  '28000': 'the database refuses this user; check BATUTA_DATABASE_URL',
  '28P01': 'the database refuses this password; check BATUTA_DATABASE_URL',
  '3D000': 'there is no such database; create it, or correct BATUTA_DATABASE_URL',
  '42501': 'this user may not do that; it needs to own the schema batuta',
  '53100': 'the disk is full; free some space',
  '53200': 'the database is out of memory',
  '53300':
    'the database takes no more connections; raise max_connections or lower BATUTA_DATABASE_CONNECTIONS',
  '55P03': 'a lock was not to be had in time',
  '57014': 'the statement took too long',
};

/** What became of a statement that ended in this error. */
export function fateOf(error: unknown): Fate {
  if (!(error instanceof DatabaseError) || error.code === undefined) return 'unknown';
  if (UNDONE.has(error.code)) return 'undone';
  return LEAVING.has(error.code) ? 'unknown' : 'refused';
}

/** The error as the port promises it: `unavailable` with a hint where the database is at fault, else the error itself. */
export function storeError(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  const code = error instanceof DatabaseError ? (error.code ?? '') : '';
  const hint = AT_FAULT[code];
  if (hint === undefined && fateOf(error) === 'refused') return error;
  return new DomainError(
    'unavailable',
    `the store is unavailable: ${hint ?? 'the database cannot be reached'}`,
    {
      details: { ...(code !== '' && { sqlstate: code }) },
      cause: error,
    },
  );
}
