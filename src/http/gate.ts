// What stands between a request and its handler: who is calling, whether they may, and whether their budget still allows it.
// The gate asks; the guards decide. These are the narrow interfaces the server needs of them.

import type { Principal } from '../domain/principal.ts';
import type { Authenticator } from '../guards/authentication.ts';
import type { RateClass } from '../protocols/protocol.ts';

/** Finds out who is calling. */
export type Gatekeeper = Pick<Authenticator, 'authenticate' | 'wantsBody'>;

/** How a budget stands after a request was charged to it (`SAM-52`). */
export interface RateStanding {
  readonly limit: number;
  readonly remaining: number;
  /** Epoch milliseconds. */
  readonly resetAt: number;
  readonly windowMs: number;
  /** Set where the request went over. */
  readonly retryAfterMs: number | null;
}

/** Charges requests to budgets; answers null where limits are off. */
export interface RequestLimits {
  /** One request of a known caller; `free` is charged to nothing and shows the standard budget. */
  charge(principal: Principal, rate: RateClass): RateStanding | null;
  /** One request of a caller who did not say who they are. */
  chargeAddress(sourceAddress: string): RateStanding | null;
}

/** The rate headers every answer bears (`SAM-52`). */
export function rateHeaders(standing: RateStanding): Readonly<Record<string, string>> {
  return {
    'x-ratelimit-limit': String(standing.limit),
    'x-ratelimit-remaining': String(standing.remaining),
    'x-ratelimit-reset': String(Math.ceil(standing.resetAt / 1_000)),
    'x-ratelimit-window': String(Math.round(standing.windowMs / 1_000)),
  };
}
