// How this wire words errors: one row for every canonical code, the payload of an `error` message, and what such a payload means when
// somebody else sends it.

import { DomainError, ERROR_CODES, type ErrorCode, isErrorCode } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Fault } from '../../domain/message.ts';
import type { ErrorBodyScene, WireCode } from '../dialect/dialect.ts';
import type { ErrorPage } from '../protocol.ts';

interface Wording extends WireCode {
  /** What sort of error it is (`ARMY-52`). */
  readonly type: string;
  /** What is to be done where trying again does not help (`ARMY-53`). */
  readonly action: 'fix_request' | 'reauthenticate' | 'escalate_to_supervisor' | 'none';
}

/** Every canonical code on this wire (`ARMY-115` to `ARMY-124`). */
export const WORDINGS = {
  invalid_request: { code: 'VALIDATION_ERROR', status: 400, type: 'validation_error', action: 'fix_request' },
  unserializable: { code: 'MALFORMED_MESSAGE', status: 400, type: 'validation_error', action: 'fix_request' },
  unauthenticated: {
    code: 'UNAUTHENTICATED',
    status: 401,
    type: 'permission_error',
    action: 'reauthenticate',
  },
  forbidden: { code: 'FORBIDDEN', status: 403, type: 'permission_error', action: 'escalate_to_supervisor' },
  not_found: { code: 'NOT_FOUND', status: 404, type: 'validation_error', action: 'fix_request' },
  conflict: { code: 'CONFLICT', status: 409, type: 'validation_error', action: 'fix_request' },
  lease_lost: { code: 'LEASE_LOST', status: 409, type: 'execution_error', action: 'none' },
  invalid_transition: { code: 'INVALID_STATE', status: 409, type: 'execution_error', action: 'none' },
  payload_too_large: {
    code: 'PAYLOAD_TOO_LARGE',
    status: 413,
    type: 'validation_error',
    action: 'fix_request',
  },
  unprocessable: { code: 'VALIDATION_ERROR', status: 422, type: 'validation_error', action: 'fix_request' },
  policy_violation: {
    code: 'POLICY_VIOLATION',
    status: 422,
    type: 'policy_error',
    action: 'escalate_to_supervisor',
  },
  rate_limited: { code: 'RATE_LIMITED', status: 429, type: 'resource_error', action: 'none' },
  task_failed: {
    code: 'EXECUTION_ERROR',
    status: null,
    type: 'execution_error',
    action: 'escalate_to_supervisor',
  },
  task_timeout: {
    code: 'TASK_TIMEOUT',
    status: null,
    type: 'timeout_error',
    action: 'escalate_to_supervisor',
  },
  resource_exhausted: { code: 'RESOURCE_EXHAUSTED', status: 503, type: 'resource_error', action: 'none' },
  dependency_failed: { code: 'DEPENDENCY_FAILURE', status: 502, type: 'dependency_error', action: 'none' },
  circuit_open: { code: 'CIRCUIT_OPEN', status: 503, type: 'dependency_error', action: 'none' },
  unavailable: { code: 'UNAVAILABLE', status: 503, type: 'resource_error', action: 'none' },
  upstream_timeout: { code: 'API_TIMEOUT', status: 504, type: 'timeout_error', action: 'none' },
  internal: { code: 'INTERNAL_ERROR', status: 500, type: 'internal_error', action: 'escalate_to_supervisor' },
} as const satisfies Record<ErrorCode, Wording>;

const MEANINGS: ReadonlyMap<string, ErrorCode> = new Map(
  Object.entries(WORDINGS)
    .filter(([code]) => code !== 'unprocessable')
    .map(([code, { code: word }]) => [word, code as ErrorCode]),
);

/** An error in this wire's words: the payload of a message and the body of a refusal alike (`ARMY-51`). */
export function errorPayload(fault: Omit<Fault, 'details'> & { readonly details: JsonObject }): JsonObject {
  const { code, message, recoverable, details, wireCode, retryAfterMs } = fault;
  const { code: word, type, action } = WORDINGS[code];
  const { wire_code: kept, error_type: saidType, suggested_action: saidAction, ...context } = details;
  return {
    error_type: typeof saidType === 'string' ? typeOf(saidType, type) : type,
    error_code: wireCode ?? (typeof kept === 'string' ? kept : word),
    message,
    context: {
      ...context,
      ...(retryAfterMs === undefined ? {} : { retry_after: retryAfterMs / 1_000 }),
    },
    recoverable,
    suggested_action: recoverable
      ? 'retry_with_backoff'
      : typeof saidAction === 'string'
        ? actionOf(saidAction, action)
        : action,
  };
}

