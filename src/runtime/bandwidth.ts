// Bytes a second, held to a limit: whoever moves bytes waits here until they may have passed.

import { type Clock, pause } from './clock.ts';

/** So much may pass at once after a rest, in milliseconds of the limit. */
const AT_ONCE_MS = 100;
const BITS_A_MS_PER_MBPS = 1_000;

/** A limit that several streams share. */
export class Bandwidth {
  readonly #clock: Clock;
  readonly #mbps: number;
  /** When all that was announced so far will have passed. */
  #freeAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, mbps: number) {
    this.#clock = clock;
    this.#mbps = mbps;
  }

  /** The time so many bytes take at least. */
  msFor(bytes: number): number {
    return (bytes * 8) / (this.#mbps * BITS_A_MS_PER_MBPS);
  }

  /** Resolves once these bytes may have passed; rejects with the signal's reason. */
  async turn(bytes: number, signal?: AbortSignal): Promise<void> {
    const now = this.#clock.monotonic();
    this.#freeAt = Math.max(this.#freeAt, now - AT_ONCE_MS) + this.msFor(bytes);
    const waitMs = this.#freeAt - now;
    if (waitMs > 0) await pause(this.#clock, waitMs, signal);
  }
}
