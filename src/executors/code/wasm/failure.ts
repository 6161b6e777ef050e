// Failures of a program in words: what was thrown, where, and what the sandbox's own troubles mean.

import type { WasmFailure } from './frames.ts';

const MESSAGE_LENGTH_MAX = 10_000;
const STACK_LINES_MAX = 20;

/** A program ran out of its time. */
export const DEADLINE: WasmFailure = { reason: 'deadline', message: 'the program ran out of time' };

/** A program ran out of its memory. */
export const MEMORY: WasmFailure = { reason: 'memory', message: 'the program ran out of memory' };

/** Ends a program with a failure that can be told. */
export class Failed extends Error {
  readonly failure: WasmFailure;

  constructor(failure: WasmFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

/** What a program threw, as a copy of it says. */
export function thrownFailure(thrown: unknown): WasmFailure {
  if (typeof thrown !== 'object' || thrown === null) return { reason: 'thrown', message: String(thrown) };
  const { name, message, stack, recoverable } = thrown as Readonly<Record<string, unknown>>;
  if (name === 'InternalError' && message === 'interrupted') return DEADLINE;
  if (name === 'InternalError' && message === 'out of memory') return MEMORY;
  const trace =
    typeof stack === 'string' ? stack.split('\n').slice(0, STACK_LINES_MAX).join('\n').trimEnd() : '';
  const said = message === undefined ? JSON.stringify(thrown) : String(message);
  return {
    reason: 'thrown',
    message: `${name === undefined ? 'thrown' : String(name)}: ${said}`.slice(0, MESSAGE_LENGTH_MAX),
    stack: trace,
    ...placeIn(trace),
    ...(recoverable === true && { recoverable }),
  };
}

/** What a failure outside the program's own words means: QuickJS could not go on inside WebAssembly. */
export function brokenFailure(error: unknown): WasmFailure {
  if (error instanceof RangeError && error.message.includes('call stack'))
    return { reason: 'overflow', message: 'the program recursed too deeply' };
  if (error instanceof WebAssembly.RuntimeError) return MEMORY;
  return { reason: 'thrown', message: `the sandbox failed: ${String(error)}` };
}

/** The place of the innermost frame, such as `at main.js:2:7` or `at f (main.js:2:7)`. */
function placeIn(trace: string): Pick<WasmFailure, 'file' | 'line' | 'column'> {
  const [, file, line, column] = /at (?:.* \()?([^\s():]+):(\d+):(\d+)/.exec(trace) ?? [];
  return file === undefined ? {} : { file, line: Number(line), column: Number(column) };
}

/** The failure with its place moved from the wrapped text to the source: never before its start or beyond its end. */
export function within(source: string, failure: WasmFailure, before: number): WasmFailure {
  if (failure.line === undefined) return failure;
  const lines = source.split('\n');
  const last = lines.length;
  if (failure.line > last) return { ...failure, line: last, column: (lines[last - 1] ?? '').length + 1 };
  const column = failure.line === 1 ? Math.max(1, (failure.column ?? 1) - before) : failure.column;
  return { ...failure, ...(column !== undefined && { column }) };
}

/** True where the first failure's place comes later. */
export function isAfter(one: WasmFailure, other: WasmFailure): boolean {
  const lines = (one.line ?? 0) - (other.line ?? 0);
  return lines > 0 || (lines === 0 && (one.column ?? 0) > (other.column ?? 0));
}
