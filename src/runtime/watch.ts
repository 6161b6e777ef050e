// Looking again and again at what others may have changed: soon when told to, by itself now and then for what nobody told of, and
// never so often that looking becomes the work.

import type { Cancel, Clock } from './clock.ts';

/** Looking takes a twentieth of the time at most, however much there has come to be. */
const SHARE_MAX = 0.05;

/** Runs a look at a time; whoever is told to look while one is under way looks once more after it. */
export class Watch {
  readonly #clock: Clock;
  /** Must not throw. */
  readonly #look: () => Promise<void>;
  readonly #everyMs: number;
  #timer: Cancel = () => {};
  #looking: Promise<void> | null = null;
  #isTold = false;
  #notBefore = Number.NEGATIVE_INFINITY;
  #open = false;

  constructor(clock: Clock, everyMs: number, look: () => Promise<void>) {
    this.#clock = clock;
    this.#look = look;
    this.#everyMs = everyMs;
  }

  /** Looks, and from then on again and again. */
  async start(): Promise<void> {
    this.#open = true;
    await this.#run();
  }

  /** Resolves when the look under way is over. Idempotent. */
  async stop(): Promise<void> {
    this.#open = false;
    this.#timer();
    await this.#looking;
  }

  /** Something changed. */
  tell(): void {
    if (!this.#open) return;
    this.#isTold = true;
    if (this.#looking === null) this.#lookIn(this.#notBefore - this.#clock.monotonic());
  }

  #run(): Promise<void> {
    this.#timer();
    this.#isTold = false;
    const began = this.#clock.monotonic();
    this.#looking = this.#look().then(() => {
      this.#looking = null;
      if (!this.#open) return;
      const restMs = (this.#clock.monotonic() - began) / SHARE_MAX;
      this.#notBefore = this.#clock.monotonic() + restMs;
      this.#lookIn(this.#isTold ? restMs : Math.max(this.#everyMs, restMs));
    });
    return this.#looking;
  }

  #lookIn(ms: number): void {
    this.#timer();
    this.#timer = this.#clock.after(Math.max(0, ms), () => void this.#run());
  }
}
