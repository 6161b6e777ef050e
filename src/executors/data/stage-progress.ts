// How far an attempt is, told as it goes through its stages: at each stage, and at most once a second within one.

import type { ProgressReport } from '../../engine/ports/executor.ts';
import type { Clock } from '../../runtime/clock.ts';

const WITHIN_EVERY_MS = 1_000;

/** Counts stages and reports their share of the whole, each stage weighing the same. */
export class StageProgress {
  readonly #clock: Clock;
  readonly #report: (progress: ProgressReport) => void;
  readonly #stages: number;
  #stage = -1;
  #label = '';
  #told = 0;

  constructor(clock: Clock, report: (progress: ProgressReport) => void, stages: number) {
    this.#clock = clock;
    this.#report = report;
    this.#stages = stages;
  }

  /** The next stage begins. */
  next(label: string): void {
    this.#stage++;
    this.#label = label;
    this.#tell(0);
  }

  /** The stage under way has come this far, from 0 to 1. */
  within(fraction: number): void {
    if (fraction > 0 && this.#clock.monotonic() - this.#told >= WITHIN_EVERY_MS) this.#tell(fraction);
  }

  #tell(fraction: number): void {
    this.#told = this.#clock.monotonic();
    // Whole per cent, since every report is stored; 100 is only for success.
    const percentage = Math.min(99, Math.floor((100 * (this.#stage + fraction)) / this.#stages));
    this.#report({ percentage, currentStep: this.#label, totalSteps: this.#stages });
  }
}
