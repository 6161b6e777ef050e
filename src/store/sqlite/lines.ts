// The lines of inboxes: the entries of one inbox, lane and priority, in order. Knows of each line the first that waits, and gives it
// the turn: to anybody (`''`), or to the only reader that holds anything of the lane, or to nobody. What it knows of a lane is in
// memory beside the rows, so that most changes look nothing up; whoever changes a row says so before, for a lane that is not known
// is read as it was.

import type { Priority } from '../../domain/priority.ts';
import type { Boxes } from './boxes.ts';
import type { Connection, Prepared } from './connection.ts';
import { type Entry, type Held, laneKey, type Turn } from './held.ts';
import { Remembered } from './remembered.ts';

/** Lanes kept in memory at most. */
const LANES_MAX = 10_000;

/** The first of a line that waits. */
interface First {
  readonly entry: number;
  readonly notBefore: number | null;
  /** What its row says. */
  readonly turn: string | null;
  /** Certainly the only one that waits. */
  readonly isAlone: boolean;
}

type LaneRef = Pick<Entry, 'box' | 'lane'>;

/** Where an entry stands, and from when on it may be taken. */
type Place = Pick<Entry, 'box' | 'lane' | 'priority' | 'entry'> & { readonly notBefore: number | null };

/** The lines of all inboxes. */
export class Lines {
  readonly #boxes: Boxes;
  readonly #held: Held;
  /** Of each lane its lines in which something waits. */
  readonly #lanes: Remembered<string, Map<Priority, First>>;
  readonly #setTurn: Prepared<object>;
  readonly #next: Prepared<Omit<First, 'isAlone'>>;
  readonly #nextPriority: Prepared<{ priority: Priority | null }>;

  constructor(connection: Connection, rooms: { readonly boxes: Boxes; readonly held: Held }) {
    this.#boxes = rooms.boxes;
    this.#held = rooms.held;
    this.#lanes = new Remembered(connection, LANES_MAX);
    this.#setTurn = connection.prepare(
      'UPDATE inbox SET turn = ? WHERE box = ? AND lane = ? AND priority = ? AND entry = ?',
    );
    this.#next = connection.prepare(
      `SELECT entry, not_before AS notBefore, turn FROM inbox
       WHERE box = ? AND lane = ? AND priority = ? AND entry > ? AND visible_until IS NULL ORDER BY entry LIMIT 2`,
    );
    this.#nextPriority = connection.prepare(
      'SELECT min(priority) AS priority FROM inbox WHERE box = ? AND lane = ? AND priority > ?',
    );
  }

  /** Notes an entry that is about to be put at the end of its line; answers whose turn its row is to say. */
  enter({ box, lane, priority, entry, notBefore }: Place): Turn {
    const firsts = this.#of({ box, lane });
    const first = firsts.get(priority);
    if (first !== undefined) {
      if (first.isAlone) firsts.set(priority, { ...first, isAlone: false });
      return null;
    }
    const turn = notBefore === null ? this.#held.turnOf(box, lane) : null;
    firsts.set(priority, { entry, notBefore, turn, isAlone: true });
    return turn;
  }

  /** Notes that an entry is about to wait no more: to be held, or gone. */
  leave({ box, lane, priority, entry }: Omit<Place, 'notBefore'>): void {
    const firsts = this.#of({ box, lane });
    const first = firsts.get(priority);
    if (first?.entry !== entry) return;
    const next = first.isAlone ? undefined : this.#firstOf({ box, lane }, priority, entry);
    if (next === undefined) firsts.delete(priority);
    else firsts.set(priority, next);
  }

  /** Notes that an entry is about to wait at its place, again or for another instant, its row saying that it is nobody's turn. */
  comeBack({ box, lane, priority, entry, notBefore }: Place): void {
    const firsts = this.#of({ box, lane });
    const first = firsts.get(priority);
    if (first !== undefined && first.entry < entry) {
      firsts.set(priority, { ...first, isAlone: false });
      return;
    }
    const isAlone = first === undefined || (first.entry === entry && first.isAlone);
    firsts.set(priority, { entry, notBefore, turn: null, isAlone });
    if (first !== undefined && first.entry > entry && first.turn !== null)
      this.#setTurn.run(null, box, lane, priority, first.entry);
  }

  /**
   * Gives the turn to the first of each line of a lane; to be called after each change of what waits or is held there. Answers whether
   * any changed.
   */
  arrange(ref: LaneRef): boolean {
    const firsts = this.#of(ref);
    if (firsts.size === 0) return false;
    let changed = false;
    const whose = this.#held.turnOf(ref.box, ref.lane);
    for (const [priority, first] of firsts) {
      const turn = first.notBefore === null ? whose : null;
      if (first.turn === turn) continue;
      this.#setTurn.run(turn, ref.box, ref.lane, priority, first.entry);
      firsts.set(priority, { ...first, turn });
      changed = true;
    }
    return changed;
  }

  #of(ref: LaneRef): Map<Priority, First> {
    this.#lanes.changing();
    const key = laneKey(ref.box, ref.lane);
    const known = this.#lanes.get(key);
    if (known !== undefined) return known;
    const firsts = this.#load(ref);
    this.#lanes.set(key, firsts);
    return firsts;
  }

  #load(ref: LaneRef): Map<Priority, First> {
    const firsts = new Map<Priority, First>();
    if (this.#boxes.entries(ref.box) === 0) return firsts;
    let priority = this.#nextPriority.get(ref.box, ref.lane, -1)?.priority ?? null;
    while (priority !== null) {
      const first = this.#firstOf(ref, priority, 0);
      if (first !== undefined) firsts.set(priority, first);
      priority = this.#nextPriority.get(ref.box, ref.lane, priority)?.priority ?? null;
    }
    return firsts;
  }

  #firstOf({ box, lane }: LaneRef, priority: Priority, after: number): First | undefined {
    const [first, second] = this.#next.all(box, lane, priority, after);
    return first === undefined ? undefined : { ...first, isAlone: second === undefined };
  }
}
