// The child process: one job, then it is killed. It loads DuckDB, says so, takes its order, and tells how it goes. It outlives its
// parent by nothing: when the channel closes it ends at once, whatever DuckDB is doing.

import { readdir, stat } from 'node:fs/promises';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { systemClock } from '../../runtime/clock.ts';
import { ioCalls } from '../../runtime/procfs.ts';
import type { Job } from './job.ts';
import { JobError } from './job-error.ts';
import type { ChildMessage, JobOrder } from './messages.ts';

const USAGE_EVERY_MS = 200;

function send(message: ChildMessage): void {
  process.send?.(message);
}

async function serve(): Promise<void> {
  process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
  try {
    const { ENGINE_VERSION, openEngine, startJob } = await import('./job.ts');
    const engine = await openEngine();
    // Written at a regular exit otherwise, which this process never has.
    flushCompileCache();
    process.once('message', (order: JobOrder) => {
      const job = startJob(engine, order, (index, label) => send({ kind: 'stage', index, label }));
      const before = { cpu: process.cpuUsage(), calls: ioCalls(process.pid) };
      const tellUsage = async (): Promise<void> => send(await usageOf(job, order.workspace, before));
      every(USAGE_EVERY_MS, tellUsage);
      job.result.then(async result => {
        await tellUsage();
        send({ kind: 'done', result });
      }, fail);
    });
    send({ kind: 'ready', engine: ENGINE_VERSION, residentBytes: process.memoryUsage.rss() });
  } catch (error) {
    send({ kind: 'missing', message: error instanceof Error ? error.message : String(error) });
  }
}

function every(ms: number, work: () => Promise<void>): void {
  systemClock.after(ms, () => void work().then(() => every(ms, work)));
}

async function usageOf(
  job: Job,
  workspace: string,
  before: { readonly cpu: NodeJS.CpuUsage; readonly calls: number },
): Promise<ChildMessage> {
  const { user, system } = process.cpuUsage(before.cpu);
  return {
    kind: 'usage',
    residentBytes: process.memoryUsage.rss(),
    cpuMicros: user + system,
    diskBytes: await sizeOf(workspace),
    diskOperations: ioCalls(process.pid) - before.calls,
    fraction: job.fraction(),
  };
}

/** Bytes of the files of the workspace; those that vanish meanwhile count for nothing. */
async function sizeOf(workspace: string): Promise<number> {
  const entries = await readdir(workspace, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = entries
    .filter(entry => entry.isFile())
    .map(entry =>
      stat(join(entry.parentPath, entry.name)).then(
        ({ size }) => size,
        () => 0,
      ),
    );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

function fail(error: unknown): void {
  const known = error instanceof JobError ? error : new JobError('internal', 'the job failed', {}, error);
  const { code, message, details, cause } = known;
  send({ kind: 'failed', error: { code, message, details }, cause: String(cause ?? '') });
}

await serve();
