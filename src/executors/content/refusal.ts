// What a provider's refusal means for a task: whether to come back later, to ask another provider, or to give up.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import type { OutboundAnswer } from '../../engine/ports/outbound.ts';

const WORDS_MAX = 500;
const RETRY_AFTER_MS_MAX = 3_600_000;
const RETRY_AFTER_MS_DEFAULT = 5_000;

/** The error for an answer that is none of success; `words` are its body, without secrets. */
export function refusalOf(
  { status, headers }: Pick<OutboundAnswer, 'status' | 'headers'>,
  words: string,
): DomainError {
  const said = messageIn(words);
  const details = { status, ...(said === '' ? {} : { provider_message: said }) };
  const waitMs = retryAfterMs(headers);
  const tail = said === '' ? '' : `: ${said}`;
  if (status === 429) {
    // A spent account answers 429 too, and will not answer otherwise in a second.
    return new DomainError('rate_limited', `the model provider is asked too often${tail}`, {
      details,
      retryAfterMs: waitMs ?? RETRY_AFTER_MS_DEFAULT,
    });
  }
  if (status === 401 || status === 403)
    return new DomainError('unprocessable', `the model provider refuses its key (${status})`, { details });
  if (status === 404)
    return new DomainError(
      'unprocessable',
      `the model provider does not know the model or the address${tail}`,
      {
        details,
      },
    );
  if (status >= 500 || status === 408 || status === 409 || status < 400) {
    return new DomainError('dependency_failed', `the model provider answers ${status}`, {
      details,
      ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }),
    });
  }
  return new DomainError('task_failed', `the model provider refuses the request (${status})${tail}`, {
    details,
  });
}

/** What is said in `{error: {message}}` and its like, shortened; empty where the body says nothing readable. */
function messageIn(words: string): string {
  let body: Json;
  try {
    body = JSON.parse(words) as Json;
  } catch {
    return '';
  }
  const error = isJsonObject(body) ? (body.error ?? body) : body;
  const message = isJsonObject(error) ? error.message : error;
  return typeof message === 'string' ? message.slice(0, WORDS_MAX) : '';
}

/** Milliseconds a provider asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date measured by its own `Date`. */
function retryAfterMs(headers: OutboundAnswer['headers']): number | undefined {
  const fine = Number(headers['retry-after-ms']);
  if (Number.isFinite(fine) && fine >= 0) return Math.min(fine, RETRY_AFTER_MS_MAX);
  const text = headers['retry-after'];
  if (text === undefined) return undefined;
  const seconds = Number(text);
  const ms = Number.isFinite(seconds) ? seconds * 1_000 : Date.parse(text) - Date.parse(headers.date ?? '');
  return Number.isFinite(ms) && ms >= 0 ? Math.min(ms, RETRY_AFTER_MS_MAX) : undefined;
}
