// Deliveries: one notification on its way to one endpoint, and what a task carries for them: a plan of its own, and notices of its end to
// others.

import type { NotificationEvent } from './event.ts';
import type { DeliveryId, TaskId, TaskKey, TenantId } from './ids.ts';
import type { JsonObject } from './json.ts';
import type { RetryPolicy } from './retry.ts';

/** Whom to tell of what, fixed at submit (`SAM-36`, `SAM-37`); the secret is sealed by the vault. */
export interface NotificationPlan {
  /** The channel's folder name; `webhook` is the first. */
  readonly channel: string;
  readonly url: string;
  readonly secretSealed?: string;
  readonly events: readonly NotificationEvent[];
  readonly retry: RetryPolicy;
  readonly progressIntervalMs?: number;
  readonly encoding?: 'gzip';
  readonly format?: 'msgpack';
  /** Progress is gathered and sent as an array (`SAM-84`). */
  readonly batch?: { readonly itemsMax: number; readonly delayMaxMs: number };
  readonly encryptTo?: JsonObject;
}

/** The events that tell of a task's end. */
export type EndNotification = 'task_completed' | 'task_failed' | 'task_timeout' | 'task_cancelled';

/** One more to tell of a task's end, by whatever channel, and of nothing before it (`NOOB-52`). */
export interface EndNotice {
  readonly channel: string;
  /** Where to: the URL of an endpoint, or `mailto:` and an address. */
  readonly url: string;
  readonly events: readonly EndNotification[];
}

/** Whom a task tells. */
interface Telling {
  readonly notification?: NotificationPlan;
  readonly notices?: readonly EndNotice[];
}

/** A mail server may be away for an hour or two, and nobody waits for a notice as an orchestrator waits for its webhook. */
const NOTICE_RETRY: RetryPolicy = {
  ...{ strategy: 'exponential', attemptsMax: 12, firstDelayMs: 2_000, stepMs: 0, factor: 3 },
  delayMaxMs: 1_800_000,
};

/** `pending` waits for its due time, `sending` is under way, the rest are ends; `dropped` was superseded progress (`SAM-85`). */
export type DeliveryStatus = 'pending' | 'sending' | 'delivered' | 'failed' | 'dropped';

/** A delivery before the store knows it. */
export interface NewDelivery {
  readonly id: DeliveryId;
  readonly channel: string;
  readonly endpoint: string;
  readonly event: NotificationEvent;
  /** Index into the events of the same change: which of them this tells of. */
  readonly eventIndex: number;
  readonly dueAt: number;
}

/** One try of a delivery. */
export interface DeliveryAttempt {
  readonly at: number;
  /** HTTP status, or null where there was no answer. */
  readonly status: number | null;
  readonly durationMs: number;
  /** First KiB of the answer, or the transport's error (`SAM-92`). */
  readonly answer: string;
  /** Refused for good, by its receiver or here, where its target is not permitted or there is no such channel. */
  readonly refused?: true;
}

/** A stored delivery. */
export interface Delivery {
  readonly id: DeliveryId;
  readonly tenant: TenantId;
  readonly key: TaskKey;
  readonly taskId: TaskId;
  readonly channel: string;
  readonly endpoint: string;
  readonly event: NotificationEvent;
  /** The sequence of the event it tells of. */
  readonly sequence: number;
  readonly status: DeliveryStatus;
  readonly attempts: readonly DeliveryAttempt[];
  readonly createdAt: number;
  readonly dueAt: number;
  readonly redeliveryOf?: DeliveryId;
}

/**
 * When a notification of now is to be sent: at once, or, for progress of a plan that batches, at the end of the window under way, so
 * that it waits for company at most `delayMaxMs` however much of it comes (`SAM-84`).
 */
export function dueAtOf(
  plan: Pick<NotificationPlan, 'batch'>,
  event: NotificationEvent,
  now: number,
): number {
  const windowMs = plan.batch?.delayMaxMs ?? 0;
  if (event !== 'task_progress' || windowMs === 0) return now;
  return (Math.floor(now / windowMs) + 1) * windowMs;
}

/** The notice a delivery is of; undefined where it goes by the task's own plan. */
export function noticeOf(
  { notices }: Telling,
  { channel, endpoint }: Pick<Delivery, 'channel' | 'endpoint'>,
): EndNotice | undefined {
  return notices?.find(one => one.url === endpoint && one.channel === channel);
}

/** What a delivery goes by: of a notice little is to be known, of a task without any plan nothing. */
export function planFor(
  spec: Telling,
  delivery: Pick<Delivery, 'channel' | 'endpoint'>,
): Partial<NotificationPlan> {
  const notice = noticeOf(spec, delivery);
  return notice === undefined ? (spec.notification ?? {}) : { ...notice, retry: NOTICE_RETRY };
}

/** True for the events that tell of a task's end. */
export function isEndNotification(event: NotificationEvent): event is EndNotification {
  return (
    event === 'task_completed' ||
    event === 'task_failed' ||
    event === 'task_timeout' ||
    event === 'task_cancelled'
  );
}
