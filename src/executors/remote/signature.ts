// Whether a received webhook is genuine: SAM's signature over its body, and that of Standard Webhooks, which also covers its name
// and time, where the sender adds it (`SAM-95`).

import { createHmac } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import { sameBytes } from '../../guards/constant-time.ts';

/** A request as it came; header names in lower case. */
export interface SignedRequest {
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

const TOLERANCE_S = 300;
const STANDARD_HEADERS = ['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const;
const STANDARD_SECRET =
  /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==))$/;

/** Throws `invalid_request` unless everything that proves origin and time is there, and the time is at most 300 s off. */
export function assertStamped({ headers }: SignedRequest, now: number): void {
  required(headers, 'x-webhook-signature');
  assertFresh(required(headers, 'x-webhook-timestamp'), now);
  if (!isStandard(headers)) return;
  for (const name of STANDARD_HEADERS) required(headers, name);
  assertFresh(required(headers, 'webhook-timestamp'), now);
}

/**
 * Whether one of the secrets signed the request. Where both signatures are there both must match, but for SAM's while the sender's
 * secrets rotate: it is by the newest alone, which may not be known here yet, and the other covers everything.
 */
export function isSignedBy({ headers, body }: SignedRequest, secrets: readonly string[]): boolean {
  const given = headers['x-webhook-signature'] ?? '';
  const bySam = matches(
    [given],
    secrets.map(secret => samSignature(secret, body)),
  );
  if (!isStandard(headers)) return bySam;
  const signatures = (headers['webhook-signature'] ?? '').split(' ').filter(one => one.startsWith('v1,'));
  const prefix = `${headers['webhook-id']}.${headers['webhook-timestamp']}.`;
  const byStandard = matches(
    signatures,
    secrets.map(secret => standardSignature(secret, prefix, body)),
  );
  return byStandard && (bySam || signatures.length > 1);
}

function isStandard(headers: SignedRequest['headers']): boolean {
  return STANDARD_HEADERS.some(name => headers[name] !== undefined);
}

function required(headers: SignedRequest['headers'], name: string): string {
  const value = headers[name];
  if (value === undefined || value === '') throw badHeader(name, 'is missing');
  return value;
}

function assertFresh(timestamp: string, now: number): void {
  if (!/^\d{1,12}$/.test(timestamp)) throw badHeader('x-webhook-timestamp', 'must be in Unix seconds');
  if (Math.abs(Math.floor(now / 1_000) - Number(timestamp)) > TOLERANCE_S)
    throw badHeader('x-webhook-timestamp', `is more than ${TOLERANCE_S} s off this server's clock`);
}

function badHeader(field: string, message: string): DomainError {
  return new DomainError('invalid_request', `${field} ${message}`, {
    details: { errors: [{ field, message }] },
  });
}

/** Compares every pair, so that the time taken does not tell which one matched. */
function matches(given: readonly string[], expected: readonly string[]): boolean {
  let found = false;
  for (const one of given)
    for (const other of expected) found = sameBytes(Buffer.from(one), Buffer.from(other)) || found;
  return found;
}

function samSignature(secret: string, body: Uint8Array): string {
  return `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
}

function standardSignature(secret: string, prefix: string, body: Uint8Array): string {
  const encoded = STANDARD_SECRET.exec(secret)?.[1];
  const key = encoded === undefined ? Buffer.from(secret) : Buffer.from(encoded, 'base64');
  return `v1,${createHmac('sha256', key).update(prefix).update(body).digest('base64')}`;
}
