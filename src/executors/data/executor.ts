// Runs data_processing tasks: owns the child processes, knows whether DuckDB can be loaded here, and what a task may use.

import { availableParallelism } from 'node:os';
import type { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { LimitModes, TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ExecutorStatus } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import { metered } from '../../guards/metered.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { canHoldProcessors } from '../../runtime/processors.ts';
import { runAttempt } from './attempt.ts';
import { checkPayload } from './check.ts';
import { type DataChild, startChild } from './child-process.ts';
import { DATA_PAYLOAD } from './payload.ts';

/** What may be set. */
export interface DataExecutorOptions {
  /** Whether a child waits, DuckDB loaded, for the next job (true): it starts 0.2 s sooner and costs some 100 MB meanwhile. */
  readonly keepSpare?: boolean;
  /** A directory of this server's own where children keep compiled code, to start twice as fast. */
  readonly compileCache?: string;
  /** Starts a child in place of the real one. */
  readonly startChild?: (clock: Clock, signal?: AbortSignal) => Promise<DataChild>;
}

/** The executor of `data_processing` (`SAM-149` to `SAM-152`); without DuckDB for this platform it says so in its status. */
export function createDataExecutor(parts: {
  readonly log: Log;
  readonly clock: Clock;
  readonly outbound: Outbound;
  readonly options?: DataExecutorOptions;
}): Executor {
  return new DataExecutor(parts.log, parts.clock, parts.outbound, parts.options ?? {});
}

class DataExecutor implements Executor {
  readonly type = 'data_processing';
  readonly payloadSchema = DATA_PAYLOAD as unknown as JsonObject;
  readonly defaults = {
    resources: { memoryMb: 1_024, cpuCores: Math.min(2, availableParallelism()), diskMb: 10_240 },
    expectedMs: 30_000,
  };
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #outbound: Outbound;
  readonly #keepSpare: boolean;
  readonly #start: (clock: Clock, signal?: AbortSignal) => Promise<DataChild>;
  #spare: Promise<DataChild | null> | null = null;
  #status: ExecutorStatus = unavailable('the executor was not started');
  #open = false;

  constructor(log: Log, clock: Clock, outbound: Outbound, options: DataExecutorOptions) {
    this.#log = log;
    this.#clock = clock;
    this.#outbound = outbound;
    this.#keepSpare = options.keepSpare ?? true;
    this.#start = options.startChild ?? ((at, signal) => startChild(at, options.compileCache, signal));
  }

  async start(): Promise<void> {
    this.#open = true;
    try {
      const child = await this.#start(this.#clock);
      this.#status = {
        available: true,
        isolation: ['process'],
        detail: { engine: 'duckdb', version: child.engine },
      };
      if (this.#keepSpare) this.#spare = Promise.resolve(child);
      else await child.kill();
    } catch (error) {
      const { message } = error as DomainError;
      this.#status = unavailable(`${message}; reinstall the package @duckdb/node-api for this platform`);
    }
  }

  async stop(): Promise<void> {
    this.#open = false;
    const spare = await this.#spare;
    this.#spare = null;
    await spare?.kill();
  }

  status(): ExecutorStatus {
    return this.#status;
  }

  limitModes({ resources, burst = false }: TaskSpec): LimitModes {
    const { cpuCores } = { ...this.defaults.resources, ...resources };
    // Whole processors are as many threads.
    const isHeld = !burst && (Number.isInteger(cpuCores) || canHoldProcessors());
    return {
      memory: 'enforced',
      cpu: isHeld ? 'enforced' : 'advisory',
      disk: 'enforced',
      network: 'enforced',
    };
  }

  async check(spec: TaskSpec): Promise<void> {
    const { sources } = checkPayload(spec.payload);
    for (const { url } of Object.values(sources)) {
      if (url !== undefined) await this.#outbound.check(url);
    }
  }

  async run(context: AttemptContext): Promise<AttemptResult> {
    const { spec } = context.task;
    try {
      return await runAttempt(context, checkPayload(spec.payload), {
        log: this.#log,
        clock: this.#clock,
        outbound: metered(this.#outbound, context.traffic),
        limits: { ...this.defaults.resources, ...spec.resources, burst: spec.burst === true },
        takeChild: signal => this.#takeChild(signal),
      });
    } finally {
      this.#replenish();
    }
  }

  async #takeChild(signal: AbortSignal): Promise<DataChild> {
    const waiting = this.#spare;
    this.#spare = null;
    if (waiting !== null) {
      const { promise: aborted, resolve } = Promise.withResolvers<'aborted'>();
      signal.addEventListener('abort', () => resolve('aborted'), { once: true });
      const spare = await Promise.race([waiting, aborted]);
      if (spare === 'aborted') {
        // It may be on its way still, and is nobody's now.
        void waiting.then(child => child?.kill());
        throw signal.reason;
      }
      if (spare?.isAlive === true) return spare;
    }
    return await this.#start(this.#clock, signal);
  }

  /** After a job and not when it begins: the job should not share the cores with it. */
  #replenish(): void {
    if (!this.#open || !this.#keepSpare || this.#spare !== null || !this.#status.available) return;
    this.#spare = this.#start(this.#clock).catch(error => {
      this.#log.warn('no spare data process could be started', { error: String(error) });
      return null;
    });
  }
}

function unavailable(missing: string): ExecutorStatus {
  return { available: false, missing, isolation: [], detail: { engine: 'duckdb' } };
}
