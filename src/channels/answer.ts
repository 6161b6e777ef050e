// Judges a receiver's answer: was the notification taken, is another try worthwhile, and what did the receiver say.

import { asDomainError, ERROR_CODES } from '../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';
import type { SendOutcome } from '../engine/ports/channel.ts';
import type { OutboundAnswer } from '../engine/ports/outbound.ts';

const ANSWER_KEPT_BYTES = 1_024;
const RETRY_AFTER_MAX_MS = 3_600_000;
const NESTING_MAX = 64;
/** Client errors that pass: request timeout, too early, too many requests. */
const PASSING = new Set([408, 425, 429]);

/** What came of an answered HTTP request; `now` is the instant of the answer, in epoch milliseconds. */
export function judgeAnswer(answer: OutboundAnswer, now: number): SendOutcome {
  const acknowledgement = readAcknowledgement(answer.body);
  const retryAfterMs = readRetryAfter(answer.headers['retry-after'], now);
  return {
    status: answer.status,
    durationMs: answer.durationMs,
    answer: readableStart(answer.body),
    ...(acknowledgement !== undefined && { acknowledgement }),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    verdict: verdictOf(answer.status, acknowledgement),
  };
}

/** What came of a request that had no answer. */
export function judgeFailure(error: unknown, durationMs: number): SendOutcome {
  const { code, message: answer } = asDomainError(error);
  const verdict = ERROR_CODES[code].retry === 'no' ? 'fail' : 'retry';
  return { status: null, durationMs, answer, verdict };
}

/** `SAM-87`, `SAM-89`: only what may pass by itself is worth a retry; redirects are never followed, so they are failures. */
function verdictOf(status: number, acknowledgement: JsonObject | undefined): SendOutcome['verdict'] {
  if (status >= 200 && status < 300) return acknowledgement?.acknowledged === false ? 'retry' : 'delivered';
  return status >= 500 || PASSING.has(status) ? 'retry' : 'fail';
}

/** The body's JSON object, whatever its content type says: receivers seldom care to set it. */
function readAcknowledgement(body: Uint8Array): JsonObject | undefined {
  const text = new TextDecoder().decode(body).trim();
  if (!text.startsWith('{') || !text.endsWith('}')) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isJsonObject(value) && isNestedWithin(value, NESTING_MAX) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isNestedWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every(child => isNestedWithin(child, levels - 1));
}

/** Milliseconds from seconds or an HTTP date, between none and an hour. */
function readRetryAfter(header: string | undefined, now: number): number | undefined {
  const text = header?.trim() ?? '';
  const isDate = /^[A-Z][a-z]+, .* GMT$/.test(text);
  const delayMs = /^\d+$/.test(text) ? Number(text) * 1_000 : isDate ? Date.parse(text) - now : Number.NaN;
  return Number.isNaN(delayMs) ? undefined : Math.min(Math.max(delayMs, 0), RETRY_AFTER_MAX_MS);
}

/** The first KiB as text that does nothing to a terminal, a log or a page: no control characters, no overridden direction. */
function readableStart(body: Uint8Array): string {
  const text = new TextDecoder().decode(body.subarray(0, ANSWER_KEPT_BYTES), { stream: true });
  return text.replace(/\r\n?/g, '\n').replace(/[^\P{Cc}\n\t]|[\p{Cf}\u2028\u2029]/gu, '\ufffd');
}