/** A refusal's body: the error's payload, and which message it is about. */
export function errorBody(
  error: DomainError,
  { about, traceId, requestId, origin }: ErrorBodyScene,
): JsonObject {
  const { code, message, details, retryAfterMs } = error;
  const { message_id: _, ...context } = details;
  const payload = errorPayload({
    ...{ code, message, recoverable: ERROR_CODES[code].retry === 'yes' },
    details: context,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
  return {
    ...payload,
    ...(about === null ? {} : { reply_to: about }),
    request_id: requestId,
    trace_id: traceId,
    documentation_url: `${origin}/docs/errors/${WORDINGS[code].code}`,
  };
}

/** What an `error` payload means: a code of ours, the sender's own kept (`ARMY-55`). */
export function faultIn(payload: JsonObject): Fault {
  const wireCode = String(payload.error_code);
  const code = MEANINGS.get(wireCode) ?? 'task_failed';
  const context = isJsonObject(payload.context) ? payload.context : {};
  const kept: Record<string, Json | undefined> = { ...context };
  for (const member of ['error_type', 'suggested_action'])
    if (typeof payload[member] === 'string') kept[member] = payload[member];
  return {
    ...{ code, message: String(payload.message), recoverable: payload.recoverable === true },
    ...{ details: kept, wireCode },
  };
}

/** A fault as an error of the house. */
export function errorOf({ code, message, details, retryAfterMs }: Fault): DomainError {
  return new DomainError(isErrorCode(code) ? code : 'task_failed', message, {
    details,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  });
}

/** That fields of a message are wrong, each by its path. */
export function invalid(
  faults: readonly { readonly field: string; readonly message: string }[],
): DomainError {
  return new DomainError(
    'invalid_request',
    `the message is not valid: ${faults[0]?.field} ${faults[0]?.message}`,
    {
      details: { errors: faults.map(one => ({ ...one })) },
    },
  );
}

const ERROR_TYPES: ReadonlySet<string> = new Set(Object.values(WORDINGS).map(({ type }) => type));
const ACTIONS: ReadonlySet<string> = new Set([
  'retry_with_backoff',
  ...Object.values(WORDINGS).map(({ action }) => action),
]);

/** What somebody said, where this server may say it too. */
function typeOf(said: string, otherwise: string): string {
  return ERROR_TYPES.has(said) ? said : otherwise;
}

function actionOf(said: string, otherwise: string): string {
  return ACTIONS.has(said) && said !== 'retry_with_backoff' ? said : otherwise;
}

/** Pages for the codes that only this wire has. */
export const ERROR_PAGES: Readonly<Record<string, ErrorPage>> = {
  VALIDATION_ERROR: {
    status: 400,
    meaning: 'A member of the message is missing, of the wrong type or form, or asks for what cannot be.',
    remedy: 'Correct every member listed in context.errors and send the message again under the same id.',
    retry: 'no',
  },
  MALFORMED_MESSAGE: {
    status: 400,
    meaning: 'The body is no JSON in UTF-8, has a key twice, or is not what its compression says.',
    remedy: 'Send one JSON value in UTF-8 (or MessagePack), plain or with gzip.',
    retry: 'no',
  },
  UNAUTHENTICATED: {
    status: 401,
    meaning: 'The credentials or the signature are absent, wrong, expired or revoked.',
    remedy: 'Check the credentials, the signature and the clock of the machine that made them.',
    retry: 'no',
  },
  UNAVAILABLE: {
    status: 503,
    meaning: 'The server or whoever was addressed cannot take the message now.',
    remedy: 'Send the message again after context.retry_after seconds.',
    retry: 'yes',
  },
  API_TIMEOUT: {
    status: 504,
    meaning: 'Somebody further on did not answer in time.',
    remedy: 'Try again; if it lasts, give more time.',
    retry: 'yes',
  },
};
