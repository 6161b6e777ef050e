// Numbers that only ever grow, over restarts too: task keys, fencing tokens, event ids. Reserved on disk in blocks, so that the
// next one costs a memory increment; a crash leaves a gap, never a repetition.

import type { Connection, Prepared } from './connection.ts';

const BLOCK = 1_000_000;

/** One growing number. */
export class Sequence {
  readonly #connection: Connection;
  readonly #name: string;
  readonly #reserve: Prepared<object>;
  #next: number;
  #reserved: number;

  constructor(connection: Connection, name: string) {
    this.#connection = connection;
    this.#name = name;
    this.#reserve = connection.prepare('INSERT OR REPLACE INTO sequence (name, reserved) VALUES (?, ?)');
    const row = connection
      .prepare<{ reserved: number }>('SELECT reserved FROM sequence WHERE name = ?')
      .get(name);
    this.#reserved = row?.reserved ?? 1;
    this.#next = this.#reserved;
  }

  /** The next number; call only inside a transaction. */
  next(): number {
    if (this.#next === this.#reserved) {
      const before = this.#reserved;
      this.#reserved += BLOCK;
      this.#reserve.run(this.#name, this.#reserved);
      this.#connection.onRollback(() => {
        this.#reserved = before;
        this.#next = before;
      });
    }
    const number = this.#next;
    this.#next += 1;
    return number;
  }
}
