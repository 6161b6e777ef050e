// What the tests of this folder share: the real executor, and attempts run through it with all they told and left.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { after, before, type TestContext } from 'node:test';
import type { Artifact } from '../../domain/artifact.ts';
import type { ArtifactId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Lease, ResourceLimits, Task, TaskError, TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ProgressReport } from '../../engine/ports/executor.ts';
import { createOutbound, parsePrivateTargets } from '../../guards/outbound.ts';
import { createTunnels } from '../../guards/tunnels.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { systemRandom } from '../../runtime/random.ts';
import { BROWSER_PATH } from './browser.test.ts';
import { createWebExecutor, type WebExecutorOptions } from './executor.ts';
import { type Site, startSite } from './site.test.ts';

/** The names the executors of these tests know beside addresses; each lookup takes the next answer, the last one stays. */
export const NAMES: Record<string, string[]> = {};

async function resolveName(name: string): Promise<readonly string[]> {
  const answers = NAMES[name] ?? [];
  const next = answers.length > 1 ? answers.shift() : answers[0];
  return next === undefined ? [] : [next];
}

/** An executor that may reach 127.0.0.1 and no other private address. */
export function makeExecutor(options: Partial<WebExecutorOptions> = {}): Executor {
  const parts = {
    clock: systemClock,
    log: silentLog,
    allowed: parsePrivateTargets('127.0.0.1'),
    resolve: resolveName,
  };
  const outbound = createOutbound(parts);
  const executor = createWebExecutor({
    ...{ log: silentLog, clock: systemClock, random: systemRandom, outbound, tunnels: createTunnels(parts) },
    options: { chromium: null, path: BROWSER_PATH, slots: 2, allowUnconfined: false, ...options },
  });
  return Object.assign(executor, {
    stop: async () => {
      await Object.getPrototypeOf(executor).stop.call(executor);
      await outbound.stop();
    },
  });
}

/** One site and one started executor for all tests of a file: browsers are dear. */
export function shared(options: Partial<WebExecutorOptions> = {}): { executor: Executor; site: Site } {
  const bundle = {} as { executor: Executor; site: Site };
  before(async () => {
    bundle.site = await startSite();
    bundle.executor = makeExecutor(options);
    await bundle.executor.start();
  });
  after(async () => {
    await bundle.executor.stop();
    await bundle.site.stop();
  });
  return bundle;
}

/** Directories of browsers of this process. */
export async function browserDirectories(): Promise<string[]> {
  return (await readdir(tmpdir())).filter(name => name.startsWith(`batuta-browser-${process.pid}-`));
}

/** What an attempt may be given beside its payload. */
export interface Given {
  readonly tenant?: string;
  readonly resources?: ResourceLimits;
  readonly signal?: AbortSignal;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly lease?: Lease;
  readonly onReport?: (report: ProgressReport) => void;
  readonly onLog?: (message: string) => void;
}

/** The order of a task with such a payload; pages follow one another as fast as they come. */
export function specOf(payload: JsonObject, given: Given = {}): TaskSpec {
  const options = { requests_per_second: 100, ...(payload.options as JsonObject | undefined) };
  return {
    type: 'web_automation',
    payload: { ...payload, options },
    resources: given.resources ?? {},
    variables: given.variables ?? {},
    secretNames: Object.keys(given.secrets ?? {}),
  } as unknown as TaskSpec;
}

/** An attempt in a workspace of its own, and all it told and left. */
export class Attempted {
  readonly executor: Executor;
  readonly workspace: string;
  readonly reports: ProgressReport[] = [];
  readonly logs: string[] = [];
  readonly warnings: string[] = [];
  readonly saved = new Map<string, Buffer>();

  constructor(executor: Executor, workspace: string) {
    this.executor = executor;
    this.workspace = workspace;
  }

  /** Checks the order as at submit, then runs it. */
  async run(payload: JsonObject, given: Given = {}): Promise<AttemptResult> {
    const spec = specOf(payload, given);
    await this.executor.check(spec);
    return await this.executor.run(this.#context(spec, given));
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

  /** The records of the data file. */
  records(name: string): JsonObject[] {
    return JSON.parse(String(this.saved.get(name))) as JsonObject[];
  }

  #context(spec: TaskSpec, given: Given): AttemptContext {
    return {
      task: { id: 'task', tenant: given.tenant ?? 'default', spec, lease: given.lease ?? null } as Task,
      checkpoint: null,
      secrets: given.secrets ?? {},
      signal: given.signal ?? new AbortController().signal,
      workspace: this.workspace,
      report: progress => {
        this.reports.push(progress);
        given.onReport?.(progress);
      },
      log: (_level, message) => {
        this.logs.push(message);
        given.onLog?.(message);
      },
      sample: () => {},
      warn: (resource, value, limit) => this.warnings.push(`${resource} ${value} of ${limit}`),
      openArtifact: async () => Promise.reject(new Error('a web job reads no artifacts')),
      outputOf: async () => Promise.reject(new Error('a web job reads no other tasks')),
      saveArtifact: async file => {
        const bytes =
          file.source instanceof Uint8Array ? Buffer.from(file.source) : await buffer(file.source);
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

/** A fresh attempt on an executor. */
export async function attempt(t: TestContext, executor: Executor): Promise<Attempted> {
  const workspace = await mkdtemp(join(tmpdir(), 'batuta-web-'));
  t.after(() => rm(workspace, { recursive: true, force: true }));
  return new Attempted(executor, workspace);
}
