// One attempt in a worker: what its handler sees and may say, when it must stop, and the result it becomes.

import type { Json, JsonObject } from '../domain/json.ts';
import type { BatutaClient } from './client.ts';
import { BatutaError, RecoverableError } from './errors.ts';
import type { InputOptions, StepInput } from './step-input.ts';
import { type OutputOptions, type StepOutput, StepPipes } from './step-pipes.ts';
import type { Sendable } from './transport.ts';
import type { ArtifactReference, WorkLease, WorkLog, WorkMetrics, WorkProgress, WorkResult } from './wire.ts';

/** A larger output goes into an artifact, and the result refers to it (`output_ref`), in characters of JSON. */
const OUTPUT_LENGTH_MAX = 3 * 1024 * 1024;

/** The task as its handler gets it. */
export interface WorkTask<Data extends JsonObject = JsonObject> {
  readonly id: string;
  readonly executionId: string;
  /** From 1. */
  readonly attempt: number;
  readonly data: Data;
  readonly description: string;
  /** All of it, in the wire's words. */
  readonly request: WorkLease['task'];
}

/** What a handler may say and know beside its task. Everything it says travels with the worker's next exchange. */
export interface TaskContext {
  /** Aborts on cancellation, pause, timeout, lost lease and shutdown; its reason is a `TaskAborted`. */
  readonly signal: AbortSignal;
  /** What an earlier attempt last saved by `checkpoint`, or null. */
  readonly saved: Json | null;
  /** Values of the secrets the task names. */
  readonly secrets: Readonly<Record<string, string>>;
  /** 0–100; of several reports before the next exchange only the last counts. */
  progress(percentage: number, step?: { readonly currentStep?: string; readonly totalSteps?: number }): void;
  /**
   * Saves where the work stands, as it is now: the next attempt, on whatever worker, begins with it, and with the inputs that are read by checkpoint where
   * they stood now.
   */
  checkpoint(state: Json): void;
  /** Shows a part of the result while the rest is being made; none is dropped. */
  intermediate(value: Json): void;
  log(level: WorkLog['level'], message: string, metadata?: JsonObject): void;
  /** Adds to what the attempt used so far. */
  meter(metrics: Counters): void;
  /** What another step of the pipeline streams to this one, chunk by chunk; each is acknowledged when the loop asks for the next. */
  input(name: string, options?: InputOptions): StepInput;
  /** What this step streams to others; what is left in it goes out when the handler is through. */
  output(name: string, options?: OutputOptions): StepOutput;
  /** Stores a file with the task and lists it in its result. */
  upload(file: {
    readonly name: string;
    readonly source: Sendable;
    readonly type?: string;
    readonly mediaType?: string;
  }): Promise<ArtifactReference>;
}

/** What an attempt can count; the rest is the server's to measure. */
export type Counters = Pick<WorkMetrics, 'api_calls' | 'tokens_used' | 'bytes_sent' | 'bytes_received'>;

/**
 * Does the work of one type: what it answers is the task's output; what it throws is its error. Taken from a method, whose arguments
 * compare both ways, so that a handler may say what its own data look like.
 */
export type TaskHandler<Data extends JsonObject = JsonObject> = {
  handle(
    task: WorkTask<Data>,
    context: TaskContext,
  ): Json | undefined | Promise<Json | undefined> | Promise<void>;
}['handle'];

/** Why a handler was told to stop; its result will not be asked for. */
export class TaskAborted extends Error {
  override readonly name = 'TaskAborted';
  readonly why: 'cancelled' | 'lease_lost' | 'shutdown';

  constructor(why: TaskAborted['why'], message: string) {
    super(message);
    this.why = why;
  }
}

/** Where an attempt leaves what it has to say. */
export interface Mouth {
  progress(item: WorkProgress): void;
  log(line: WorkLog): void;
}

/** An attempt under way: the lease it runs under and the handler's view of it. */
export class Attempt {
  readonly lease: WorkLease;
  readonly #client: BatutaClient;
  readonly #mouth: Mouth;
  readonly #abort = new AbortController();
  readonly #artifacts: ArtifactReference[] = [];
  readonly #pipes: StepPipes;
  readonly #metrics: { -readonly [Name in keyof Counters]: number } = {};
  #settled = false;
  #why: TaskAborted['why'] | null = null;
  /** By the worker's own clock, in milliseconds. */
  expiresAt: number;
  renewAt: number;

