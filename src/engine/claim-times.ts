// How long the store takes to hand out tasks, for whoever watches over the system.

import type { Clock } from '../runtime/clock.ts';
import type { Store } from '../store/store.ts';
import { quantile } from './statistics.ts';

const KEPT = 1_000;

/** A store's claims with a watch beside them. */
export class ClaimTimes implements Pick<Store, 'queues' | 'claim'> {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'queues' | 'claim'>;
  readonly #tookMs: number[] = [];

  constructor(clock: Clock, store: Pick<Store, 'queues' | 'claim'>) {
    this.#clock = clock;
    this.#store = store;
  }

  queues(): ReturnType<Store['queues']> {
    return this.#store.queues();
  }

  async claim(picks: Parameters<Store['claim']>[0]): ReturnType<Store['claim']> {
    const began = this.#clock.monotonic();
    const claimed = await this.#store.claim(picks);
    this.#tookMs.push(this.#clock.monotonic() - began);
    if (this.#tookMs.length > KEPT) this.#tookMs.shift();
    return claimed;
  }

  /** What 99 of the last hundred claims took at most, in milliseconds; null before the first. */
  get p99Ms(): number | null {
    return quantile(this.#tookMs, 0.99);
  }
}
