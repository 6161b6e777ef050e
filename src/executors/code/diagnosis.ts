// Why a python, shell or native program ended as it did, read from its exit code and its last words.

import type { TaskError } from '../../domain/task.ts';
import { EXIT_TEMPORARY_FAILURE, limitError, syntaxError } from './ending.ts';
import { type CodeLimits, LimitExceeded } from './limits.ts';
import type { CodeJob } from './payload.ts';

/** What is known of a program that ended by itself. */
export interface Evidence {
  readonly exitCode: number;
  /** The end of its stderr. */
  readonly lastWords: string;
  readonly memoryPeakMb: number;
  readonly diskMb: number;
  readonly ranOutOfMemory: boolean;
}

const SIGNAL_BASE = 128;
const SIGXCPU = 24;
const SIGXFSZ = 25;
const LAST_LINES = 20;

const OUT_OF_MEMORY = /\bMemoryError\b|std::bad_alloc|cannot allocate|memory exhausted|out of memory|ENOMEM/i;
const OUT_OF_DISK = /No space left on device|File too large|File size limit exceeded|ENOSPC|EFBIG/;

/** The error of a program that ended, or null for exit code 0. */
export function errorOf(job: CodeJob, evidence: Evidence, limits: CodeLimits): TaskError | null {
  const { exitCode, lastWords } = evidence;
  if (evidence.ranOutOfMemory) return limitError(new LimitExceeded('memory', limits.memoryMb));
  if (exitCode === 0) return null;
  const said = lastWords.trimEnd().split('\n').slice(-LAST_LINES).join('\n');
  const syntax = job.language === 'python' ? pythonSyntaxError(job, said) : shellSyntaxError(job, said);
  if (syntax !== null) return syntax;
  const crashed = exitCode > SIGNAL_BASE;
  if (OUT_OF_MEMORY.test(said) || (crashed && evidence.memoryPeakMb >= 0.9 * limits.memoryMb))
    return limitError(new LimitExceeded('memory', limits.memoryMb));
  if (exitCode === SIGNAL_BASE + SIGXFSZ || OUT_OF_DISK.test(said) || evidence.diskMb >= 0.95 * limits.diskMb)
    return limitError(new LimitExceeded('disk', limits.diskMb));
  const how = crashed ? `was ended by signal ${exitCode - SIGNAL_BASE}` : `ended with exit code ${exitCode}`;
  const why = exitCode === SIGNAL_BASE + SIGXCPU ? ' (its processor time was up)' : '';
  const lastLine = said.split('\n').at(-1) ?? '';
  return {
    code: 'task_failed',
    message: `the program ${how}${why}${lastLine === '' ? '' : `: ${lastLine.slice(0, 1_000)}`}`,
    recoverable: exitCode === EXIT_TEMPORARY_FAILURE,
    details: { exit_code: exitCode },
  };
}

/** Python shows the line without its indentation and marks the place below it. */
function pythonSyntaxError(job: CodeJob, said: string): TaskError | null {
  const shown =
    /File "([^"]+)", line (\d+)\n(?: {4}(.*)\n(?: {4}(\s*)\^+.*\n)?)?((?:Syntax|Indentation|Tab)Error: .*)$/.exec(
      said,
    );
  if (shown === null) return null;
  const [, path = '', line = '1', , before, message = ''] = shown;
  const file = Object.keys(job.files).find(name => path.endsWith(`/${name}`) || path === name);
  const source = file === undefined ? '' : (job.files[file]?.split('\n')[Number(line) - 1] ?? '');
  const indentation = source.length - source.trimStart().length;
  return syntaxError(message, {
    ...(file !== undefined && { file }),
    line: Number(line),
    column: indentation + (before ?? '').length + 1,
  });
}

/** Shells name the line and what they stumbled over, so the column is where that first stands. */
function shellSyntaxError(job: CodeJob, said: string): TaskError | null {
  if (job.language !== 'shell') return null;
  const shown = /: (?:line )?(\d+): (syntax error.*)/i.exec(said);
  if (shown === null) return null;
  const [, line = '1', message = ''] = shown;
  const token = /["`']([^"'`]+)["'`]/.exec(message)?.[1];
  const source = job.files[job.entrypoint]?.split('\n')[Number(line) - 1] ?? '';
  const at = token === undefined ? -1 : source.indexOf(token);
  return syntaxError(message, { file: job.entrypoint, line: Number(line), column: Math.max(0, at) + 1 });
}
