// Asks a running server over real sockets, and believes nothing: whatever comes back is held against the contract.

import assert from 'node:assert/strict';
import type { Loose } from '../serve.ts';
import { type Contract, contractOf } from './contract.ts';

/** Headers by name. */
export type HeaderSet = Readonly<Record<string, string>>;

/** How to ask. */
export interface Asking {
  readonly body?: unknown;
  /** Sent as it is, in place of `body`. */
  readonly raw?: string | Uint8Array<ArrayBuffer>;
  readonly headers?: HeaderSet;
  /** What the answer must be; any status of 2xx unless given. `null` takes whatever comes. */
  readonly expect?: number | null;
  /** Of a stream of events only the beginning is awaited, for it may have no end. */
  readonly beginning?: boolean;
}

/** What came back; `body` is the JSON, else the text. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Loose;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A caller of one server. */
export interface Wire {
  readonly url: string;
  readonly contract: Contract;
  readonly credentials: HeaderSet;
  /** The same server, seen by somebody else. */
  as(credentials: HeaderSet): Wire;
  ask(method: string, path: string, asking?: Asking): Promise<Answer>;
  get(path: string, asking?: Asking): Promise<Answer>;
  post(path: string, body?: unknown, asking?: Asking): Promise<Answer>;
}

/** An answer takes this long at most; what takes longer is a hang. */
const ANSWER_MS_MAX = 15_000;

/** A caller with these credentials; the contract is read once and shared by all callers made from this one. */
export async function openWire(url: string, credentials: HeaderSet): Promise<Wire> {
  return wireOf(url, await contractOf(url), credentials);
}

/** Headers of an API key. */
export function keyHeaders(key: { readonly api_key: string; readonly api_secret: string }): HeaderSet {
  return { 'x-api-key': key.api_key, 'x-api-secret': key.api_secret };
}

/** Headers of a token. */
export function bearer(token: string): HeaderSet {
  return { authorization: `Bearer ${token}` };
}

function wireOf(url: string, contract: Contract, credentials: HeaderSet): Wire {
  const ask: Wire['ask'] = (method, path, asking = {}) =>
    send({ url, contract, credentials }, method, path, asking);
  return {
    url,
    contract,
    credentials,
    as: others => wireOf(url, contract, others),
    ask,
    get: (path, asking) => ask('GET', path, asking),
    post: (path, body = {}, asking) => ask('POST', path, { body, ...asking }),
  };
}

async function send(
  { url, contract, credentials }: Pick<Wire, 'url' | 'contract' | 'credentials'>,
  method: string,
  path: string,
  { body, raw, headers, expect, beginning }: Asking,
): Promise<Answer> {
  const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
  const response = await fetch(`${url}${path}`, {
    method,
    redirect: 'manual',
    headers: {
      ...(payload === undefined ? {} : { 'content-type': 'application/json' }),
      ...credentials,
      ...headers,
    },
    ...(payload === undefined ? {} : { body: payload }),
    signal: AbortSignal.timeout(ANSWER_MS_MAX),
  });
  const isEvents = response.headers.get('content-type')?.startsWith('text/event-stream') === true;
  const isLeft = beginning === true && isEvents;
  if (isLeft) await response.body?.cancel();
  const bytes = new Uint8Array(isLeft ? new ArrayBuffer(0) : await response.arrayBuffer());
  const text = new TextDecoder().decode(bytes);
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true;
  const answer = {
    status: response.status,
    headers: response.headers,
    body: isJson && text !== '' ? JSON.parse(text) : text,
    bytes,
  };
  const operation = contract.find(method, new URL(path, url).pathname);
  if (operation !== undefined) contract.hold(operation, answer);
  const isExpected = expect === undefined ? response.ok : expect === null || expect === response.status;
  assert.ok(isExpected, `${method} ${path} answered ${response.status}: ${text.slice(0, 600)}`);
  return answer;
}
