// Time for simulations: it passes only when told to, and what was set for an instant happens at that instant, in order.

import { setImmediate } from 'node:timers/promises';
import type { Clock } from '../../src/runtime/clock.ts';

interface Alarm {
  readonly at: number;
  readonly number: number;
  readonly callback: () => void;
}

/** A clock that a simulation moves. */
export class VirtualClock implements Clock {
  #now = Date.UTC(2026, 0, 1);
  #number = 0;
  readonly #alarms = new Set<Alarm>();
  readonly #underWay = new Set<Promise<unknown>>();

  now(): number {
    return this.#now;
  }

  monotonic(): number {
    return this.#now;
  }

  after(ms: number, callback: () => void): () => void {
    const alarm = { at: this.#now + Math.max(0, ms), number: this.#number++, callback };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** No time passes while this is under way, as none does while a store in this process works; answers it again. */
  hold<Answer>(work: Promise<Answer>): Promise<Answer> {
    this.#underWay.add(work);
    const done = (): void => void this.#underWay.delete(work);
    work.then(done, done);
    return work;
  }

  /** Jumps ahead without ringing anything on the way, as if the process had slept. */
  leap(ms: number): void {
    this.#now += ms;
  }

  /** Lets so much time pass, ringing every alarm at its instant; what an alarm starts may set further ones. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await this.#settle();
    for (let next = this.#next(end); next !== null; next = this.#next(end)) {
      this.#alarms.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await this.#settle();
    }
    this.#now = end;
  }

  /** Resolves when everything that can go on without time passing has gone on. */
  async #settle(): Promise<void> {
    await setImmediate();
    while (this.#underWay.size > 0) {
      await Promise.allSettled(this.#underWay);
      await setImmediate();
    }
  }

  #next(end: number): Alarm | null {
    let first: Alarm | null = null;
    for (const alarm of this.#alarms) {
      if (alarm.at > end) continue;
      if (first === null || alarm.at < first.at || (alarm.at === first.at && alarm.number < first.number))
        first = alarm;
    }
    return first;
  }
}
