// Who waits for something to happen to a pipe. A ring says only that it is worth looking: rings of other nodes get lost, so everybody
// who waits also looks by itself.

import type { Clock } from '../runtime/clock.ts';

/** So often is looked without a ring. */
const LOOK_MS = 1_000;

/** Wakes those who wait for pipes in this process. */
export class PipeBells {
  readonly #clock: Clock;
  readonly #rooms = new Map<string, Set<() => void>>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Wakes who waits for the pipe. */
  ring(pipe: string): void {
    for (const wake of this.#rooms.get(pipe) ?? []) wake();
  }

  /** Wakes everybody: other nodes did something, and nobody knows to which pipes. */
  ringAll(): void {
    for (const pipe of this.#rooms.keys()) this.ring(pipe);
  }

  /**
   * What `look` finds, at once or after one of the rings; null where it found nothing in time, or until the signal aborted. Rejects as
   * `look` does.
   */
  async until<Found>(
    pipe: string,
    { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
    look: () => Promise<Found | null>,
  ): Promise<Found | null> {
    const endsAt = this.#clock.monotonic() + waitMs;
    let rung = Promise.withResolvers<void>();
    const wake = (): void => rung.resolve();
    const room = this.#rooms.get(pipe) ?? new Set();
    this.#rooms.set(pipe, room);
    room.add(wake);
    signal.addEventListener('abort', wake);
    try {
      for (;;) {
        // Before looking, so that what happens meanwhile is looked at too.
        rung = Promise.withResolvers();
        const found = await look();
        const leftMs = endsAt - this.#clock.monotonic();
        if (found !== null || leftMs <= 0 || signal.aborted) return found;
        const cancel = this.#clock.after(Math.min(leftMs, LOOK_MS), wake);
        await rung.promise;
        cancel();
      }
    } finally {
      signal.removeEventListener('abort', wake);
      room.delete(wake);
      if (room.size === 0 && this.#rooms.get(pipe) === room) this.#rooms.delete(pipe);
    }
  }
}
