// Deliveries: one notification on its way to one endpoint, and the plan a task carries for them.

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
  /** It was not sent and never will be: its target is not permitted, or there is no such channel. */
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

/** True for the events that tell of a task's end. */
export function isEndNotification(event: NotificationEvent): boolean {
  return (
    event === 'task_completed' ||
    event === 'task_failed' ||
    event === 'task_timeout' ||
    event === 'task_cancelled'
  );
}
