// Rows of one table on their way in, many to a statement: sixteen in one cost a quarter less than one by one. They reach the
// database before the transaction commits, and before anyone who flushes reads.

import type { Connection, Prepared, Value } from './connection.ts';

/** How many rows a statement may take, largest first. */
const SIZES = [16, 4, 1] as const;

/** Gathers rows within a transaction. */
export class RowBuffer {
  readonly #connection: Connection;
  readonly #width: number;
  readonly #inserts: readonly { readonly values: number; readonly statement: Prepared<object> }[];
  readonly #waiting: Value[] = [];

  constructor(connection: Connection, table: string, columns: readonly string[]) {
    this.#connection = connection;
    this.#width = columns.length;
    const row = `(${columns.map(() => '?').join(', ')})`;
    this.#inserts = SIZES.map(rows => ({
      values: rows * columns.length,
      statement: connection.prepare(
        `INSERT INTO ${table} (${columns.join(', ')}) VALUES ${Array.from({ length: rows }, () => row).join(', ')}`,
      ),
    }));
    connection.beforeCommit(() => this.flush());
  }

  /** Adds a row; its values in the order of the columns. */
  add(...values: readonly Value[]): void {
    if (this.#waiting.length === 0) {
      this.#connection.onRollback(() => {
        this.#waiting.length = 0;
      });
    }
    this.#waiting.push(...values);
    if (this.#waiting.length === SIZES[0] * this.#width) this.flush();
  }

  /** Inserts what waits. */
  flush(): void {
    let at = 0;
    for (const { values, statement } of this.#inserts) {
      for (; this.#waiting.length - at >= values; at += values) {
        statement.run(...this.#waiting.slice(at, at + values));
      }
    }
    this.#waiting.length = 0;
  }
}
