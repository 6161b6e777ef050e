// The entries of inboxes and whose turn they are. Entries of one inbox, lane and priority form a line; `turn` is set on the first
// of them that waits, once its time has come, to whoever may take it. All else has none, so that what waits behind another, for
// its time, or for a reader that holds the lane, is never looked at by those who take, however much it is.

import type { Boxes } from './boxes.ts';
import type { Connection, Prepared } from './connection.ts';
import { type Entry, Held, type HeldEntry } from './held.ts';
import { Lines } from './lines.ts';
import { Sequence } from './sequences.ts';

/** An entry that waits, and whose turn it is to take it. */
export type WaitingEntry = Entry & { readonly turn: string | null };

/** An entry to put into an inbox. */
export interface NewRow extends Omit<Entry, 'entry' | 'attempt' | 'since'> {
  readonly notBefore: number | null;
  readonly held: { readonly by: string; readonly ms: number } | null;
}

/** An entry that was given to a reader. */
export interface Holding {
  readonly held: HeldEntry;
  /** Others of its lane may be taken now, by whom they could not before, or no more. */
  readonly turnsChanged: boolean;
}

type Row = Entry & {
  readonly notBefore: number | null;
  readonly reader: string | null;
  readonly visibleUntil: number | null;
  readonly turn: string | null;
};

const columns = (of: string): string =>
  `${of}.box, ${of}.lane, ${of}.priority, ${of}.entry, ${of}.mail, ${of}.cause, ${of}.attempt, ${of}.since,
  ${of}.expires_at AS expiresAt, ${of}.not_before AS notBefore, ${of}.reader, ${of}.visible_until AS visibleUntil, ${of}.turn`;
const COLUMNS = columns('inbox');
const KEY = 'box = ? AND lane = ? AND priority = ? AND entry = ?';

/** The entries of all inboxes. */
export class Inboxes {
  readonly held: Held;
  readonly #connection: Connection;
  readonly #boxes: Boxes;
  readonly #lines: Lines;
  readonly #ids: Sequence;
  readonly #insert: Prepared<object>;
  readonly #delete: Prepared<object>;
  readonly #hold: Prepared<object>;
  readonly #prolong: Prepared<object>;
  readonly #free: Prepared<object>;
  readonly #ripen: Prepared<object>;
  readonly #turns: Prepared<Row>;
  readonly #answers: Prepared<Row>;
  readonly #ripe: Prepared<Row>;
  readonly #expired: Prepared<Row>;
  readonly #tried: Prepared<Row>;
  readonly #byAttempt: Prepared<Row>;
  readonly #next: Prepared<{ at: number | null }>;

