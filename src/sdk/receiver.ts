// Receiving webhooks in an orchestrator: a handler for web-standard servers that believes only what is signed, calls back once for
// each notification, and answers as the sender expects.

import type { NotificationEvent } from '../domain/event.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { type Clock, systemClock } from './clock.ts';
import { type VerifiedWebhook, verifyWebhook, WebhookVerificationError } from './webhooks.ts';
import type { ArtifactReference, WireState } from './wire.ts';

/** A notification's body (`SAM-80`–`SAM-82`). */
export interface WebhookBody {
  readonly event_type: NotificationEvent;
  readonly task_id: string;
  readonly execution_id: string;
  readonly agent_id: string;
  readonly timestamp: string;
  readonly sequence: number;
  readonly status: {
    readonly current_state: WireState;
    readonly progress_percentage?: number;
    readonly estimated_remaining?: number;
    readonly current_step?: string;
    readonly total_steps?: number;
  };
  /** End events alone. */
  readonly result?: {
    readonly success: boolean;
    readonly output?: Json;
    /** In place of `output` where that is over 1 MiB: an artifact's id. */
    readonly output_ref?: string;
    readonly error?: JsonObject | null;
    readonly artifacts?: readonly ArtifactReference[];
    readonly metrics?: JsonObject;
  };
  /** `agent_error` alone. */
  readonly error?: { readonly code: string; readonly message: string; readonly [more: string]: Json };
  /** `resource_warning` alone. */
  readonly warning?: { readonly resource: string; readonly value: number; readonly limit: number };
  readonly context?: JsonObject;
  readonly next_actions?: JsonObject;
}

/** What the receiver may order in its acknowledgement (`SAM-88`). */
export interface Acknowledgement {
  readonly next_instructions?: {
    readonly action?: 'cancel' | 'pause' | 'resume' | 'retry';
    readonly notification_events?: readonly NotificationEvent[];
    readonly progress_interval?: number;
  };
  readonly callback_url?: string;
  readonly retry_policy?: JsonObject;
}

/** Does something about a notification; what it answers goes back to the sender, what it throws makes the sender try again. */
export type WebhookCallback = (
  body: WebhookBody,
) => Acknowledgement | undefined | Promise<Acknowledgement | undefined> | Promise<void>;

/** Callbacks by event; `any` gets the events that have none of their own. */
export type WebhookCallbacks = { readonly [Event in NotificationEvent | 'any']?: WebhookCallback };

/** How a receiver may be adjusted. */
export interface ReceiverOptions {
  /** How far the sender's clock may be off (300). */
  readonly toleranceSeconds?: number;
  /** Refuses senders without the Standard Webhooks headers, whose signature covers the time. */
  readonly requireStandard?: boolean;
  /** Reads `application/msgpack`. */
  readonly unpack?: (bytes: Uint8Array) => unknown;
  /** Names kept to tell repeats by (100,000), the oldest forgotten first; repeats come within 24 hours. */
  readonly rememberMax?: number;
  readonly clock?: Clock;
  /** Hears of callbacks that threw. */
  readonly onError?: (error: unknown, body: WebhookBody) => void;
}

const REMEMBER_MAX = 100_000;

/**
 * A handler that verifies each request, calls back and acknowledges. A delivery that was dealt with is acknowledged again as a
 * duplicate, without a call; one whose callback threw is answered 500 and may come again.
 */
export function webhookReceiver(
  secret: string | readonly string[],
  callbacks: WebhookCallbacks,
  options: ReceiverOptions = {},
): (request: Request) => Promise<Response> {
  const { clock = systemClock } = options;
  const seen = new Map<string, Promise<Acknowledgement>>();
  return async request => {
    if (request.method !== 'POST')
      return answer(405, { error: 'webhooks are sent by POST' }, { allow: 'POST' });
    let verified: VerifiedWebhook;
    try {
      verified = await verifyWebhook({
        ...options,
        headers: request.headers,
        body: new Uint8Array(await request.arrayBuffer()),
        secret,
        now: () => clock.now(),
      });
    } catch (error) {
      if (!(error instanceof WebhookVerificationError)) throw error;
      return answer(error.reason === 'mismatch' ? 401 : 400, { error: error.message });
    }
    const name = verified.deliveryId ?? verified.notificationId;
    const earlier = name === undefined ? undefined : seen.get(name);
    try {
      if (earlier !== undefined) {
        await earlier;
        return answer(200, { acknowledged: true, duplicate: true });
      }
      const handling = handle(verified, callbacks, options);
      if (name !== undefined) remember(seen, name, handling, options.rememberMax ?? REMEMBER_MAX);
      return answer(200, { acknowledged: true, ...(await handling) });
    } catch {
      if (name !== undefined) seen.delete(name);
      return answer(500, { acknowledged: false });
    }
  };
}

/** One callback after another where the sender batches; of several acknowledgements the later ones win. */
async function handle(
  verified: VerifiedWebhook,
  callbacks: WebhookCallbacks,
  options: ReceiverOptions,
): Promise<Acknowledgement> {
  const bodies = (Array.isArray(verified.payload) ? verified.payload : [verified.payload]) as WebhookBody[];
  let acknowledgement: Acknowledgement = {};
  for (const body of bodies) {
    try {
      const callback = callbacks[body.event_type] ?? callbacks.any;
      acknowledgement = { ...acknowledgement, ...((await callback?.(body)) ?? {}) };
    } catch (error) {
      options.onError?.(error, body);
      throw error;
    }
  }
  return acknowledgement;
}

function remember(
  seen: Map<string, Promise<Acknowledgement>>,
  name: string,
  handling: Promise<Acknowledgement>,
  max: number,
): void {
  seen.set(name, handling);
  const [oldest] = seen.keys();
  if (seen.size > max && oldest !== undefined) seen.delete(oldest);
}

function answer(status: number, body: object, headers: Readonly<Record<string, string>> = {}): Response {
  return Response.json(body, { status, headers });
}
