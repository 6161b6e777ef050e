// How far an attempt is: counts requests and, within one, its pages (`SAM-157`). Told at each request, and at most once a second within.

import type { Json } from '../../domain/json.ts';
import type { ProgressReport } from '../../engine/ports/executor.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { PlannedRequest } from './plan.ts';

const WITHIN_EVERY_MS = 1_000;

/** The progress of one attempt. */
export class RequestProgress {
  readonly #clock: Clock;
  readonly #report: (progress: ProgressReport) => void;
  readonly #requests: number;
  #ended: number;
  #told = Number.NEGATIVE_INFINITY;

  /** `done` of the requests were done by an earlier attempt. */
  constructor(
    clock: Clock,
    report: (progress: ProgressReport) => void,
    { requests, done }: { readonly requests: number; readonly done: number },
  ) {
    this.#clock = clock;
    this.#report = report;
    this.#requests = requests;
    this.#ended = done;
  }

  /** A page of a request is about to be asked for. */
  turned({ index, name }: Pick<PlannedRequest, 'index' | 'name'>, page: number, pagesMax: number): void {
    if (page > 1 && this.#clock.monotonic() - this.#told < WITHIN_EVERY_MS) return;
    const where = pagesMax === 1 ? '' : `, page ${page}`;
    this.#tell((page - 1) / pagesMax, `Request ${index + 1} of ${this.#requests}: ${name}${where}`);
  }

  /** A request is done; with what another attempt would go on from, where there is that. */
  ended(checkpoint: Json | null): void {
    this.#ended++;
    this.#tell(0, `${this.#ended} of ${this.#requests} requests are done`, checkpoint);
  }

  #tell(fraction: number, currentStep: string, checkpoint: Json | null = null): void {
    this.#told = this.#clock.monotonic();
    // Whole per cent, since every report is stored; 100 is only for success.
    const percentage = Math.min(99, Math.floor((100 * (this.#ended + fraction)) / this.#requests));
    this.#report({
      percentage,
      currentStep,
      totalSteps: this.#requests,
      ...(checkpoint === null ? {} : { checkpoint }),
    });
  }
}
