// Fetches a static page: redirects are followed one by one, each through the guard.

import { DomainError } from '../../domain/errors.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Questions, WebAnswer } from './driver/messages.ts';
import { ROBOT_NAME } from './robots.ts';

const REDIRECTS_MAX = 10;
/** What a server may have meant for its own host only. */
const PRIVATE_HEADERS = /^(?:cookie|authorization)$/i;

/** The page at the end of its redirects, whatever its status; throws what `Outbound.send` throws. */
export async function fetchPage(
  { url, headers, timeoutMs, bytesMax }: Questions['fetch']['ask'],
  outbound: Outbound,
  signal: AbortSignal,
): Promise<WebAnswer> {
  let from = url;
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    const isHome = new URL(from).host === new URL(url).host;
    const sent = Object.entries({ 'user-agent': ROBOT_NAME, ...headers }).filter(
      ([name]) => isHome || !PRIVATE_HEADERS.test(name),
    );
    const {
      status,
      headers: back,
      body,
    } = await outbound.send({
      url: from,
      method: 'GET',
      headers: Object.fromEntries(sent),
      timeoutMs,
      answerBytesMax: bytesMax,
      signal,
    });
    const { location } = back;
    if (status < 300 || status >= 400 || location === undefined || !URL.canParse(location, from))
      return { url: from, status, headers: back, body };
    from = new URL(location, from).href;
  }
  throw new DomainError('task_failed', `${url} redirected more than ${REDIRECTS_MAX} times`, {
    details: { url },
  });
}
