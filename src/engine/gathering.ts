// What goes along in one array, for a receiver that asked for batches (`SAM-84`): the progress that was superseded while it waited is
// not lost to it, but told before what superseded it.

import type { Delivery } from '../domain/delivery.ts';
import type { DueDelivery } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

const LISTED_MAX = 1_000;
const EVENTS_MAX = 10_000;

/** The progress before a delivery that no sending has told, in order of events: at most `limit`, the newest. */
export async function unsentBefore(
  store: Pick<Store, 'deliveries' | 'events'>,
  { task, delivery }: DueDelivery,
  limit: number,
): Promise<readonly DueDelivery[]> {
  const { tenant, key, id: taskId } = task;
  const { endpoint, sequence } = delivery;
  const { items } = await store.deliveries({ tenant, taskId, endpoint, limit: LISTED_MAX, offset: 0 });
  const along = untold(items, sequence).slice(0, limit).reverse();
  const [first] = along;
  if (first === undefined) return [];
  const events = await store.events({
    of: 'task',
    key,
    afterSequence: first.sequence - 1,
    limit: Math.min(EVENTS_MAX, sequence - first.sequence),
  });
  const bySequence = new Map(events.map(event => [event.sequence, event]));
  return along.flatMap(one => {
    const event = bySequence.get(one.sequence);
    return event === undefined ? [] : [{ delivery: one, task, event }];
  });
}

/** Newest first, back to what was delivered last before the sequence. */
function untold(all: readonly Delivery[], sequence: number): readonly Delivery[] {
  const earlier = all
    .filter(one => one.sequence < sequence && one.redeliveryOf === undefined)
    .sort((one, other) => other.sequence - one.sequence);
  const told = earlier.findIndex(({ status }) => status === 'delivered');
  return (told === -1 ? earlier : earlier.slice(0, told)).filter(
    ({ event, status }) => event === 'task_progress' && (status === 'dropped' || status === 'pending'),
  );
}
