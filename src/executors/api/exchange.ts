// One request until it has an answer: at its turn, with its credentials, through redirects, and again where that can help and cannot
// harm (`SAM-159`). Every step goes through the outbound guard (`SAM-161`).

import { asDomainError, DomainError, type ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { jittered } from '../../domain/retry.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Outbound, OutboundRequest } from '../../engine/ports/outbound.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { Authenticator, Undressed } from './auth.ts';
import { readText } from './content.ts';
import type { Pace } from './pace.ts';
import { type Redirect, redirectOf } from './redirects.ts';
import type { Spool } from './spool.ts';
import type { Usage } from './usage.ts';

/** A request with all its values, and how patient to be with it. */
export interface Call extends Undressed {
  readonly name: string;
  readonly method: OutboundRequest['method'];
  readonly body: Uint8Array | null;
  readonly auth: Authenticator;
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly redirectsMax: number;
  readonly attemptsMax: number;
  readonly delayMs: number;
  readonly perSecond: number;
  /** Whether sending it twice does no more than sending it once. */
  readonly repeatable: boolean;
  /** Whether the task expects this status: it is then an answer, whatever it says. */
  readonly expects: (status: number) => boolean;
  readonly retryStatuses: ReadonlySet<number>;
}

/** What came back in the end. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Where it came from, after redirects. */
  readonly url: string;
  readonly body: Spool;
  /** How often it was sent. */
  readonly attempts: number;
}

/** What an exchange works with. */
export interface ExchangeParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly outbound: Outbound;
  readonly pace: Pace;
  readonly usage: Usage;
  readonly tenant: string;
  readonly signal: AbortSignal;
  readonly log: AttemptContext['log'];
  readonly spool: () => Spool;
  /** Something left, and may have been done. */
  readonly left: () => void;
}

const RETRIED_STATUSES = new Set([429, 502, 503, 504]);
const RETRIED_CODES: ReadonlySet<ErrorCode> = new Set([
  'dependency_failed',
  'upstream_timeout',
  'rate_limited',
]);
/** What the way out refuses before anything is sent. */
const UNSENT_CODES: ReadonlySet<ErrorCode> = new Set([
  'circuit_open',
  'invalid_request',
  'policy_violation',
  'unprocessable',
]);
/** A host that wants a longer rest gets it by the task's own retries, which hold no slot. */
const REST_MS_MAX = 60_000;
const SIP_BYTES = 65_536;
const QUOTE_LENGTH = 1_000;

/**
 * Sends a request until it is answered. Throws what `Outbound.send` throws, `rate_limited` or `dependency_failed` for an answer that asks
 * to come back, `task_failed` for redirects that lead nowhere, the signal's reason once it aborts.
 */
export async function exchange(call: Call, parts: ExchangeParts): Promise<Reply> {
  let attempts = 0;
  for (let tries = 1; ; tries++) {
    attempts++;
    let hasLeft = false;
    const left = (): void => {
      hasLeft = true;
      parts.left();
    };
    const outcome = await sent(call, { ...parts, left }, attempts);
    if (!(outcome instanceof DomainError)) {
      if (outcome.status !== 401 || call.expects(401) || !call.auth.renew()) return outcome;
      await outcome.body.discard();
      // The refused token was not the request's fault.
      tries--;
      continue;
    }
    const restMs = Math.max(
      jittered(call.delayMs * 2 ** (tries - 1), parts.random.fraction()),
      outcome.retryAfterMs ?? 0,
    );
    const isHarmless = call.repeatable || !hasLeft;
    const again = RETRIED_CODES.has(outcome.code) && isHarmless && tries < call.attemptsMax;
    if (!again || restMs > REST_MS_MAX) throw outcome;
    parts.log('WARN', 'a request is tried again', {
      request: call.name,
      ...outcome.details,
      wait_ms: restMs,
    });
    await pause(parts.clock, restMs, parts.signal);
  }
}

