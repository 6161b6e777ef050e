// What the engine needs from a way out: it hands over finished bytes and learns what became of them.

import type { Artifact } from '../../domain/artifact.ts';
import type { NotificationPlan } from '../../domain/delivery.ts';
import type { NotificationEvent } from '../../domain/event.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Service } from '../../runtime/service.ts';
import type { DueDelivery, LogLine } from '../../store/rows.ts';

/** A notification in words for people: a headline, and facts by name. Of what is sensitive it tells ids and states alone. */
export interface Words {
  readonly title: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
}

/** A notification ready to go. */
export interface ChannelMessage {
  readonly endpoint: string;
  readonly deliveryId: string;
  /** One name for the notification for ever, over retries and redeliveries. */
  readonly notificationId: string;
  /** A notification's name, or the type of a message. */
  readonly event: NotificationEvent | (string & {});
  /** From 1. */
  readonly attempt: number;
  readonly agentId: string;
  readonly traceparent: string;
  /** Newest first: all sign, so receivers may hold either during a rotation. */
  readonly secrets: readonly string[];
  /** Further headers of a call; none of the channel's own is replaced by them. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: JsonObject | readonly JsonObject[];
  /** The same for people, made for who wants it; a call to a subscriber has none. */
  readonly words?: () => Words;
  readonly encoding?: 'gzip';
  readonly format?: 'msgpack';
  readonly timeoutMs: number;
}

/** What came of sending. */
export interface SendOutcome {
  /** HTTP status or its like; null where there was no answer. */
  readonly status: number | null;
  readonly durationMs: number;
  /** First KiB of the answer, or why there was none. */
  readonly answer: string;
  /** The answer's JSON object, where it was one. */
  readonly acknowledgement?: JsonObject;
  readonly retryAfterMs?: number;
  /** `delivered`, worth another try, or never going to work. */
  readonly verdict: 'delivered' | 'retry' | 'fail';
}

/** A way out of the house. Sending never throws: failure is an outcome. */
export interface Channel extends Service {
  readonly name: string;
  /** Throws a `DomainError` saying why nothing may be sent there. */
  check(endpoint: string): Promise<void>;
  send(message: ChannelMessage): Promise<SendOutcome>;
}

/** What a receiver asks for in its acknowledgement (`SAM-88`). */
export interface Instructions {
  readonly action?: 'cancel' | 'pause' | 'resume' | 'retry';
  /** What of the task's notification plan is to be another from now on; empty where nothing is. */
  readonly plan: Partial<Pick<NotificationPlan, 'url' | 'events' | 'retry' | 'progressIntervalMs'>>;
  /** What was asked for in a way nobody understands, for the log. */
  readonly faults: readonly string[];
}

/** Speaks with a task's requester in the words of the wire it came by. */
export interface NotificationRenderer {
  /** `artifacts` are what the task left; recent logs come oldest first. */
  render(
    due: DueDelivery & { readonly artifacts: readonly Artifact[] },
    recentLogs: readonly LogLine[],
  ): JsonObject;
  words(due: DueDelivery): Words;
  /** Never throws: a receiver's faults are among what it answers. */
  instructionsIn(acknowledgement: JsonObject): Instructions;
}
