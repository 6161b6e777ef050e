// Errors in the words of the task wire: which canonical code is which of its five protocol errors, a rejection or a denial, how severe
// that is, and what helps (`TASK-49` to `TASK-54`, `TASK-91` to `TASK-101`).

import Type, { type TSchema } from 'typebox';
import { type DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { ErrorBodyScene, WireCode } from '../dialect/dialect.ts';
import type { ErrorPage } from '../protocol.ts';
import { instant, isTaskId, versionFor } from './vocabulary.ts';

/** The protocol errors. */
export type ProtocolErrorCode = 'MSG001' | 'MSG002' | 'COM001' | 'COM002' | 'COM-AUTH';

interface ProtocolError {
  readonly error: string;
  readonly severity: 'warning' | 'error' | 'critical';
  readonly recovery: string;
  readonly meaning: string;
  readonly remedy: string;
}

/** What each protocol error is. */
export const PROTOCOL_ERRORS = {
  MSG001: {
    error: 'validation_error',
    severity: 'error',
    recovery: 'retry_with_validation',
    meaning: 'The message is not as its schema wants it, or asks for what cannot be.',
    remedy: 'Correct what details.errors names, by the schema of its type, and send it again.',
  },
  MSG002: {
    error: 'serialization_error',
    severity: 'error',
    recovery: 'retry_with_new_serializer',
    meaning: 'The body cannot be read.',
    remedy: 'Send JSON in UTF-8 or MessagePack, plain or packed with gzip.',
  },
  COM001: {
    error: 'timeout_error',
    severity: 'warning',
    recovery: 'retry_with_backoff',
    meaning:
      'Something did not happen in time: a message expired, a task passed its deadline, nobody answered.',
    remedy: 'Try again later, waiting longer each time.',
  },
  COM002: {
    error: 'connection_error',
    severity: 'critical',
    recovery: 'failover_to_backup',
    meaning: 'What is needed cannot be reached, has failed, or is this server itself.',
    remedy: 'Try another node or endpoint, or again later.',
  },
  'COM-AUTH': {
    error: 'authentication_error',
    severity: 'error',
    recovery: 'reauthenticate',
    meaning: 'The credentials or the signature do not hold.',
    remedy: 'Get new credentials, or sign with a key that is registered and good.',
  },
} as const satisfies Record<ProtocolErrorCode, ProtocolError>;

/** A canonical code as one of the protocol errors, as a rejection or as a denial, with its HTTP status. */
const WORDS = {
  invalid_request: ['MSG001', 400],
  unserializable: ['MSG002', 400],
  unauthenticated: ['COM-AUTH', 401],
  forbidden: ['reject', 403],
  not_found: ['reject', 404],
  conflict: ['reject', 409],
  lease_lost: ['reject', 409],
  invalid_transition: ['reject', 409],
  payload_too_large: ['MSG001', 413],
  unprocessable: ['MSG001', 422],
  policy_violation: ['reject', 422],
  rate_limited: ['reject', 429],
  task_failed: ['reject', null],
  task_timeout: ['COM001', 504],
  resource_exhausted: ['resource.denied', 503],
  dependency_failed: ['COM002', 502],
  circuit_open: ['COM002', 503],
  unavailable: ['COM002', 503],
  upstream_timeout: ['COM001', 504],
  internal: ['COM002', 500],
} as const satisfies Record<
  ErrorCode,
  readonly [ProtocolErrorCode | 'reject' | 'resource.denied', number | null]
>;

/** Every canonical code in this wire's words. */
export const CODES = Object.fromEntries(
  Object.entries(WORDS).map(([code, [word, status]]) => [
    code,
    { code: word, status, severity: severityOf(code as ErrorCode) },
  ]),
) as unknown as Readonly<Record<ErrorCode, WireCode>>;

/** A rejection or denial is an error like any. */
function severityOf(code: ErrorCode): ProtocolError['severity'] {
  const [word] = WORDS[code];
  return word === 'reject' || word === 'resource.denied' ? 'error' : PROTOCOL_ERRORS[word].severity;
}

/** The body of a refusal: `protocol.error`, `task.control.reject` or `resource.denied`. */
export const errorSchema: TSchema = Type.Object(
  { type: Type.Enum(['protocol.error', 'task.control.reject', 'resource.denied']) },
  { additionalProperties: true },
);

/** The pages of the protocol errors. */
export const ERROR_PAGES: Readonly<Record<string, ErrorPage>> = Object.fromEntries(
  Object.entries(PROTOCOL_ERRORS).map(([code, { meaning, remedy }]) => {
    const first = Object.entries(WORDS).find(([, [word]]) => word === code);
    const canonical = (first?.[0] ?? 'internal') as ErrorCode;
    return [code, { status: CODES[canonical].status, meaning, remedy, retry: ERROR_CODES[canonical].retry }];
  }),
);

/** What an error says: its type, and the fields of that type. */
export function failureFields(
  error: Pick<DomainError, 'code' | 'message' | 'details'>,
  {
    about,
    traceId,
    origin,
  }: { readonly about: string | null; readonly traceId: string; readonly origin?: string },
): JsonObject {
  const { code, message, details } = error;
  const taskId = isTaskId(details.task_id) ? { task_id: details.task_id } : {};
  if (typeof details.denial === 'string')
    return { type: 'resource.denied', reason: details.denial, message, ...taskId };
  const [word] = WORDS[code];
  switch (word) {
    case 'resource.denied':
      return { type: word, reason: 'insufficient_capacity', message, ...taskId };
    case 'reject':
      return {
        type: 'task.control.reject',
        ...(about === null ? {} : { command_id: about }),
        reason: reasonOf(error),
        details,
        ...taskId,
      };
    default: {
      const { error: kind, severity, recovery } = PROTOCOL_ERRORS[word];
      return {
        ...{ type: 'protocol.error', code: word, error: kind, severity, recovery, message },
        details: withPointers(details),
        ...taskId,
        documentation_url: `${origin ?? ''}/docs/errors/${word}`,
        trace_id: traceId,
      };
    }
  }
}

/** The body that answers a refused call or frame. */
export function errorBody(error: DomainError, scene: ErrorBodyScene): JsonObject {
  const { about, requestId, now } = scene;
  return {
    ...failureFields(error, scene),
    message_id: `error.${requestId}`,
    ...(about === null ? {} : { reply_to: about }),
    timestamp: instant(now),
    protocol_version: versionFor(scene.version ?? undefined),
  };
}

/** Begins with the canonical code, and names the state that forbids it (`TASK-33`). */
function reasonOf({ code, message, details }: Pick<DomainError, 'code' | 'message' | 'details'>): string {
  const state = details.lifecycle_state ?? details.state;
  const named = code === 'invalid_transition' && typeof state === 'string' ? ` (the task is ${state})` : '';
  return `${code}: ${message}${named}`.slice(0, 2_000);
}

/** Each fault by the JSON Pointer of the field it is about. */
function withPointers(details: JsonObject): JsonObject {
  const { errors } = details;
  if (!Array.isArray(errors)) return details;
  return {
    ...details,
    errors: errors.map((one: JsonObject): JsonObject => ({ path: pointerOf(one.field), ...one })),
  };
}

function pointerOf(field: Json | undefined): string {
  if (typeof field !== 'string' || field === '') return '';
  return `/${field
    .split('.')
    .map(part => part.replaceAll('~', '~0').replaceAll('/', '~1'))
    .join('/')}`;
}
