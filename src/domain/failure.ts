// Failures: why an attempt or a task failed, and what kind of failure that is.

import type { ErrorCode } from './errors.ts';
import type { JsonObject } from './json.ts';

/** Why an attempt or a task failed; `recoverable` says whether another attempt may help. */
export interface TaskError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly recoverable: boolean;
  readonly details?: JsonObject;
}

/** The four classes of failure and what they call for (`SAM-51`). */
export type FailureClass = 'network' | 'resource' | 'logic' | 'authorisation';