  constructor(
    lease: WorkLease,
    parts: {
      readonly client: BatutaClient;
      readonly mouth: Mouth;
      readonly now: number;
      readonly leaseMs: number;
    },
  ) {
    this.lease = lease;
    this.#client = parts.client;
    this.#mouth = parts.mouth;
    const end = { task_id: lease.task.task_id, fencing_token: lease.fencing_token };
    this.#pipes = new StepPipes(
      this.#client.pipes,
      end,
      parts.client.clock,
      this.#abort.signal,
      lease.input_positions ?? {},
    );
    this.expiresAt = 0;
    this.renewAt = 0;
    this.extend(parts.now, parts.leaseMs);
  }

  get token(): number {
    return this.lease.fencing_token;
  }

  /** Whether the server still waits for what this attempt has to say: not once it was cancelled or lost its lease. */
  get wanted(): boolean {
    return this.#why === null || this.#why === 'shutdown';
  }

  /** Renewed at a third of what is left, so that two renewals may fail. */
  extend(now: number, leaseMs: number): void {
    this.expiresAt = now + leaseMs;
    this.renewAt = now + leaseMs / 3;
  }

  abort(why: TaskAborted['why'], message: string): void {
    this.#why ??= why;
    this.#abort.abort(new TaskAborted(why, message));
  }

  /** Runs the handler to its end and says what came of it; never throws. */
  async run(handler: TaskHandler | undefined): Promise<WorkResult> {
    try {
      if (handler === undefined)
        throw new Error(`this worker has no handler for ${this.lease.task.task_type}`);
      const output = await handler(this.#task(), this.#context());
      await this.#pipes.flush();
      return await this.#completed(output ?? null);
    } catch (error) {
      return this.#why === 'shutdown' ? this.handedBack() : this.#failed(errorFrom(error));
    } finally {
      this.#settled = true;
    }
  }

  /** The result of an attempt cut short by the worker's end: another may take it up, from the last checkpoint. */
  handedBack(): WorkResult {
    return this.#failed({
      code: 'SERVICE_UNAVAILABLE',
      message: 'the worker stopped before the task was done',
      recoverable: true,
    });
  }

  #failed(error: NonNullable<WorkResult['error']>): WorkResult {
    return {
      task_id: this.lease.task.task_id,
      fencing_token: this.token,
      status: 'failed',
      error,
      artifacts: this.#artifacts,
      metrics: this.#metrics,
    };
  }

  async #completed(output: Json): Promise<WorkResult> {
    const text = JSON.stringify(output);
    const inline = text.length <= OUTPUT_LENGTH_MAX;
    const kept = inline
      ? output
      : {
          output_ref: (
            await this.#upload({
              name: 'output.json',
              type: 'output',
              mediaType: 'application/json',
              source: text,
            })
          ).artifact_id,
        };
    return {
      task_id: this.lease.task.task_id,
      fencing_token: this.token,
      status: 'completed',
      output: kept,
      artifacts: this.#artifacts,
      metrics: this.#metrics,
    };
  }

  #task(): WorkTask {
    const { task } = this.lease;
    return {
      id: task.task_id,
      executionId: this.lease.execution_id,
      attempt: this.lease.attempt,
      data: task.task_data,
      description: task.description ?? '',
      request: task,
    };
  }

  #context(): TaskContext {
    const reference = { task_id: this.lease.task.task_id, fencing_token: this.token };
    const tell = (item: Omit<WorkProgress, 'task_id' | 'fencing_token'>): void => {
      if (!this.#settled && this.wanted) this.#mouth.progress({ ...reference, ...item });
    };
    return {
      signal: this.#abort.signal,
      saved: this.lease.checkpoint ?? null,
      secrets: this.lease.secrets ?? {},
      progress: (percentage, step) =>
        tell({ percentage, current_step: step?.currentStep, total_steps: step?.totalSteps }),
      checkpoint: state => {
        const input_positions = this.#pipes.positions();
        // It travels later, and the handler may add to it meanwhile.
        tell({ checkpoint: structuredClone(state), input_positions });
      },
      intermediate: value => tell({ intermediate_result: value }),
      log: (level, message, metadata) => {
        if (this.#settled || !this.wanted) return;
        const timestamp = new Date(this.#client.clock.now()).toISOString();
        this.#mouth.log({ ...reference, timestamp, level, message, metadata });
      },
      meter: metrics => {
        for (const [name, value] of Object.entries(metrics) as [keyof Counters, number][])
          this.#metrics[name] = (this.#metrics[name] ?? 0) + value;
      },
      input: (name, options) => this.#pipes.input(name, options),
      output: (name, options) => this.#pipes.output(name, options),
      upload: file => this.#upload(file),
    };
  }

  async #upload(file: Parameters<TaskContext['upload']>[0]): Promise<ArtifactReference> {
    const stored = await this.#client.artifacts.upload({
      ...file,
      taskId: this.lease.task.task_id,
      fencingToken: this.token,
      signal: this.#abort.signal,
    });
    this.#artifacts.push(stored);
    return stored;
  }
}

function errorFrom(error: unknown): NonNullable<WorkResult['error']> {
  if (error instanceof RecoverableError)
    return { code: error.code, message: error.message, recoverable: true, details: error.details };
  if (error instanceof BatutaError && error.retryable)
    return { code: 'DEPENDENCY_FAILURE', message: error.message, recoverable: true };
  const message = error instanceof Error ? error.message || error.name : String(error);
  return { code: 'EXECUTION_ERROR', message, recoverable: false };
}
