// HTTP to one SAM agent: orders, questions, cancellations and downloads, with this server's credential. Every answer is judged here:
// taken, refused in the agent's words, or never come.

import { asDomainError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { TaskError } from '../../domain/task.ts';
import type { Outbound, OutboundAnswer, OutboundRequest } from '../../engine/ports/outbound.ts';
import type { RemoteCredential } from './enrolment.ts';
import { dependencyFailure, failureOf, transportFailure } from './failure.ts';

/** What came of a request. */
export type RemoteAnswer =
  | { readonly kind: 'taken'; readonly body: JsonObject }
  /** The agent said no; `status` is its HTTP status, null where this server would not even send it. */
  | { readonly kind: 'refused'; readonly status: number | null; readonly error: TaskError }
  /** Nobody knows whether the request arrived. */
  | { readonly kind: 'unreachable'; readonly error: TaskError };

/** Where an agent is and what opens it. */
export interface RemoteAccess {
  readonly url: string;
  readonly credential: RemoteCredential | null;
}

/** Part of a file. */
export interface RemotePart {
  readonly bytes: Uint8Array;
  /** Of the whole file. */
  readonly sizeBytes: number;
  readonly etag: string | null;
}

/** Which part of a file to fetch. */
export interface PartWish {
  readonly start: number;
  readonly bytesMax: number;
  /** Of the parts before: fails once the file is another. */
  readonly etag: string | null;
}

const EXECUTE_TIMEOUT_MS = 30_000;
const ASK_TIMEOUT_MS = 15_000;
const PART_TIMEOUT_MS = 120_000;
const ANSWER_BYTES_MAX = 8 * 1024 * 1024;
/** Of a file from an agent that does not serve parts. */
const WHOLE_FILE_BYTES_MAX = 64 * 1024 * 1024;
const NESTING_MAX = 64;
const NOWHERE = 'the agent is not registered any more';
const PASSING = new Set([408, 425, 429]);

/** Speaks to one agent; asks for its address and credential at each request, so that a change needs no restart; null where it is gone. */
export class RemoteClient {
  readonly #outbound: Pick<Outbound, 'send'>;
  readonly #access: () => Promise<RemoteAccess | null>;
  readonly #headers: Readonly<Record<string, string>>;

  constructor(
    outbound: Pick<Outbound, 'send'>,
    access: () => Promise<RemoteAccess | null>,
    options: { readonly serverId: string; readonly version: string },
  ) {
    this.#outbound = outbound;
    this.#access = access;
    this.#headers = {
      'user-agent': `batuta/${options.version}`,
      'x-manus-agent-id': options.serverId,
    };
  }

  /** Hands an order in (`SAM-98`). */
  execute(body: JsonObject, traceparent: string, signal: AbortSignal): Promise<RemoteAnswer> {
    return this.#exchange('POST', '/execute-task', {
      body,
      headers: { traceparent },
      timeoutMs: EXECUTE_TIMEOUT_MS,
      signal,
    });
  }

  /** Asks how a task is (`SAM-99`). */
  status(remoteId: string, signal: AbortSignal): Promise<RemoteAnswer> {
    const path = `/task-status/${encodeURIComponent(remoteId)}`;
    return this.#exchange('GET', path, { timeoutMs: ASK_TIMEOUT_MS, signal });
  }

  /** Cancels a task (`SAM-68`). */
  cancel(remoteId: string, reason: string, signal: AbortSignal): Promise<RemoteAnswer> {
    const path = `/tasks/${encodeURIComponent(remoteId)}/cancel`;
    return this.#exchange('POST', path, { body: { reason }, timeoutMs: ASK_TIMEOUT_MS, signal });
  }

  /** A part of a file, or all of it where the agent serves no parts; the credential goes to the agent's own origin alone. */
  async part(url: string, wish: PartWish, signal: AbortSignal): Promise<RemotePart> {
    const access = await this.#access();
    if (access === null) throw new Error(NOWHERE);
    const target = new URL(url.startsWith('/') ? `${baseOf(access.url)}${url}` : url);
    const isOwn = target.origin === new URL(access.url).origin;
    const answer = await this.#outbound.send({
      url: target.href,
      method: 'GET',
      headers: {
        ...this.#headers,
        ...(isOwn ? credentialHeaders(access.credential) : {}),
        'accept-encoding': 'identity',
        range: `bytes=${wish.start}-${wish.start + wish.bytesMax - 1}`,
        ...(wish.etag === null ? {} : { 'if-range': wish.etag }),
      },
      timeoutMs: PART_TIMEOUT_MS,
      answerBytesMax: wish.start === 0 ? WHOLE_FILE_BYTES_MAX : wish.bytesMax,
      signal,
    });
    return partOf(answer, wish);
  }

  async #exchange(
    method: 'GET' | 'POST',
    path: string,
    ask: Pick<OutboundRequest, 'timeoutMs'> & {
      readonly body?: JsonObject;
      readonly headers?: Readonly<Record<string, string>>;
      readonly signal: AbortSignal;
    },
  ): Promise<RemoteAnswer> {
    const access = await this.#access();
    if (access === null) return { kind: 'refused', status: null, error: dependencyFailure(NOWHERE) };
    let answer: OutboundAnswer;
    try {
      answer = await this.#outbound.send({
        url: `${baseOf(access.url)}/api/v2${path}`,
        method,
        headers: {
          ...this.#headers,
          ...credentialHeaders(access.credential),
          accept: 'application/json',
          ...(ask.body === undefined ? {} : { 'content-type': 'application/json' }),
          ...ask.headers,
        },
        ...(ask.body === undefined ? {} : { body: Buffer.from(JSON.stringify(ask.body)) }),
        timeoutMs: ask.timeoutMs,
        answerBytesMax: ANSWER_BYTES_MAX,
        signal: ask.signal,
      });
    } catch (thrown) {
      ask.signal.throwIfAborted();
      const error = transportFailure(asDomainError(thrown));
      return error.recoverable ? { kind: 'unreachable', error } : { kind: 'refused', status: null, error };
    }
    return judge(answer);
  }
}

