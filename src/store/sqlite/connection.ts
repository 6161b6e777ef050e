// One SQLite database, its transactions and prepared statements. A transaction also covers what is kept in memory beside the
// database: whoever changes such state registers how to undo it.

import type { DatabaseSync } from 'node:sqlite';
import type { Clock } from '../../runtime/clock.ts';
import { storeError } from './errors.ts';

/** A value SQLite can hold. */
export type Value = string | number | null;

/** A prepared statement that says what its rows look like. */
export interface Prepared<Row extends object> {
  get(...values: Value[]): Row | undefined;
  all(...values: Value[]): Row[];
  run(...values: Value[]): { readonly changes: number; readonly lastInsertRowid: number };
}

/** Called around each commit; throwing `before` undoes the transaction, throwing `after` only loses its answer. */
export type CommitHook = (moment: 'before' | 'after') => void;

/** A database and the transaction under way on it. */
export class Connection {
  readonly database: DatabaseSync;
  /** The instant of the transaction under way, by the store's clock. */
  now: number;
  readonly #clock: Clock;
  readonly #hook: CommitHook | undefined;
  readonly #statements = new Map<string, object>();
  readonly #flushes: (() => void)[] = [];
  readonly #undo: (() => void)[] = [];
  #failed = false;

  constructor(database: DatabaseSync, clock: Clock, hook?: CommitHook) {
    this.database = database;
    this.#clock = clock;
    this.#hook = hook;
    this.now = clock.now();
  }

  /** The statement for this SQL, compiled once. A limit is bound as `+?`: a bare `LIMIT ?` is planned anew at each value (15 µs). */
  prepare<Row extends object = object>(sql: string): Prepared<Row> {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement as Prepared<Row>;
  }

  /** Registers work to do at the end of every transaction, inside it. */
  beforeCommit(flush: () => void): void {
    this.#flushes.push(flush);
  }

  /** Registers how to undo a change of memory should the transaction not commit. */
  onRollback(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** Adds to a counter kept in memory, for as long as the transaction stands. */
  count<Key>(counts: Map<Key, number>, key: Key, difference: number): void {
    const before = counts.get(key) ?? 0;
    counts.set(key, before + difference);
    this.#undo.push(() => counts.set(key, before));
  }

  /** Runs work outside a transaction, at the present instant; it must only read. */
  reading<Answer>(work: () => Answer): Answer {
    this.now = this.#clock.now();
    try {
      return work();
    } catch (error) {
      throw storeError(error);
    }
  }

  /** Runs work that only reads on one state of the database, paying for its locks once. */
  snapshot<Answer>(work: () => Answer): Answer {
    return this.reading(() => {
      this.prepare('BEGIN').run();
      try {
        return work();
      } finally {
        this.prepare('COMMIT').run();
      }
    });
  }

  /** Runs work in one transaction: when this returns it is committed; when it throws nothing happened. */
  transaction<Answer>(work: () => Answer): Answer {
    this.now = this.#clock.now();
    let answer: Answer;
    try {
      this.prepare('BEGIN IMMEDIATE').run();
      answer = work();
      for (const flush of this.#flushes) flush();
      this.#hook?.('before');
      this.prepare('COMMIT').run();
    } catch (error) {
      this.#undoTo(0);
      if (this.database.isTransaction) this.prepare('ROLLBACK').run();
      const known = storeError(error);
      if (known !== error) this.#failed = true;
      throw known;
    }
    this.#undo.length = 0;
    this.#failed = false;
    this.#hook?.('after');
    return answer;
  }

  /** Runs work inside the transaction and takes it back if it answers null. */
  attempt<Answer>(work: () => Answer | null): Answer | null {
    for (const flush of this.#flushes) flush();
    const mark = this.#undo.length;
    this.prepare('SAVEPOINT attempt').run();
    const answer = work();
    if (answer === null) {
      this.prepare('ROLLBACK TO attempt').run();
      this.#undoTo(mark);
    }
    this.prepare('RELEASE attempt').run();
    return answer;
  }

  /** Whether writes succeed: as the last one did or, after a failure, as another one now does. */
  writable(): boolean {
    // Inside a transaction its own commit will tell; should that fail, whoever asked asks again outside.
    if (!this.#failed || this.database.isTransaction) return true;
    const probe = this.prepare('INSERT OR REPLACE INTO sequence (name, reserved) VALUES (?, ?)');
    try {
      this.transaction(() => probe.run('probe', this.now));
      return true;
    } catch {
      return false;
    }
  }

  #undoTo(mark: number): void {
    while (this.#undo.length > mark) this.#undo.pop()?.();
  }
}
