// Tasks that run over twice as long as their requester expected: each is warned of once, however many attempts it takes (`NOOB-23`).

import type { FencingToken } from '../domain/ids.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Store } from '../store/store.ts';
import type { RunningAttempt } from './attempts.ts';
import type { Settlement } from './settlement.ts';

/** What a warning of it names as the resource; its value and limit are in seconds. */
const RESOURCE = 'expected_duration';
const TIMES_EXPECTED = 2;
const EVENTS_MAX = 1_000;

/** Watches the attempts of one process. */
export class Overruns {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'events'>;
  readonly #settlement: Pick<Settlement, 'warn'>;
  readonly #timers = new Map<FencingToken, Cancel>();

  constructor(log: Log, clock: Clock, store: Pick<Store, 'events'>, settlement: Pick<Settlement, 'warn'>) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#settlement = settlement;
  }

  /** Watches an attempt whose task is expected to take so long, what earlier attempts took included. */
  watch(attempt: RunningAttempt): void {
    const { task, token } = attempt;
    const { expectedMs } = task.spec;
    if (expectedMs === undefined) return;
    const limitMs = expectedMs * TIMES_EXPECTED;
    const begunAt = (task.lease?.claimedAt ?? this.#clock.now()) - task.ranMs;
    const look = (): void => {
      const leftMs = begunAt + limitMs - this.#clock.now();
      if (leftMs > 0) this.#timers.set(token, this.#clock.after(leftMs, look));
      else void this.#warn(attempt, (limitMs - leftMs) / 1_000, limitMs / 1_000);
    };
    look();
  }

  /** Forgets an attempt that is over. */
  forget({ token }: RunningAttempt): void {
    this.#timers.get(token)?.();
    this.#timers.delete(token);
  }

  async #warn(attempt: RunningAttempt, value: number, limit: number): Promise<void> {
    const { key, id } = attempt.task;
    this.#timers.delete(attempt.token);
    try {
      const events = await this.#store.events({ of: 'task', key, afterSequence: 0, limit: EVENTS_MAX });
      if (events.some(event => event.kind === 'resource_warning' && event.resource === RESOURCE)) return;
      await this.#settlement.warn(attempt, RESOURCE, value, limit);
    } catch (error) {
      this.#log.debug('a task was not warned of', { task: id, error: String(error) });
    }
  }
}
