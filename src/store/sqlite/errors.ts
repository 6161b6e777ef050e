// What SQLite's errors mean to a caller: which of them say that the database cannot be used, and what to do about it.

import { DomainError } from '../../domain/errors.ts';

const HINTS: Readonly<Record<number, string>> = {
  5: 'the database is locked by another process; stop it and try again',
  8: 'the database cannot be written; check the owner and permissions of its directory and files',
  10: 'the disk reported an error; check it, then restart',
  11: 'the database is damaged; restore a backup',
  13: 'the disk is full; free some space',
  14: 'the database cannot be opened; check that its directory exists and may be written',
  26: 'the file is not a Batuta database; choose another path or restore a backup',
};

/** The error as the port promises it: `unavailable` with a hint where the database is at fault, else the error itself. */
export function storeError(error: unknown): unknown {
  const code = resultCode(error);
  const hint = code === null ? undefined : HINTS[code];
  if (code === null || hint === undefined) return error;
  return new DomainError('unavailable', `the store is unavailable: ${hint}`, {
    details: { sqlite_code: code },
    cause: error,
  });
}

/** SQLite's primary result code, or null for any other error. */
export function resultCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error) || typeof error.errcode !== 'number') return null;
  return error.errcode & 0xff;
}

/** What a call is answered when there is nothing left to run it. */
export function closed(cause?: unknown): DomainError {
  if (cause === undefined) return new DomainError('unavailable', 'the store is closed');
  const why = cause instanceof Error ? cause.message : String(cause);
  return new DomainError('unavailable', `the store failed: ${why}`, { cause });
}
