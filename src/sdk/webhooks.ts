// What a receiver of webhooks needs: proof that a notification is genuine and fresh, before anything in it is believed. WebCrypto
// only, so it runs wherever `fetch` does.

import type { NotificationEvent } from '../domain/event.ts';
import type { JsonObject } from '../domain/json.ts';

/** Why a webhook is not to be believed. Answer 400, except 401 for `mismatch`. */
export type WebhookRefusal = 'missing_header' | 'stale' | 'mismatch' | 'malformed';

/** Thrown for a webhook that is not to be believed; `reason` says why. */
export class WebhookVerificationError extends Error {
  readonly reason: WebhookRefusal;

  constructor(reason: WebhookRefusal, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'WebhookVerificationError';
    this.reason = reason;
  }
}

/** Request headers in any form servers give them; names in any case. */
export type WebhookHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

/** One secret, or several while they rotate. */
export type WebhookSecrets = string | readonly string[];

/** A received request. */
export interface ReceivedWebhook {
  readonly headers: WebhookHeaders;
  /** The bytes as they came: unparsed, and still compressed. */
  readonly body: Uint8Array | string;
  readonly secret: WebhookSecrets;
  /** How far the sender's clock may be off, and how old a webhook may be. */
  readonly toleranceSeconds?: number;
  /** Epoch milliseconds; the system's clock unless given. */
  readonly now?: () => number;
  /** Refuses senders without Standard Webhooks headers: `X-Webhook-Signature` alone proves neither time nor name. */
  readonly requireStandard?: boolean;
  /** Reads `application/msgpack`, such as msgpackr's `unpack`; needed only by receivers that asked for it. */
  readonly unpack?: (bytes: Uint8Array) => unknown;
}

/** A genuine notification. */
export interface VerifiedWebhook {
  /** One of those known when this was built, or a later one. */
  readonly event: NotificationEvent | (string & {});
  /** Absent where the payload has no `task_id`. */
  readonly taskId: string | undefined;
  /** The same over retries, new after a manual redelivery. Not signed. */
  readonly deliveryId: string | undefined;
  /** The same for ever, and signed: what to tell repetitions by. Absent without Standard Webhooks headers. */
  readonly notificationId: string | undefined;
  /** An array where batches were asked for; `event` and `taskId` are then its last item's. */
  readonly payload: JsonObject | readonly JsonObject[];
}

/** A webhook to sign. */
export interface OutgoingWebhook {
  /** The bytes as they will be sent. */
  readonly body: Uint8Array | string;
  /** Newest first; `X-Webhook-Signature` is by the newest alone. */
  readonly secret: WebhookSecrets;
  readonly event: NotificationEvent;
  readonly deliveryId: string;
  readonly notificationId: string;
  readonly agentId: string;
  /** From 1, which is the default. */
  readonly attempt?: number;
  /** Epoch milliseconds; the system's clock unless given. */
  readonly now?: () => number;
}

/**
 * Verifies signatures and age, then decodes the body. Either kind of signature suffices; where both are present both must match
 * one of the secrets, but for `X-Webhook-Signature` while the sender's secrets rotate. Compares in constant time. Throws
 * `WebhookVerificationError`.
 */
export async function verifyWebhook(received: ReceivedWebhook): Promise<VerifiedWebhook> {
  const header = headerReader(received.headers);
  const bytes = bytesOf(received.body);
  const secrets = secretsOf(received.secret);
  const isStandard = STANDARD_HEADERS.some(name => header(name) !== undefined);
  if (isStandard || received.requireStandard === true) {
    const id = required(header, 'webhook-id');
    const timestamp = required(header, 'webhook-timestamp');
    assertFresh(received, timestamp);
    await assertSigned(standardSignatures(header), secrets, secret =>
      standardSignature(secret, id, timestamp, bytes),
    );
  }
  const hasSam = header('x-webhook-signature') !== undefined;
  // While secrets rotate, X-Webhook-Signature is by the newest, which this receiver may not hold yet; the other covers it all.
  const isRotating = isStandard && standardSignatures(header).length > 1;
  if (!isStandard || (hasSam && !isRotating)) {
    const given = required(header, 'x-webhook-signature');
    assertFresh(received, required(header, 'x-webhook-timestamp'));
    if (!/^sha256=[0-9a-f]{64}$/.test(given)) throw malformed('X-Webhook-Signature is not sha256= and hex');
    await assertSigned([given], secrets, secret => samSignature(secret, bytes));
  }
  const payload = await decode(bytes, header, received.unpack);
  return {
    ...identify(payload, header('x-webhook-event')),
    deliveryId: header('x-delivery-id'),
    notificationId: header('webhook-id'),
    payload,
  };
}

/** The headers of a webhook as a SAM server sends them, without those that describe the body. */
export async function signWebhook(outgoing: OutgoingWebhook): Promise<Record<string, string>> {
  const { notificationId, now = Date.now } = outgoing;
  const bytes = bytesOf(outgoing.body);
  const secrets = secretsOf(outgoing.secret);
  const timestamp = String(Math.floor(now() / 1_000));
  const standard = secrets.map(secret => standardSignature(secret, notificationId, timestamp, bytes));
  return {
    'X-SAM-Agent-ID': outgoing.agentId,
    'X-Webhook-Event': outgoing.event,
    'X-Delivery-ID': outgoing.deliveryId,
    'X-Webhook-Attempt': String(outgoing.attempt ?? 1),
    'X-Webhook-Signature': await samSignature(secrets[0], bytes),
    'X-Webhook-Timestamp': timestamp,
    'webhook-id': notificationId,
    'webhook-timestamp': timestamp,
    'webhook-signature': (await Promise.all(standard)).join(' '),
  };
}

