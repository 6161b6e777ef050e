// What an `Idempotency-Key` means to a request: done once, answered as often as it comes (`SAM-47`). Which routes take one is
// decided here, what is remembered by the guard.

import { DomainError } from '../domain/errors.ts';
import type { FirstRun, KeptAnswer, KeyedRequest } from '../guards/repeats.ts';
import type { Reply, Route } from '../protocols/protocol.ts';
import type { Exchange } from './exchange.ts';
import type { RequestRepeats } from './gate.ts';

/** The header, as every route that takes it describes it. */
export const IDEMPOTENCY_HEADER = {
  name: 'Idempotency-Key',
  description: 'Names the request: sent again under the same key it is answered again, and done once.',
  lengthMax: 255,
} as const;

const PRINTABLE = /^[\x21-\x7e][\x20-\x7e]*$/;

/** Whether the route's answers are remembered by key: all that change something, but those that know a repeat by themselves. */
export function takesKey({ method, access, bodyAs, idempotency }: Route): boolean {
  return (
    method !== 'GET' &&
    method !== 'HEAD' &&
    access !== 'public' &&
    bodyAs !== 'stream' &&
    idempotency !== 'own'
  );
}

/** The route's answer: by its handler, or, where this very request was answered before, the same again. */
export function replyOnce(route: Route, exchange: Exchange, repeats: RequestRepeats): Promise<Reply> {
  const key = exchange.headers['idempotency-key'];
  // Most requests end here, and wait for nothing more.
  if (key === undefined || !takesKey(route)) return route.handle(exchange);
  return replyUnder(key, route, exchange, repeats);
}

async function replyUnder(
  key: string,
  route: Route,
  exchange: Exchange,
  repeats: RequestRepeats,
): Promise<Reply> {
  if (key.length > IDEMPOTENCY_HEADER.lengthMax || !PRINTABLE.test(key)) throw badKey();
  const outcome = await repeats.once(requestOf(route, exchange, key), async () => {
    const reply = await route.handle(exchange);
    return runOf(reply);
  });
  return 'first' in outcome ? outcome.first : replyOf(outcome.again);
}

function requestOf(route: Route, { request, principal }: Exchange, key: string): KeyedRequest {
  const { method, url = '' } = request.raw;
  const mark = url.indexOf('?');
  return {
    tenant: principal.tenant,
    principal: principal.id,
    route: `${method} ${mark === -1 ? url : url.slice(0, mark)}`,
    key,
    query: mark === -1 ? '' : url.slice(mark + 1),
    body: Buffer.isBuffer(request.body) ? request.body : new Uint8Array(),
    confidential: route.idempotency === 'confidential',
  };
}

function runOf(reply: Reply): FirstRun<Reply> {
  if (reply.kind === 'stream' || reply.kind === 'sse') return { reply, succeeded: true, kept: null };
  const { status, headers = {} } = reply;
  const contentType = reply.kind === 'text' ? reply.contentType : reply.kind === 'json' ? '' : null;
  const body = reply.kind === 'text' ? reply.body : reply.kind === 'json' ? JSON.stringify(reply.body) : null;
  return { reply, succeeded: status < 400, kept: { status, contentType, body, headers } };
}

function replyOf({ status, contentType, body, headers }: KeptAnswer): Reply {
  const marked = { ...headers, 'idempotency-replayed': 'true' };
  if (body === null) return { kind: 'empty', status, headers: marked };
  if (contentType === '' || contentType === null)
    return { kind: 'json', status, body: JSON.parse(body) as unknown, headers: marked };
  return { kind: 'text', status, body, contentType, headers: marked };
}

function badKey(): DomainError {
  const { name, lengthMax } = IDEMPOTENCY_HEADER;
  const message = `must be 1 to ${lengthMax} printable ASCII characters`;
  return new DomainError('invalid_request', `${name} ${message}`, {
    details: { errors: [{ field: name, message }] },
  });
}
