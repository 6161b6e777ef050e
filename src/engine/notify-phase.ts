// When a task's notify phase is over: once every notification of its end is settled. It went well where all of them were delivered; one
// that was given up is enough for `notification_failed`, for whoever lists those must find it (`SAM-93`, `NOOB-52`).

import { type Delivery, type DeliveryStatus, isEndNotification } from '../domain/delivery.ts';
import type { Task } from '../domain/task.ts';
import type { Store } from '../store/store.ts';
import { closeNotification, type Draft } from './changes.ts';

/** More notifications of one end than a task may have told. */
const LISTED_MAX = 1_000;

/** A delivery that is about to be settled, and what its receiver answered. */
export interface Settled {
  readonly delivery: Delivery;
  readonly status: DeliveryStatus;
  readonly answer: string;
}

/**
 * The task's step out of its notify phase, with the settlement it is given or as the store has it by now (null); null where the phase is
 * over or goes on.
 */
export async function closing(
  store: Pick<Store, 'deliveries'>,
  task: Task,
  settled: Settled | null,
  { archiveDelayMs }: { readonly archiveDelayMs: number },
): Promise<Draft | null> {
  if (task.state !== 'notifying') return null;
  if (settled !== null && (settled.status === 'pending' || settled.status === 'dropped')) return null;
  // The one notification of an end is known without looking.
  const known = settled === null ? [] : [{ ...settled.delivery, status: settled.status }];
  const ends = task.spec.notices === undefined ? known : await endsOf(store, task, known);
  const standings = [...Map.groupBy(ends, one => one.redeliveryOf ?? one.id).values()].map(standingOf);
  if (standings.length === 0 || standings.includes('open')) return null;
  const failures = standings.filter(standing => standing === 'failed').length;
  const isRetried = ends.some(one => one.attempts.length > (one.id === settled?.delivery.id ? 0 : 1));
  const steps = ['compile', 'validate', 'sign', 'deliver', ...(isRetried ? ['retry'] : [])];
  if (failures === 0) {
    steps.push('await_acknowledgement', 'confirm');
    return closeNotification(task, 'notified', { actor: 'system', steps }, archiveDelayMs);
  }
  steps.push('escalate');
  const answer = settled?.status === 'failed' ? settled.answer.slice(0, 200) : null;
  const reason =
    ends.length === 1 && answer !== null ? answer : `${failures} of ${standings.length} notifications failed`;
  return closeNotification(task, 'notification_failed', { actor: 'system', steps, reason }, archiveDelayMs);
}

/** The deliveries of a task's end, those that are known as they are known. */
async function endsOf(
  store: Pick<Store, 'deliveries'>,
  { tenant, id: taskId, key }: Task,
  known: readonly Delivery[],
): Promise<readonly Delivery[]> {
  const { items } = await store.deliveries({ tenant, taskId, limit: LISTED_MAX, offset: 0 });
  return items
    .filter(one => one.key === key && isEndNotification(one.event))
    .map(one => known.find(({ id }) => id === one.id) ?? one);
}

/** How a notification stands, sent again or not: one of its deliveries that arrived is enough. */
function standingOf(line: readonly Delivery[]): 'open' | 'delivered' | 'failed' {
  if (line.some(({ status }) => status === 'delivered')) return 'delivered';
  return line.some(({ status }) => status === 'pending' || status === 'sending') ? 'open' : 'failed';
}
