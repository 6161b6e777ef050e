// What the engine is to be woken for, and when.

import type { TaskKey } from '../../domain/ids.ts';
import type { NewTimer, TimerKind } from '../rows.ts';
import type { TaskRow } from '../task-row.ts';
import type { Connection, Prepared } from './connection.ts';
import { Sequence } from './sequences.ts';
import type { Tasks } from './tasks.ts';

interface TimerRow {
  readonly due: number;
  readonly id: number;
  readonly kind: string;
  readonly task: TaskKey;
}

/** Timers due now with the rows of their tasks. */
export interface DueTimerRows {
  readonly due: readonly { readonly id: number; readonly kind: TimerKind; readonly task: TaskRow }[];
  readonly nextDueInMs: number | null;
}

/** All timers, in order of their due time. */
export class Timers {
  readonly #connection: Connection;
  readonly #ids: Sequence;
  /** When the timers handed out were due: a change names only the id, the rows are keyed by due time first. */
  readonly #handedOut = new Map<number, number>();
  readonly #counts = new Map<'set', number>();
  readonly #insert: Prepared<object>;
  readonly #due: Prepared<TimerRow>;
  readonly #next: Prepared<{ due: number }>;
  readonly #drop: Prepared<object>;
  readonly #find: Prepared<{ due: number }>;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#ids = new Sequence(connection, 'timer');
    this.#insert = connection.prepare('INSERT INTO timer (due, id, kind, task) VALUES (?, ?, ?, ?)');
    this.#due = connection.prepare('SELECT * FROM timer WHERE due <= ? ORDER BY due, id LIMIT +?');
    this.#next = connection.prepare('SELECT due FROM timer WHERE due > ? ORDER BY due LIMIT 1');
    this.#drop = connection.prepare('DELETE FROM timer WHERE due = ? AND id = ?');
    this.#find = connection.prepare('SELECT due FROM timer WHERE due <= ? AND id = ?');
    const row = connection.prepare<{ count: number }>('SELECT count(*) AS count FROM timer').get();
    this.#counts.set('set', row?.count ?? 0);
  }

  /** Sets a timer for a task. */
  set(task: TaskKey, timer: NewTimer): void {
    this.#insert.run(this.#connection.now + timer.dueInMs, this.#ids.next(), timer.kind, task);
    this.#connection.count(this.#counts, 'set', 1);
  }

  /** Removes a timer that was handed out; harmless if it is gone. */
  drop(id: number): void {
    const due = this.#handedOut.get(id) ?? this.#find.get(this.#connection.now, id)?.due;
    if (due === undefined) return;
    const { changes } = this.#drop.run(due, id);
    if (changes === 0) return;
    this.#connection.count(this.#counts, 'set', -1);
    this.#handedOut.delete(id);
  }

  /** Timers due now with their tasks, and how long until the next one after them. */
  due(limit: number, tasks: Tasks): DueTimerRows {
    const { now } = this.#connection;
    const rows = this.#due.all(now, limit);
    const due: DueTimerRows['due'][number][] = [];
    for (const row of rows) {
      const task = tasks.find(row.task);
      this.#handedOut.set(row.id, row.due);
      if (task === null) {
        this.drop(row.id);
        continue;
      }
      due.push({ id: row.id, kind: row.kind as TimerKind, task });
    }
    const next = rows.length === limit ? now : this.#next.get(now)?.due;
    return { due, nextDueInMs: next === undefined ? null : next - now };
  }

  /** Timers set and not answered. */
  get count(): number {
    return this.#counts.get('set') ?? 0;
  }
}
