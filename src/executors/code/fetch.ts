// `fetch` of a JavaScript program: only to hosts its task names, and through the guard that keeps the host's own network out (SAM-122).

import { DomainError } from '../../domain/errors.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Outbound, OutboundAnswer, OutboundRequest } from '../../engine/ports/outbound.ts';
import { isAllowed } from './payload.ts';

const TIMEOUT_MS = 30_000;
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'] as const;

/** What a program asked for; nothing in it is trusted. */
export interface FetchQuestion {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** Sends a program's request; throws a `DomainError` whose message the program may see. */
export async function guardedFetch(
  question: FetchQuestion,
  allowedHosts: readonly string[],
  parts: {
    readonly outbound: Outbound;
    readonly context: AttemptContext;
    readonly answerBytesMax: number;
    readonly signal: AbortSignal;
  },
): Promise<OutboundAnswer> {
  const { outbound, context, answerBytesMax, signal } = parts;
  const url = URL.canParse(question.url) ? new URL(question.url) : null;
  if (url === null) throw new DomainError('unprocessable', `${question.url} is not a URL`);
  if (!isAllowed(url, allowedHosts))
    throw new DomainError('policy_violation', `network.allow of the task does not name ${url.host}`);
  const call = { host: url.host, method: question.method };
  try {
    const answer = await outbound.send({
      url: url.href,
      method: methodOf(question.method),
      headers: Object.fromEntries(
        Object.entries(question.headers).map(([name, value]) => [name, String(value)]),
      ),
      ...(question.body.length > 0 && { body: question.body }),
      timeoutMs: TIMEOUT_MS,
      answerBytesMax,
      signal,
    });
    context.log('INFO', 'external call', { ...call, status: answer.status, duration_ms: answer.durationMs });
    return answer;
  } catch (error) {
    context.log('WARN', 'external call failed', { ...call, error: String(error) });
    throw error;
  }
}

function methodOf(method: string): OutboundRequest['method'] {
  const found = METHODS.find(known => known === method);
  if (found === undefined) throw new DomainError('unprocessable', `${method} is not a method fetch can use`);
  return found;
}
