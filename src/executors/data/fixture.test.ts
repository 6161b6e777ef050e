// What the tests of this folder share: a locked session over tables of their own, and attempts run through the real executor.

import { createReadStream, mkdtempSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { after, type TestContext } from 'node:test';
import { Attempted, type GivenToAll } from '../../../test/attempted.ts';
import type { Artifact } from '../../domain/artifact.ts';
import { DomainError } from '../../domain/errors.ts';
import type { ArtifactId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Lease, ResourceLimits, Task, TaskSpec } from '../../domain/task.ts';
import type { Executor, NewArtifact } from '../../engine/ports/executor.ts';
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
export interface Given extends GivenToAll {
  readonly resources?: ResourceLimits;
  /** Files behind artifact ids. */
  readonly artifacts?: Readonly<Record<string, string>>;
  /** Outputs of earlier tasks. */
  readonly tasks?: Readonly<Record<string, Json>>;
  readonly lease?: Lease;
  /** Stands in for the stream of every artifact. */
  readonly stream?: Readable;
  readonly burst?: boolean;
  /** Called before a file is saved. */
  readonly onSave?: () => Promise<void>;
}

/** An attempt in a workspace of its own, and all it told and left. */
export class DataAttempted extends Attempted<Given> {
  readonly samples: JsonObject[] = [];

  /** Names of what is in the workspace. */
  left(): Promise<string[]> {
    return readdir(this.workspace);
  }

  protected override contextOf(payload: JsonObject, given: Given) {
    const spec = {
      type: 'data_processing',
      payload,
      resources: given.resources ?? {},
      burst: given.burst,
    } as TaskSpec;
    return {
      task: { id: 'task', spec, lease: given.lease ?? null } as Task,
      sample: (usage: JsonObject) => void this.samples.push({ ...usage }),
      openArtifact: async (id: unknown) => {
        if (typeof id !== 'string') throw new Error('a data job asks for artifacts by their ids');
        const artifact = { id: id as ArtifactId, sizeBytes: 0 } as Artifact;
        if (given.stream !== undefined) return { artifact, stream: given.stream };
        const path = given.artifacts?.[id];
        if (path === undefined) throw new DomainError('not_found', `there is no artifact ${id}`);
        return { artifact, stream: createReadStream(path) };
      },
      outputOf: async (id: string) => {
        const output = given.tasks?.[id];
        if (output === undefined) throw new DomainError('not_found', `task ${id} has no output`);
        return output;
      },
    };
  }

  protected override async beforeSave(file: NewArtifact, given: Given): Promise<void> {
    await given.onSave?.();
    if (file.source instanceof Uint8Array) throw new Error('an artifact is streamed');
  }
}

/** A fresh attempt on a started executor. */
export async function setup(
  t: TestContext,
  parts?: { readonly outbound?: Outbound; readonly options?: DataExecutorOptions },
): Promise<DataAttempted> {
  return new DataAttempted(await startExecutor(t, parts), await scratch(t));
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
