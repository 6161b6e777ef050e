// What goes over the network for one attempt: how much it was, told to its samples while it grows, and how fast it may go.

import { Bandwidth } from '../runtime/bandwidth.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Traffic, TrafficCounts } from './ports/outbound.ts';

const SAMPLE_EVERY_MS = 10_000;

/** The traffic of one attempt; without a limit nothing waits. */
export class AttemptTraffic implements Traffic {
  readonly counts = { calls: 0, bytesSent: 0, bytesReceived: 0 };
  readonly #clock: Clock;
  readonly #bandwidth: Bandwidth | null;
  readonly #sample: (counts: TrafficCounts) => void;
  #next: Cancel | null = null;
  #isOver = false;

  /** `sample` is told every ten seconds in which there was some (`SAM-124`), and at the end. */
  constructor(clock: Clock, mbps: number | undefined, sample: (counts: TrafficCounts) => void = () => {}) {
    this.#clock = clock;
    this.#bandwidth = mbps === undefined ? null : new Bandwidth(clock, mbps);
    this.#sample = sample;
  }

  get isLimited(): boolean {
    return this.#bandwidth !== null;
  }

  call(): void {
    this.counts.calls++;
  }

  count({ sent = 0, received = 0 }: { readonly sent?: number; readonly received?: number }): void {
    this.counts.bytesSent += sent;
    this.counts.bytesReceived += received;
    if (this.#next !== null || this.#isOver) return;
    this.#next = this.#clock.after(SAMPLE_EVERY_MS, () => {
      this.#next = null;
      this.#sample(this.counts);
    });
  }

  async turn(bytes: number, signal?: AbortSignal): Promise<void> {
    await this.#bandwidth?.turn(bytes, signal);
  }

  msFor(bytes: number): number {
    return this.#bandwidth?.msFor(bytes) ?? 0;
  }

  /** Tells what was not told yet; nothing is sampled after this. */
  stop(): void {
    this.#isOver = true;
    if (this.#next === null) return;
    this.#next();
    this.#next = null;
    this.#sample(this.counts);
  }
}
