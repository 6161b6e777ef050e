// One process per database. The lock is the operating system's, taken through SQLite on a file of its own: it falls with the
// process that holds it, so a crash leaves nothing stale, and readers of the database itself are not shut out.

import { DatabaseSync } from 'node:sqlite';
import { DomainError } from '../../domain/errors.ts';
import { resultCode, storeError } from './errors.ts';

const BUSY = 5;

/** Locks for as long as this process lives or until the answer is called; throws `unavailable` where another holds the lock. */
export function lockFile(path: string): () => void {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(path, { timeout: 0 });
    lock.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    lock?.close();
    if (resultCode(error) !== BUSY) throw storeError(error);
    throw new DomainError('unavailable', 'the database is open in another process; stop that one first', {
      details: { lock: path },
      cause: error,
    });
  }
  const held = lock;
  return () => {
    if (held.isOpen) held.close();
  };
}
