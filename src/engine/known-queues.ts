// What the dispatcher believes of the queues between two looks, and small sums over it.

import type { QueueName } from '../domain/queue.ts';
import type { ResourceLimits } from '../domain/task.ts';
import type { QueueView } from '../store/rows.ts';
import type { QuotaRoom } from './ports/quotas.ts';

/** A queue as it was seen, and how many ready tasks it is believed to hold since. */
export interface KnownQueue {
  readonly view: QueueView;
  depth: number;
}

/** What is free of an agent's resources, no more than a quota leaves. */
export function within(free: ResourceLimits, { memoryMb }: QuotaRoom): ResourceLimits {
  if (memoryMb === undefined) return free;
  return { ...free, memoryMb: Math.min(memoryMb, free.memoryMb ?? memoryMb) };
}

/** Counts tasks as planned to be taken off the queues, the first queue's before the next one's. */
export function markPlanned(
  queues: readonly KnownQueue[],
  limit: number,
  planned: Map<KnownQueue, number>,
): void {
  let rest = limit;
  for (const queue of queues) {
    const share = Math.min(rest, queue.depth - (planned.get(queue) ?? 0));
    planned.set(queue, (planned.get(queue) ?? 0) + share);
    rest -= share;
  }
}

/** One text for a queue's name; equal names have equal texts. */
export function nameKey(name: QueueName): string {
  return `${name.tenant}\n${name.workType}\n${name.capabilities.join(',')}\n${name.region ?? ''}\n${name.requester}`;
}
