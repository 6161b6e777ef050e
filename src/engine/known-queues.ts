// What the dispatcher believes of the queues between two looks, and small sums over it.

import {
  capabilitiesOf,
  type Permit,
  type Preference,
  permitOf,
  preferenceOf,
  type QueueName,
} from '../domain/queue.ts';
import type { ResourceLimits, Task } from '../domain/task.ts';
import type { QueueView } from '../store/rows.ts';
import type { QuotaRoom } from './ports/quotas.ts';

/** A queue as it was seen, and how many ready tasks it is believed to hold since. */
export interface KnownQueue {
  readonly view: QueueView;
  /** What its tasks need beside a worker. */
  readonly permit: Permit | null;
  /** What a worker must be capable of. */
  readonly needs: readonly string[];
  /** Equal for queues that differ by their requesters alone. */
  readonly kind: string;
  /** Whom its tasks are for first. */
  readonly prefers: Preference;
  depth: number;
  /** With those of its kind. */
  readonly crowd: Crowd;
  /** Since when its first task is known to be the first. */
  headSince: number;
  /** Until then whoever may take its tasks takes them, preferred or not. */
  openUntil: number;
}

/** Tasks believed to wait in queues that differ by their requesters alone. */
export interface Crowd {
  depth: number;
}

/** Queues as they are seen now, by name, with what was known of them before. */
export function knownQueues(
  views: readonly QueueView[],
  now: number,
  before: ReadonlyMap<string, KnownQueue>,
): Map<string, KnownQueue> {
  const crowds = new Map<string, Crowd>();
  const known = new Map<string, KnownQueue>();
  for (const view of views) {
    const key = nameKey(view.name);
    const queue = knownQueue(view, now, before.get(key));
    const crowd = crowds.get(queue.kind) ?? queue.crowd;
    crowds.set(queue.kind, crowd);
    crowd.depth += view.depth;
    known.set(key, { ...queue, crowd });
  }
  return known;
}

function knownQueue(view: QueueView, now: number, before: KnownQueue | undefined): KnownQueue {
  const isSameHead = before !== undefined && before.depth > 0 && before.view.headRank === view.headRank;
  return {
    view,
    permit: before?.permit ?? permitOf(view.name),
    needs: before?.needs ?? capabilitiesOf(view.name),
    kind: before?.kind ?? kindKey(view.name),
    prefers: before?.prefers ?? preferenceOf(view.name),
    depth: view.depth,
    crowd: { depth: 0 },
    headSince: isSameHead ? before.headSince : now,
    openUntil: before?.openUntil ?? 0,
  };
}

/** Counts a task that was put into the queue. */
export function noteReady(queue: KnownQueue, now: number): void {
  if (queue.depth === 0) queue.headSince = now;
  queue.depth++;
  queue.crowd.depth++;
}

/** Counts a task that was taken from the queue. */
export function noteTaken(queue: KnownQueue, now: number): void {
  queue.depth = Math.max(0, queue.depth - 1);
  queue.crowd.depth = Math.max(0, queue.crowd.depth - 1);
  queue.headSince = now;
}

/** What may be started of the permits that one round of claiming drew. */
export interface Draw {
  /** Tasks of the queue that may start yet; infinite where they need no permit. */
  room(queue: KnownQueue): number;
  /** Counts tasks of the queue as about to start. */
  spend(queue: KnownQueue, tasks: number): void;
  /** Lets other nodes have the keys; answers the claimed tasks that must be given back, since a key was lost meanwhile. */
  close(claimed: readonly Task[]): Promise<readonly Task[]>;
}

/** What is free of an agent's resources, no more than a quota leaves. */
export function within(free: ResourceLimits, { memoryMb }: QuotaRoom): ResourceLimits {
  if (memoryMb === undefined) return free;
  return { ...free, memoryMb: Math.min(memoryMb, free.memoryMb ?? memoryMb) };
}

/** Queues of one tenant that one pick takes from, and how many tasks. */
export interface Portion {
  readonly queues: readonly KnownQueue[];
  readonly limit: number;
}

/** How many tasks of the tenant's queues could be taken beside those planned already. */
export function waitingIn(
  queues: readonly KnownQueue[],
  planned: ReadonlyMap<KnownQueue, number>,
  draw: Draw,
): number {
  return groupsOf(queues).reduce((sum, group) => sum + takable(group, planned, draw), 0);
}

/**
 * Shares so many slots among a tenant's queues: those that need the same permit, or none, are one pick, whose head waits longest first.
 * Counts what they get as planned and its permits as spent. With `alone` all the slots are the first's.
 */
export function portionsOf(
  queues: readonly KnownQueue[],
  limit: number,
  planned: Map<KnownQueue, number>,
  { draw, alone }: { readonly draw: Draw; readonly alone: boolean },
): readonly Portion[] {
  const portions: Portion[] = [];
  let rest = limit;
  for (const group of groupsOf(queues)) {
    const share = Math.min(rest, takable(group, planned, draw));
    const [first] = group;
    if (share <= 0 || first === undefined) continue;
    markPlanned(group, share, planned);
    draw.spend(first, share);
    portions.push({ queues: group, limit: share });
    rest -= share;
    if (alone) break;
  }
  return portions;
}

function groupsOf(queues: readonly KnownQueue[]): readonly (readonly KnownQueue[])[] {
  const groups = [
    ...Map.groupBy(queues, ({ permit }) =>
      permit === null ? '' : `${permit.limit}\n${permit.key}`,
    ).values(),
  ];
  if (groups.length === 1) return groups;
  const headOf = (group: readonly KnownQueue[]): number =>
    Math.min(...group.map(({ view }) => view.headRank));
  return groups.sort((a, b) => headOf(a) - headOf(b));
}

/** How many tasks of queues that need the same permit, or none, could be taken beside those planned already. */
export function takable(
  group: readonly KnownQueue[],
  planned: ReadonlyMap<KnownQueue, number>,
  draw: Draw,
): number {
  const waiting = group.reduce((sum, queue) => sum + queue.depth - (planned.get(queue) ?? 0), 0);
  const [first] = group;
  return first === undefined ? 0 : Math.min(waiting, draw.room(first));
}

function markPlanned(queues: readonly KnownQueue[], limit: number, planned: Map<KnownQueue, number>): void {
  let rest = limit;
  for (const queue of queues) {
    const share = Math.min(rest, queue.depth - (planned.get(queue) ?? 0));
    planned.set(queue, (planned.get(queue) ?? 0) + share);
    rest -= share;
  }
}

/** One text for a queue's name; equal names have equal texts. */
export function nameKey(name: QueueName): string {
  return `${kindKey(name)}\n${name.requester}`;
}

function kindKey({ tenant, workType, capabilities, region }: QueueName): string {
  return `${tenant}\n${workType}\n${capabilities.join(',')}\n${region ?? ''}`;
}
