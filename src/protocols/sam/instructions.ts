// What a receiver asks for when it acknowledges a webhook, read from SAM's words into the model's (`SAM-88`). Whether it may be done
// is the engine's to decide; here it is only held to the form and the limits of a submit.

import Type, { type Static } from 'typebox';
import type { NotificationPlan } from '../../domain/delivery.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { isJsonObject } from '../../domain/json.ts';
import { RETRY_POLICIES, type RetryPolicy } from '../../domain/retry.ts';
import type { Instructions } from '../../engine/ports/channel.ts';
import { bodyCheck } from '../validation.ts';
import { notificationConfig } from './schema/task.ts';

const { webhook_url, notification_events, progress_interval, retry_policy } = notificationConfig.properties;

const wishes = Type.Object({
  action: Type.Optional(Type.Enum(['cancel', 'pause', 'resume', 'retry'])),
  callback_url: Type.Optional(webhook_url),
  notification_events,
  progress_interval,
  retry_policy,
});

type Wishes = Static<typeof wishes>;

const check = bodyCheck(wishes);

/** The instructions in an acknowledgement; what is not as the wire has it is a fault and left out, the rest stands. */
export function instructionsIn(acknowledgement: JsonObject): Instructions {
  const said = wishesOf(acknowledgement);
  const faults = check(said) ?? [];
  const faulty = new Set(faults.map(({ field }) => field.split('.')[0]));
  const sound: Wishes = Object.fromEntries(Object.entries(said).filter(([name]) => !faulty.has(name)));
  return {
    ...(sound.action === undefined ? {} : { action: sound.action }),
    plan: planOf(sound),
    faults: faults.map(({ field, message }) => `${field} ${message}`),
  };
}

/** How often and how fast a delivery is tried, in a submit's or a receiver's words (`SAM-36`). */
export function deliveryRetry(from: Wishes['retry_policy']): RetryPolicy {
  const { max_attempts: attemptsMax, backoff_strategy: strategy = 'exponential' } = from ?? {};
  return {
    ...RETRY_POLICIES[strategy],
    attemptsMax: attemptsMax ?? RETRY_POLICIES.exponential.attemptsMax,
  };
}

/** The document has `callback_url` and `retry_policy` beside `next_instructions`; receivers also put them into it. */
function wishesOf(acknowledgement: JsonObject): Readonly<Record<string, Json>> {
  const { next_instructions: next, callback_url: callback, retry_policy: retry } = acknowledgement;
  return {
    ...(next !== undefined && isJsonObject(next) ? next : {}),
    ...(callback === undefined || callback === null ? {} : { callback_url: callback }),
    ...(retry === undefined || retry === null ? {} : { retry_policy: retry }),
  };
}

function planOf(wish: Wishes): Partial<NotificationPlan> {
  const { callback_url: url, notification_events: events, progress_interval: seconds } = wish;
  return {
    ...(url === undefined ? {} : { url }),
    ...(events === undefined ? {} : { events }),
    ...(seconds === undefined ? {} : { progressIntervalMs: Math.round(seconds * 1_000) }),
    ...(wish.retry_policy === undefined ? {} : { retry: deliveryRetry(wish.retry_policy) }),
  };
}
