// The webhook channel: one signed POST a notification, and what its receiver made of it. When to send, and how often, is the
// engine's business.

import { DomainError } from '../../domain/errors.ts';
import type { Channel, ChannelMessage, SendOutcome } from '../../engine/ports/channel.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Clock } from '../../runtime/clock.ts';
import { judgeAnswer, judgeFailure } from '../answer.ts';
import { encodeBody } from './body.ts';
import { signatureHeaders } from './signature.ts';

/** What the channel is built from. */
export interface WebhookChannelOptions {
  readonly clock: Clock;
  /** Its owner stops it. */
  readonly outbound: Outbound;
  /** Of this server, for `User-Agent`. */
  readonly version: string;
}

const ANSWER_BYTES_MAX = 64 * 1024;

/** Sends notifications as signed webhooks (`SAM-76`, `SAM-77`, `SAM-84`), judging answers by `SAM-87` and `SAM-89`. */
export function createWebhookChannel(options: WebhookChannelOptions): Channel {
  const { clock } = options;
  return {
    name: 'webhook',
    start: async () => {},
    stop: async () => {},
    check: endpoint => options.outbound.check(endpoint),
    async send(message) {
      const startedAt = clock.monotonic();
      try {
        return await post(options, message);
      } catch (error) {
        return judgeFailure(error, clock.monotonic() - startedAt);
      }
    },
  };
}

async function post(options: WebhookChannelOptions, message: ChannelMessage): Promise<SendOutcome> {
  const { clock, outbound, version } = options;
  const [newest, ...older] = message.secrets;
  if (newest === undefined)
    throw new DomainError('invalid_request', 'a webhook cannot be sent without a secret');
  const body = await encodeBody(message);
  const answer = await outbound.send({
    url: message.endpoint,
    method: 'POST',
    headers: {
      ...message.headers,
      'User-Agent': `batuta/${version}`,
      'X-SAM-Agent-ID': message.agentId,
      'X-Webhook-Event': message.event,
      'X-Delivery-ID': message.deliveryId,
      'X-Webhook-Attempt': String(message.attempt),
      traceparent: message.traceparent,
      ...body.headers,
      ...signatureHeaders({
        notificationId: message.notificationId,
        timestamp: Math.floor(clock.now() / 1_000),
        body: body.bytes,
        secrets: [newest, ...older],
      }),
    },
    body: body.bytes,
    timeoutMs: message.timeoutMs,
    answerBytesMax: ANSWER_BYTES_MAX,
    truncate: true,
  });
  return judgeAnswer(answer, clock.now());
}
