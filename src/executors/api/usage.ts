// Counts what an attempt uses against what it may: calls and bytes for its metrics, disk against its limit, time against its deadline.

import { DomainError } from '../../domain/errors.ts';
import type { TaskMetrics } from '../../domain/task.ts';
import type { AttemptContext } from '../../engine/ports/executor.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';

const NEAR = 0.8;
const SAMPLE_EVERY_MS = 10_000;
const MIB = 1_048_576;

/** The usage of one attempt. */
export class Usage {
  readonly #clock: Clock;
  readonly #context: Pick<AttemptContext, 'task' | 'sample' | 'warn'>;
  readonly #diskMb: number;
  readonly #startedAt: number;
  readonly #cancelTime: Cancel;
  #sampledAt: number;
  #calls = 0;
  #sent = 0;
  #received = 0;
  #unsampled = { bytesSent: 0, bytesReceived: 0 };
  #diskBytes = 0;
  #warnedOfDisk = false;

  constructor(
    clock: Clock,
    context: Pick<AttemptContext, 'task' | 'sample' | 'warn'>,
    limits: { readonly diskMb: number },
  ) {
    this.#clock = clock;
    this.#context = context;
    this.#diskMb = limits.diskMb;
    this.#startedAt = clock.monotonic();
    this.#sampledAt = this.#startedAt;
    this.#cancelTime = this.#warnOfTime();
  }

  /** A request went out. */
  call(bytes: number): void {
    this.#calls++;
    this.#sent += bytes;
    this.#unsampled.bytesSent += bytes;
  }

  /** Bytes came from outside, decompressed; they are sampled every 10 s (`SAM-124`). */
  received(bytes: number): void {
    this.#received += bytes;
    this.#unsampled.bytesReceived += bytes;
    if (this.#clock.monotonic() - this.#sampledAt >= SAMPLE_EVERY_MS) this.#sample();
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
    if (this.#unsampled.bytesSent + this.#unsampled.bytesReceived > 0) this.#sample();
    return {
      executionSeconds: (this.#clock.monotonic() - this.#startedAt) / 1_000,
      apiCalls: this.#calls,
      bytesSent: this.#sent,
      bytesReceived: this.#received,
    };
  }

  /** Ends the watch over time; harmless when repeated. */
  stop(): void {
    this.#cancelTime();
  }

  #sample(): void {
    this.#context.sample(this.#unsampled);
    this.#unsampled = { bytesSent: 0, bytesReceived: 0 };
    this.#sampledAt = this.#clock.monotonic();
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
