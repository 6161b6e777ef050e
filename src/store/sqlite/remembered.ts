// Rows kept in memory, so many at most, for as long as transactions stand: one that is taken back forgets them all.

import { BoundedMap } from '../../runtime/bounded-map.ts';
import type { Connection } from './connection.ts';

/** What was lately read or written, by its key. */
export class Remembered<Key, Value> {
  readonly #connection: Connection;
  readonly #values: BoundedMap<Key, Value>;
  #isCovered = false;

  /** At most so many values are kept; what was not used for longest goes first. */
  constructor(connection: Connection, most: number) {
    this.#connection = connection;
    this.#values = new BoundedMap(most);
    connection.beforeCommit(() => {
      this.#isCovered = false;
    });
  }

  get(key: Key): Value | undefined {
    return this.#values.get(key);
  }

  /** Keeps a value; inside a transaction alone. */
  set(key: Key, value: Value): void {
    this.changing();
    this.#values.set(key, value);
  }

  delete(key: Key): void {
    this.#values.delete(key);
  }

  /** To be called before a value is changed in place, inside the transaction that changes its row. */
  changing(): void {
    if (this.#isCovered) return;
    this.#isCovered = true;
    this.#connection.onRollback(() => {
      this.#isCovered = false;
      this.#values.clear();
    });
  }
}