type Bytes = Uint8Array<ArrayBuffer>;
type HeaderReader = (name: string) => string | undefined;

const STANDARD_HEADERS = ['webhook-id', 'webhook-timestamp', 'webhook-signature'];
const STANDARD_SECRET =
  /^whsec_((?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{2}==))$/;

function headerReader(headers: WebhookHeaders): HeaderReader {
  if (isHeaders(headers)) return name => headers.get(name) ?? undefined;
  const values = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  return name => {
    const value = values.get(name);
    return typeof value === 'string' || value === undefined ? value : value.join(', ');
  };
}

/** By its method, because programs may bring a class of their own. */
function isHeaders(headers: WebhookHeaders): headers is Headers {
  return typeof headers.get === 'function';
}

function required(header: HeaderReader, name: string): string {
  const value = header(name);
  if (value === undefined || value === '')
    throw new WebhookVerificationError('missing_header', `the header ${name} is missing`);
  return value;
}

/** Those of version 1, in the order given. */
function standardSignatures(header: HeaderReader): readonly string[] {
  const signatures = required(header, 'webhook-signature').split(' ');
  const known = signatures.filter(signature => signature.startsWith('v1,'));
  if (known.length === 0) throw malformed('webhook-signature has no v1 signature');
  return known;
}

/** Throws where a caller forgot its secret: everyone knows the empty one. */
function secretsOf(secret: WebhookSecrets): readonly [string, ...string[]] {
  const [newest, ...older] = typeof secret === 'string' ? [secret] : secret;
  if (newest === undefined || newest === '' || older.includes(''))
    throw new TypeError('a webhook secret must not be empty');
  return [newest, ...older];
}

function bytesOf(body: Uint8Array | string): Bytes {
  return typeof body === 'string' ? new TextEncoder().encode(body) : new Uint8Array(body);
}

function assertFresh({ now = Date.now, toleranceSeconds = 300 }: ReceivedWebhook, timestamp: string): void {
  if (!/^\d{1,12}$/.test(timestamp)) throw malformed('the timestamp is not in Unix seconds');
  if (Math.abs(now() / 1_000 - Number(timestamp)) > toleranceSeconds)
    throw new WebhookVerificationError(
      'stale',
      `the webhook is more than ${toleranceSeconds} seconds off this clock`,
    );
}

async function assertSigned(
  given: readonly string[],
  secrets: readonly string[],
  sign: (secret: string) => Promise<string>,
): Promise<void> {
  const expected = await Promise.all(secrets.map(sign));
  if (!expected.some(one => given.some(other => isEqual(one, other))))
    throw new WebhookVerificationError('mismatch', 'no secret matches the signature');
}

/** In time that depends on the lengths alone. */
function isEqual(one: string, other: string): boolean {
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let at = 0; at < one.length; at += 1) difference |= one.charCodeAt(at) ^ other.charCodeAt(at);
  return difference === 0;
}

async function samSignature(secret: string, body: Bytes): Promise<string> {
  const digest = await hmac(bytesOf(secret), body);
  return `sha256=${Array.from(digest, byte => byte.toString(16).padStart(2, '0')).join('')}`;
}

async function standardSignature(
  secret: string,
  id: string,
  timestamp: string,
  body: Bytes,
): Promise<string> {
  const encoded = STANDARD_SECRET.exec(secret)?.[1];
  const key =
    encoded === undefined ? bytesOf(secret) : Uint8Array.from(atob(encoded), char => char.charCodeAt(0));
  const prefix = bytesOf(`${id}.${timestamp}.`);
  const signed = new Uint8Array(prefix.length + body.length);
  signed.set(prefix);
  signed.set(body, prefix.length);
  return `v1,${btoa(String.fromCharCode(...(await hmac(key, signed))))}`;
}

async function hmac(secret: Bytes, content: Bytes): Promise<Uint8Array> {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const key = await crypto.subtle.importKey('raw', secret, algorithm, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, content));
}

async function decode(
  bytes: Bytes,
  header: HeaderReader,
  unpack: ReceivedWebhook['unpack'],
): Promise<VerifiedWebhook['payload']> {
  const isPacked = header('content-type')?.startsWith('application/msgpack') === true;
  if (isPacked && unpack === undefined) throw malformed('reading application/msgpack takes an `unpack`');
  let payload: unknown;
  try {
    const plain = header('content-encoding') === 'gzip' ? await gunzip(bytes) : bytes;
    payload = isPacked ? unpack?.(plain) : JSON.parse(new TextDecoder().decode(plain));
  } catch (error) {
    throw malformed('the body cannot be decoded', error);
  }
  if (isObject(payload) || (Array.isArray(payload) && payload.length > 0 && payload.every(isObject)))
    return payload;
  throw malformed('the body is neither an object nor an array of objects');
}

async function gunzip(bytes: Bytes): Promise<Bytes> {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Believes what is signed; the header, which is not, must agree with it. */
function identify(
  payload: VerifiedWebhook['payload'],
  claimed: string | undefined,
): Pick<VerifiedWebhook, 'event' | 'taskId'> {
  const items: readonly JsonObject[] = isObject(payload) ? [payload] : payload;
  const signed = items.flatMap(({ event_type: type }) => (typeof type === 'string' ? [type] : []));
  const event = signed.at(-1) ?? claimed;
  if (event === undefined) throw malformed('the webhook names no event');
  if (claimed !== undefined && signed.length > 0 && !signed.includes(claimed))
    throw malformed('X-Webhook-Event is not the event of the body');
  const taskId = items.at(-1)?.task_id;
  return { event, taskId: typeof taskId === 'string' ? taskId : undefined };
}

function malformed(message: string, cause?: unknown): WebhookVerificationError {
  return new WebhookVerificationError('malformed', message, cause);
}
