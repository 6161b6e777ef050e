// How fast pages of one host are opened, over all jobs of this process (`SAM-148`).

import { type Clock, pause } from '../../runtime/clock.ts';

const HOSTS_MAX = 10_000;

/** Gives each page of a host its turn. */
export class Pace {
  readonly #clock: Clock;
  /** When the host may be asked again, by the monotonic clock. */
  readonly #free = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when a page of the host may be opened; turns are so many milliseconds apart, in the order they were asked for. */
  async turn(host: string, gapMs: number, signal: AbortSignal): Promise<void> {
    const now = this.#clock.monotonic();
    const at = Math.max(now, this.#free.get(host) ?? 0);
    if (this.#free.size >= HOSTS_MAX) this.#forget(now);
    this.#free.set(host, at + gapMs);
    if (at > now) await pause(this.#clock, at - now, signal);
  }

  #forget(now: number): void {
    for (const [host, at] of this.#free) if (at <= now) this.#free.delete(host);
  }
}
