// What passes between the side reader's thread and its opener's, and how errors survive the passage.

import { DomainError, type ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Call } from './core.ts';
import type { CheckpointReach } from './database.ts';

/** How the thread is to open the database. */
export interface WorkerOptions {
  readonly path: string;
  readonly auditKey: string | Uint8Array;
}

/** An error as plain data. */
export interface PlainError {
  /** Null for an error that is not the domain's: a bug. */
  readonly code: ErrorCode | null;
  readonly message: string;
  readonly details: JsonObject;
  readonly stack: string;
}

/** What the opener asks of the thread. */
export type Order =
  | { readonly kind: 'calls'; readonly now: number; readonly calls: readonly Call[] }
  | { readonly kind: 'checkpoint' }
  | { readonly kind: 'stop' };

/** One call's outcome in transit. */
export type PlainReply = { readonly answer: unknown } | { readonly error: PlainError };

/** What the thread answers. */
export type Answer =
  | { readonly kind: 'opened' }
  | { readonly kind: 'failed'; readonly error: PlainError }
  | { readonly kind: 'replies'; readonly replies: readonly PlainReply[] }
  | { readonly kind: 'checkpointed'; readonly reach: CheckpointReach };

/** An error as plain data. */
export function fromError(error: unknown): PlainError {
  const known = error instanceof DomainError ? error : null;
  return {
    code: known?.code ?? null,
    message: error instanceof Error ? error.message : String(error),
    details: known?.details ?? {},
    stack: error instanceof Error ? (error.stack ?? '') : '',
  };
}

/** The error that was sent; its cause tells where it arose. */
export function toError(plain: PlainError): Error {
  if (plain.code === null) return new Error(plain.message, { cause: plain.stack });
  return new DomainError(plain.code, plain.message, { details: plain.details, cause: plain.stack });
}
