// How errors are told: each wire has a body of its own, in which code, message and details stand under their own names.

import type { Json, JsonObject } from '../domain/json.ts';
import type { ErrorFacts } from './errors.ts';

/** What an error's body tells, whichever wire's it is; what it does not tell is absent. */
export function factsIn(body: Json | undefined): Partial<ErrorFacts> {
  const outer = objectOf(body);
  const told = bearerOf(outer);
  if (told === undefined) return {};
  const code = textOf(told.code) ?? textOf(told.error_code);
  const message = textOf(told.message) ?? textOf(told.reason);
  const seconds = told.retry_after ?? objectOf(told.context)?.retry_after;
  const documentation = textOf(told.documentation_url);
  return {
    ...(code === undefined ? {} : { code }),
    ...(message === undefined ? {} : { message }),
    details: objectOf(told.details) ?? objectOf(told.error_details) ?? objectOf(told.context) ?? {},
    retryAfterMs: typeof seconds === 'number' ? seconds * 1_000 : undefined,
    documentationUrl: documentation,
    requestId: textOf(outer?.request_id),
    traceId: textOf(outer?.trace_id),
  };
}

/** The object that has the code: the body itself, or what it holds. */
function bearerOf(body: JsonObject | undefined): JsonObject | undefined {
  const places = [objectOf(body?.error), objectOf(body?.payload), body];
  return places.find(one => textOf(one?.code) !== undefined || textOf(one?.error_code) !== undefined);
}

function objectOf(value: Json | undefined): JsonObject | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as JsonObject)
    : undefined;
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
