// Sends one call to the server and sees it through: credentials, time limits, repeats of what may be repeated, errors as classes.
// It knows nothing of tasks.

import type { Json } from '../domain/json.ts';
import type { Clock } from './clock.ts';
import { pause, systemClock } from './clock.ts';
import type { Authoriser, Credentials } from './credentials.ts';
import { authoriserOf } from './credentials.ts';
import { BatutaError, ConnectionError, errorOf, ServerError } from './errors.ts';
import { factsIn } from './wire-errors.ts';

/** How often a repeatable call is tried, and how long between; delays in milliseconds, spread by ±20 %. */
export interface RetryOptions {
  /** Tries in all, the first included. */
  readonly attemptsMax: number;
  readonly firstDelayMs: number;
  readonly delayMaxMs: number;
  /** A longer `Retry-After` is not waited for but thrown to the caller. */
  readonly retryAfterMaxMs: number;
}

/** What a client is made of; only `url` is needed. */
export interface ClientOptions {
  /** Where the server is, for example `http://127.0.0.1:8400`. */
  readonly url: string;
  readonly credentials?: Credentials | undefined;
  readonly retry?: Partial<RetryOptions>;
  /** The longest a call may take to begin its answer, in milliseconds (30,000). */
  readonly timeoutMs?: number;
  readonly fetch?: (url: URL, init: RequestInit) => Promise<Response>;
  readonly clock?: Clock;
}

/** What a body can be sent from; only a stream cannot be sent twice. */
export type Sendable = string | Uint8Array | ReadableStream<Uint8Array>;

/** One call. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  /** Absent values are left out; lists are joined by commas. */
  readonly query?: object | undefined;
  /** Sent as JSON. */
  readonly json?: object | undefined;
  /** Sent as it is, under the given media type. */
  readonly body?: { readonly source: Sendable; readonly mediaType: string };
  readonly headers?: Readonly<Record<string, string>>;
  /** Whatever changes something carries one by default, which is what makes it repeatable; false sends none, and never repeats. */
  readonly idempotencyKey?: string | false | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
  /** Sends no credential: the call brings its own in its body. */
  readonly anonymous?: boolean;
  /** Statuses that are answers here, beside 2xx. */
  readonly goodStatuses?: readonly number[];
}

const DEFAULT_RETRY: RetryOptions = {
  attemptsMax: 4,
  firstDelayMs: 250,
  delayMaxMs: 10_000,
  retryAfterMaxMs: 60_000,
};

/** A delay that doubles from the first to the longest, spread by ±20 % so that clients do not return in step. */
export function backoffMs(
  failures: number,
  limits: Pick<RetryOptions, 'firstDelayMs' | 'delayMaxMs'>,
): number {
  const delay = Math.min(limits.firstDelayMs * 2 ** (failures - 1), limits.delayMaxMs);
  const [word = 0] = crypto.getRandomValues(new Uint32Array(1));
  return Math.round(delay * (0.8 + (0.4 * word) / 2 ** 32));
}

/** The way to one server. */
export class Transport {
  readonly clock: Clock;
  readonly #url: string;
  readonly #authoriser: Authoriser;
  readonly #retry: RetryOptions;
  readonly #timeoutMs: number;
  readonly #fetch: (url: URL, init: RequestInit) => Promise<Response>;

  constructor(options: ClientOptions) {
    this.#url = options.url.replace(/\/+$/, '');
    this.#authoriser = authoriserOf(options.credentials);
    this.#retry = { ...DEFAULT_RETRY, ...options.retry };
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#fetch = options.fetch ?? ((url, init) => fetch(url, init));
    this.clock = options.clock ?? systemClock;
  }

  /** The answer's JSON; null where the answer is empty. */
  async json<Answer>(call: Call): Promise<Answer> {
    return (await this.jsonAndTime<Answer>(call)).answer;
  }

