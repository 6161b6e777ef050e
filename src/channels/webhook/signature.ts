// The two signatures of a webhook: SAM's over the body, and that of Standard Webhooks, which also covers its name and time.

import { createHmac } from 'node:crypto';

/** What is signed; `body` is the bytes on the wire. */
export interface Signable {
  readonly notificationId: string;
  /** Unix seconds. */
  readonly timestamp: number;
  readonly body: Uint8Array;
  /** Newest first, at least one. */
  readonly secrets: readonly [string, ...string[]];
}

/** The headers that prove a body's origin (`SAM-77`): SAM's by the newest secret alone, the standard's by each. */
export function signatureHeaders(signable: Signable): Record<string, string> {
  const { notificationId, timestamp, body, secrets } = signable;
  const sam = createHmac('sha256', secrets[0]).update(body).digest('hex');
  const standard = secrets.map(secret => {
    const hmac = createHmac('sha256', standardKey(secret)).update(`${notificationId}.${timestamp}.`);
    return `v1,${hmac.update(body).digest('base64')}`;
  });
  return {
    'X-Webhook-Signature': `sha256=${sam}`,
    'X-Webhook-Timestamp': String(timestamp),
    'webhook-id': notificationId,
    'webhook-timestamp': String(timestamp),
    'webhook-signature': standard.join(' '),
  };
}

const STANDARD_SECRET =
  /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==))$/;

function standardKey(secret: string): Buffer {
  const encoded = STANDARD_SECRET.exec(secret)?.[1];
  return encoded === undefined ? Buffer.from(secret) : Buffer.from(encoded, 'base64');
}
