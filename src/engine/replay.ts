// What an endpoint missed while it was down: when its breaker closes, deliveries that failed for reasons that pass are sent once more
// (`SAM-91`).

import type { Delivery } from '../domain/delivery.ts';
import type { DeliveryId, TenantId } from '../domain/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { Store } from '../store/store.ts';

const DAY_MS = 24 * 3_600_000;
const REPLAYED_MAX = 1_000;
const PASSING_STATUSES: ReadonlySet<number> = new Set([408, 425, 429]);

/** Queues copies of what failed at the endpoint within a day and was not sent anew since; answers how many. */
export async function replayMissed(
  clock: Clock,
  random: Random,
  store: Pick<Store, 'deliveries' | 'redeliver'>,
  at: { readonly tenant: TenantId; readonly endpoint: string },
): Promise<number> {
  const since = clock.now() - DAY_MS;
  const { items } = await store.deliveries({ ...at, since, limit: REPLAYED_MAX, offset: 0 });
  const again = new Set(items.map(({ redeliveryOf }) => redeliveryOf));
  const missed = items.filter(
    one => one.status === 'failed' && one.redeliveryOf === undefined && !again.has(one.id),
  );
  // Newest first is how they are listed; they are sent in the order they were due.
  const copies = missed
    .filter(failedForNow)
    .reverse()
    .map(({ id }) => ({ tenant: at.tenant, of: id, id: random.uuid() as DeliveryId }));
  if (copies.length > 0) await store.redeliver(copies);
  return copies.length;
}

function failedForNow({ attempts }: Delivery): boolean {
  const last = attempts.at(-1);
  if (last === undefined || last.refused === true) return false;
  return last.status === null || last.status >= 500 || PASSING_STATUSES.has(last.status);
}
