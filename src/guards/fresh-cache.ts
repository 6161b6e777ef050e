// A cache that is never a second behind the store, so that what another node changes or revokes counts here in time (`SAM-14`,
// `SAM-20`, `SAM-233`). It goes by age alone, for hints of other nodes may be lost, and reads ahead of it: a busy entry is
// refreshed in the background and nobody waits.

import { Batcher } from '../runtime/batcher.ts';
import { BoundedMap } from '../runtime/bounded-map.ts';
import type { Clock } from '../runtime/clock.ts';

/** Reads the values of the ids that exist. */
export type Load<Value> = (ids: readonly string[]) => Promise<ReadonlyMap<string, Value>>;

interface Entry<Value> {
  readonly value: Value | null;
  readonly readAt: number;
}

const STALE_MS = 900;
const REFRESH_MS = 400;

/** Values by id, each read at most 0.9 s ago; absence is remembered too. Holds at most `entriesMax`. */
export class FreshCache<Value> {
  readonly #clock: Clock;
  readonly #reader: Batcher<string, Value | null>;
  readonly #entries: BoundedMap<string, Entry<Value>>;
  readonly #reading = new Map<string, Promise<Value | null>>();

  constructor(clock: Clock, load: Load<Value>, entriesMax = 10_000) {
    this.#clock = clock;
    this.#entries = new BoundedMap(entriesMax);
    this.#reader = new Batcher<string, Value | null>(async ids => {
      const found = await load([...new Set(ids)]);
      return ids.map(id => found.get(id) ?? null);
    });
  }

  /** The value, or null where there is none; rejects like the store when it must be read and cannot be. */
  async get(id: string): Promise<Value | null> {
    const entry = this.#entries.get(id);
    const age = entry === undefined ? STALE_MS : this.#clock.monotonic() - entry.readAt;
    if (entry === undefined || age >= STALE_MS) return this.#read(id);
    // A failure to read ahead shows when the entry is stale and somebody has to wait for it.
    if (age >= REFRESH_MS) this.#read(id).catch(() => undefined);
    return entry.value;
  }

  /** Makes the next `get` read again, even if a read of it is under way: that one may have seen the old value. */
  forget(id: string): void {
    this.#entries.delete(id);
    this.#reading.delete(id);
  }

  #read(id: string): Promise<Value | null> {
    const running = this.#reading.get(id);
    if (running !== undefined) return running;
    const readAt = this.#clock.monotonic();
    const reading = this.#reader
      .add(id)
      .then(value => {
        if (this.#reading.get(id) === reading) this.#entries.set(id, { value, readAt });
        return value;
      })
      .finally(() => {
        if (this.#reading.get(id) === reading) this.#reading.delete(id);
      });
    this.#reading.set(id, reading);
    return reading;
  }
}