/** The answer, or why another try may help; throws only for an abort. */
async function sent(call: Call, parts: ExchangeParts, attempts: number): Promise<Reply | DomainError> {
  const details: JsonObject = { request: call.name, method: call.method, host: hostOf(call.url), attempts };
  try {
    const reply = await follow(call, parts, attempts);
    const { status } = reply;
    if (call.expects(status) || !(RETRIED_STATUSES.has(status) || call.retryStatuses.has(status)))
      return reply;
    const retryAfterMs = retryAfterOf(reply.headers['retry-after'], parts.clock.now());
    if (retryAfterMs !== undefined) {
      const lane = { tenant: parts.tenant, host: hostOf(reply.url) };
      parts.pace.rest(lane, Math.min(retryAfterMs, REST_MS_MAX));
    }
    const quote = quoteOf(reply);
    await reply.body.discard();
    return new DomainError(
      status === 429 ? 'rate_limited' : 'dependency_failed',
      `${call.name}: ${hostOf(reply.url)} answered ${status}`,
      {
        details: { ...details, status, answer: quote, ...waiting(retryAfterMs) },
        ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      },
    );
  } catch (thrown) {
    parts.signal.throwIfAborted();
    const { code, message, retryAfterMs, details: more } = asDomainError(thrown);
    if (code === 'internal') throw thrown;
    return new DomainError(code, `${call.name}: ${message}`, {
      details: { ...details, ...more, ...waiting(retryAfterMs) },
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
      cause: thrown,
    });
  }
}

async function follow(call: Call, parts: ExchangeParts, attempts: number): Promise<Reply> {
  let step: Redirect = { url: call.url, method: call.method, headers: call.headers, body: call.body };
  for (let hops = 0; ; hops++) {
    const reply = await send(call, step, parts, attempts);
    const next = call.redirectsMax === 0 ? null : redirectOf(step, reply);
    if (next === null) return reply;
    await reply.body.discard();
    if (hops >= call.redirectsMax) {
      throw new DomainError(
        'task_failed',
        `${hostOf(call.url)} redirected more than ${call.redirectsMax} times`,
      );
    }
    step = next;
  }
}

async function send(call: Call, step: Redirect, parts: ExchangeParts, attempts: number): Promise<Reply> {
  const { pace, tenant, signal, outbound } = parts;
  const host = hostOf(step.url);
  await pace.turn({ tenant, host }, call.perSecond, signal);
  const { url, headers } = await call.auth.dress(step, signal);
  const body = parts.spool();
  const told = { request: call.name, host, method: step.method };
  try {
    const answer = await outbound.send({
      url,
      headers,
      method: step.method,
      ...(step.body === null ? {} : { body: step.body }),
      timeoutMs: call.timeoutMs,
      answerBytesMax: call.bytesMax,
      signal,
      receive: (head, chunks) =>
        head.status < 300 || call.expects(head.status) ? body.take(chunks) : body.sip(chunks, SIP_BYTES),
    });
    parts.left();
    const { status, durationMs } = answer;
    parts.log('INFO', 'external call', {
      ...told,
      status,
      duration_ms: Math.round(durationMs),
      bytes: body.size,
    });
    return { status, headers: answer.headers, url: step.url, body, attempts };
  } catch (error) {
    if (signal.aborted || !UNSENT_CODES.has(asDomainError(error).code)) parts.left();
    await body.discard();
    signal.throwIfAborted();
    parts.log('WARN', 'external call failed', { ...told, error: asDomainError(error).message });
    throw error;
  }
}

/** Milliseconds from now, by a count of seconds or a date. */
function retryAfterOf(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1_000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

/** What the engine reads before it tries the task again. */
function waiting(retryAfterMs: number | undefined): JsonObject {
  return retryAfterMs === undefined ? {} : { retry_after_ms: Math.round(retryAfterMs) };
}

/** The beginning of an answer that was refused, for whoever has to find out why. */
export function quoteOf({ body, headers }: Pick<Reply, 'body' | 'headers'>): string {
  const bytes = body.bytes() ?? new Uint8Array();
  return readText(bytes.subarray(0, 4 * QUOTE_LENGTH), headers['content-type']).slice(0, QUOTE_LENGTH);
}

/** The host of a URL, for people; never its path, which may hold anything. */
export function hostOf(url: string): string {
  return URL.parse(url)?.host ?? '';
}
