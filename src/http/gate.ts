// What stands between a request and its handler: who is calling, and whether their budget still allows it. The gate asks; the
// guards decide. This is all the server needs of them.

import type { Authenticator } from '../guards/authentication.ts';
import type { RateLimits, RateStanding } from '../guards/limits.ts';
import type { Repeats } from '../guards/repeats.ts';

/** Finds out who is calling. */
export type Gatekeeper = Pick<Authenticator, 'authenticate' | 'wantsBody'>;

/** Charges requests to budgets; answers null where limits are off. */
export type RequestLimits = Pick<RateLimits, 'charge' | 'chargeAddress'>;

/** Remembers answered requests by their key. */
export type RequestRepeats = Pick<Repeats, 'once'>;

/** The rate headers every answer bears (`SAM-52`). */
export function rateHeaders(standing: RateStanding): Readonly<Record<string, string>> {
  return {
    'x-ratelimit-limit': String(standing.limit),
    'x-ratelimit-remaining': String(standing.remaining),
    'x-ratelimit-reset': String(Math.ceil(standing.resetAt / 1_000)),
    'x-ratelimit-window': String(Math.round(standing.windowMs / 1_000)),
  };
}
