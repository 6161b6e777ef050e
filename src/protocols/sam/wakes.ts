// When a stream looks again: at once when the engine says that something was written, and every second all the same, since what
// another node wrote may not have been heard of here.

import type { Clock } from '../../runtime/clock.ts';

const LOOK_MS = 1_000;

/** Yields at once, then after each change or second, until the changes end. */
export async function* wakes(changes: AsyncIterable<void>, clock: Clock): AsyncIterable<void> {
  const iterator = changes[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      let cancel = (): void => {};
      const tick = new Promise<'tick'>(resolve => {
        cancel = clock.after(LOOK_MS, () => resolve('tick'));
      });
      const first = await Promise.race([next, tick]);
      cancel();
      if (first !== 'tick') {
        if (first.done === true) return;
        next = iterator.next();
      }
      yield;
    }
  } finally {
    // The pending `next` settles when its signal aborts; nobody waits for it here.
    void iterator.return?.();
  }
}
