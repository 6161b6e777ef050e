// How an attempt ends: the output of SAM-140, its artifacts, and which error a failure is.
//
// A non-zero exit is the program's own failure and does not retry, except for 75 (EX_TEMPFAIL of sysexits.h), by which a program says
// that trying again may help; JavaScript says the same by throwing an error whose `recoverable` is true.

import type { Json, JsonObject } from '../../domain/json.ts';
import type { IsolationLevel, TaskError, TaskMetrics } from '../../domain/task.ts';
import { AttemptAbort, type AttemptContext, type AttemptResult } from '../../engine/ports/executor.ts';
import { saveOutputs } from './artifacts.ts';
import type { Capture } from './capture.ts';
import { type CodeLimits, LimitExceeded } from './limits.ts';

/** What a program came to. */
export interface ProgramOutcome {
  /** As a shell would say it; null where it never ended by itself. */
  readonly exitCode: number | null;
  readonly result: Json;
  readonly error: TaskError | null;
  readonly metrics: TaskMetrics;
  readonly isolation: IsolationLevel;
}

/** The exit code by which a program asks for another attempt. */
export const EXIT_TEMPORARY_FAILURE = 75;

const RESULT_LENGTH_MAX = 4 << 20;

/** The attempt's result, once its artifacts are saved. */
export async function attemptResult(
  context: AttemptContext,
  outcome: ProgramOutcome,
  kept: {
    readonly stdout: Capture;
    readonly stderr: Capture;
    readonly outputDirectory: string;
    readonly limits: CodeLimits;
  },
): Promise<AttemptResult> {
  const { metrics, isolation } = outcome;
  if (context.signal.aborted)
    return { status: 'failed', error: stoppedError(context.signal), metrics, isolation };
  let { error } = outcome;
  try {
    await saveOutputs(context, kept.outputDirectory, kept.limits.outputFiles);
  } catch (failure) {
    if (!(failure instanceof LimitExceeded)) throw failure;
    error ??= limitError(failure);
  }
  await saveStream(context, 'stdout', kept.stdout);
  await saveStream(context, 'stderr', kept.stderr);
  const output: JsonObject = {
    exit_code: outcome.exitCode,
    stdout: kept.stdout.text(),
    stderr: kept.stderr.text(),
    ...(await resultField(context, outcome.result)),
    isolation,
  };
  return error === null
    ? { status: 'completed', output, metrics, isolation }
    : { status: 'failed', error, output, metrics, isolation };
}

/** The error of a program that used more than it may. */
export function limitError({ resource, limit, message }: LimitExceeded): TaskError {
  return { code: 'resource_exhausted', message, recoverable: true, details: { resource, limit } };
}

/** The error of a program that ran out of time without the engine stopping it first. */
export function deadlineError(runMs: number): TaskError {
  const message = `the program ran longer than ${runMs / 1_000} s`;
  return { code: 'task_timeout', message, recoverable: true, details: { limit_seconds: runMs / 1_000 } };
}

/** The error of a program whose source does not parse. */
export function syntaxError(
  message: string,
  place: { readonly file?: string; readonly line?: number; readonly column?: number },
): TaskError {
  return {
    code: 'task_failed',
    message,
    recoverable: false,
    details: { reason: 'syntax_error', file: place.file, line: place.line, column: place.column },
  };
}

function stoppedError(signal: AbortSignal): TaskError {
  const { reason } = signal;
  const cause = reason instanceof AttemptAbort ? reason.cause : 'cancelled';
  return {
    code: cause === 'timeout' ? 'task_timeout' : 'task_failed',
    message: `the program was stopped: ${cause}`,
    recoverable: cause !== 'cancelled',
  };
}

async function saveStream(
  context: AttemptContext,
  name: 'stdout' | 'stderr',
  stream: Capture,
): Promise<void> {
  if (!stream.isLong) return;
  await context.saveArtifact({
    name: `${name}.txt`,
    type: 'log',
    mediaType: 'text/plain',
    source: stream.whole(),
  });
}

/** The result itself, or the name of the artifact it became for its length. */
async function resultField(context: AttemptContext, result: Json): Promise<JsonObject> {
  const text = JSON.stringify(result);
  if (text.length <= RESULT_LENGTH_MAX) return { result };
  const name = 'result.json';
  await context.saveArtifact({
    name,
    type: 'data_file',
    mediaType: 'application/json',
    source: Buffer.from(text),
  });
  return { result: null, result_artifact: name };
}