/** An address as registered, with or without the prefix all SAM routes have. */
function baseOf(url: string): string {
  return url.replace(/\/+$/, '').replace(/\/api\/v2$/, '');
}

function credentialHeaders(credential: RemoteCredential | null): Readonly<Record<string, string>> {
  if (credential === null) return {};
  return credential.kind === 'bearer'
    ? { authorization: `Bearer ${credential.token}` }
    : { 'x-api-key': credential.key, 'x-api-secret': credential.secret };
}

function judge({ status, body }: OutboundAnswer): RemoteAnswer {
  const told = readJson(body);
  if (status >= 200 && status < 300) {
    if (told !== null) return { kind: 'taken', body: told };
    return { kind: 'unreachable', error: dependencyFailure(`the agent answered ${status} without JSON`) };
  }
  if (isJsonObject(told?.error) && typeof told.error.code === 'string')
    return { kind: 'refused', status, error: failureOf(told.error, 'dependency_failed') };
  const passes = status >= 500 || PASSING.has(status);
  const error = dependencyFailure(`the agent answered ${status}`, passes);
  return passes ? { kind: 'unreachable', error } : { kind: 'refused', status, error };
}

function readJson(bytes: Uint8Array): JsonObject | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return isJsonObject(value) && isNestedWithin(value, NESTING_MAX) ? value : null;
  } catch {
    return null;
  }
}

function isNestedWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every(child => isNestedWithin(child, levels - 1));
}

function partOf({ status, headers, body }: OutboundAnswer, wish: PartWish): RemotePart {
  const etag = headers.etag?.startsWith('"') === true ? headers.etag : null;
  if (status === 200 && wish.start === 0) return { bytes: body, sizeBytes: body.length, etag };
  const [, start, size] = /^bytes (?:(\d+)-\d+|\*)\/(\d+)$/.exec(headers['content-range'] ?? '') ?? [];
  if (status === 206 && Number(start) === wish.start && size !== undefined && body.length > 0)
    return { bytes: body, sizeBytes: Number(size), etag };
  if (status === 416 && size === '0') return { bytes: new Uint8Array(), sizeBytes: 0, etag };
  const changed = status === 200 ? ' with another file than before' : '';
  throw new Error(`the agent answered ${status}${changed}`);
}
