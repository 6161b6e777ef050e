// One attempt in the parent process: brings the sources, has a child do the job, keeps its files. It leaves no process and no file.

import { createReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { ResourceLimits, TaskError } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Cancel, Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { giveWay, holdProcessors } from '../../runtime/processors.ts';
import type { DataChild } from './child-process.ts';
import { fetchSource } from './fetch.ts';
import { JobError } from './job-error.ts';
import { LimitWatch } from './limits.ts';
import type { JobOrder, JobResult } from './messages.ts';
import type { DataFormat, DataPayload, Source } from './payload.ts';
import type { SourceFile } from './readers.ts';
import { StageProgress } from './stage-progress.ts';

/** What an attempt works with. */
export interface AttemptParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly outbound: Outbound;
  readonly limits: Required<Pick<ResourceLimits, 'memoryMb' | 'cpuCores' | 'diskMb'>> & {
    /** Beyond its processors it may use what nobody else wants. */
    readonly burst: boolean;
  };
  /** A child of this attempt's own, which kills it. */
  readonly takeChild: (signal: AbortSignal) => Promise<DataChild>;
}

/** Sources, what is written of the result, and what does not fit into memory. */
const DIRECTORIES = ['src', 'out', 'spill'] as const;

const MEDIA_TYPES: Readonly<Record<DataFormat, string>> = {
  csv: 'text/csv',
  json: 'application/json',
  ndjson: 'application/x-ndjson',
  parquet: 'application/vnd.apache.parquet',
};

/** DuckDB wants about this much for each thread. */
const THREAD_MB = 128;
const MIB = 1_048_576;
/** What DuckDB's code and the child's heap come to take in any job at all; it is not held against this one. */
const WARM_UP_BYTES = 32 * MIB;
/** Few turns of the event loop for a large file. */
const READ_BYTES = 262_144;

