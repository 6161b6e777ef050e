// Looks at this node: its processes, disks, memory and processors. Says how much and how many, never what a command line holds.

import { readdir, readFile, statfs } from 'node:fs/promises';
import { availableParallelism, freemem, loadavg, totalmem } from 'node:os';
import { basename } from 'node:path';
import { DomainError } from '../../domain/errors.ts';
import type { Finding } from './finding.ts';
import type { CheckOf } from './payload.ts';

const MB = 1_048_576;
const READ_AT_ONCE = 32;

/** Where the figures of a node come from. */
export interface HostFigures {
  disk(path: string): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>;
  memory(): { readonly totalBytes: number; readonly freeBytes: number };
  /** Processes that ran or waited to, over the last minute, and how many could run. */
  load(): { readonly lastMinute: number; readonly processors: number };
  /** Name and command line of every process; throws `unprocessable` where the system does not tell. */
  processes(): Promise<readonly { readonly name: string; readonly command: string }[]>;
}

/** The figures of the node this process runs on. */
export const systemFigures: HostFigures = {
  async disk(path) {
    const { blocks, bavail, bsize } = await statfs(path);
    return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
  },
  memory: () => ({ totalBytes: totalmem(), freeBytes: freemem() }),
  load: () => ({ lastMinute: loadavg()[0] ?? 0, processors: availableParallelism() }),
  processes: readProcesses,
};

/** How full a file system is. */
export async function probeDisk({ path = '/' }: CheckOf<'disk'>, figures: HostFigures): Promise<Finding> {
  const { totalBytes, freeBytes } = await figures.disk(path).catch((error: unknown) => {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown cause';
    throw new DomainError('dependency_failed', `${path} cannot be looked at: ${code}`, { cause: error });
  });
  return share(totalBytes - freeBytes, totalBytes, {
    path,
    total_mb: Math.round(totalBytes / MB),
    free_mb: Math.round(freeBytes / MB),
  });
}

/** How much memory is taken, caches that can be given up not counted. */
export function probeMemory(figures: HostFigures): Finding {
  const { totalBytes, freeBytes } = figures.memory();
  return share(totalBytes - freeBytes, totalBytes, {
    total_mb: Math.round(totalBytes / MB),
    free_mb: Math.round(freeBytes / MB),
  });
}

/** The load of the last minute as a share of the processors; over 100 where work waits. */
export function probeProcessors(figures: HostFigures): Finding {
  const { lastMinute, processors } = figures.load();
  return share(lastMinute, processors, { load: Math.round(lastMinute * 100) / 100, processors });
}

/** How many processes of a name, or with a text in their command line, there are. */
export async function probeProcess(spec: CheckOf<'process'>, figures: HostFigures): Promise<Finding> {
  const all = await figures.processes();
  const { process: wanted, minimum = 1, maximum } = spec;
  const found = all.filter(({ name, command }) => name === wanted || command.includes(wanted)).length;
  const message =
    found < minimum
      ? `${found} processes, fewer than ${minimum}`
      : maximum !== undefined && found > maximum
        ? `${found} processes, more than ${maximum}`
        : null;
  const fault = message === null ? null : ({ code: 'dependency_failed', message } as const);
  return { value: found, latencyMs: null, fault, detail: { processes: found } };
}

function share(part: number, whole: number, detail: Finding['detail']): Finding {
  const value = whole <= 0 ? null : Math.round((part / whole) * 1_000) / 10;
  return { value, latencyMs: null, fault: null, detail };
}

async function readProcesses(): Promise<readonly { readonly name: string; readonly command: string }[]> {
  const entries = await readdir('/proc').catch((error: unknown) => {
    throw new DomainError('unprocessable', 'this system does not tell of its processes', { cause: error });
  });
  const ids = entries.filter(name => /^\d+$/.test(name));
  const found: { readonly name: string; readonly command: string }[] = [];
  for (let from = 0; from < ids.length; from += READ_AT_ONCE) {
    const some = ids.slice(from, from + READ_AT_ONCE).map(id => readFile(`/proc/${id}/cmdline`, 'utf8'));
    // A process may be gone by now.
    for (const one of await Promise.allSettled(some)) {
      if (one.status === 'rejected' || one.value === '') continue;
      const [program = '', ...rest] = one.value.split('\0');
      found.push({ name: basename(program), command: [program, ...rest].join(' ') });
    }
  }
  return found;
}
