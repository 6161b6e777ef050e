// What the tests of this folder share: a locked session over tables of their own, and attempts run through the real executor.

import { createReadStream, mkdtempSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, type TestContext } from 'node:test';
import type { Artifact } from '../../domain/artifact.ts';
import { DomainError } from '../../domain/errors.ts';
import type { ArtifactId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Lease, ResourceLimits, Task, TaskError, TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ProgressReport } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { createDataExecutor, type DataExecutorOptions } from './executor.ts';
import { openEngine, type Session } from './session.ts';

/** Compiled code of the child processes, kept over the tests of one file. */
export const COMPILE_CACHE = mkdtempSync(join(tmpdir(), 'batuta-data-compiled-'));
after(() => rm(COMPILE_CACHE, { recursive: true, force: true }));

/** An empty directory, removed after the test. */
export async function scratch(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'batuta-data-'));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** A session whose job has the directories `src` and `out` below `workspace`. */
export async function openSession(t: TestContext): Promise<{ session: Session; workspace: string }> {
  const workspace = await scratch(t);
  const [source, out, spill] = ['src', 'out', 'spill'].map(name => join(workspace, name));
  for (const path of [source, out, spill]) await mkdir(path ?? '');
  const engine = await openEngine();
  const session = await engine({
    memoryMb: 512,
    threads: 2,
    spillMb: 512,
    directories: [source ?? '', out ?? ''],
    spillDirectory: spill ?? '',
  });
  return { session, workspace };
}

/** Nothing outside can be reached. */
export const noOutbound: Outbound = {
  send: async () => {
    throw new DomainError('policy_violation', 'no requests in this test');
  },
  check: async () => {},
  stop: async () => {},
};

/** The executor, started, and stopped after the test. */
export async function startExecutor(
  t: TestContext,
  parts: { readonly outbound?: Outbound; readonly options?: DataExecutorOptions } = {},
): Promise<Executor> {
  const { outbound = noOutbound, options = {} } = parts;
  const executor = createDataExecutor({
    log: silentLog,
    clock: systemClock,
    outbound,
    options: { compileCache: COMPILE_CACHE, ...options },
  });
  await executor.start();
  t.after(() => executor.stop());
  return executor;
}

/** What an attempt may be given beside its payload. */
export interface Given {
  readonly resources?: ResourceLimits;
  readonly signal?: AbortSignal;
  /** Files behind artifact ids. */
  readonly artifacts?: Readonly<Record<string, string>>;
  /** Outputs of earlier tasks. */
  readonly tasks?: Readonly<Record<string, Json>>;
  readonly lease?: Lease;
  /** Stands in for the stream of every artifact. */
  readonly stream?: Readable;
  /** Called before a file is saved. */
  readonly onSave?: () => Promise<void>;
  /** Called with each report. */
  readonly onReport?: (report: ProgressReport) => void;
}

/** An attempt in a workspace of its own, and all it told and left. */
export class Attempted {
  readonly executor: Executor;
  readonly workspace: string;
  readonly reports: ProgressReport[] = [];
  readonly warnings: string[] = [];
  readonly samples: JsonObject[] = [];
  readonly saved = new Map<string, Buffer>();

  constructor(executor: Executor, workspace: string) {
    this.executor = executor;
    this.workspace = workspace;
  }

  run(payload: JsonObject, given: Given = {}): Promise<AttemptResult> {
    return this.executor.run(this.#context(payload, given));
  }

  /** The output of an attempt that must complete. */
  async output(payload: JsonObject, given: Given = {}): Promise<JsonObject> {
    const result = await this.run(payload, given);
    if (result.status === 'completed') return result.output as JsonObject;
    throw new Error(`${result.error.code}: ${result.error.message} ${JSON.stringify(result.error.details)}`);
  }

  /** The error of an attempt that must fail. */
  async error(payload: JsonObject, given: Given = {}): Promise<TaskError> {
    const result = await this.run(payload, given);
    if (result.status === 'failed') return result.error;
    throw new Error(`completed with ${JSON.stringify(result.output)}`);
  }

  /** Names of what is in the workspace. */
  left(): Promise<string[]> {
    return readdir(this.workspace);
  }

  #context(payload: JsonObject, given: Given): AttemptContext {
    const spec = { type: 'data_processing', payload, resources: given.resources ?? {} } as TaskSpec;
    return {
      task: { id: 'task', spec, lease: given.lease ?? null } as Task,
      checkpoint: null,
      secrets: {},
      signal: given.signal ?? new AbortController().signal,
      workspace: this.workspace,
      report: progress => {
        this.reports.push(progress);
        given.onReport?.(progress);
      },
      log: () => {},
      sample: usage => this.samples.push({ ...usage }),
      warn: (resource, value, limit) => this.warnings.push(`${resource} ${value} of ${limit}`),
      openArtifact: async which => {
        if (typeof which !== 'string') throw new Error('a data job asks for artifacts by their ids');
        const id = which;
        if (given.stream !== undefined)
          return { artifact: { id, sizeBytes: 0 } as Artifact, stream: given.stream };
        const path = given.artifacts?.[id];
        if (path === undefined) throw new DomainError('not_found', `there is no artifact ${id}`);
        return { artifact: { id, sizeBytes: 0 } as Artifact, stream: createReadStream(path) };
      },
      outputOf: async id => {
        const output = given.tasks?.[id];
        if (output === undefined) throw new DomainError('not_found', `task ${id} has no output`);
        return output;
      },
      saveArtifact: async file => {
        await given.onSave?.();
        if (file.source instanceof Uint8Array) throw new Error('an artifact is streamed');
        const bytes = await buffer(file.source);
        this.saved.set(file.name, bytes);
        const id = `artifact-${this.saved.size}` as ArtifactId;
        return {
          id,
          name: file.name,
          mediaType: file.mediaType,
          sizeBytes: bytes.length,
          sha256: '0',
        } as Artifact;
      },
    };
  }
}

/** A fresh attempt on a started executor. */
export async function setup(
  t: TestContext,
  parts?: { readonly outbound?: Outbound; readonly options?: DataExecutorOptions },
): Promise<Attempted> {
  return new Attempted(await startExecutor(t, parts), await scratch(t));
}

/** A seeded table of sales as CSV, the same for the same seed; `path` is where it is written. */
export async function writeSales(path: string, rows: number, seed: number): Promise<void> {
  let state = seed;
  const next = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const lines = Array.from({ length: rows }, (_, id) => {
    const day = `2026-${String(1 + next(12)).padStart(2, '0')}-${String(1 + next(28)).padStart(2, '0')}`;
    return `${id},region ${next(17)},${next(5_000)},${(next(100_000) / 100).toFixed(2)},${day},"note, ${next(1e9)}"`;
  });
  await writeFile(path, `id,region,customer,amount,day,note\n${lines.join('\n')}\n`);
}
