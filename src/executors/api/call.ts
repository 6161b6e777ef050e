// From a planned request and the values of its templates to what is sent.

import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import type { Authenticator } from './auth.ts';
import type { Call } from './exchange.ts';
import type { PlannedRequest } from './plan.ts';
import { renderJson, renderText, renderUrl, type Template, type Values } from './templates.ts';

const TIMEOUT_S = 30;
const ATTEMPTS = 3;
const DELAY_S = 1;
const REDIRECTS = 5;
const ANSWER_BYTES_MAX = 100 * 1_048_576;

const COMMON_HEADERS = {
  accept: 'application/json, */*;q=0.5',
  'accept-encoding': 'gzip, br',
  'user-agent': 'batuta',
};

/** A body and its media type. */
export interface Body {
  readonly bytes: Uint8Array;
  readonly type: string;
}

/** What a request has beside its own words. */
export interface CallParts {
  readonly auth: Authenticator;
  readonly perSecond: number;
  /** For an idempotency key of the task's own. */
  readonly key: string;
  /** A stored file to send. */
  readonly file: Body | null;
}

/** What a request may send, in bytes. */
export const BODY_BYTES_MAX = 16 * 1_048_576;

/** The request as it is sent; throws `task_failed` for a template without a value, or one that makes no URL. */
export function callOf(
  planned: PlannedRequest,
  values: Values,
  { auth, perSecond, key, file }: CallParts,
): Call {
  const { spec } = planned;
  const body = file ?? bodyOf(planned, values);
  const idempotencyKey = idempotencyKeyOf(planned, values, key);
  return {
    name: planned.name,
    method: planned.method,
    url: urlOf(planned, values),
    headers: {
      ...COMMON_HEADERS,
      ...(body === null ? {} : { 'content-type': body.type }),
      ...Object.fromEntries(
        planned.headers.map(([name, template]) => [name.toLowerCase(), renderText(template, values)]),
      ),
      ...(idempotencyKey === null ? {} : { 'idempotency-key': idempotencyKey }),
    },
    body: body?.bytes ?? null,
    auth,
    timeoutMs: (spec.timeout ?? TIMEOUT_S) * 1_000,
    bytesMax: spec.response?.max_bytes ?? ANSWER_BYTES_MAX,
    redirectsMax: spec.redirects ?? REDIRECTS,
    attemptsMax: spec.retry?.max_attempts ?? ATTEMPTS,
    delayMs: (spec.retry?.delay ?? DELAY_S) * 1_000,
    perSecond,
    repeatable: planned.repeatable,
    expects: expectsOf(spec.expect?.status ?? ['2xx']),
    retryStatuses: new Set(spec.retry?.statuses ?? []),
  };
}

/** The URL with these parameters set, in place of any of the same names. */
export function withQuery(url: string, query: Readonly<Record<string, string>>): string {
  const target = new URL(url);
  for (const [name, value] of Object.entries(query)) target.searchParams.set(name, value);
  return target.href;
}

/** The origin credentials may go to, where it is the task's own words that name it; null where an answer does. */
export function originOf(url: Template, isKnown: boolean, values: Values): string | null {
  const [first] = url;
  const literal = typeof first === 'string' && (url.length === 1 || /^https?:\/\/[^/?#]+[/?#]/i.test(first));
  if (literal) return URL.parse(first)?.origin ?? null;
  return isKnown ? (URL.parse(renderUrl(url, values))?.origin ?? null) : null;
}

function urlOf(planned: PlannedRequest, values: Values): string {
  const text = renderUrl(planned.url, values);
  const url = URL.parse(text);
  if (url === null || !/^https?:\/\//i.test(text)) {
    throw new DomainError('task_failed', `the URL of ${planned.name} is no absolute http or https URL`);
  }
  for (const [name, template] of planned.query) {
    const value = renderJson(template, values);
    for (const one of Array.isArray(value) ? value : [value]) url.searchParams.append(name, written(one));
  }
  return url.href;
}

function bodyOf(planned: PlannedRequest, values: Values): Body | null {
  const body = bodyIn(planned, values);
  if (body !== null && body.bytes.length > BODY_BYTES_MAX) {
    throw new DomainError('payload_too_large', `the body of ${planned.name} is over ${BODY_BYTES_MAX} bytes`);
  }
  return body;
}

function bodyIn({ form, body }: PlannedRequest, values: Values): Body | null {
  if (form !== null) {
    const fields = form.map(([name, template]) => [name, renderText(template, values)]);
    const text = new URLSearchParams(fields).toString();
    return { bytes: Buffer.from(text), type: 'application/x-www-form-urlencoded' };
  }
  if (body === null) return null;
  const value = renderJson(body, values);
  if (typeof value === 'string') return { bytes: Buffer.from(value), type: 'text/plain; charset=utf-8' };
  return { bytes: Buffer.from(JSON.stringify(value)), type: 'application/json' };
}

function idempotencyKeyOf({ idempotencyKey }: PlannedRequest, values: Values, own: string): string | null {
  if (idempotencyKey === null) return null;
  return idempotencyKey === true ? own : renderText(idempotencyKey, values);
}

function expectsOf(statuses: readonly (number | string)[]): (status: number) => boolean {
  const exact = new Set(statuses.filter(one => typeof one === 'number'));
  const classes = new Set(statuses.filter(one => typeof one === 'string').map(one => Number(one[0])));
  return status => exact.has(status) || classes.has(Math.floor(status / 100));
}

function written(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
