// Watches what an attempt uses against what it may: warns once when a limit is near (`SAM-118`), says when one is passed, and keeps
// the samples (`SAM-124`) and the peaks.

import type { TaskMetrics } from '../../domain/task.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import { JobError } from './job-error.ts';

const NEAR = 0.8;
const SAMPLE_EVERY_MS = 5_000;
const MIB = 1_048_576;

/** What the child used at one instant. */
export interface Usage {
  readonly residentBytes: number;
  readonly cpuMicros: number;
  readonly diskBytes: number;
  readonly diskOperations: number;
}

/** The limits of one attempt. */
export class LimitWatch {
  readonly #clock: Clock;
  readonly #context: Pick<AttemptContext, 'task' | 'sample' | 'traffic' | 'warn'>;
  readonly #limits: { readonly memoryMb: number; readonly diskMb: number };
  readonly #startedAt: number;
  readonly #cancelTime: Cancel;
  #sampledAt = Number.NEGATIVE_INFINITY;
  #sampledCpuMicros = 0;
  #cpuMicros = 0;
  #peakBytes = 0;
  #samples = 0;
  #warned = new Set<string>();

  constructor(
    clock: Clock,
    context: Pick<AttemptContext, 'task' | 'sample' | 'traffic' | 'warn'>,
    limits: { readonly memoryMb: number; readonly diskMb: number },
  ) {
    this.#clock = clock;
    this.#context = context;
    this.#limits = limits;
    this.#startedAt = clock.monotonic();
    this.#cancelTime = this.#warnOfTime();
  }

  /** Counts what was written to the workspace so far; throws `resource_exhausted` when it is too much. */
  disk(bytes: number): void {
    this.#judge('disk', bytes / MIB, this.#limits.diskMb);
  }

  /** Notes the child's usage, given what it held before any work; throws `resource_exhausted` when it is too much. */
  child(usage: Usage, idleBytes: number): void {
    this.#peakBytes = Math.max(this.#peakBytes, usage.residentBytes);
    this.#cpuMicros = usage.cpuMicros;
    if (this.#clock.monotonic() - this.#sampledAt >= SAMPLE_EVERY_MS) this.#sample(usage);
    this.#judge('memory', (usage.residentBytes - idleBytes) / MIB, this.#limits.memoryMb);
    this.disk(usage.diskBytes);
  }

  /** Ends the watch over time; harmless when repeated. */
  stop(): void {
    this.#cancelTime();
  }

  /** What the attempt used, for its result; nothing is watched after this. */
  finish(): TaskMetrics {
    this.stop();
    const { calls, bytesSent, bytesReceived } = this.#context.traffic.counts;
    const executionSeconds = (this.#clock.monotonic() - this.#startedAt) / 1_000;
    return {
      executionSeconds,
      ...(this.#peakBytes === 0
        ? {}
        : {
            memoryPeakMb: Math.round(this.#peakBytes / MIB),
            cpuMeanPercent: percent(this.#cpuMicros, executionSeconds),
          }),
      ...(calls === 0 ? {} : { apiCalls: calls, bytesSent, bytesReceived }),
    };
  }

  #sample(usage: Usage): void {
    const now = this.#clock.monotonic();
    const since = (now - Math.max(this.#sampledAt, this.#startedAt)) / 1_000;
    this.#context.sample({
      cpuPercent: percent(usage.cpuMicros - this.#sampledCpuMicros, since),
      memoryMb: Math.round(usage.residentBytes / MIB),
      // Half as often as the rest (`SAM-124`).
      ...(this.#samples++ % 2 === 1 ? { diskOperations: usage.diskOperations } : {}),
    });
    this.#sampledAt = now;
    this.#sampledCpuMicros = usage.cpuMicros;
  }

  #judge(resource: 'memory' | 'disk', usedMb: number, limitMb: number): void {
    if (usedMb > limitMb) {
      throw new JobError('resource_exhausted', `the job used more than ${limitMb} MB of ${resource}`, {
        resource,
        limit_mb: limitMb,
      });
    }
    if (usedMb >= limitMb * NEAR) this.#warn(resource, Math.round(usedMb), limitMb);
  }

  #warnOfTime(): Cancel {
    const { lease } = this.#context.task;
    if (lease === null) return () => {};
    const limitMs = lease.deadlineAt - lease.claimedAt;
    const dueAt = lease.claimedAt + limitMs * NEAR;
    return this.#clock.after(Math.max(0, dueAt - this.#clock.now()), () =>
      this.#warn('time', Math.round((limitMs * NEAR) / 1_000), Math.round(limitMs / 1_000)),
    );
  }

  #warn(resource: 'memory' | 'disk' | 'time', value: number, limit: number): void {
    if (this.#warned.has(resource)) return;
    this.#warned.add(resource);
    this.#context.warn(resource, value, limit);
  }
}

function percent(cpuMicros: number, seconds: number): number {
  return seconds > 0 ? Math.round((cpuMicros / 1e4 / seconds) * 10) / 10 : 0;
}
