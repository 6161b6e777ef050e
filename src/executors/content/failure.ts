// How an attempt's failure is told, and which failures no further attempt can help.

import { DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { TaskError } from '../../domain/task.ts';

/** A failure that would only come again, whatever its code promises elsewhere. */
export class FinalError extends DomainError {}

/** What a failure tells the task; null for what nobody foresaw. */
export function asTaskError(error: unknown): TaskError | null {
  if (!(error instanceof DomainError)) return null;
  const { code, message, details, retryAfterMs } = error;
  return {
    code,
    message,
    recoverable: !(error instanceof FinalError) && ERROR_CODES[code].retry === 'yes',
    details: {
      ...details,
      ...(retryAfterMs === undefined ? {} : { retry_after_ms: Math.ceil(retryAfterMs) }),
    },
  };
}
