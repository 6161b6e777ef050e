// What every way of confining a program has in common: where its files are, what it is given, and how it is ended.

import type { ChildProcess } from 'node:child_process';
import { availableParallelism } from 'node:os';
import type { Readable, Writable } from 'node:stream';
import type { LimitModes } from '../../../domain/task.ts';
import type { CodeLimits } from '../limits.ts';

/** The directories of one attempt on the host. */
export interface Layout {
  /** Current directory of the program, its own to write. */
  readonly work: string;
  /** Granted artifacts, read-only. */
  readonly input: string;
  /** What it leaves there become artifacts. */
  readonly output: string;
  /** Inputs and checkpoint as files, read-only. */
  readonly given: string;
}

/** The same directories as a program under bubblewrap sees them. */
export const INSIDE: Layout = { work: '/work', input: '/input', output: '/output', given: '/batuta' };

/** Where a program under bubblewrap sees what it was let read of the host. */
export const READS_ROOT = '/host';

/** A program to be confined. */
export interface ProgramCommand {
  /** Arguments; the first is the program's path as seen by itself. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly limits: CodeLimits;
  readonly layout: Layout;
  /** Files and directories of the host it may read beyond the system's own; it sees them below `READS_ROOT`. */
  readonly reads?: readonly string[];
  /** False for programs that reserve far more address space than they use, and bound their memory themselves. */
  readonly boundsData: boolean;
}

/** How a confined program ended: as a shell would say it, 128 + n for a signal; null where it never began. */
export interface ProgramExit {
  readonly exitCode: number | null;
}

/** A running confined program. */
export interface Confined {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves once no process of it is left; what the sandbox itself complained of is in stderr. */
  readonly ended: Promise<ProgramExit>;
  /** The first process of the sandbox or the program and all that descend from it; stops looking beyond `countMax`. */
  pids(countMax: number): number[];
  /** True once the kernel itself stopped it for lack of memory. */
  ranOutOfMemory(): boolean;
  /** Asks every process of it to end. */
  terminate(): void;
  /** Ends every process of it. */
  kill(): void;
}

/** What distinguishes one attempt from the others. */
export interface AttemptMark {
  readonly id: string;
  /** A user id no other running attempt has; only root can give it. */
  readonly uid: number;
  /** Counts up; spreads attempts over processors. */
  readonly turn: number;
}

/** A way to confine programs that works on this host. */
export interface Tier {
  readonly level: 'bubblewrap' | 'rlimits';
  /** The user a program's files belong to, or null where it is the server's own. */
  uidOf(mark: AttemptMark): number | null;
  confine(command: ProgramCommand, mark: AttemptMark): Confined;
  /** Whether the kernel alone holds a program to its processors. */
  holdsCpu(limits: Pick<CodeLimits, 'cpuCores' | 'cpuBurst'>): boolean;
  /** How a program's limits are held (`SAM-117`). */
  modes(limits: Pick<CodeLimits, 'cpuCores' | 'cpuBurst'>): LimitModes;
}

/** The interpreters of a tier, as programs see them; native programs need none. */
export interface Interpreters {
  readonly python?: string;
  readonly shell?: string;
}

/** Processes above the limit that the kernel still allows, so that the watch sees the limit passed and ends the program. */
export const PROCESS_MARGIN = 16;

/**
 * Run by `sh -c` before the program, already as its user: goes to its directory and takes its environment from descriptor 3, so that
 * no command line or file ever holds a secret, and no variable can change what the tools before it do.
 */
export const ENVIRONMENT_SHIM = 'eval "$(cat <&3)"; exec 3<&-; exec "$@"';

/** The arguments of `prlimit` that bound one process of the program and all it makes. */
export function resourceLimits(command: ProgramCommand, processes: number): string[] {
  const { limits } = command;
  const diskBytes = limits.diskMb * 2 ** 20;
  const cores = limits.cpuBurst ? availableParallelism() : limits.cpuCores;
  const cpuSeconds = Math.ceil((limits.runMs / 1_000) * Math.max(1, cores)) + 1;
  return [
    ...(command.boundsData ? [`--data=${limits.memoryMb * 2 ** 20}`] : []),
    `--nproc=${processes}`,
    `--fsize=${diskBytes}`,
    `--cpu=${cpuSeconds}`,
    '--nofile=256',
    '--core=0',
    '--memlock=65536',
    '--msgqueue=0',
  ];
}

/** The program's directory and environment as a shell script. */
export function environmentScript(directory: string, environment: Readonly<Record<string, string>>): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  const exports = Object.entries(environment).map(([name, value]) => `export ${name}=${quoted(value)}\n`);
  return [`cd ${quoted(directory)}\n`, ...exports].join('');
}

/** Processor numbers to hold a program to, another set each time; null where there are too few to choose from. */
export function processorsFor(cpuCores: number, available: number, turn: number): string | null {
  const count = Math.max(1, Math.ceil(cpuCores));
  if (count >= available) return null;
  return Array.from({ length: count }, (_, index) => (turn * count + index) % available).join(',');
}

/** The streams of a child made with pipes. */
export function streamsOf(child: ChildProcess): Pick<Confined, 'stdin' | 'stdout' | 'stderr'> {
  const { stdin, stdout, stderr } = child;
  if (stdin === null || stdout === null || stderr === null)
    throw new Error('the child was made without pipes');
  // A program that ends without reading its input is no fault of ours.
  stdin.on('error', () => {});
  return { stdin, stdout, stderr };
}
