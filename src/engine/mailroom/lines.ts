// Which of a subscriber's endpoints to call: the first whose breaker is closed. One that failed five times on end rests for a while, then one
// call tries it again (`ARMY-83`); kept by the node that calls, for as long as it does.

import type { Clock } from '../../runtime/clock.ts';

interface Line {
  failures: number;
  /** Not to be called before this instant, on the clock that only goes forward. */
  openUntil: number;
}

const FAILURES_MAX = 5;
const REST_MS = 30_000;
/** Longer than a call takes: until it is known what came of the one that tries, no other does. */
const TRIAL_MS = 15_000;
const LINES_MAX = 10_000;

/** Breakers of endpoints. */
export class Lines {
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #lines = new Map<string, Line>();

  constructor(clock: Pick<Clock, 'monotonic'>) {
    this.#clock = clock;
  }

  /** How long it is until one of the endpoints may be called; 0 where one may now. */
  restMs(urls: readonly string[]): number {
    const now = this.#clock.monotonic();
    return Math.max(0, Math.min(...urls.map(url => (this.#lines.get(url)?.openUntil ?? 0) - now)));
  }

  /** The endpoint to call now; where all rest, the one that has done so longest. */
  pick(urls: readonly string[]): string {
    const now = this.#clock.monotonic();
    const rests = urls.map(url => [url, this.#lines.get(url)?.openUntil ?? 0] as const);
    const ready = rests.find(([, until]) => until <= now);
    const [soonest] = rests.toSorted(([, one], [, other]) => one - other);
    const [url] = ready ?? soonest ?? [];
    if (url === undefined) throw new Error('a subscriber without an endpoint cannot be called');
    const line = this.#lines.get(url);
    if (line !== undefined && line.openUntil > 0 && line.openUntil <= now) line.openUntil = now + TRIAL_MS;
    return url;
  }

  /** What came of a call. */
  note(url: string, isWell: boolean): void {
    if (isWell) {
      this.#lines.delete(url);
      return;
    }
    if (this.#lines.size >= LINES_MAX) this.#lines.clear();
    const failures = (this.#lines.get(url)?.failures ?? 0) + 1;
    const openUntil = failures >= FAILURES_MAX ? this.#clock.monotonic() + REST_MS : 0;
    this.#lines.set(url, { failures, openUntil });
  }
}
