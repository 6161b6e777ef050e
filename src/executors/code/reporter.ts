// A program's reports on their way to the engine: at most ten a second, since each becomes a stored event; what comes faster is
// merged, the newest of each kind winning.

import type { AttemptContext, ProgressReport } from '../../engine/ports/executor.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';

const APART_MS = 100;

/** Passes on the reports of one attempt. */
export class Reporter {
  readonly #clock: Clock;
  readonly #context: Pick<AttemptContext, 'report'>;
  #pending: ProgressReport | null = null;
  #sentAt = Number.NEGATIVE_INFINITY;
  #cancel: Cancel | null = null;

  constructor(clock: Clock, context: Pick<AttemptContext, 'report'>) {
    this.#clock = clock;
    this.#context = context;
  }

  report(report: ProgressReport): void {
    this.#pending = { ...this.#pending, ...report };
    if (this.#cancel !== null) return;
    const dueMs = this.#sentAt + APART_MS - this.#clock.monotonic();
    if (dueMs <= 0) this.flush();
    else this.#cancel = this.#clock.after(dueMs, () => this.flush());
  }

  /** Passes on at once what waits; to be called when the program is over. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    if (this.#pending === null) return;
    const report = this.#pending;
    this.#pending = null;
    this.#sentAt = this.#clock.monotonic();
    this.#context.report(report);
  }
}
