// A store that fails: calls take time, commits are refused or their answers lost, and the process that made them may be dead by
// the time they would return.

import { DomainError } from '../../src/domain/errors.ts';
import type { Random } from '../../src/runtime/random.ts';
import type { Store } from '../../src/store/store.ts';
import type { VirtualClock } from './clock.ts';

/** How badly a store behaves; shares are in [0, 1]. */
export interface Faults {
  /** Calls refused before anything happened. */
  refused: number;
  /** Calls whose commit is durable but whose answer is lost. */
  lost: number;
  /** Hints of other processes that never arrive; the rest come late. */
  hintsLost: number;
  /** Milliseconds a call takes at most. */
  delayMsMax: number;
}

/** The connection of one process to the store; cut, its calls never return, as if the process were gone. */
export interface Connection {
  readonly store: Store;
  cut(): void;
}

const HINT_MS_MAX = 200;

/** Connects a process to a store through the faults. */
export function connect(store: Store, clock: VirtualClock, random: Random, faults: Faults): Connection {
  let alive = true;
  const never = new Promise<never>(() => {});
  const pass = async (): Promise<void> => {
    if (faults.delayMsMax === 0) return;
    const ms = Math.floor(random.fraction() * faults.delayMsMax);
    await new Promise<void>(resolve => clock.after(ms, resolve));
  };
  const call = async (work: (args: unknown[]) => Promise<unknown>, args: unknown[]): Promise<unknown> => {
    await pass();
    if (!alive) return never;
    if (random.fraction() < faults.refused)
      throw new DomainError('unavailable', 'simulated: the commit was refused');
    // Nothing a caller still holds may change what is stored, nor the other way round.
    const answer = await work(structuredClone(args));
    await pass();
    if (!alive) return never;
    if (random.fraction() < faults.lost)
      throw new DomainError('unavailable', 'simulated: the answer was lost');
    return structuredClone(answer);
  };
  const hear: Store['hear'] = listener =>
    store.hear(hint => {
      if (!alive || random.fraction() < faults.hintsLost) return;
      clock.after(Math.floor(random.fraction() * HINT_MS_MAX), () => {
        if (alive) listener(hint);
      });
    });
  const through = <Verbs extends object>(verbs: Verbs, besides: Partial<Verbs>): Verbs =>
    new Proxy(verbs, {
      get(target, name) {
        if (Object.hasOwn(besides, name)) return Reflect.get(besides, name);
        const member = Reflect.get(target, name) as unknown;
        if (typeof member !== 'function') return member;
        return (...args: unknown[]) => call(async given => member.apply(target, given), args);
      },
    });
  const proxy = through(store, { hear, mail: through(store.mail, {}), memory: through(store.memory, {}) });
  return {
    store: proxy,
    cut() {
      alive = false;
    },
  };
}
