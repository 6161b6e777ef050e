// How SAM words errors: one row for every canonical code (the build fails if one is missing), and the body they make (`SAM-48`,
// `SAM-49`).

import Type from 'typebox';
import type { DomainError, ErrorCode } from '../../domain/errors.ts';
import { ERROR_CODES } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ErrorPage, ErrorScene } from '../protocol.ts';
import { instant } from './vocabulary.ts';

/** The four kinds of error a caller tells apart. */
export type ErrorCategory = 'authentication_error' | 'client_error' | 'server_error' | 'task_execution_error';

/** How bad an error is. */
export type Severity = 'low' | 'medium' | 'high' | 'critical';

interface Wording {
  readonly code: string;
  readonly status: number;
  readonly category: ErrorCategory;
  readonly severity: Severity;
  readonly meaning: string;
  readonly remedy: string;
}

/** Every canonical code on this wire; an error that only a task can have answers 500 should it ever escape. */
export const WORDINGS = {
  invalid_request: {
    code: 'INVALID_REQUEST',
    status: 400,
    category: 'client_error',
    severity: 'low',
    meaning: 'A field, parameter or header is missing or has a value it cannot have.',
    remedy: 'Correct every field listed in details.errors and send the request again.',
  },
  unserializable: {
    code: 'MALFORMED_BODY',
    status: 400,
    category: 'client_error',
    severity: 'low',
    meaning: 'The body is not a JSON text in UTF-8, or its media type is not application/json.',
    remedy: 'Send one JSON value in UTF-8, without repeated keys, as application/json.',
  },
  unauthenticated: {
    code: 'UNAUTHORIZED',
    status: 401,
    category: 'authentication_error',
    severity: 'medium',
    meaning: 'No credential was sent, or the one sent is wrong, expired or revoked.',
    remedy: 'Check token, key and secret, or signature, and the clock of the machine that made them.',
  },
  forbidden: {
    code: 'FORBIDDEN',
    status: 403,
    category: 'authentication_error',
    severity: 'medium',
    meaning: 'The credential is good but does not allow this.',
    remedy: 'Ask an administrator for the permission or rule named in details.',
  },
  not_found: {
    code: 'NOT_FOUND',
    status: 404,
    category: 'client_error',
    severity: 'low',
    meaning: 'There is no such thing here, or it is not yours to see.',
    remedy: 'Check the path and the id.',
  },
  conflict: {
    code: 'CONFLICT',
    status: 409,
    category: 'client_error',
    severity: 'low',
    meaning: 'The id or idempotency key already names a different request, or the thing changed meanwhile.',
    remedy: 'Choose a new id, or send exactly the request that was sent before.',
  },
  lease_lost: {
    code: 'LEASE_LOST',
    status: 409,
    category: 'client_error',
    severity: 'medium',
    meaning: 'The worker no longer holds the task: its lease expired or the task was given to another.',
    remedy: 'Stop working on the task and ask for new work; send heartbeats before the lease expires.',
  },
  invalid_transition: {
    code: 'INVALID_STATE',
    status: 409,
    category: 'client_error',
    severity: 'low',
    meaning: 'The task is in a state in which this cannot be done.',
    remedy: 'Read the task’s status and act on the state it is in.',
  },
  payload_too_large: {
    code: 'PAYLOAD_TOO_LARGE',
    status: 413,
    category: 'client_error',
    severity: 'low',
    meaning: 'The body is larger than this route takes.',
    remedy: 'Upload large content as an artifact and refer to it.',
  },
  unprocessable: {
    code: 'UNPROCESSABLE',
    status: 422,
    category: 'client_error',
    severity: 'low',
    meaning: 'The request is well formed but can never be fulfilled here.',
    remedy: 'Change what details names: an agent, limit, secret or dependency that does not exist here.',
  },
  policy_violation: {
    code: 'POLICY_VIOLATION',
    status: 422,
    category: 'client_error',
    severity: 'medium',
    meaning: 'A policy of this server or tenant forbids it.',
    remedy: 'Change the request to respect the policy named in details.',
  },
  rate_limited: {
    code: 'RATE_LIMITED',
    status: 429,
    category: 'authentication_error',
    severity: 'low',
    meaning: 'More requests came than the caller’s budget allows.',
    remedy: 'Wait for retry_after seconds; the X-RateLimit headers show the budget.',
  },
  task_failed: {
    code: 'EXECUTION_ERROR',
    status: 500,
    category: 'task_execution_error',
    severity: 'high',
    meaning: 'The task’s own work failed.',
    remedy: 'Read the message, the task’s log and error_details, correct the task, and submit it again.',
  },
  task_timeout: {
    code: 'TASK_TIMEOUT',
    status: 500,
    category: 'task_execution_error',
    severity: 'high',
    meaning: 'The task took longer than its timeout.',
    remedy: 'Raise timeout, or divide the work.',
  },
  resource_exhausted: {
    code: 'RESOURCE_EXHAUSTED',
    status: 503,
    category: 'task_execution_error',
    severity: 'high',
    meaning: 'A limit was reached: the queue is full, or a task used up its memory, disk or budget.',
    remedy: 'Try again after retry_after seconds, or give the task more with resource_limits.',
  },
  dependency_failed: {
    code: 'DEPENDENCY_FAILURE',
    status: 502,
    category: 'task_execution_error',
    severity: 'high',
    meaning: 'Something the work depends on is unreachable or answered wrongly.',
    remedy: 'Check the dependency named in details; trying again later can help.',
  },
  circuit_open: {
    code: 'CIRCUIT_OPEN',
    status: 503,
    category: 'server_error',
    severity: 'medium',
    meaning: 'A dependency failed so often that calls to it are held back for a while.',
    remedy: 'Wait for retry_after seconds.',
  },
  unavailable: {
    code: 'SERVICE_UNAVAILABLE',
    status: 503,
    category: 'server_error',
    severity: 'high',
    meaning: 'The server cannot serve this now: it is starting, stopping or cannot reach its database.',
    remedy: 'Try again in a few seconds, on any node.',
  },
  upstream_timeout: {
    code: 'GATEWAY_TIMEOUT',
    status: 504,
    category: 'server_error',
    severity: 'medium',
    meaning: 'A service behind this one did not answer in time.',
    remedy: 'Try again later.',
  },
  internal: {
    code: 'INTERNAL_ERROR',
    status: 500,
    category: 'server_error',
    severity: 'critical',
    meaning: 'Something went wrong that nobody foresaw.',
    remedy: 'Try again, and if it persists report the request_id to whoever runs this server.',
  },
} as const satisfies Record<ErrorCode, Wording>;

