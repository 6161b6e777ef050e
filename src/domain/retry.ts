// Retry policies: how long to wait before attempt n+1, and whether there is one at all. Pure; the jitter's random number is an argument.

import type { TaskError } from './failure.ts';

/** How the delay grows (`canonical.md`, retry policies). */
export type RetryStrategy = 'exponential' | 'linear' | 'fixed' | 'custom';

/** A complete retry policy; all durations in milliseconds. */
export interface RetryPolicy {
  readonly strategy: RetryStrategy;
  /** Attempts in all, the first included; at least 1. */
  readonly attemptsMax: number;
  readonly firstDelayMs: number;
  /** Added (linear) per further attempt. */
  readonly stepMs: number;
  /** Multiplied (exponential, custom) per further attempt. */
  readonly factor: number;
  readonly delayMaxMs: number;
  /** Custom policies: the delays themselves; the last repeats. */
  readonly delaysMs?: readonly number[];
  /** Custom policies: only these error codes retry, or words that wires have for them. */
  readonly retryCodes?: readonly string[];
}

/** The named policies with their canonical numbers (`SAM-127`). */
export const RETRY_POLICIES = {
  exponential: {
    strategy: 'exponential',
    attemptsMax: 5,
    firstDelayMs: 1_000,
    stepMs: 0,
    factor: 2,
    delayMaxMs: 60_000,
  },
  linear: {
    strategy: 'linear',
    attemptsMax: 3,
    firstDelayMs: 2_000,
    stepMs: 2_000,
    factor: 1,
    delayMaxMs: 3_600_000,
  },
  fixed: {
    strategy: 'fixed',
    attemptsMax: 3,
    firstDelayMs: 5_000,
    stepMs: 0,
    factor: 1,
    delayMaxMs: 3_600_000,
  },
  custom: {
    strategy: 'custom',
    attemptsMax: 3,
    firstDelayMs: 1_000,
    stepMs: 0,
    factor: 2,
    delayMaxMs: 3_600_000,
  },
} as const satisfies Record<RetryStrategy, RetryPolicy>;

/** The delay after the attempt with this number (from 1) failed, before jitter, in milliseconds. */
export function delayAfter(policy: RetryPolicy, attempt: number): number {
  const earlier = attempt - 1;
  const listed = policy.delaysMs;
  if (listed !== undefined && listed.length > 0) return listed[Math.min(earlier, listed.length - 1)] ?? 0;
  // A factor may overflow, and nothing times infinity is no number.
  const scaled = policy.firstDelayMs === 0 ? 0 : policy.firstDelayMs * policy.factor ** earlier;
  const grown = scaled + policy.stepMs * earlier;
  return Math.min(grown, policy.delayMaxMs);
}

/** The delay spread by ±20 %; `random` is in [0, 1) (`canonical.md`). */
export function jittered(delayMs: number, random: number): number {
  return Math.round(delayMs * (0.8 + 0.4 * random));
}

/** Whether the attempt with this number, failed by this error, is followed by another (`SAM-127`, `SAM-128`). */
export function retries(policy: RetryPolicy, attempt: number, error: TaskError): boolean {
  if (attempt >= policy.attemptsMax) return false;
  if (policy.retryCodes !== undefined)
    return namesOf(error).some(name => policy.retryCodes?.includes(name) === true);
  return error.recoverable;
}

/** What codes of a policy may mean an error by: its code (`<code>:after` of work that was done and then not let pass), and its wire's own. */
function namesOf({ code, details }: TaskError): readonly string[] {
  const own = details?.wire_code;
  return [details?.phase === 'after' ? `${code}:after` : code, ...(typeof own === 'string' ? [own] : [])];
}
