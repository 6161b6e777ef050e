// In which order deliveries may start: all open deliveries of one task to one endpoint form a lane, and `next_at` is set on
// exactly those of them that may be sent, so that what waits its turn is never looked at.

import type { TaskKey } from '../../domain/ids.ts';
import type { Connection, Prepared } from './connection.ts';

interface OpenRow {
  readonly key: number;
  readonly status: 'pending' | 'sending';
  readonly attempts: string;
  readonly due_at: number;
  readonly next_at: number | null;
}

/** The lanes of all tasks and endpoints. */
export class Lanes {
  readonly #open: Prepared<OpenRow>;
  readonly #setNext: Prepared<object>;
  readonly #supersede: Prepared<object>;
  readonly #superseder: Prepared<object>;

  constructor(connection: Connection) {
    this.#open = connection.prepare(
      `SELECT key, status, attempts, due_at, next_at FROM delivery
       WHERE task = ? AND endpoint = ? AND status IN ('pending', 'sending') ORDER BY sequence, key`,
    );
    this.#setNext = connection.prepare('UPDATE delivery SET next_at = ? WHERE key = ?');
    this.#supersede = connection.prepare(
      `UPDATE delivery SET status = 'dropped', next_at = NULL WHERE task = ? AND endpoint = ? AND sequence < ?
       AND status = 'pending' AND event = 'task_progress' AND redelivery_of IS NULL`,
    );
    this.#superseder = connection.prepare(
      `SELECT 1 FROM delivery WHERE task = ? AND endpoint = ? AND sequence > ? AND redelivery_of IS NULL
       AND event IN ('task_progress', 'task_completed', 'task_failed', 'task_timeout', 'task_cancelled')`,
    );
  }

  /**
   * Works out anew who may be sent: while one is under way only that one, once its sender is overdue; else all that were tried
   * before and the first that was not (`SAM-85`).
   */
  arrange(task: TaskKey, endpoint: string): void {
    const open = this.#open.all(task, endpoint);
    const sending = open.some(row => row.status === 'sending');
    let firstSeen = false;
    for (const row of open) {
      let may = row.status === 'sending';
      if (!sending) {
        const started = row.attempts !== '[]';
        may = started || !firstSeen;
        if (!started) firstSeen = true;
      }
      const next = may ? row.due_at : null;
      if (next !== row.next_at) this.#setNext.run(next, row.key);
    }
  }

  /** Drops unsent progress older than this sequence; answers how many (`SAM-85`). */
  dropSuperseded(task: TaskKey, endpoint: string, sequence: number): number {
    return this.#supersede.run(task, endpoint, sequence).changes;
  }

  /** True where newer progress or an end was queued after this sequence. */
  isSuperseded(task: TaskKey, endpoint: string, sequence: number): boolean {
    return this.#superseder.get(task, endpoint, sequence) !== undefined;
  }
}
