// Which entries of inboxes are held, by whom, and so whose a lane is: all in memory beside the rows, undone with the transaction
// that changed it.

import type { Priority } from '../../domain/priority.ts';
import type { Connection } from './connection.ts';

/** One copy of a message in an inbox. */
export interface Entry {
  readonly box: number;
  readonly lane: string;
  readonly priority: Priority;
  readonly entry: number;
  readonly mail: number;
  readonly cause: string | null;
  readonly attempt: number;
  readonly since: number;
  readonly expiresAt: number | null;
}

/** An entry that a reader holds. */
export interface HeldEntry extends Entry {
  readonly reader: string;
  readonly visibleUntil: number;
}

/** Whose turn it is in a lane: anybody's (`''`), one reader's, or nobody's while several readers hold entries of it. */
export type Turn = string | null;

/** All entries that are held. */
export class Held {
  readonly #connection: Connection;
  readonly #entries = new Map<number, HeldEntry>();
  readonly #ofReader = new Map<string, Set<number>>();
  /** By lane how many entries each reader holds. */
  readonly #lanes = new Map<string, Map<string, number>>();

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Takes up what was held when the database was opened. */
  load(entries: Iterable<HeldEntry>): void {
    for (const entry of entries) this.#add(entry);
  }

  /** Notes that an entry is held; its reader may hold it already, under another instant. */
  set(entry: HeldEntry): void {
    const before = this.#entries.get(entry.entry);
    if (before !== undefined) this.#remove(before);
    this.#add(entry);
    this.#connection.onRollback(() => {
      this.#remove(entry);
      if (before !== undefined) this.#add(before);
    });
  }

  /** Notes that an entry is held no more. */
  drop(entry: HeldEntry): void {
    this.#remove(entry);
    this.#connection.onRollback(() => this.#add(entry));
  }

  /** The entry, where it is held. */
  get(entry: number): HeldEntry | undefined {
    return this.#entries.get(entry);
  }

  /** Whose turn it is in a lane. */
  turnOf(box: number, lane: string): Turn {
    const readers = this.#lanes.get(laneKey(box, lane));
    if (readers === undefined) return '';
    if (readers.size > 1) return null;
    const [reader = ''] = readers.keys();
    return reader;
  }

  /** What a reader holds, oldest first. */
  ofReader(reader: string): readonly HeldEntry[] {
    return this.#sorted([...(this.#ofReader.get(reader) ?? [])].map(entry => this.#entries.get(entry)));
  }

  /** What was to be given back by an instant, oldest first. */
  overdue(at: number): readonly HeldEntry[] {
    return this.#sorted([...this.#entries.values()].filter(({ visibleUntil }) => visibleUntil <= at));
  }

  /** When the next is overdue. */
  get nextOverdueAt(): number | null {
    let next: number | null = null;
    for (const { visibleUntil } of this.#entries.values())
      if (next === null || visibleUntil < next) next = visibleUntil;
    return next;
  }

  #sorted(entries: readonly (HeldEntry | undefined)[]): readonly HeldEntry[] {
    return entries.filter(entry => entry !== undefined).sort((one, other) => one.entry - other.entry);
  }

  #add(entry: HeldEntry): void {
    this.#entries.set(entry.entry, entry);
    const own = this.#ofReader.get(entry.reader) ?? new Set();
    this.#ofReader.set(entry.reader, own.add(entry.entry));
    const key = laneKey(entry.box, entry.lane);
    const readers = this.#lanes.get(key) ?? new Map<string, number>();
    this.#lanes.set(key, readers.set(entry.reader, (readers.get(entry.reader) ?? 0) + 1));
  }

  #remove(entry: HeldEntry): void {
    this.#entries.delete(entry.entry);
    const own = this.#ofReader.get(entry.reader);
    own?.delete(entry.entry);
    if (own?.size === 0) this.#ofReader.delete(entry.reader);
    const key = laneKey(entry.box, entry.lane);
    const readers = this.#lanes.get(key);
    const count = (readers?.get(entry.reader) ?? 1) - 1;
    if (count > 0) readers?.set(entry.reader, count);
    else readers?.delete(entry.reader);
    if (readers?.size === 0) this.#lanes.delete(key);
  }
}

/** The name of a lane in memory. */
export function laneKey(box: number, lane: string): string {
  return `${box} ${lane}`;
}
