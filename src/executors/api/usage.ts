// Counts what an attempt uses against what it may: disk against its limit, time against its deadline.

import { DomainError } from '../../domain/errors.ts';
import type { TaskMetrics } from '../../domain/task.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';

const NEAR = 0.8;
const MIB = 1_048_576;

/** The usage of one attempt. */
export class Usage {
  readonly #clock: Clock;
  readonly #context: Pick<AttemptContext, 'task' | 'traffic' | 'warn'>;
  readonly #diskMb: number;
  readonly #startedAt: number;
  readonly #cancelTime: Cancel;
  #diskBytes = 0;
  #warnedOfDisk = false;

  constructor(
    clock: Clock,
    context: Pick<AttemptContext, 'task' | 'traffic' | 'warn'>,
    limits: { readonly diskMb: number },
  ) {
    this.#clock = clock;
    this.#context = context;
    this.#diskMb = limits.diskMb;
    this.#startedAt = clock.monotonic();
    this.#cancelTime = this.#warnOfTime();
  }

  /** So many bytes more lie on disk, or fewer; throws `resource_exhausted` when it is too much (`SAM-118`). */
  disk(bytes: number): void {
    this.#diskBytes += bytes;
    const usedMb = this.#diskBytes / MIB;
    if (usedMb > this.#diskMb) {
      throw new DomainError('resource_exhausted', `answers take more than ${this.#diskMb} MB of disk`, {
        details: { resource: 'disk', limit_mb: this.#diskMb },
      });
    }
    if (usedMb < this.#diskMb * NEAR || this.#warnedOfDisk) return;
    this.#warnedOfDisk = true;
    this.#context.warn('disk', Math.round(usedMb), this.#diskMb);
  }

  /** What the attempt used, for its result; nothing is watched after this. */
  finish(): TaskMetrics {
    this.stop();
    const { calls, bytesSent, bytesReceived } = this.#context.traffic.counts;
    return {
      executionSeconds: (this.#clock.monotonic() - this.#startedAt) / 1_000,
      apiCalls: calls,
      bytesSent,
      bytesReceived,
    };
  }

  /** Ends the watch over time; harmless when repeated. */
  stop(): void {
    this.#cancelTime();
  }

  #warnOfTime(): Cancel {
    const { lease } = this.#context.task;
    if (lease === null) return () => {};
    const limitMs = lease.deadlineAt - lease.claimedAt;
    const dueAt = lease.claimedAt + limitMs * NEAR;
    return this.#clock.after(Math.max(0, dueAt - this.#clock.now()), () =>
      this.#context.warn('time', Math.round((limitMs * NEAR) / 1_000), Math.round(limitMs / 1_000)),
    );
  }
}
