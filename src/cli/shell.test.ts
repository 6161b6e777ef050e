// A shell for tests of the command line: runs a call against a far end that answers as it is told, and keeps what was printed.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type Clock, systemClock } from '../sdk/clock.ts';
import { type Answer, type Asked, type FarEnd, farEnd } from '../sdk/far-end.test.ts';
import type { AppActions, CliHost } from './host.ts';
import { runCli } from './program.ts';

/** What a test may choose. */
export interface ShellOptions {
  readonly environment?: Readonly<Record<string, string>>;
  readonly isTerminal?: boolean;
  readonly columns?: number;
  readonly stdin?: string;
  readonly signal?: AbortSignal;
  readonly app?: Partial<AppActions>;
}

/** What a call printed, and how it ended. */
export interface Printed {
  readonly exitCode: number;
  readonly out: string;
  readonly err: string;
  /** Standard output read as one JSON document. */
  readonly json: Readonly<Record<string, unknown>>;
  /** Standard output read as JSON, a document a line. */
  readonly lines: readonly Readonly<Record<string, unknown>>[];
}

/** The instant it is in every test. */
export const NOW = Date.parse('2026-01-31T12:00:00.000Z');

const clock: Clock = {
  now: () => NOW,
  monotonic: () => 0,
  after: (ms, callback) => systemClock.after(ms >= 10_000 ? ms : 0, callback),
};

/** Runs one call of the command line, its words split at blanks unless given one by one. */
export async function call(words: string | readonly string[], options: ShellOptions = {}): Promise<Printed> {
  let out = '';
  let err = '';
  const host: CliHost = {
    environment: { BATUTA_DATA: '/nowhere', ...options.environment },
    stdout: { write: text => (out += text) },
    stderr: { write: text => (err += text) },
    isTerminal: options.isTerminal ?? false,
    columns: options.columns ?? 100,
    readStdin: async () => options.stdin ?? '',
    signal: options.signal ?? new AbortController().signal,
    clock,
    app: { version: '1.2.3', ...options.app },
  };
  const exitCode = await runCli(typeof words === 'string' ? words.split(' ') : words, host);
  return {
    exitCode,
    out,
    err,
    get json() {
      return JSON.parse(out);
    },
    get lines() {
      return out
        .trimEnd()
        .split('\n')
        .map(line => JSON.parse(line));
    },
  };
}

/** A far end, and a way to run calls against it with a key. */
export async function shell(
  context: TestContext,
  answer: (asked: Asked, earlier: number) => Answer | Promise<Answer>,
  options: ShellOptions = {},
): Promise<{
  readonly end: FarEnd;
  run(words: string | readonly string[], more?: ShellOptions): Promise<Printed>;
}> {
  const end = await farEnd(context, answer);
  const environment = { BATUTA_URL: end.url, BATUTA_API_KEY: 'key', BATUTA_API_SECRET: 'secret' };
  return {
    end,
    run: (words, more = {}) =>
      call(words, {
        ...options,
        ...more,
        environment: { ...environment, ...options.environment, ...more.environment },
      }),
  };
}

/** An empty directory that goes when the test does. */
export function directory(context: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'batuta-cli-'));
  context.after(() => rmSync(path, { recursive: true }));
  return path;
}

test('the shell keeps what a call printed and how it ended', async () => {
  const printed = await call('--version');
  assert.deepEqual([printed.exitCode, printed.out, printed.err], [0, '1.2.3\n', '']);
});
