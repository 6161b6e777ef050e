// Mounts a wire's routes: for each request, in this order, who calls (401), whether their budget allows it (429), whether they may
// (403), and whether what they sent is right (400); then the handler (`SAM-6`).

import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { TSchema } from 'typebox';
import { asDomainError, DomainError } from '../domain/errors.ts';
import { requirePermission } from '../guards/permissions.ts';
import { parseJson } from '../protocols/json.ts';
import type { Protocol, Route } from '../protocols/protocol.ts';
import { bodyCheck, type Check, type Fault, textCheck } from '../protocols/validation.ts';
import type { Log } from '../runtime/log.ts';
import { answer, answerError } from './answer.ts';
import { Exchange, type ExchangeSetting } from './exchange.ts';
import type { Gatekeeper, RequestLimits, RequestRepeats } from './gate.ts';
import { presented } from './presented.ts';
import { replyOnce } from './repeats.ts';

/** What mounting needs of the server. */
export interface MountDeps {
  readonly authenticator: Gatekeeper;
  readonly limits: RequestLimits;
  readonly repeats: RequestRepeats;
  readonly log: Log;
  readonly setting: ExchangeSetting;
}

interface MountedRoute {
  readonly route: Route;
  readonly protocol: Protocol;
  readonly checks: Checks;
  readonly deps: MountDeps;
}

interface Checks {
  readonly body: Check | null;
  readonly bodyMayBeEmpty: boolean;
  readonly query: Check | null;
  readonly params: Check | null;
  readonly headers: { readonly check: Check; readonly names: readonly string[] } | null;
}

/** Adds a wire's routes to the server; a GET route without a HEAD of its own answers HEAD too. */
export function mount(app: FastifyInstance, protocol: Protocol, deps: MountDeps): void {
  const heads = new Set(protocol.routes.filter(one => one.method === 'HEAD').map(one => one.path));
  for (const route of protocol.routes) {
    const mounted: MountedRoute = { route, protocol, checks: checksOf(route), deps };
    const method = route.method === 'GET' && !heads.has(route.path) ? ['GET', 'HEAD'] : [route.method];
    const limit = route.bodyBytesMax === undefined ? {} : { bodyLimit: route.bodyBytesMax };
    const register = (scope: FastifyInstance): void => {
      scope.route({
        ...limit,
        method,
        url: route.path,
        onRequest: (request, reply, done) => admit(mounted, request, reply, done),
        handler: request => void serve(mounted, exchangeOf(request)),
        errorHandler: (error, request, reply) => fail(mounted, error, request, reply),
      });
    };
    if (route.bodyAs === 'stream') app.register(streaming(register));
    else register(app);
  }
}

function streaming(register: (scope: FastifyInstance) => void) {
  return (scope: FastifyInstance, _options: object, done: () => void): void => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, payload, next) => next(null, payload));
    register(scope);
    done();
  };
}

function checksOf(route: Route): Checks {
  const required = (route.body as { readonly required?: readonly string[] } | undefined)?.required ?? [];
  return {
    body: route.body === undefined ? null : bodyCheck(route.body),
    bodyMayBeEmpty: route.body === undefined || required.length === 0,
    query: route.query === undefined ? null : textCheck(route.query),
    params: route.params === undefined ? null : textCheck(route.params),
    headers:
      route.headers === undefined
        ? null
        : { check: textCheck(route.headers), names: propertyNames(route.headers) },
  };
}

function propertyNames(schema: TSchema): readonly string[] {
  return Object.keys((schema as { readonly properties?: object }).properties ?? {});
}

function exchangeOf({ exchange }: FastifyRequest): Exchange {
  if (exchange === null) throw new Error('a request reached its handler without passing the gate');
  return exchange;
}

function admit(
  mounted: MountedRoute,
  request: FastifyRequest,
  reply: FastifyReply,
  done: (error?: Error) => void,
): void {
  const exchange = new Exchange(request, reply, mounted.deps.setting, mounted.route.bodyAs === 'stream');
  request.exchange = exchange;
  exchange.step('reception');
  if (mounted.route.access === 'public') {
    done(admitAnyone(mounted, exchange));
  } else if (!exchange.isStreamed && mounted.deps.authenticator.wantsBody(exchange.headers)) {
    done();
  } else {
    identify(mounted, exchange, null).then(() => done(), done);
  }
}

function admitAnyone({ route, deps }: MountedRoute, exchange: Exchange): Error | undefined {
  exchange.admitted = true;
  exchange.rate =
    route.rate === 'free'
      ? deps.limits.charge(exchange.principal, 'free')
      : deps.limits.chargeAddress(exchange.sourceAddress);
  return overBudget(exchange);
}

async function identify(
  { route, deps }: MountedRoute,
  exchange: Exchange,
  body: Uint8Array | null,
): Promise<void> {
  try {
    exchange.caller = await deps.authenticator.authenticate(presented(exchange, body));
  } catch (error) {
    exchange.rate = deps.limits.chargeAddress(exchange.sourceAddress);
    throw overBudget(exchange) ?? error;
  }
  exchange.admitted = true;
  exchange.rate = deps.limits.charge(exchange.principal, route.rate);
  const refusal = overBudget(exchange);
  if (refusal !== undefined) throw refusal;
  requireAccess(route, exchange);
  exchange.step('authentication');
}