  constructor(connection: Connection, boxes: Boxes) {
    this.#connection = connection;
    this.#boxes = boxes;
    this.held = new Held(connection);
    this.#lines = new Lines(connection, { boxes, held: this.held });
    this.#ids = new Sequence(connection, 'inbox');
    this.#insert = connection.prepare(
      `INSERT INTO inbox (box, lane, priority, entry, mail, cause, attempt, since, not_before, expires_at, reader,
         visible_until, turn) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    this.#delete = connection.prepare(`DELETE FROM inbox WHERE ${KEY}`);
    this.#hold = connection.prepare(
      `UPDATE inbox SET attempt = ?, reader = ?, visible_until = ?, not_before = NULL, turn = NULL WHERE ${KEY}`,
    );
    this.#prolong = connection.prepare(`UPDATE inbox SET visible_until = ? WHERE ${KEY}`);
    this.#free = connection.prepare(
      `UPDATE inbox SET attempt = ?, reader = ?, visible_until = NULL, not_before = ?, turn = NULL WHERE ${KEY}`,
    );
    this.#ripen = connection.prepare(`UPDATE inbox SET not_before = NULL WHERE ${KEY}`);
    this.#turns = connection.prepare(
      `SELECT ${COLUMNS} FROM inbox INDEXED BY inbox_turn WHERE box = ? AND turn = ? ORDER BY priority, entry LIMIT +?`,
    );
    // Few messages answer one, and each has few copies.
    this.#answers = connection.prepare(
      `SELECT ${columns('i')} FROM mail m CROSS JOIN inbox i INDEXED BY inbox_mail ON i.mail = m.position
       WHERE m.reply_to = ?2 AND m.tenant = ?3 AND i.box IN (SELECT value FROM json_each(?1))
         AND i.visible_until IS NULL AND i.not_before IS NULL AND (i.expires_at IS NULL OR i.expires_at > ?4)
       ORDER BY i.entry LIMIT +?5`,
    );
    this.#ripe = connection.prepare(
      `SELECT ${COLUMNS} FROM inbox WHERE not_before IS NOT NULL AND not_before <= ? ORDER BY not_before LIMIT +?`,
    );
    this.#expired = connection.prepare(
      `SELECT ${COLUMNS} FROM inbox INDEXED BY inbox_expires
       WHERE expires_at IS NOT NULL AND visible_until IS NULL AND expires_at <= ? ORDER BY expires_at LIMIT +?`,
    );
    this.#tried = connection.prepare(
      `SELECT ${COLUMNS} FROM inbox INDEXED BY inbox_tried
       WHERE attempt > 0 AND visible_until IS NULL AND attempt >= ? ORDER BY attempt DESC LIMIT +?`,
    );
    this.#byAttempt = connection.prepare(
      `SELECT ${COLUMNS} FROM inbox INDEXED BY inbox_tried
       WHERE attempt > 0 AND visible_until IS NULL AND attempt = ? AND entry = ?`,
    );
    this.#next = connection.prepare(
      `SELECT min(at) AS at FROM (
         SELECT min(not_before) AS at FROM inbox WHERE not_before IS NOT NULL
         UNION ALL
         SELECT min(expires_at) FROM inbox WHERE expires_at IS NOT NULL AND visible_until IS NULL)`,
    );
    this.held.load(heldIn(connection));
  }

  /** Puts an entry at the end of its line; answers its number and deliveries. */
  put(row: NewRow): { readonly entry: number; readonly attempt: number } {
    const { now } = this.#connection;
    const { box, lane, priority, mail, cause, expiresAt } = row;
    const entry = this.#ids.next();
    const attempt = row.held === null ? 0 : 1;
    const reader = row.held?.by ?? null;
    const visibleUntil = row.held === null ? null : now + row.held.ms;
    const notBefore =
      row.held === null && row.notBefore !== null && row.notBefore > now ? row.notBefore : null;
    const turn = row.held === null ? this.#lines.enter({ ...row, entry, notBefore }) : null;
    this.#insert.run(
      ...[box, lane, priority, entry, mail, cause, attempt, now],
      ...[notBefore, expiresAt, reader, visibleUntil, turn],
    );
    this.#boxes.count(box, 1);
    if (reader !== null && visibleUntil !== null) {
      const held = { box, lane, priority, entry, mail, cause, attempt, since: now, expiresAt };
      this.held.set({ ...held, reader, visibleUntil });
      this.#lines.arrange(row);
    }
    return { entry, attempt };
  }

  /** The first entries of an inbox's lines whose turn that is, the most urgent and oldest first. */
  turns(box: number, turn: string, limit: number): readonly WaitingEntry[] {
    return this.#turns.all(box, turn, limit);
  }

  /** Gives an entry that waits to a reader, as it is held then; what stands behind it in its line is next, and whose turn that is may have changed. */
  hold(entry: WaitingEntry, by: Pick<HeldEntry, 'reader' | 'visibleUntil' | 'attempt'>): Holding {
    this.#lines.leave(entry);
    this.#hold.run(by.attempt, by.reader, by.visibleUntil, ...keyOf(entry));
    const held = heldBy(entry, by);
    this.held.set(held);
    return { held, turnsChanged: this.#lines.arrange(entry) };
  }

  /** Lets a reader keep what it holds until another instant. */
  prolong(entry: HeldEntry, visibleUntil: number): void {
    this.#prolong.run(visibleUntil, ...keyOf(entry));
    this.held.set({ ...entry, visibleUntil });
  }

  /** Puts an entry back to its place, to be taken from an instant on, with so many deliveries behind it; null forgets who held it. */
  putBack(
    entry: Entry,
    now: { readonly attempt: number; readonly notBefore: number | null; readonly reader: string | null },
  ): void {
    const notBefore = now.notBefore !== null && now.notBefore > this.#connection.now ? now.notBefore : null;
    this.#lines.comeBack({ ...entry, notBefore });
    this.#free.run(now.attempt, now.reader, notBefore, ...keyOf(entry));
    this.#drop(entry);
    this.#lines.arrange(entry);
  }

  /** Takes an entry out of its inbox. */
  remove(entry: Entry): void {
    this.#lines.leave(entry);
    this.#delete.run(...keyOf(entry));
    this.#boxes.count(entry.box, -1);
    this.#drop(entry);
    this.#lines.arrange(entry);
  }

  /** Lets those whose time has come have their turn, at most `limit`; answers who. */
  ripen(limit: number): readonly Entry[] {
    const ripe = this.#ripe.all(this.#connection.now, limit);
    for (const entry of ripe) {
      this.#lines.comeBack({ ...entry, notBefore: null });
      this.#ripen.run(...keyOf(entry));
      this.#lines.arrange(entry);
    }
    return ripe;
  }

  /** What waits of the answers to a message, whatever stands before them, oldest first. */
  answers(
    boxes: readonly number[],
    to: { readonly tenant: string; readonly message: string },
    limit: number,
  ): readonly WaitingEntry[] {
    return this.#answers.all(JSON.stringify(boxes), to.message, to.tenant, this.#connection.now, limit);
  }

  /** Entries that wait and have expired. */
  expired(limit: number): readonly Entry[] {
    return this.#expired.all(this.#connection.now, limit);
  }

  /** Entries that wait with so many deliveries behind them. */
  tried(attempts: number, limit: number): readonly Entry[] {
    return this.#tried.all(attempts, limit);
  }

  /** The entry that was put back after that delivery to that reader and waits still. */
  returned(entry: number, attempt: number, reader: string): WaitingEntry | null {
    const row = this.#byAttempt.get(attempt, entry);
    return row === undefined || row.reader !== reader ? null : row;
  }

  /** When the next is ripe, overdue or expired. */
  get nextDueAt(): number | null {
    const next = this.#next.get()?.at ?? null;
    const overdue = this.held.nextOverdueAt;
    return next === null || overdue === null ? (next ?? overdue) : Math.min(next, overdue);
  }

  #drop({ entry }: Entry): void {
    const held = this.held.get(entry);
    if (held !== undefined) this.held.drop(held);
  }
}

/** Field by field: an entry comes as a row of the database, which to spread costs more than to read. */
function heldBy(
  { box, lane, priority, entry, mail, cause, since, expiresAt }: Entry,
  { attempt, reader, visibleUntil }: Pick<HeldEntry, 'reader' | 'visibleUntil' | 'attempt'>,
): HeldEntry {
  return { box, lane, priority, entry, mail, cause, attempt, since, expiresAt, reader, visibleUntil };
}

function heldIn(connection: Connection): readonly HeldEntry[] {
  return connection.prepare<HeldEntry>(`SELECT ${COLUMNS} FROM inbox WHERE visible_until IS NOT NULL`).all();
}

function keyOf({ box, lane, priority, entry }: Entry): [number, string, number, number] {
  return [box, lane, priority, entry];
}