/** The code of a missing task, told apart from other missing things. */
const TASK_NOT_FOUND = 'TASK_NOT_FOUND';

const CATEGORIES = ['authentication_error', 'client_error', 'server_error', 'task_execution_error'] as const;
const SEVERITIES = ['low', 'medium', 'high', 'critical'] as const;

/** The code of a byte range beyond the end; no canonical code stands for it (`SAM-49`). */
const RANGE_NOT_SATISFIABLE = 'RANGE_NOT_SATISFIABLE';

/** Every code a body of this wire can bear. */
export const SAM_CODES: readonly string[] = [
  ...Object.values(WORDINGS).map(one => one.code),
  TASK_NOT_FOUND,
  RANGE_NOT_SATISFIABLE,
];

const errorObject = Type.Object({
  code: Type.Enum([...SAM_CODES]),
  message: Type.String(),
  category: Type.Enum(CATEGORIES),
  severity: Type.Enum(SEVERITIES),
  details: Type.Object({}),
  retry_after: Type.Union([Type.Number(), Type.Null()], {
    description: 'Seconds; null when trying again is useless.',
  }),
  documentation_url: Type.String(),
});

/** The schema of every error body (`SAM-48`). */
export const errorSchema = Type.Object(
  {
    error: errorObject,
    request_id: Type.String(),
    timestamp: Type.String({ format: 'date-time' }),
    trace_id: Type.String(),
  },
  { description: 'An error.' },
);

