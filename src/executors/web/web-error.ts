// Why a web job failed, in the one form that crosses from the driver's thread.

import { DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { TaskError } from '../../domain/task.ts';

/** A failure as it is sent between threads. */
export interface WebFailure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: JsonObject;
}

/** A failure of the job itself; `task_failed` here is never worth another attempt, since the same page and rules fail again. */
export class WebError extends Error {
  readonly code: ErrorCode;
  readonly details: JsonObject;

  constructor(code: ErrorCode, message: string, details: JsonObject = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'WebError';
    this.code = code;
    this.details = details;
  }
}

/** The failure in any error; what nobody foresaw is `internal` and keeps its words to itself. */
export function failureOf(error: unknown): WebFailure {
  if (error instanceof WebError || error instanceof DomainError) {
    const { code, message, details } = error;
    return { code, message, details };
  }
  return { code: 'internal', message: 'the web driver failed', details: {} };
}

/** The same as a task's error: recoverable where another attempt may find things otherwise. */
export function taskErrorOf({ code, message, details }: WebFailure): TaskError {
  return { code, message, recoverable: ERROR_CODES[code].retry === 'yes', details };
}
