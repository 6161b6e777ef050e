// Looks at an HTTP service: sends one request, follows redirects where asked to, and compares the answer with what it must be.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import type { Outbound, OutboundAnswer, OutboundRequest } from '../../engine/ports/outbound.ts';
import type { Finding } from './finding.ts';
import type { CheckOf, Expectation } from './payload.ts';
import { type PlannedCheck, withSecrets } from './plan.ts';

const ANSWER_BYTES_MAX = 1_048_576;
const MATCHED_LENGTH_MAX = 65_536;
const OF_THE_BODY = new Set(['content-type', 'content-length']);

/** Asks; throws `DomainError` where there is no complete answer. */
export async function probeHttp(
  { spec, pattern, timeoutMs }: PlannedCheck & { readonly spec: CheckOf<'http'> },
  {
    outbound,
    secrets,
    signal,
  }: {
    readonly outbound: Outbound;
    readonly secrets: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
  },
): Promise<Finding> {
  const headers = Object.fromEntries(
    Object.entries(spec.headers ?? {}).map(([name, value]) => [name, withSecrets(value, secrets)]),
  );
  const first: OutboundRequest = {
    url: spec.url,
    method: spec.method ?? 'GET',
    headers: { 'user-agent': 'batuta-monitor', ...headers },
    ...(spec.body === undefined ? {} : { body: Buffer.from(spec.body) }),
    timeoutMs,
    answerBytesMax: ANSWER_BYTES_MAX,
    truncate: true,
    signal,
  };
  const { answer, latencyMs } = await follow(outbound, first, spec.redirects ?? 0);
  const body = Buffer.from(answer.body).toString('utf8');
  const message = faultOf(answer, body, spec.expect ?? {}, pattern);
  return {
    value: rounded(latencyMs),
    latencyMs: rounded(latencyMs),
    fault: message === null ? null : { code: 'dependency_failed', message },
    detail: { status: answer.status, bytes: answer.body.length },
  };
}

async function follow(
  outbound: Outbound,
  first: OutboundRequest,
  redirects: number,
): Promise<{ readonly answer: OutboundAnswer; readonly latencyMs: number }> {
  let request = first;
  let latencyMs = 0;
  for (let left = redirects; ; left--) {
    const answer = await outbound.send(request);
    latencyMs += answer.durationMs;
    const { location } = answer.headers;
    const isRedirect = answer.status >= 300 && answer.status < 400 && location !== undefined;
    if (!isRedirect || redirects === 0) return { answer, latencyMs };
    if (left === 0) throw new DomainError('dependency_failed', `more than ${redirects} redirects`);
    request = redirected(request, location, answer.status);
  }
}

/** To another origin nothing of the task's goes along: its headers may be credentials. */
function redirected(request: OutboundRequest, location: string, status: number): OutboundRequest {
  const target = URL.parse(location, request.url);
  if (target === null) throw new DomainError('dependency_failed', 'a redirect leads to no URL');
  const isElsewhere = target.origin !== new URL(request.url).origin;
  const keepsBody = status === 307 || status === 308;
  const { body, ...rest } = request;
  const headers = Object.entries(request.headers).filter(
    ([name]) =>
      (!isElsewhere || name === 'user-agent') && (keepsBody || !OF_THE_BODY.has(name.toLowerCase())),
  );
  return {
    ...rest,
    url: target.href,
    method: keepsBody || request.method === 'HEAD' ? request.method : 'GET',
    headers: Object.fromEntries(headers),
    ...(keepsBody && !isElsewhere && body !== undefined ? { body } : {}),
  };
}

/** The first thing that is not as it must be, without quoting the answer; null where all is well. */
function faultOf(
  answer: OutboundAnswer,
  body: string,
  { status = ['2xx'], contains, excludes, json = [], headers = {} }: Expectation,
  pattern: PlannedCheck['pattern'],
): string | null {
  const isExpected = status.some(
    one => one === answer.status || one === `${Math.floor(answer.status / 100)}xx`,
  );
  if (!isExpected) return `the status is ${answer.status}`;
  for (const [name, part] of Object.entries(headers)) {
    const value = answer.headers[name.toLowerCase()];
    if (value === undefined) return `there is no header ${name}`;
    if (!value.includes(part)) return `the header ${name} is not as expected`;
  }
  if (contains !== undefined && !body.includes(contains)) return 'the body does not contain what it must';
  if (excludes !== undefined && body.includes(excludes)) return 'the body contains what it must not';
  if (pattern !== null && !pattern.test(body.slice(0, MATCHED_LENGTH_MAX)))
    return 'the body does not match the expression';
  return json.length === 0 ? null : jsonFaultOf(body, json);
}

function jsonFaultOf(body: string, expected: NonNullable<Expectation['json']>): string | null {
  let parsed: Json;
  try {
    parsed = JSON.parse(body) as Json;
  } catch {
    return 'the body is not JSON';
  }
  for (const { path, equals, minimum, maximum } of expected) {
    const value = valueAt(parsed, path);
    const where = path === '' ? 'the body' : path;
    if (value === undefined) return `${where} is not there`;
    if (equals !== undefined && canonical(value) !== canonical(equals)) return `${where} is not as expected`;
    if (minimum === undefined && maximum === undefined) continue;
    if (typeof value !== 'number') return `${where} is not a number`;
    if (minimum !== undefined && value < minimum) return `${where} is below ${minimum}`;
    if (maximum !== undefined && value > maximum) return `${where} is above ${maximum}`;
  }
  return null;
}

function valueAt(root: Json, path: string): Json | undefined {
  let value: Json | undefined = root;
  for (const name of path === '' ? [] : path.split('.')) {
    if (Array.isArray(value))
      value = /^\d+$/.test(name) ? (value[Number(name)] as Json | undefined) : undefined;
    else if (isJsonObject(value) && Object.hasOwn(value, name)) value = value[name];
    else return undefined;
  }
  return value;
}

/** The same text for equal values, whatever the order of their names. */
function canonical(value: Json): string {
  return JSON.stringify(value, (_, one: unknown) =>
    isJsonObject(one) ? Object.fromEntries(Object.entries(one).sort(([a], [b]) => (a < b ? -1 : 1))) : one,
  );
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