  /** The answer's JSON and the server's clock at its sending, in epoch milliseconds (ours where it does not tell). */
  async jsonAndTime<Answer>(call: Call): Promise<{ readonly answer: Answer; readonly serverNow: number }> {
    const { text, response } = await this.#persist(call, async opened => ({
      response: opened,
      text: await opened.text(),
    }));
    const told = Date.parse(response.headers.get('date') ?? '');
    const serverNow = Number.isNaN(told) ? this.clock.now() : told;
    if (text === '') return { answer: null as Answer, serverNow };
    try {
      return { answer: JSON.parse(text) as Answer, serverNow };
    } catch (cause) {
      throw new ServerError({
        code: 'INVALID_ANSWER',
        message: `${call.method} ${call.path} was answered with something other than JSON: is this a Batuta server?`,
        status: response.status,
        cause,
      });
    }
  }

  /** The answer once it is known to be good, its body still to be read; the time limit is for its beginning. */
  open(call: Call): Promise<Response> {
    return this.#persist(call, async response => response);
  }

  /** Where a WebSocket opens, and the headers that authenticate its handshake. */
  async handshake(path: string): Promise<{ readonly url: URL; readonly headers: Record<string, string> }> {
    const http = new URL(`${this.#url}${path}`);
    const unproven = { method: 'GET', url: http, contentType: null, body: '', now: this.clock.now() };
    const headers = { ...(await this.#authoriser.headersFor(unproven)) };
    const url = new URL(http);
    url.protocol = http.protocol === 'https:' ? 'wss:' : 'ws:';
    return { url, headers };
  }

  async #persist<Answer>(call: Call, read: (response: Response) => Promise<Answer>): Promise<Answer> {
    const idempotencyKey = call.idempotencyKey ?? (call.method === 'GET' ? undefined : crypto.randomUUID());
    const rereadable = !(call.body?.source instanceof ReadableStream);
    let renewed = false;
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.#attempt(call, idempotencyKey === false ? undefined : idempotencyKey, read);
      } catch (error) {
        if (!(error instanceof BatutaError) || !rereadable) throw error;
        if (error.status === 401 && !renewed && call.anonymous !== true && this.#authoriser.renew()) {
          renewed = true;
          continue;
        }
        const delayMs = idempotencyKey === false ? null : this.#delayAfter(error, failures);
        if (delayMs === null) throw error;
        await pause(this.clock, delayMs, call.signal);
      }
    }
  }

  #delayAfter(error: BatutaError, failures: number): number | null {
    if (!error.retryable || failures >= this.#retry.attemptsMax) return null;
    const asked = error.retryAfterMs;
    if (asked === undefined) return backoffMs(failures, this.#retry);
    return asked > this.#retry.retryAfterMaxMs ? null : asked;
  }

  async #attempt<Answer>(
    call: Call,
    idempotencyKey: string | undefined,
    read: (response: Response) => Promise<Answer>,
  ): Promise<Answer> {
    call.signal?.throwIfAborted();
    const url = new URL(`${this.#url}${call.path}${queryOf(call.query)}`);
    const init = await this.#initOf(call, url, idempotencyKey);
    const timeoutMs = call.timeoutMs ?? this.#timeoutMs;
    const timeout = new AbortController();
    const stopTimer = this.clock.after(timeoutMs, () =>
      timeout.abort(new DOMException(`nothing heard within ${timeoutMs} ms`, 'TimeoutError')),
    );
    const signal =
      call.signal === undefined ? timeout.signal : AbortSignal.any([call.signal, timeout.signal]);
    try {
      const response = await this.#fetch(url, { ...init, signal });
      if (response.ok || call.goodStatuses?.includes(response.status) === true) return await read(response);
      throw await errorFrom(response, this.clock.now());
    } catch (cause) {
      call.signal?.throwIfAborted();
      if (cause instanceof BatutaError) throw cause;
      throw connectionError(this.#url, timeout.signal.aborted ? timeout.signal.reason : cause);
    } finally {
      stopTimer();
    }
  }

  async #initOf(call: Call, url: URL, idempotencyKey: string | undefined): Promise<RequestInit> {
    const source = call.json === undefined ? call.body?.source : JSON.stringify(call.json);
    const contentType = call.json === undefined ? (call.body?.mediaType ?? null) : 'application/json';
    const body = source instanceof ReadableStream ? null : (source ?? '');
    const unproven = { method: call.method, url, contentType, body, now: this.clock.now() };
    const proof = call.anonymous === true ? {} : await this.#authoriser.headersFor(unproven);
    return {
      method: call.method,
      redirect: 'error',
      headers: {
        ...(contentType === null ? {} : { 'content-type': contentType }),
        ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
        ...call.headers,
        ...proof,
      },
      ...(source === undefined ? {} : { body: source as BodyInit }),
      ...(source instanceof ReadableStream ? { duplex: 'half' } : {}),
    };
  }
}

function connectionError(url: string, cause: unknown): ConnectionError {
  const root = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const said = root instanceof Error ? root.message || root.name : String(root);
  return new ConnectionError({
    code: 'CONNECTION_FAILED',
    message: `no answer from ${url}: ${said}`,
    status: 0,
    cause,
  });
}

async function errorFrom(response: Response, now: number): Promise<BatutaError> {
  const told = factsIn(parsed(await response.text().catch(() => '')));
  return errorOf({
    code: `HTTP_${response.status}`,
    message: `the server answered ${response.status} ${response.statusText}`.trim(),
    ...told,
    status: response.status,
    retryAfterMs: retryAfterOf(response.headers.get('retry-after'), now) ?? told.retryAfterMs,
    requestId: told.requestId ?? response.headers.get('x-request-id') ?? undefined,
  });
}

function retryAfterOf(header: string | null, now: number): number | undefined {
  if (header === null || header.trim() === '') return undefined;
  const seconds = Number(header);
  if (!Number.isNaN(seconds)) return Math.max(0, seconds * 1000);
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - now);
}

function queryOf(query: object | undefined): string {
  if (query === undefined) return '';
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) parameters.set(name, Array.isArray(value) ? value.join(',') : String(value));
  }
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

function parsed(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json;
  } catch {
    return undefined;
  }
}