/** The status, body and headers of an error. */
export function renderError(
  error: DomainError,
  scene: ErrorScene,
): {
  readonly status: number;
  readonly body: JsonObject;
  readonly headers: Readonly<Record<string, string>>;
} {
  const headers: Record<string, string> = {};
  if (error.code === 'unauthenticated') headers['www-authenticate'] = 'Bearer';
  const retryAfter = retryAfterOf(error);
  if (retryAfter !== null) headers['retry-after'] = String(retryAfter);
  return { status: WORDINGS[error.code].status, body: errorBody(error, scene), headers };
}

/** A whole error body: the error and where it happened. */
export function errorBody(error: DomainError, scene: ErrorScene): JsonObject {
  return {
    error: wordedError(error, scene.origin),
    request_id: scene.requestId,
    timestamp: instant(scene.now),
    trace_id: scene.traceId,
  };
}

/** The `error` object alone; `origin` is where its documentation is found. */
export function wordedError(error: DomainError, origin: string): JsonObject {
  const wording: Wording = WORDINGS[error.code];
  const code = codeOf(error);
  return {
    code,
    message: error.message,
    category: wording.category,
    severity: wording.severity,
    details: error.details,
    retry_after: retryAfterOf(error),
    documentation_url: `${origin}/docs/errors/${code}`,
  };
}

/** The body of a 416: the range asked for lies beyond so many bytes (`SAM-73`). */
export function rangeErrorBody(sizeBytes: number, scene: ErrorScene): JsonObject {
  const code = RANGE_NOT_SATISFIABLE;
  return {
    error: {
      code,
      message: `the range lies beyond the ${sizeBytes} bytes there are`,
      category: 'client_error',
      severity: 'low',
      details: { size_bytes: sizeBytes },
      retry_after: null,
      documentation_url: `${scene.origin}/docs/errors/${code}`,
    },
    request_id: scene.requestId,
    timestamp: instant(scene.now),
    trace_id: scene.traceId,
  };
}

/** The status an error answers with. */
export function statusOf(error: DomainError): number {
  return WORDINGS[error.code].status;
}

function codeOf(error: DomainError): string {
  if (error.code === 'not_found' && error.details.task_id !== undefined) return TASK_NOT_FOUND;
  return WORDINGS[error.code].code;
}

/** Seconds until trying again is worthwhile, at least 1; codes that never get better have none. */
function retryAfterOf(error: DomainError): number | null {
  if (error.retryAfterMs !== undefined) return Math.max(1, Math.ceil(error.retryAfterMs / 1_000));
  if (ERROR_CODES[error.code].retry !== 'yes') return null;
  return error.code === 'resource_exhausted' ? 60 : 5;
}

/** A page for each code (`SAM-50`). */
export const errorPages: Readonly<Record<string, ErrorPage>> = pagesOf();

function pagesOf(): Readonly<Record<string, ErrorPage>> {
  const pages: Record<string, ErrorPage> = {};
  for (const [canonical, wording] of Object.entries(WORDINGS)) {
    const { retry } = ERROR_CODES[canonical as ErrorCode];
    const { meaning, remedy } = wording;
    pages[wording.code] = { status: wording.status, meaning, remedy, retry };
  }
  pages[TASK_NOT_FOUND] = {
    status: 404,
    meaning: 'There is no task of this id in your tenant.',
    remedy:
      'Check task_id and the credential’s tenant; purged tasks keep answering, so it never existed here.',
    retry: 'no',
  };
  pages[RANGE_NOT_SATISFIABLE] = {
    status: 416,
    meaning: 'The byte range asked for lies beyond the end of the artifact.',
    remedy: 'Ask within the size that Content-Range names.',
    retry: 'no',
  };
  return pages;
}

const CANONICAL_OF: Readonly<Record<string, ErrorCode>> = {
  ...Object.fromEntries(
    Object.entries(WORDINGS).map(([canonical, wording]) => [wording.code, canonical as ErrorCode]),
  ),
  TASK_EXECUTION_FAILED: 'task_failed',
  [TASK_NOT_FOUND]: 'not_found',
};

/** The canonical code a code of this wire stands for, or null for one nobody knows (`SAM-50`). */
export function canonicalCode(code: string): ErrorCode | null {
  return Object.hasOwn(CANONICAL_OF, code) ? (CANONICAL_OF[code] ?? null) : null;
}
