// Failures as SAM agents tell them, in the model's words: their codes stay what they are, and what never reached an answer is a
// failed dependency (`SAM-99`).

import { type DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { TaskError } from '../../domain/task.ts';

const CODES = {
  invalid_request: 'INVALID_REQUEST',
  unserializable: 'MALFORMED_BODY',
  unauthenticated: 'UNAUTHORIZED',
  forbidden: 'FORBIDDEN',
  not_found: 'NOT_FOUND',
  conflict: 'CONFLICT',
  lease_lost: 'LEASE_LOST',
  invalid_transition: 'INVALID_STATE',
  payload_too_large: 'PAYLOAD_TOO_LARGE',
  unprocessable: 'UNPROCESSABLE',
  policy_violation: 'POLICY_VIOLATION',
  rate_limited: 'RATE_LIMITED',
  task_failed: 'EXECUTION_ERROR',
  task_timeout: 'TASK_TIMEOUT',
  resource_exhausted: 'RESOURCE_EXHAUSTED',
  dependency_failed: 'DEPENDENCY_FAILURE',
  circuit_open: 'CIRCUIT_OPEN',
  unavailable: 'SERVICE_UNAVAILABLE',
  upstream_timeout: 'GATEWAY_TIMEOUT',
  internal: 'INTERNAL_ERROR',
} as const satisfies Record<ErrorCode, string>;

const CANONICAL: ReadonlyMap<string, ErrorCode> = new Map([
  ...Object.entries(CODES).map(([code, wire]) => [wire, code as ErrorCode] as const),
  ['TASK_EXECUTION_FAILED', 'task_failed'],
  ['TASK_NOT_FOUND', 'not_found'],
]);

const MESSAGE_LENGTH_MAX = 10_000;
const RETRY_AFTER_MAX_S = 3_600;
/** What this server would refuse to send, wherever it were sent: another attempt would be refused too. */
const OWN_REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'unprocessable',
  'policy_violation',
]);

/** An agent's `error` object; one of an unknown code is the task's own failure and keeps its code in the details. */
export function failureOf(told: Json | undefined, otherwise: ErrorCode): TaskError {
  const error = isJsonObject(told) ? told : {};
  const { code: named, message, recoverable } = error;
  const known = typeof named === 'string' ? CANONICAL.get(named) : otherwise;
  const code = known ?? 'task_failed';
  return {
    code,
    message: typeof message === 'string' ? message.slice(0, MESSAGE_LENGTH_MAX) : 'the agent gave no reason',
    recoverable: typeof recoverable === 'boolean' ? recoverable : ERROR_CODES[code].retry === 'yes',
    details: {
      ...detailsOf(error),
      ...(known === undefined ? { remote_code: named } : {}),
      ...retryAfter(error.retry_after),
    },
  };
}

/** A failure of the way to an agent: what the outbound guard refuses stays refused, all else may pass. */
export function transportFailure(error: DomainError): TaskError {
  const refused = OWN_REFUSALS.has(error.code);
  return {
    code: refused ? error.code : 'dependency_failed',
    message: `the agent could not be reached: ${error.message}`,
    recoverable: !refused,
    ...(Object.keys(error.details).length === 0 ? {} : { details: error.details }),
  };
}

/** A failure that lies with the agent, not with the task. */
export function dependencyFailure(message: string, recoverable = true): TaskError {
  return { code: 'dependency_failed', message, recoverable };
}

/** The details but for what only this server may say in them. */
function detailsOf({ details }: JsonObject): JsonObject {
  if (!isJsonObject(details)) return {};
  const { retry_after_ms: _, ...rest } = details;
  return rest;
}

function retryAfter(seconds: Json | undefined): JsonObject {
  if (typeof seconds !== 'number' || !(seconds > 0)) return {};
  return { retry_after_ms: Math.ceil(Math.min(seconds, RETRY_AFTER_MAX_S) * 1_000) };
}
