// What a program uses, measured from outside: samples for the task (SAM-124), the totals of its attempt, and each warning once.

import type { TaskMetrics } from '../../domain/task.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import { type ProcessUsage, usageOf } from './sandbox/processes.ts';

/** Between two samples. */
export const SAMPLE_MS = 5_000;
/** The part of a limit at which it is warned of (`SAM-118`). */
export const WARNING_SHARE = 0.8;

/** All processes of a program together, at one moment. */
export interface Usage {
  readonly threads: number;
  readonly memoryBytes: number;
  readonly writtenBytes: number;
}

/** Measures one attempt. */
export class Meter {
  readonly #clock: Clock;
  readonly #context: AttemptContext;
  readonly #startedAt: number;
  readonly #warned = new Set<string>();
  readonly #cancels = new Set<Cancel>();
  #isStopped = false;
  #memoryPeakMb = 0;
  #memoryMb = 0;
  #cpuSeconds = 0;
  #diskOperations = 0;
  #samples = 0;
  #before = { cpuSeconds: 0, diskOperations: 0 };
  #sampled: { readonly at: number; readonly cpuSeconds: number };

  constructor(clock: Clock, context: AttemptContext) {
    this.#clock = clock;
    this.#context = context;
    this.#startedAt = clock.monotonic();
    this.#sampled = { at: this.#startedAt, cpuSeconds: 0 };
  }

  /** Warns at 80 % of the time, and calls back when it is up. */
  limitTime(runMs: number, onOver: () => void): void {
    this.#after(runMs * WARNING_SHARE, () =>
      this.warn('time', (runMs * WARNING_SHARE) / 1_000, runMs / 1_000),
    );
    this.#after(runMs, onOver);
  }

  /** Calls back again and again, the next time only after the last call is over. */
  every(ms: number, callback: () => void | Promise<void>): void {
    this.#after(ms, async () => {
      await callback();
      if (!this.#isStopped) this.every(ms, callback);
    });
  }

  /** Lets go of every timer. */
  stop(): void {
    this.#isStopped = true;
    for (const cancel of this.#cancels) cancel();
  }

  /** What the processes did before now is not this attempt's. */
  begin(pids: readonly number[]): void {
    const { cpuSeconds, diskOperations } = totalsOf(pids);
    this.#before = { cpuSeconds, diskOperations };
  }

  /** What the processes hold now. */
  measure(pids: readonly number[]): Usage {
    const { threads, memoryBytes, writtenBytes, cpuSeconds, diskOperations } = totalsOf(pids);
    this.observe(memoryBytes / 2 ** 20, cpuSeconds - this.#before.cpuSeconds);
    this.#diskOperations = Math.max(this.#diskOperations, diskOperations - this.#before.diskOperations);
    return { threads, memoryBytes, writtenBytes };
  }

  /** Takes a measurement made elsewhere into the totals. */
  observe(memoryMb: number, cpuSeconds: number): void {
    this.#memoryMb = memoryMb;
    this.#memoryPeakMb = Math.max(this.#memoryPeakMb, memoryMb);
    this.#cpuSeconds = Math.max(this.#cpuSeconds, cpuSeconds);
  }

  /** Hands out a sample of the last measurement if one is due. */
  sampleIfDue(): void {
    const now = this.#clock.monotonic();
    const elapsedMs = now - this.#sampled.at;
    if (elapsedMs < SAMPLE_MS * 0.9) return;
    const cpuPercent = ((this.#cpuSeconds - this.#sampled.cpuSeconds) * 100_000) / elapsedMs;
    // Disk is sampled half as often as memory and processors are (`SAM-124`).
    this.#samples++;
    const disk = this.#samples % 2 === 0 ? { diskOperations: this.#diskOperations } : {};
    this.#context.sample({ cpuPercent: rounded(cpuPercent), memoryMb: rounded(this.#memoryMb), ...disk });
    this.#sampled = { at: now, cpuSeconds: this.#cpuSeconds };
  }

  /** Warns once for each resource. */
  warn(resource: 'memory' | 'disk' | 'time', value: number, limit: number): void {
    if (this.#warned.has(resource)) return;
    this.#warned.add(resource);
    this.#context.warn(resource, rounded(value), limit);
  }

  /** The totals of the attempt so far. */
  metrics(): TaskMetrics {
    const seconds = (this.#clock.monotonic() - this.#startedAt) / 1_000;
    const { calls, bytesSent, bytesReceived } = this.#context.traffic.counts;
    return {
      executionSeconds: Math.round(seconds * 1_000) / 1_000,
      ...(this.#memoryPeakMb > 0 && { memoryPeakMb: rounded(this.#memoryPeakMb) }),
      ...(seconds > 0 &&
        this.#cpuSeconds > 0 && { cpuMeanPercent: rounded((this.#cpuSeconds * 100) / seconds) }),
      ...(calls > 0 && { apiCalls: calls, bytesSent, bytesReceived }),
    };
  }

  #after(ms: number, callback: () => void | Promise<void>): void {
    const cancel = this.#clock.after(ms, () => {
      this.#cancels.delete(cancel);
      void callback();
    });
    this.#cancels.add(cancel);
  }
}

function totalsOf(pids: readonly number[]): ProcessUsage {
  const usages = pids.map(usageOf).filter(usage => usage !== null);
  const total = (field: keyof ProcessUsage): number => usages.reduce((sum, usage) => sum + usage[field], 0);
  return {
    threads: total('threads'),
    memoryBytes: total('memoryBytes'),
    cpuSeconds: total('cpuSeconds'),
    writtenBytes: total('writtenBytes'),
    diskOperations: total('diskOperations'),
  };
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