/** Why the request goes over its caller's budget, where it does. */
export function overBudget({ rate }: Exchange): DomainError | undefined {
  if (rate === null || rate.retryAfterMs === null) return undefined;
  return new DomainError('rate_limited', `more than ${rate.limit} requests in ${rate.windowMs / 1_000} s`, {
    retryAfterMs: rate.retryAfterMs,
  });
}

function requireAccess({ access, admit: judge }: Route, { principal, request }: Exchange): void {
  if (access !== 'public' && access !== 'authenticated') requirePermission(principal, access);
  judge?.(principal, request.params as Readonly<Record<string, string>>);
}

async function serve(mounted: MountedRoute, exchange: Exchange): Promise<void> {
  const { route, protocol, deps } = mounted;
  try {
    if (!exchange.admitted) await identify(mounted, exchange, bytesOf(exchange.request.body));
    receive(mounted, exchange);
    exchange.step('schema');
    const reply = await replyOnce(route, exchange, deps.repeats);
    await answer(exchange, reply, deps.setting.clock);
  } catch (error) {
    refuse(protocol, exchange, error, deps.log);
  }
}

function bytesOf(body: unknown): Buffer {
  return Buffer.isBuffer(body) ? body : Buffer.alloc(0);
}

function receive({ route, checks }: MountedRoute, exchange: Exchange): void {
  const { request } = exchange;
  const faults: Fault[] = [];
  if (checks.params !== null) faults.push(...(checks.params(request.params) ?? []));
  if (checks.query !== null) faults.push(...(checks.query(request.query) ?? []));
  if (checks.headers !== null) faults.push(...headerFaults(checks.headers, exchange.headers));
  if (route.bodyAs === 'stream') {
    refuseEncoded(exchange.headers['content-encoding']);
    exchange.stream = (request.body as Readable | undefined) ?? request.raw;
  } else if (route.bodyAs === 'bytes') {
    exchange.rawBody = bytesOf(request.body);
  } else if (route.body !== undefined || route.rawBody === true) {
    const bytes = bytesOf(request.body);
    if (route.rawBody === true) exchange.rawBody = bytes;
    refuseEncoded(exchange.headers['content-encoding']);
    exchange.parsedBody = readBody(bytes, exchange.headers['content-type'], checks.bodyMayBeEmpty);
    if (checks.body !== null) faults.push(...(checks.body(exchange.parsedBody) ?? []));
  }
  if (faults.length > 0) throw invalid(faults);
}

/** Unfolding a body would cost before anything is known of its size, and one that only claims to be packed deceives somebody. */
function refuseEncoded(encoding: string | undefined): void {
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return;
  throw new DomainError('unserializable', 'a body is taken as it is, not compressed');
}

function readBody(bytes: Buffer, contentType: string | undefined, mayBeEmpty: boolean): unknown {
  if (bytes.length === 0) {
    if (mayBeEmpty) return {};
    throw new DomainError('unserializable', 'the request has no body');
  }
  if (!isJsonType(contentType))
    throw new DomainError('unserializable', 'the body must be application/json in UTF-8');
  return parseJson(bytes);
}

function isJsonType(contentType: string | undefined): boolean {
  if (contentType === 'application/json') return true;
  return (
    contentType !== undefined && /^application\/json\s*(;\s*charset="?utf-?8"?\s*)?;?$/i.test(contentType)
  );
}

function headerFaults(
  { check, names }: { readonly check: Check; readonly names: readonly string[] },
  headers: Readonly<Record<string, string | undefined>>,
): readonly Fault[] {
  const sent: Record<string, string> = {};
  for (const name of names) {
    const value = headers[name];
    if (value !== undefined) sent[name] = value;
  }
  return check(sent) ?? [];
}

function invalid(faults: readonly Fault[]): DomainError {
  const named = faults
    .slice(0, 3)
    .map(one => (one.field === '' ? one.message : `${one.field} ${one.message}`));
  const more = faults.length > named.length ? ` and ${faults.length - named.length} more` : '';
  return new DomainError('invalid_request', `${named.join('; ')}${more}`, {
    details: { errors: faults.map(one => ({ field: one.field, message: one.message })) },
  });
}

function fail(
  { protocol, deps }: MountedRoute,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  const exchange = request.exchange ?? new Exchange(request, reply, deps.setting);
  refuse(protocol, exchange, translated(error), deps.log);
}

/** Words an error on a wire; what nobody foresaw is logged with its cause and answered without it. */
export function refuse(protocol: Protocol, exchange: Exchange, thrown: unknown, log: Log): void {
  const error = asDomainError(thrown);
  if (error.code === 'internal')
    log.error('a request failed', {
      requestId: exchange.requestId,
      method: exchange.request.method,
      path: exchange.request.routeOptions.url,
      error: error.cause ?? error,
    });
  const { raw } = exchange.reply;
  if (raw.headersSent) raw.destroy();
  else void answerError(exchange, protocol, error);
}

/** What the framework refuses before a route is reached, as an error of ours. */
export function translated(error: unknown): unknown {
  if (error instanceof DomainError) return error;
  const { code, statusCode } = error as { readonly code?: unknown; readonly statusCode?: unknown };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new DomainError('payload_too_large', 'the body is larger than this route takes');
  if (typeof code === 'string' && code.startsWith('FST_ERR_CTP'))
    return new DomainError('unserializable', 'the body must be application/json in UTF-8');
  if (statusCode === 414) return new DomainError('not_found', 'nothing has so long a name');
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return new DomainError('invalid_request', 'the request could not be read');
  return error;
}
