// How fast an agent may send: a bucket each, refilled steadily, so that one agent's rush slows nobody else (`ARMY-82`).

import { DomainError } from '../../domain/errors.ts';
import { BoundedMap } from '../../runtime/bounded-map.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Caller } from './dialect.ts';

/** Messages a minute, and how many of them at once. */
export interface PaceLimit {
  readonly perMinute: number;
  readonly burst: number;
}

interface Bucket {
  tokens: number;
  at: number;
}

const AGENTS_MAX = 100_000;

/** The buckets of one process. */
export class Pace {
  readonly #clock: Clock;
  readonly #limitOf: (caller: Caller) => PaceLimit | null;
  /** Whoever was quiet for longest has most likely a full one again. */
  readonly #buckets = new BoundedMap<string, Bucket>(AGENTS_MAX);

  /** `limitOf` says what holds for a caller; null for no limit. */
  constructor(clock: Clock, limitOf: (caller: Caller) => PaceLimit | null) {
    this.#clock = clock;
    this.#limitOf = limitOf;
  }

  /** Takes one message off the caller's budget; throws `rate_limited` saying when the next may come. */
  charge(caller: Caller): void {
    const limit = this.#limitOf(caller);
    if (limit === null) return;
    const { perMinute, burst } = limit;
    const name = `${caller.tenant}\n${caller.agentId ?? caller.principal.id}`;
    const now = this.#clock.monotonic();
    const bucket = this.#bucket(name, burst, now);
    const perMs = perMinute / 60_000;
    bucket.tokens = Math.min(burst, bucket.tokens + (now - bucket.at) * perMs);
    bucket.at = now;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return;
    }
    throw new DomainError('rate_limited', `more than ${perMinute} messages a minute`, {
      details: { rule: 'message_rate', limit: perMinute, burst },
      retryAfterMs: Math.ceil((1 - bucket.tokens) / perMs),
    });
  }

  #bucket(name: string, burst: number, now: number): Bucket {
    const known = this.#buckets.get(name);
    if (known !== undefined) return known;
    const made = { tokens: burst, at: now };
    this.#buckets.set(name, made);
    return made;
  }
}
