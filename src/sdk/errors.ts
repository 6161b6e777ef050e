// The errors a caller of the SDK can meet: one class for each thing a caller would do differently, chosen by the wire's code.

import type { JsonObject } from '../domain/json.ts';
import type { Outcome } from '../domain/transitions.ts';

/** What the server, or the way to it, said of a failed call. */
export interface ErrorFacts {
  /** The wire's code (`INVALID_REQUEST`, `RATE_LIMITED` …), or one of the SDK's own: `CONNECTION_FAILED`, `INVALID_ANSWER`. */
  readonly code: string;
  readonly message: string;
  /** HTTP status; 0 where no answer came. */
  readonly status: number;
  readonly details?: JsonObject;
  readonly retryAfterMs?: number | undefined;
  readonly documentationUrl?: string | undefined;
  readonly requestId?: string | undefined;
  readonly traceId?: string | undefined;
  readonly cause?: unknown;
}

/** Every failure of a call to the server; `code` is stable, `message` is for a person, `requestId` finds it in the server's logs. */
export class BatutaError extends Error {
  override readonly name: string = 'BatutaError';
  readonly code: string;
  readonly status: number;
  readonly details: JsonObject;
  readonly retryAfterMs: number | undefined;
  readonly documentationUrl: string | undefined;
  readonly requestId: string | undefined;
  readonly traceId: string | undefined;

  constructor(facts: ErrorFacts) {
    super(facts.message, facts.cause === undefined ? undefined : { cause: facts.cause });
    this.code = facts.code;
    this.status = facts.status;
    this.details = facts.details ?? {};
    this.retryAfterMs = facts.retryAfterMs;
    this.documentationUrl = facts.documentationUrl;
    this.requestId = facts.requestId;
    this.traceId = facts.traceId;
  }

  /** Whether the same call may succeed later without being changed. */
  get retryable(): boolean {
    return false;
  }
}

/** One fault of a request: where, and what. */
export interface FieldFault {
  readonly field: string;
  readonly message: string;
}

/** The request is malformed (400, 413); `fields` lists every fault found (`SAM-44`). */
export class ValidationError extends BatutaError {
  override readonly name = 'ValidationError';
  readonly fields: readonly FieldFault[];

  constructor(facts: ErrorFacts) {
    super(facts);
    const listed = facts.details?.errors;
    this.fields = Array.isArray(listed) ? listed.filter(isFieldFault) : [];
  }
}

/** The credential is absent, wrong or expired (401). */
export class UnauthorizedError extends BatutaError {
  override readonly name = 'UnauthorizedError';
}

/** The credential is good but does not permit this (403). */
export class ForbiddenError extends BatutaError {
  override readonly name = 'ForbiddenError';
}

/** There is no such thing in the caller's tenant (404). */
export class NotFoundError extends BatutaError {
  override readonly name = 'NotFoundError';
}

/** The id or key is taken by something different (409). */
export class ConflictError extends BatutaError {
  override readonly name: string = 'ConflictError';
}

/** The worker no longer holds the task; whatever it says of it is too late (409). */
export class LeaseLostError extends ConflictError {
  override readonly name = 'LeaseLostError';
}

/** The task's state does not allow this step (409). */
export class InvalidStateError extends ConflictError {
  override readonly name = 'InvalidStateError';
}

/** The request is well-formed but can never be carried out here (422). */
export class RejectedError extends BatutaError {
  override readonly name = 'RejectedError';
}

/** Too many requests (429); `retryAfterMs` says when the limit lets up. */
export class RateLimitedError extends BatutaError {
  override readonly name = 'RateLimitedError';
  override get retryable(): boolean {
    return true;
  }
}

/** The server, or something it needs, cannot serve now (502, 503, 504). */
export class UnavailableError extends BatutaError {
  override readonly name = 'UnavailableError';
  override get retryable(): boolean {
    return true;
  }
}

