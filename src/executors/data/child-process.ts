// The parent's side of a child: starts it, gives it one job, kills it. Whatever happens inside, a crash of the native library or
// all memory eaten, is one failed job here.

import { type ChildProcess, fork } from 'node:child_process';
import { DomainError } from '../../domain/errors.ts';
import { beside } from '../../runtime/beside.ts';
import type { Clock } from '../../runtime/clock.ts';
import { JobError } from './job-error.ts';
import type { ChildMessage, JobOrder, JobResult } from './messages.ts';

/** What is asked of the child's allocator: to give freed memory back at once, so that its size says what it uses. */
const ALLOCATOR = { DUCKDB_JE_MALLOC_CONF: 'narenas:2,dirty_decay_ms:0,muzzy_decay_ms:0' };

const START_MS_MAX = 15_000;

/** A child that has loaded DuckDB and waits for its one job. */
export interface DataChild {
  /** DuckDB's version. */
  readonly engine: string;
  readonly pid: number;
  /** Memory it held before any work, in bytes. */
  readonly residentBytes: number;
  /** Whether it lives still. */
  readonly isAlive: boolean;
  /** Does the job; rejects with a `JobError`, also when the child dies. */
  run(order: JobOrder, listen: (message: ChildMessage) => void): Promise<JobResult>;
  /** Ends the process; resolves when it is gone. */
  kill(): Promise<void>;
}

/**
 * Starts a child with none of this process's environment; throws `unavailable` where DuckDB cannot be loaded. A directory given for
 * compiled code, which must be this server's own, halves the time that takes; an abort ends it at once.
 */
export async function startChild(
  clock: Clock,
  compileCache?: string,
  signal?: AbortSignal,
): Promise<DataChild> {
  const child = fork(beside(import.meta.url, 'child'), [], {
    env: { ...ALLOCATOR, ...(compileCache === undefined ? {} : { NODE_COMPILE_CACHE: compileCache }) },
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  const exited = new Promise<string>(resolve => {
    child.once('exit', (code, signal) => resolve(signal ?? `code ${code}`));
    child.once('error', error => resolve(error.message));
  });
  const kill = async (): Promise<void> => {
    child.ref();
    child.kill('SIGKILL');
    await exited;
  };
  const ready = await firstMessage(clock, child, exited, signal);
  if (ready.kind !== 'ready') {
    await kill();
    const reason = ready.kind === 'missing' ? ready.message : `unexpected ${ready.kind}`;
    throw new DomainError('unavailable', `the data engine could not be loaded: ${reason}`);
  }
  // A spare must not keep the server from ending.
  child.unref();
  child.channel?.unref();
  return {
    engine: ready.engine,
    pid: child.pid ?? 0,
    residentBytes: ready.residentBytes,
    get isAlive() {
      return child.exitCode === null && child.signalCode === null && child.connected;
    },
    run: (order, listen) => runIn(child, exited, order, listen),
    kill,
  };
}

function firstMessage(
  clock: Clock,
  child: ChildProcess,
  exited: Promise<string>,
  signal: AbortSignal | undefined,
): Promise<ChildMessage> {
  return new Promise(resolve => {
    const missing = (message: string): void => resolve({ kind: 'missing', message });
    signal?.addEventListener('abort', () => missing('it was stopped'), { once: true });
    const cancel = clock.after(START_MS_MAX, () => missing(`no answer within ${START_MS_MAX} ms`));
    child.once('message', message => {
      cancel();
      resolve(message as ChildMessage);
    });
    void exited.then(how => {
      cancel();
      missing(`the process ended (${how})`);
    });
  });
}

function runIn(
  child: ChildProcess,
  exited: Promise<string>,
  order: JobOrder,
  listen: (message: ChildMessage) => void,
): Promise<JobResult> {
  child.ref();
  child.channel?.ref();
  return new Promise((resolve, reject) => {
    child.on('message', (message: ChildMessage) => {
      if (message.kind === 'done') resolve(message.result);
      else if (message.kind === 'failed') {
        const { code, message: text, details } = message.error;
        reject(new JobError(code, text, details, message.cause));
      } else listen(message);
    });
    void exited.then(how => reject(deathOf(how)));
    child.send(order, error => {
      if (error !== null) reject(deathOf(error.message));
    });
  });
}

function deathOf(how: string): JobError {
  // Nobody here sent it: the kernel does when the machine has no memory left.
  if (how === 'SIGKILL') {
    return new JobError('resource_exhausted', 'the job was killed: out of memory', { resource: 'memory' });
  }
  return new JobError('internal', 'the data engine crashed', { exit: how });
}
