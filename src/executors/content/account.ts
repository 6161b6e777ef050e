// Whose requests to a provider are: the SDK between an attempt and its requests hands nothing of the attempt on, but what it awaits
// goes on in the attempt's own context.

import { AsyncLocalStorage } from 'node:async_hooks';
import type { Outbound, Traffic } from '../../engine/ports/outbound.ts';
import { metered } from '../../guards/metered.ts';

const attempts = new AsyncLocalStorage<Traffic>();

/** Does an attempt's work; what it asks of providers meanwhile is counted as its traffic and held to its bandwidth. */
export function onAccountOf<Result>(traffic: Traffic, work: () => Promise<Result>): Promise<Result> {
  return attempts.run(traffic, work);
}

/** The way out for the attempt that asks for it; as it is where none does. */
export function accounted(outbound: Outbound): Outbound {
  const traffic = attempts.getStore();
  return traffic === undefined ? outbound : metered(outbound, traffic);
}
