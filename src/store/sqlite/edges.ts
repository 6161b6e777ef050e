// Who waits for whom: an edge from a task to each task it depends on. The end of one wakes the other by a timer due at once.

import type { TaskId, TaskKey } from '../../domain/ids.ts';
import type { Outcome } from '../../domain/transitions.ts';
import type { Connection, Prepared } from './connection.ts';
import type { Timers } from './timers.ts';

interface Decided {
  readonly id: TaskId;
  readonly outcome: Outcome | null;
}

/** The dependencies between tasks. */
export class Edges {
  readonly #timers: Timers;
  /** Whether there was ever an edge: without one, an end need not look for those it wakes. */
  #any: boolean;
  readonly #insert: Prepared<object>;
  readonly #waiting: Prepared<{ dependent: TaskKey }>;
  readonly #dependencies: Prepared<Decided>;
  readonly #move: Prepared<object>;
  readonly #remove: Prepared<object>;

  constructor(connection: Connection, timers: Timers) {
    this.#timers = timers;
    this.#insert = connection.prepare('INSERT OR IGNORE INTO edge (dependency, dependent) VALUES (?, ?)');
    this.#waiting = connection.prepare(
      `SELECT e.dependent FROM edge e JOIN task t ON t.key = e.dependent
       WHERE e.dependency = ? AND t.outcome IS NULL ORDER BY e.dependent`,
    );
    this.#dependencies = connection.prepare(
      `SELECT t.id, t.outcome FROM edge e JOIN task t ON t.key = e.dependency WHERE e.dependent = ? ORDER BY t.key`,
    );
    this.#move = connection.prepare('UPDATE edge SET dependency = ? WHERE dependency = ?');
    this.#any = connection.prepare('SELECT 1 FROM edge LIMIT 1').get() !== undefined;
    this.#remove = connection.prepare('DELETE FROM edge WHERE dependent = ?');
  }

  /** Makes a task wait for others; it is looked at at once, as they may all have ended. */
  add(dependent: TaskKey, dependencies: readonly TaskKey[]): void {
    if (dependencies.length === 0) return;
    this.#any = true;
    for (const dependency of dependencies) this.#insert.run(dependency, dependent);
    this.#timers.set(dependent, { kind: 'dependency', dueInMs: 0 });
  }

  /** Wakes the unfinished tasks that wait for this one; answers how many. */
  wake(dependency: TaskKey): number {
    if (!this.#any) return 0;
    const waiting = this.#waiting.all(dependency);
    for (const { dependent } of waiting) this.#timers.set(dependent, { kind: 'dependency', dueInMs: 0 });
    return waiting.length;
  }

  /** Lets a task take the place of another that others wait for, and has them look again. */
  move(from: TaskKey, to: TaskKey): void {
    this.#move.run(to, from);
    this.wake(to);
  }

  /** The tasks a task waits for. */
  of(dependent: TaskKey): readonly Decided[] {
    return this.#dependencies.all(dependent).map(({ id, outcome }) => ({ id, outcome }));
  }

  /** Forgets what a task waited for. */
  remove(dependent: TaskKey): void {
    this.#remove.run(dependent);
  }
}
