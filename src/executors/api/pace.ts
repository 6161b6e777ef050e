// Spaces requests to one host, over all attempts of a tenant in this process, and lets a host rest that said it wants to.

import { BoundedMap } from '../../runtime/bounded-map.ts';
import { type Clock, pause } from '../../runtime/clock.ts';

const HOSTS_MAX = 10_000;

/** Who asks whom. */
export interface Lane {
  readonly tenant: string;
  readonly host: string;
}

interface Turns {
  /** When the next request would go if all were evenly spaced. */
  next: number;
  restUntil: number;
}

/** A lane that was quiet may make up for this much of it at once. */
const BURST_MS = 1_000;

/** Gives requests their turns. */
export class Pace {
  readonly #clock: Clock;
  readonly #turns = new BoundedMap<string, Turns>(HOSTS_MAX);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Resolves when the host may be asked again at this rate; rejects with the signal's reason once it aborts. */
  async turn(lane: Lane, perSecond: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const now = this.#clock.monotonic();
    const everyMs = 1_000 / perSecond;
    const turns = this.#turnsOf(lane);
    const due = Math.max(now, turns.next);
    turns.next = due + everyMs;
    const at = Math.max(due - Math.max(0, BURST_MS - everyMs), turns.restUntil);
    if (at > now) await pause(this.#clock, at - now, signal);
  }

  /** Nobody of the tenant asks the host for so long. */
  rest(lane: Lane, ms: number): void {
    const turns = this.#turnsOf(lane);
    turns.restUntil = Math.max(turns.restUntil, this.#clock.monotonic() + ms);
  }

  #turnsOf({ tenant, host }: Lane): Turns {
    const name = `${tenant} ${host}`;
    const turns = this.#turns.get(name) ?? { next: 0, restUntil: 0 };
    this.#turns.set(name, turns);
    return turns;
  }
}
