// Why a job failed, in the one form that crosses from the child process to its parent.

import type { ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';

/** A failure of the job itself; `task_failed` here is never worth another attempt, since the same data and SQL fail again. */
export class JobError extends Error {
  readonly code: ErrorCode;
  readonly details: JsonObject;

  constructor(code: ErrorCode, message: string, details: JsonObject = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'JobError';
    this.code = code;
    this.details = details;
  }
}
