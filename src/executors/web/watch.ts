// Watches what a job uses against what it may: warns once when a limit is near (`SAM-118`), says when one is passed, and keeps the
// samples (`SAM-124`) and the peaks.

import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ResourceLimits, TaskMetrics } from '../../domain/task.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import { giveWay, holdProcessors } from '../../runtime/processors.ts';
import { type BrowserUsage, proportionalBytes, usageOf } from './processes.ts';
import { WebError } from './web-error.ts';

const LOOK_MS = 200;
const SAMPLE_MS = 5_000;
const NEAR = 0.8;
const MIB = 1_048_576;
const PROCESSES_MAX = 100;
/** Chromium alone has some hundred; a page gets one more for each worker. */
const THREADS_MAX = 1_000;
const FILES_MAX = 20_000;

/** What a job may use. */
export type WebLimits = Required<Pick<ResourceLimits, 'memoryMb' | 'cpuCores' | 'diskMb'>> & {
  /** Beyond its processors it may use what nobody else wants. */
  readonly burst: boolean;
};

/** The limits of one attempt. */
export class LimitWatch {
  readonly #clock: Clock;
  readonly #context: Pick<AttemptContext, 'task' | 'sample' | 'traffic' | 'warn'>;
  readonly #limits: WebLimits;
  readonly #startedAt: number;
  readonly #warned = new Set<string>();
  readonly #cancels = new Set<Cancel>();
  #isStopped = false;
  #letGo: Cancel = () => {};
  #peakBytes = 0;
  #cpuAtStart: number | null = null;
  #cpuSeconds = 0;
  #callsAtStart: number | null = null;
  #diskOperations = 0;
  #samples = 0;
  #sampled: { readonly at: number; readonly cpuSeconds: number };

  constructor(
    clock: Clock,
    context: Pick<AttemptContext, 'task' | 'sample' | 'traffic' | 'warn'>,
    limits: WebLimits,
  ) {
    this.#clock = clock;
    this.#context = context;
    this.#limits = limits;
    this.#startedAt = clock.monotonic();
    this.#sampled = { at: this.#startedAt, cpuSeconds: 0 };
    this.#warnOfTime();
  }

