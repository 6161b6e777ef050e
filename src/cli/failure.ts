// What a failed command says and which code it ends with. The codes are documented in docs/cli.md and never change their meaning.

import { CommanderError } from 'commander';
import { DomainError } from '../domain/errors.ts';
import {
  BatutaError,
  ConflictError,
  ConnectionError,
  ForbiddenError,
  InvalidStateError,
  NotFoundError,
  RateLimitedError,
  RejectedError,
  TaskFailedError,
  UnauthorizedError,
  UnavailableError,
  ValidationError,
  WaitTimeoutError,
} from '../sdk/errors.ts';

/** Exit codes by what they mean. */
export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  unauthorised: 4,
  notFound: 5,
  conflict: 6,
  refused: 7,
  later: 8,
  interrupted: 130,
} as const;

/** A mistake in how a command was called; `hint` says what to write instead. */
export class UsageError extends Error {
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.name = 'UsageError';
    this.hint = hint;
  }
}

/** What is told of a failure. */
export interface Failure {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** Further lines: the faults of a refused request, one each. */
  readonly lines: readonly string[];
  readonly requestId?: string;
}

/** How a failure is told, whatever was thrown. */
export function failureOf(error: unknown): Failure {
  if (error instanceof UsageError)
    return { ...usage(error.message), ...(error.hint === undefined ? {} : { hint: error.hint }) };
  if (error instanceof CommanderError) return ofCommander(error);
  if (error instanceof BatutaError) return ofServer(error);
  if (error instanceof DomainError) return ofApp(error);
  const message = error instanceof Error ? error.message : String(error);
  return { exitCode: EXIT.failed, code: 'FAILED', message, lines: [] };
}

function usage(message: string): Failure {
  return { exitCode: EXIT.usage, code: 'USAGE', message, lines: [] };
}

function ofCommander(error: CommanderError): Failure {
  const [first = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
  const meant = /\(Did you mean (.*)\?\)/.exec(suggestion ?? '')?.[1];
  return {
    ...usage(first),
    hint: meant === undefined ? 'batuta --help lists the commands' : `did you mean ${meant}?`,
  };
}

function ofServer(error: BatutaError): Failure {
  const [exitCode, hint] = verdictOn(error);
  return {
    exitCode,
    code: error.code,
    message: error.message,
    lines:
      error instanceof ValidationError ? error.fields.map(({ field, message }) => `${field} ${message}`) : [],
    ...(hint === undefined ? {} : { hint }),
    ...(error.requestId === undefined ? {} : { requestId: error.requestId }),
  };
}

function verdictOn(error: BatutaError): readonly [exitCode: number, hint?: string | undefined] {
  if (error instanceof TaskFailedError)
    return [EXIT.failed, `batuta logs ${error.taskId} shows what it said`];
  if (error instanceof ConnectionError)
    return [EXIT.unreachable, 'is the server running? batuta serve starts one, --url names another'];
  if (error instanceof WaitTimeoutError) return [EXIT.later, 'the task goes on: batuta watch follows it'];
  if (error instanceof UnauthorizedError)
    return [
      EXIT.unauthorised,
      'check --api-key and --api-secret, BATUTA_API_KEY and BATUTA_API_SECRET, or credentials.json',
    ];
  if (error instanceof ForbiddenError) return [EXIT.unauthorised, 'use a key that has the permission'];
  if (error instanceof NotFoundError)
    return [
      EXIT.notFound,
      error.code === 'TASK_NOT_FOUND' ? 'batuta tasks lists the tasks there are' : undefined,
    ];
  if (error instanceof InvalidStateError) return [EXIT.conflict, 'batuta status shows where the task stands'];
  if (error instanceof ConflictError)
    return [EXIT.conflict, 'another id, or the same request to the letter, would do'];
  if (error instanceof ValidationError || error instanceof RejectedError)
    return [EXIT.refused, error.documentationUrl];
  if (error instanceof RateLimitedError || error instanceof UnavailableError)
    return [EXIT.later, `try again in ${Math.ceil((error.retryAfterMs ?? 5_000) / 1000)} s`];
  return [EXIT.failed, error.documentationUrl];
}

function ofApp(error: DomainError): Failure {
  const { hint } = error.details;
  return {
    exitCode: error.code === 'invalid_request' ? EXIT.usage : EXIT.failed,
    code: error.code.toUpperCase(),
    message: error.message,
    lines: [],
    ...(typeof hint === 'string' ? { hint } : {}),
  };
}
