// The one error a caller can act on. Codes are stable: never renamed, never reused; wires map every one of them.

import type { JsonObject } from './json.ts';

/** Every canonical code, with whether trying again can help (`policy`: the task's retry policy decides). */
export const ERROR_CODES = {
  invalid_request: { retry: 'no' },
  unserializable: { retry: 'no' },
  unauthenticated: { retry: 'no' },
  forbidden: { retry: 'no' },
  not_found: { retry: 'no' },
  conflict: { retry: 'no' },
  lease_lost: { retry: 'no' },
  invalid_transition: { retry: 'no' },
  payload_too_large: { retry: 'no' },
  unprocessable: { retry: 'no' },
  policy_violation: { retry: 'no' },
  rate_limited: { retry: 'yes' },
  task_failed: { retry: 'policy' },
  task_timeout: { retry: 'yes' },
  resource_exhausted: { retry: 'yes' },
  dependency_failed: { retry: 'yes' },
  circuit_open: { retry: 'yes' },
  unavailable: { retry: 'yes' },
  upstream_timeout: { retry: 'yes' },
  internal: { retry: 'yes' },
} as const satisfies Record<string, { readonly retry: 'no' | 'yes' | 'policy' }>;

/** A canonical error code (`canonical.md`, error categories and codes). */
export type ErrorCode = keyof typeof ERROR_CODES;

/** What an error may carry beside its code and message. */
export interface ErrorContext {
  readonly details?: JsonObject;
  /** When trying again is worthwhile, in milliseconds from now. */
  readonly retryAfterMs?: number;
  readonly cause?: unknown;
}

/** An error the caller can act on: a stable code, a message for a person, details for a program. */
export class DomainError extends Error {
  readonly code: ErrorCode;
  readonly details: JsonObject;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    super(message, context.cause === undefined ? undefined : { cause: context.cause });
    this.name = 'DomainError';
    this.code = code;
    this.details = context.details ?? {};
    this.retryAfterMs = context.retryAfterMs;
  }
}

/** True for a code of the canonical table. */
export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_CODES, text);
}

/** The error itself if it is a `DomainError`, else an `internal` one that hides its message and keeps it as cause. */
export function asDomainError(error: unknown): DomainError {
  if (error instanceof DomainError) return error;
  return new DomainError('internal', 'an unexpected error occurred', { cause: error });
}
