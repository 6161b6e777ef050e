// Where an answer sends a request, and what goes along: as browsers do it, except that nothing secret leaves the origin it was meant for.

import { DomainError } from '../../domain/errors.ts';
import type { OutboundRequest } from '../../engine/ports/outbound.ts';

/** A request on its way. */
export interface Redirect {
  readonly url: string;
  readonly method: OutboundRequest['method'];
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | null;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const TRAVELS = new Set(['accept', 'accept-encoding', 'accept-language', 'content-type', 'user-agent']);

/**
 * The next request, or null for an answer that is no redirect. A 303, and a 301 or 302 to a POST, becomes a GET; to another origin only
 * harmless headers go. Throws `task_failed` where a body would have to go there.
 */
export function redirectOf(
  request: Redirect,
  answer: { readonly status: number; readonly headers: Readonly<Record<string, string>> },
): Redirect | null {
  const { location } = answer.headers;
  if (!REDIRECTS.has(answer.status) || location === undefined) return null;
  const target = URL.parse(location, request.url);
  if (target === null) throw new DomainError('task_failed', 'the answer redirects to what is not a URL');
  const isGet =
    (answer.status === 303 && request.method !== 'HEAD') ||
    (answer.status < 303 && request.method === 'POST');
  const isAway = target.origin !== new URL(request.url).origin;
  const body = isGet ? null : request.body;
  if (isAway && body !== null) {
    throw new DomainError('task_failed', `the answer redirects the request's body to ${target.host}`);
  }
  const headers = Object.entries(request.headers).filter(
    ([name]) => !(isAway && !TRAVELS.has(name)) && !(body === null && name === 'content-type'),
  );
  return {
    url: target.href,
    method: isGet ? 'GET' : request.method,
    headers: Object.fromEntries(headers),
    body,
  };
}
