// Time, injected. The only file that reads the system's clock or sets its timers; the simulator has a clock of its own.

/** Stops a timer; harmless once it fired. */
export type Cancel = () => void;

/** Where a component gets its time from. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number;
  /** Milliseconds that only ever grow, for measuring durations. */
  monotonic(): number;
  /** Calls back once, so many milliseconds from now. A pending timer does not keep the process alive. */
  after(ms: number, callback: () => void): Cancel;
}

/** The system's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    // setTimeout fires at once beyond 2^31-1 ms; a longer wait fires early and its owner looks again.
    const timer = setTimeout(callback, Math.min(ms, 2_147_483_647));
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** A clock that can be told how far its base is behind the time that counts; it starts out showing the base's. */
export function correctedClock(base: Clock): Clock & { correct(aheadMs: number): void } {
  let aheadMs = 0;
  return {
    now: () => base.now() + aheadMs,
    monotonic: () => base.monotonic(),
    after: (ms, callback) => base.after(ms, callback),
    correct(ms) {
      aheadMs = ms;
    },
  };
}

/** Resolves after so many milliseconds, or rejects with the signal's reason as soon as it aborts. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason);
    const onAbort = (): void => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
