// The one way out over HTTP: no request, whoever words it, reaches an address the operator did not permit, follows a redirect,
// outlives its deadline or brings home more than was asked for (`SAM-122`).

import { lookup } from 'node:dns/promises';
import { Agent } from 'undici';
import { DomainError } from '../domain/errors.ts';
import type { Outbound, OutboundAnswer, OutboundRequest } from '../engine/ports/outbound.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import { bodyOf, readBody } from './outbound/answer.ts';
import { addressesOf, createConnector, type ResolveHost } from './outbound/connector.ts';
import { assertHeaders } from './outbound/headers.ts';
import {
  assertAddresses,
  assertScheme,
  type OutboundHost,
  type OutboundRules,
  type OutboundTarget,
  readTarget,
} from './outbound/permission.ts';
import { isListedHost, type PrivateTargets } from './outbound/targets.ts';

export { type PrivateTargets, parsePrivateTargets } from './outbound/targets.ts';

/** How to build the way out. */
export interface OutboundOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly allowed: PrivateTargets;
  /** The system's resolver unless given. */
  readonly resolve?: ResolveHost;
  /** Permits `http:` to every public host, not to allow-listed ones alone. */
  readonly plainHttpEverywhere?: boolean;
  /** Requests to one origin beyond this wait for a connection, inside their deadline. */
  readonly connectionsPerOriginMax?: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const CHECK_TIMEOUT_MS = 3_000;
const CHECK_MEMORY_MS = 30_000;
const CHECK_MEMORY_MAX = 1_000;
const HEADER_BYTES_MAX = 16 * 1024;
/** A connection is renewed, and its name resolved again, after so many requests. */
const REQUESTS_PER_CONNECTION_MAX = 1_000;
const NOTHING = new Uint8Array();

/** The guarded client; it keeps connections open between requests until stopped. */
export function createOutbound(options: OutboundOptions): Outbound {
  const { clock, log, resolve = systemResolve } = options;
  const rules: OutboundRules = {
    allowed: options.allowed,
    plainHttpEverywhere: options.plainHttpEverywhere ?? false,
  };
  const assertPermitted = (host: OutboundHost, addresses: readonly string[]): void => {
    try {
      assertAddresses(rules, host, addresses);
    } catch (refusal) {
      log.warn('outbound target refused', { host: host.hostname, addresses });
      throw refusal;
    }
  };
  const agent = new Agent({
    connect: createConnector({ clock, resolve, assertPermitted, connectTimeoutMs: CONNECT_TIMEOUT_MS }),
    connections: options.connectionsPerOriginMax ?? 64,
    pipelining: 1,
    maxRequestsPerClient: REQUESTS_PER_CONNECTION_MAX,
    maxHeaderSize: HEADER_BYTES_MAX,
    keepAliveMaxTimeout: 60_000,
    // Each request has one deadline of its own, which covers these.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const addressesLately = rememberAddresses(clock, resolve);
  return {
    async send(request) {
      const target = readTarget(request.url);
      assertScheme(rules, target);
      assertHeaders(request.headers);
      return sendWithin(clock, request, signal => exchange(agent, target, request, signal));
    },
    async check(url) {
      const target = readTarget(url);
      try {
        assertScheme(rules, target);
        if (isListedHost(rules.allowed, target.hostname)) return;
        assertPermitted(target, await addressesLately(target.hostname));
      } catch (error) {
        if (!(error instanceof DomainError) || error.code !== 'policy_violation') throw error;
        throw new DomainError('unprocessable', error.message, { cause: error });
      }
    },
    stop: () => agent.destroy(),
  };
}

async function systemResolve(hostname: string): Promise<readonly string[]> {
  return (await lookup(hostname, { all: true })).map(({ address }) => address);
}

type Sent = Omit<OutboundAnswer, 'durationMs'>;

/** Runs an exchange under the request's deadline and signal; whatever becomes of it afterwards is nobody's concern. */
async function sendWithin(
  clock: Clock,
  request: OutboundRequest,
  run: (signal: AbortSignal) => Promise<Sent>,
): Promise<OutboundAnswer> {
  request.signal?.throwIfAborted();
  const startedAt = clock.monotonic();
  const abort = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<Sent>();
  // undici hears an abort only once a connection is there; the caller is answered at once.
  const end = (reason: unknown): void => {
    reject(reason);
    abort.abort(reason);
  };
  const onSignal = (): void => end(request.signal?.reason);
  request.signal?.addEventListener('abort', onSignal, { once: true });
  const cancel = clock.after(request.timeoutMs, () =>
    end(new DomainError('upstream_timeout', `no complete answer within ${request.timeoutMs} ms`)),
  );
  run(abort.signal).then(resolve, error => reject(asOutboundError(error)));
  try {
    return { ...(await promise), durationMs: clock.monotonic() - startedAt };
  } finally {
    cancel();
    request.signal?.removeEventListener('abort', onSignal);
  }
}

async function exchange(
  agent: Agent,
  target: OutboundTarget,
  request: OutboundRequest,
  signal: AbortSignal,
): Promise<Sent> {
  const response = await agent.request({
    origin: target.origin,
    path: target.path,
    method: request.method,
    headers: request.headers,
    body: request.body ?? null,
    signal,
  });
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(response.headers))
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  const head = { status: response.statusCode, headers };
  const encoding = headers['content-encoding'];
  if (request.receive === undefined)
    return { ...head, body: await readBody(response.body, encoding, request) };
  await request.receive(head, bodyOf(response.body, encoding, request));
  // Of what was not taken nothing more need come.
  response.body.destroy();
  return { ...head, body: NOTHING };
}

/** Says no more than the kind of failure: messages of sockets name addresses. */
function asOutboundError(error: unknown): DomainError {
  if (error instanceof DomainError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown cause';
  return new DomainError('dependency_failed', `the request failed: ${code}`, { cause: error });
}

/**
 * Addresses as they were at most 30 s ago, so that a flood of submits is no flood of lookups; none for a name that does not
 * resolve now. Only for checks ahead of time: a connection resolves afresh.
 */
function rememberAddresses(clock: Clock, resolve: ResolveHost): ResolveHost {
  const recent = new Map<
    string,
    { readonly until: number; readonly addresses: Promise<readonly string[]> }
  >();
  return hostname => {
    const known = recent.get(hostname);
    if (known !== undefined && known.until > clock.monotonic()) return known.addresses;
    const { promise, resolve: answer } = Promise.withResolvers<readonly string[]>();
    const cancel = clock.after(CHECK_TIMEOUT_MS, () => answer([]));
    addressesOf(resolve, hostname)
      .then(answer, () => answer([]))
      .finally(cancel);
    if (recent.size >= CHECK_MEMORY_MAX) recent.clear();
    recent.set(hostname, { until: clock.monotonic() + CHECK_MEMORY_MS, addresses: promise });
    return promise;
  };
}
