// Figures that cost more the more there is: exact while they are cheap, else at most a second old.

import type { Clock } from '../../runtime/clock.ts';

/** What is dearer than this is not asked again within the second. */
const CHEAP_MS = 20;
const AGE_MS_MAX = 1_000;

/** A figure and when it was taken. */
export class Recent<Figure> {
  readonly #clock: Clock;
  readonly #take: () => Promise<Figure>;
  #last: { readonly figure: Figure; readonly at: number; readonly tookMs: number } | null = null;
  #underWay: Promise<Figure> | null = null;

  constructor(clock: Clock, take: () => Promise<Figure>) {
    this.#clock = clock;
    this.#take = take;
  }

  /** The figure now, or of a second ago at most. */
  get(): Promise<Figure> {
    const last = this.#last;
    if (last !== null && last.tookMs > CHEAP_MS) {
      if (this.#clock.monotonic() - last.at < AGE_MS_MAX) return Promise.resolve(last.figure);
      // Whoever asks while it is taken may have caused a change that it has missed: dear figures are shared all the same.
      if (this.#underWay !== null) return this.#underWay;
    }
    const measuring = this.#measure();
    const done = (): void => {
      if (this.#underWay === measuring) this.#underWay = null;
    };
    this.#underWay = measuring;
    measuring.then(done, done);
    return measuring;
  }

  async #measure(): Promise<Figure> {
    const at = this.#clock.monotonic();
    const figure = await this.#take();
    this.#last = { figure, at, tookMs: this.#clock.monotonic() - at };
    return figure;
  }
}
