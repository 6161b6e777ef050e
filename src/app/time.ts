// One time for all nodes: a store that several share has a clock of its own, and whoever works on it goes by that, however wrong the
// clock of its machine is.

import type { Cancel, Clock, correctedClock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Store } from '../store/store.ts';

const LOOK_MS = 30_000;
/** Less than this is the way there and back, not the clock. */
const OFF_MS_MIN = 250;
/** Worth telling whoever looks after the machine. */
const WORTH_TELLING_MS = 5_000;

/** Sets the clock by the store's, and again every half minute until the answer is called. */
export async function keepTime(
  log: Log,
  timer: Pick<Clock, 'after'>,
  clock: Pick<ReturnType<typeof correctedClock>, 'correct'>,
  store: Pick<Store, 'capabilities' | 'measure'>,
): Promise<() => Promise<void>> {
  if (!store.capabilities.shared) return async () => {};
  let cancel: Cancel = () => {};
  let told = false;
  const look = async (): Promise<void> => {
    const aheadMs = (await store.measure()).database?.clockAheadMs ?? 0;
    const isOff = Math.abs(aheadMs) >= OFF_MS_MIN;
    clock.correct(isOff ? aheadMs : 0);
    if (Math.abs(aheadMs) >= WORTH_TELLING_MS && !told) {
      told = true;
      log.warn("this machine's clock is not the database's; going by the database's", { ahead_ms: aheadMs });
    }
  };
  const again = (): void => {
    cancel = timer.after(
      LOOK_MS,
      () =>
        void look()
          .catch(() => {})
          .finally(again),
    );
  };
  await look();
  again();
  return async () => cancel();
}
