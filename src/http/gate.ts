// What stands between a request and its handler: who is calling, whether they may, and whether their budget still allows it.
// The gate asks; the guards decide. These are the narrow interfaces the server needs of them.

import type { Principal } from '../domain/principal.ts';
import type { RateClass } from '../protocols/protocol.ts';

/** What a credential is judged by. */
export interface Presented {
  readonly method: string;
  /** Path and query exactly as sent, which is what signatures cover (`SAM-23`). */
  readonly url: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Names and values as sent, alternating; repeated headers stay apart (`SAM-25`). */
  readonly rawHeaders: readonly string[];
  /** The exact bytes of the body; null where it has not been read. */
  readonly body: Uint8Array | null;
  readonly sourceAddress: string;
  readonly requestId: string;
}

/** Finds out who is calling; rejects with `unauthenticated`, or `forbidden` where the credential's own terms forbid the call. */
export type Authenticate = (presented: Presented) => Promise<Principal>;

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

/** True where the credential is a signature over the body, so that it can only be judged once the body is here. */
export function signsBody(headers: Readonly<Record<string, string | undefined>>): boolean {
  const { authorization } = headers;
  return authorization !== undefined && /^hmac-/i.test(authorization);
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
