// What a program may use, and what becomes of it when it uses more.

import type { TaskSpec } from '../../domain/task.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import { holdProcessors } from '../../runtime/processors.ts';

/** The limits of a program that names none (`SAM-141`). */
export const CODE_DEFAULTS = { memoryMb: 256, cpuCores: 1, diskMb: 512 } as const;

/** Everything that bounds one attempt. */
export interface CodeLimits {
  readonly memoryMb: number;
  readonly cpuCores: number;
  /** Beyond them it may use what nobody else wants. */
  readonly cpuBurst: boolean;
  readonly diskMb: number;
  /** Processes and threads at once. */
  readonly processes: number;
  readonly outputFiles: number;
  /** Bytes of each of stdout and stderr. */
  readonly streamBytes: number;
  /** What is left of the task's time, or the attempt's own if shorter. */
  readonly runMs: number;
}

/** A resource a limit is set on. */
export type LimitedResource = 'memory' | 'disk' | 'processes' | 'output' | 'output_files';

const FIXED = { processes: 64, outputFiles: 100, streamBytes: 16 << 20 } as const;
const TRIAL_MS = 10_000;

/** The limits of the next attempt of a task. */
export function limitsOf(spec: TaskSpec, ranMs: number): CodeLimits {
  const left = Math.max(1, spec.timeoutMs - ranMs);
  const { memoryMb, cpuCores, diskMb } = { ...CODE_DEFAULTS, ...spec.resources };
  const cpuBurst = spec.burst === true;
  const runMs = Math.min(left, spec.attemptTimeoutMs ?? left);
  return { memoryMb, cpuCores, cpuBurst, diskMb, ...FIXED, runMs };
}

/** The limits of a program of our own that finds out what a sandbox offers. */
export function limitsOfTrial(): CodeLimits {
  return { ...CODE_DEFAULTS, ...FIXED, cpuBurst: false, runMs: TRIAL_MS };
}

/** Holds a program to its processors unless the kernel does, or it may burst; the answer lets it go on. */
export function letRun(
  clock: Clock,
  pids: () => readonly number[],
  limits: Pick<CodeLimits, 'cpuCores' | 'cpuBurst'> & { readonly kernelHoldsCpu: boolean },
): Cancel {
  const { cpuCores, cpuBurst, kernelHoldsCpu } = limits;
  return cpuBurst || kernelHoldsCpu ? () => {} : holdProcessors(clock, pids, cpuCores);
}

/** A program used more than it may; ends its attempt. */
export class LimitExceeded extends Error {
  readonly resource: LimitedResource;
  readonly limit: number;

  constructor(resource: LimitedResource, limit: number) {
    super(SAID[resource](limit));
    this.name = 'LimitExceeded';
    this.resource = resource;
    this.limit = limit;
  }
}

const SAID: Readonly<Record<LimitedResource, (limit: number) => string>> = {
  memory: limit => `the program used more than ${limit} MB of memory`,
  disk: limit => `the program used more than ${limit} MB of disk`,
  processes: limit => `the program ran more than ${limit} processes and threads at once`,
  output: limit => `the program wrote more than ${limit} bytes to one of stdout and stderr`,
  output_files: limit => `the program left more than ${limit} files in its output directory`,
};