/** Runs the attempt to its end; rejects with the abort's reason, within a second of it. */
export async function runAttempt(
  context: AttemptContext,
  payload: DataPayload,
  parts: AttemptParts,
): Promise<AttemptResult> {
  const { signal } = context;
  signal.throwIfAborted();
  const attempt = new Attempt(context, payload, parts);
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    await attempt.prepare();
    return await Promise.race([attempt.run(), aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    await attempt.clear();
  }
}

class Attempt {
  readonly #context: AttemptContext;
  readonly #payload: DataPayload;
  readonly #parts: AttemptParts;
  readonly #watch: LimitWatch;
  readonly #progress: StageProgress;
  #child: Promise<DataChild> | null = null;

  constructor(context: AttemptContext, payload: DataPayload, parts: AttemptParts) {
    this.#context = context;
    this.#payload = payload;
    this.#parts = parts;
    this.#watch = new LimitWatch(parts.clock, context, parts.limits);
    const sources = Object.keys(payload.sources).length;
    const outputs = payload.outputs?.length ?? 0;
    // Fetch and read each source, each step, the result, write and save each output.
    const stages = 2 * sources + (payload.steps?.length ?? 1) + 1 + 2 * outputs;
    this.#progress = new StageProgress(parts.clock, progress => context.report(progress), stages);
  }

  async prepare(): Promise<void> {
    for (const name of DIRECTORIES) await mkdir(join(this.#context.workspace, name), { mode: 0o700 });
  }

  async run(): Promise<AttemptResult> {
    try {
      const output = await this.#work();
      return { status: 'completed', output, metrics: this.#watch.finish(), isolation: 'process' };
    } catch (error) {
      const failure = asTaskError(error);
      if (failure === null || this.#context.signal.aborted) throw error;
      if (failure.code === 'internal') {
        const cause = error instanceof Error ? String(error.cause) : '';
        this.#parts.log.warn('a data job failed', { task: this.#context.task.id, cause });
      }
      return { status: 'failed', error: failure, metrics: this.#watch.finish(), isolation: 'process' };
    }
  }

  async clear(): Promise<void> {
    this.#watch.stop();
    const child = await this.#child?.catch(() => null);
    await child?.kill();
    for (const name of DIRECTORIES) {
      await rm(join(this.#context.workspace, name), { recursive: true, force: true, maxRetries: 3 });
    }
  }

  async #work(): Promise<JsonObject> {
    const { files, bytes } = await this.#fetchAll();
    const order = this.#order(files, bytes);
    const result = await this.#runJob(order);
    const { rowsIn, rowsOut, rowsRejected } = result;
    this.#context.log('INFO', 'the result is here', {
      rows_in: rowsIn,
      rows_out: rowsOut,
      rows_rejected: rowsRejected,
    });
    const outputs: JsonObject[] = [];
    for (const output of order.outputs) {
      this.#progress.next(`Saving ${output.name}`);
      outputs.push(await this.#save(output.name, output.format, output.path));
    }
    const rejects =
      rowsRejected === 0 ? null : await this.#save('rejects.ndjson', 'ndjson', order.rejectsPath);
    return {
      rows_in: rowsIn,
      rows_out: rowsOut,
      rows_rejected: rowsRejected,
      schema: result.schema.map(({ name, type }) => ({ name, type })),
      rows: result.rows,
      rows_truncated: result.rows.length < rowsOut,
      outputs,
      ...(rejects === null ? {} : { rejects }),
    };
  }

  async #fetchAll(): Promise<{ readonly files: readonly SourceFile[]; readonly bytes: number }> {
    const files: SourceFile[] = [];
    let bytes = 0;
    for (const [index, [name, source]] of Object.entries(this.#payload.sources).entries()) {
      this.#progress.next(`Fetching ${name}`);
      const path = join(this.#context.workspace, 'src', String(index));
      await this.#fetch(name, source, path, bytes);
      const { size } = await stat(path);
      this.#context.log('INFO', `source ${name} is here`, { source: name, bytes: size });
      bytes += size;
      files.push({ name, format: source.format ?? 'json', path, options: source.options ?? {} });
    }
    return { files, bytes };
  }

  async #fetch(name: string, source: Source, path: string, before: number): Promise<void> {
    this.#context.signal.throwIfAborted();
    try {
      await fetchSource(source, path, {
        context: this.#context,
        outbound: this.#parts.outbound,
        written: size => this.#watch.disk(before + size),
        progress: fraction => this.#progress.within(fraction),
      });
    } catch (error) {
      if (!(error instanceof DomainError || error instanceof JobError)) throw error;
      throw new JobError(
        error.code,
        `source ${name}: ${error.message}`,
        { ...error.details, source: name },
        error,
      );
    }
  }

  #order(sources: readonly SourceFile[], bytes: number): JobOrder {
    const { workspace } = this.#context;
    const { memoryMb, cpuCores, diskMb, burst } = this.#parts.limits;
    const processors = burst ? availableParallelism() : Math.ceil(cpuCores);
    const { sql, steps = [], from = sources[0]?.name ?? '', outputs = [] } = this.#payload;
    return {
      workspace,
      sources,
      work: sql === undefined ? { steps, from } : { sql },
      outputs: outputs.map(({ name, format }, index) => ({
        name,
        format,
        path: join(workspace, 'out', String(index)),
      })),
      rejectsPath: join(workspace, 'out', 'rejects'),
      memoryMb,
      threads: Math.max(1, Math.min(processors, Math.floor(memoryMb / THREAD_MB))),
      spillMb: Math.max(1, Math.floor(diskMb - bytes / MIB)),
    };
  }

  async #runJob(order: JobOrder): Promise<JobResult> {
    this.#context.signal.throwIfAborted();
    this.#child = this.#parts.takeChild(this.#context.signal);
    const child = await this.#child;
    this.#context.signal.throwIfAborted();
    const { promise: exceeded, reject } = Promise.withResolvers<never>();
    const letGo = this.#letRun(child);
    const done = child.run(order, message => {
      if (message.kind === 'stage') this.#progress.next(message.label);
      if (message.kind !== 'usage') return;
      this.#progress.within(message.fraction);
      try {
        this.#watch.child(message, child.residentBytes + WARM_UP_BYTES);
      } catch (error) {
        reject(error);
        void child.kill();
      }
    });
    return await Promise.race([done, exceeded]).finally(letGo);
  }

  /** Whole processors are held as threads. */
  #letRun(child: DataChild): Cancel {
    const { cpuCores, burst } = this.#parts.limits;
    if (burst) giveWay([child.pid]);
    if (burst || Number.isInteger(cpuCores)) return () => {};
    return holdProcessors(this.#parts.clock, () => [child.pid], cpuCores);
  }

  async #save(name: string, format: DataFormat, path: string): Promise<JsonObject> {
    const { signal } = this.#context;
    signal.throwIfAborted();
    const artifact = await this.#context.saveArtifact({
      name,
      type: 'data_file',
      mediaType: MEDIA_TYPES[format],
      source: createReadStream(path, { signal, highWaterMark: READ_BYTES }),
    });
    return {
      name,
      format,
      artifact_id: artifact.id,
      size_bytes: artifact.sizeBytes,
      sha256: artifact.sha256,
    };
  }
}

/** What a failure tells the task; null for what nobody foresaw. */
function asTaskError(error: unknown): TaskError | null {
  if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') {
    return asTaskError(new JobError('resource_exhausted', 'the disk is full', { resource: 'disk' }, error));
  }
  if (!(error instanceof JobError || error instanceof DomainError)) return null;
  const { code, message, details } = error;
  return { code, message, recoverable: ERROR_CODES[code].retry === 'yes', details };
}
