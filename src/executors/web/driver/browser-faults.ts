// What Playwright's errors mean to the person whose pages these are: a canonical code and the address.

import { WebError } from '../web-error.ts';
import type { Ask } from './tab.ts';

const GONE = /has been closed|Target closed|browser has disconnected|Target crashed|Page crashed/i;

/** The error as a `WebError`; where the proxy turned the job away, what the guard said. */
export async function describeFault(error: unknown, url: string, ask: Ask): Promise<WebError> {
  const text = error instanceof Error ? error.message : String(error);
  if (GONE.test(text))
    return new WebError('dependency_failed', 'the browser ended unexpectedly', { url, crashed: true }, error);
  const refusal = await ask('refusal', { url });
  if (refusal !== null)
    return new WebError(refusal.code, refusal.message, { ...refusal.details, url }, error);
  const net = /net::(ERR_\w+)/.exec(text)?.[1];
  if (net !== undefined)
    return new WebError('dependency_failed', `${url} cannot be opened: ${net}`, { url, reason: net }, error);
  const [first = ''] = text.replace(/^\w+\.\w+: /, '').split('\n');
  if (error instanceof Error && error.name === 'TimeoutError')
    return new WebError('upstream_timeout', `${url}: ${first}`, { url }, error);
  return new WebError('task_failed', `${url}: ${first.slice(0, 500)}`, { url }, error);
}