/** The server failed in a way it did not foresee (500), or answered what cannot be understood. */
export class ServerError extends BatutaError {
  override readonly name = 'ServerError';
}

/** No answer came: the connection failed, broke or timed out. */
export class ConnectionError extends BatutaError {
  override readonly name = 'ConnectionError';
  override get retryable(): boolean {
    return true;
  }
}

/** The awaited task ended otherwise than completed; `code`, `message` and `details` are the task's own error. */
export class TaskFailedError extends BatutaError {
  override readonly name = 'TaskFailedError';
  readonly taskId: string;
  readonly outcome: Exclude<Outcome, 'completed'>;

  constructor(
    facts: ErrorFacts & { readonly taskId: string; readonly outcome: Exclude<Outcome, 'completed'> },
  ) {
    super(facts);
    this.taskId = facts.taskId;
    this.outcome = facts.outcome;
  }
}

/** The caller's patience ended before the task did; the task goes on. */
export class WaitTimeoutError extends BatutaError {
  override readonly name = 'WaitTimeoutError';
}

/** What a handler may call a failure that another attempt may mend. */
export type RecoverableCode =
  | 'EXECUTION_ERROR'
  | 'RESOURCE_EXHAUSTED'
  | 'DEPENDENCY_FAILURE'
  | 'CIRCUIT_OPEN'
  | 'SERVICE_UNAVAILABLE'
  | 'GATEWAY_TIMEOUT';

/** Thrown by a handler whose failure another attempt may mend; any other error ends the task. */
export class RecoverableError extends Error {
  override readonly name = 'RecoverableError';
  readonly code: RecoverableCode;
  readonly details: JsonObject | undefined;

  constructor(
    message: string,
    options: {
      readonly code?: RecoverableCode;
      readonly details?: JsonObject;
      readonly cause?: unknown;
    } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = options.code ?? 'EXECUTION_ERROR';
    this.details = options.details;
  }
}

type ErrorClass = new (facts: ErrorFacts) => BatutaError;

const BY_CODE: Readonly<Record<string, ErrorClass>> = {
  INVALID_REQUEST: ValidationError,
  MALFORMED_BODY: ValidationError,
  PAYLOAD_TOO_LARGE: ValidationError,
  UNAUTHORIZED: UnauthorizedError,
  FORBIDDEN: ForbiddenError,
  TASK_NOT_FOUND: NotFoundError,
  NOT_FOUND: NotFoundError,
  CONFLICT: ConflictError,
  LEASE_LOST: LeaseLostError,
  INVALID_STATE: InvalidStateError,
  UNPROCESSABLE: RejectedError,
  POLICY_VIOLATION: RejectedError,
  RATE_LIMITED: RateLimitedError,
  RESOURCE_EXHAUSTED: UnavailableError,
  DEPENDENCY_FAILURE: UnavailableError,
  CIRCUIT_OPEN: UnavailableError,
  SERVICE_UNAVAILABLE: UnavailableError,
  GATEWAY_TIMEOUT: UnavailableError,
  INTERNAL_ERROR: ServerError,
};

const BY_STATUS: Readonly<Record<number, ErrorClass>> = {
  400: ValidationError,
  401: UnauthorizedError,
  403: ForbiddenError,
  404: NotFoundError,
  409: ConflictError,
  413: ValidationError,
  422: RejectedError,
  429: RateLimitedError,
  502: UnavailableError,
  503: UnavailableError,
  504: UnavailableError,
};

/** The error of the class its code, or failing that its status, calls for. */
export function errorOf(facts: ErrorFacts): BatutaError {
  const named = Object.hasOwn(BY_CODE, facts.code) ? BY_CODE[facts.code] : undefined;
  const Chosen = named ?? BY_STATUS[facts.status] ?? (facts.status >= 500 ? ServerError : BatutaError);
  return new Chosen(facts);
}

function isFieldFault(value: unknown): value is FieldFault {
  return typeof value === 'object' && value !== null && 'field' in value && 'message' in value;
}