  /** Looks several times a second until stopped; tells of the first limit that is passed. */
  follow(
    browser: { readonly pids: () => readonly number[]; readonly directory: string },
    onExceeded: (error: WebError) => void,
  ): void {
    const { burst, cpuCores } = this.#limits;
    if (!burst) this.#letGo = holdProcessors(this.#clock, browser.pids, cpuCores);
    let looks = 0;
    const look = async (): Promise<void> => {
      try {
        const pids = browser.pids();
        if (burst) giveWay(pids);
        this.#processes(pids);
        if (looks++ % 5 === 0)
          this.#judge('disk', (await bytesBelow(browser.directory)) / MIB, this.#limits.diskMb);
      } catch (error) {
        if (error instanceof WebError) onExceeded(error);
      }
      if (!this.#isStopped) this.#after(LOOK_MS, () => void look());
    };
    void look();
  }

  /** Lets go of every timer, and of the browser. */
  stop(): void {
    this.#isStopped = true;
    this.#letGo();
    for (const cancel of this.#cancels) cancel();
  }

  /** What the attempt used. */
  metrics(): TaskMetrics {
    const executionSeconds = (this.#clock.monotonic() - this.#startedAt) / 1_000;
    const { calls, bytesSent, bytesReceived } = this.#context.traffic.counts;
    return {
      executionSeconds: round(executionSeconds, 1_000),
      ...(this.#peakBytes === 0
        ? {}
        : {
            memoryPeakMb: round(this.#peakBytes / MIB, 100),
            cpuMeanPercent: round((this.#cpuSeconds * 100) / Math.max(0.001, executionSeconds), 100),
          }),
      ...(calls === 0 ? {} : { apiCalls: calls, bytesSent, bytesReceived }),
    };
  }

  #processes(pids: readonly number[]): void {
    if (pids.length === 0) return;
    const usage = usageOf(pids);
    const { memoryMb } = this.#limits;
    const isNear = usage.memoryBytes > NEAR * memoryMb * MIB;
    // Pages shared by processes are counted once for each, until it matters.
    const bytes = isNear ? (proportionalBytes(pids) ?? usage.memoryBytes) : usage.memoryBytes;
    this.#peakBytes = Math.max(this.#peakBytes, bytes);
    // What an earlier job had it do is not this one's.
    this.#cpuAtStart ??= usage.cpuSeconds;
    this.#cpuSeconds = Math.max(this.#cpuSeconds, usage.cpuSeconds - this.#cpuAtStart);
    this.#callsAtStart ??= usage.diskOperations;
    this.#diskOperations = Math.max(this.#diskOperations, usage.diskOperations - this.#callsAtStart);
    this.#sample(bytes);
    this.#count(usage);
    this.#judge('memory', bytes / MIB, memoryMb);
  }

  #count({ processes, threads }: BrowserUsage): void {
    if (processes > PROCESSES_MAX || threads > THREADS_MAX)
      throw new WebError('resource_exhausted', `the page ran more than ${THREADS_MAX} threads at once`, {
        resource: 'processes',
        limit: THREADS_MAX,
      });
  }

  #sample(bytes: number): void {
    const now = this.#clock.monotonic();
    const elapsedMs = now - this.#sampled.at;
    if (elapsedMs < SAMPLE_MS) return;
    this.#context.sample({
      cpuPercent: round(((this.#cpuSeconds - this.#sampled.cpuSeconds) * 100_000) / elapsedMs, 100),
      memoryMb: round(bytes / MIB, 100),
      // Half as often as the rest (`SAM-124`).
      ...(this.#samples++ % 2 === 1 ? { diskOperations: this.#diskOperations } : {}),
    });
    this.#sampled = { at: now, cpuSeconds: this.#cpuSeconds };
  }

  #judge(resource: 'memory' | 'disk', usedMb: number, limitMb: number): void {
    if (usedMb > limitMb)
      throw new WebError('resource_exhausted', `the job used more than ${limitMb} MB of ${resource}`, {
        resource,
        limit_mb: limitMb,
      });
    if (usedMb >= limitMb * NEAR) this.#warn(resource, Math.round(usedMb), limitMb);
  }

  #warnOfTime(): void {
    const { lease } = this.#context.task;
    if (lease === null) return;
    const limitMs = lease.deadlineAt - lease.claimedAt;
    const dueAt = lease.claimedAt + limitMs * NEAR;
    this.#after(Math.max(0, dueAt - this.#clock.now()), () =>
      this.#warn('time', Math.round((limitMs * NEAR) / 1_000), Math.round(limitMs / 1_000)),
    );
  }

  #warn(resource: 'memory' | 'disk' | 'time', value: number, limit: number): void {
    if (this.#warned.has(resource)) return;
    this.#warned.add(resource);
    this.#context.warn(resource, value, limit);
  }

  #after(ms: number, callback: () => void): void {
    const cancel = this.#clock.after(ms, () => {
      this.#cancels.delete(cancel);
      callback();
    });
    this.#cancels.add(cancel);
  }
}

/** What lies below a directory, in bytes; a browser's own files come and go meanwhile. */
async function bytesBelow(root: string): Promise<number> {
  let [bytes, files] = [0, 0];
  const queue = [root];
  for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
    const found = await readdir(directory, { withFileTypes: true }).catch(() => []);
    files += found.length;
    if (files > FILES_MAX) return Number.POSITIVE_INFINITY;
    for (const entry of found) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) queue.push(path);
      else
        bytes += await lstat(path).then(
          stat => stat.blocks * 512,
          () => 0,
        );
    }
  }
  return bytes;
}

function round(value: number, scale: number): number {
  return Math.round(value * scale) / scale;
}
