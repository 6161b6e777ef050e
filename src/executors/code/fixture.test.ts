// What the tests of code execution share: an executor over the real host, attempts whose every word is recorded, and a verdict on
// hosts without bubblewrap: skipped with a loud message on somebody's machine, failed where CI must have it.

import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, type TestContext } from 'node:test';
import { absent } from '../../../test/absent.ts';
import type { Artifact } from '../../domain/artifact.ts';
import { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { TaskSpec } from '../../domain/task.ts';
import {
  AttemptAbort,
  type AttemptContext,
  type AttemptResult,
  type Executor,
} from '../../engine/ports/executor.ts';
import type { Outbound, OutboundRequest } from '../../engine/ports/outbound.ts';
import { AttemptTraffic } from '../../engine/traffic.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { systemRandom } from '../../runtime/random.ts';
import { type CodeExecutorOptions, createCodeExecutor } from './executor.ts';

/** What an attempt said to its context. */
export interface Recorded {
  readonly reports: JsonObject[];
  readonly logs: { readonly level: string; readonly message: string; readonly metadata?: JsonObject }[];
  readonly samples: JsonObject[];
  readonly warnings: { readonly resource: string; readonly value: number; readonly limit: number }[];
  readonly saved: {
    readonly name: string;
    readonly type: string;
    readonly mediaType: string;
    readonly bytes: Buffer;
  }[];
}

/** An attempt under way. */
export interface Attempt extends Recorded {
  readonly result: Promise<AttemptResult>;
  readonly workspace: string;
  abort(cause: AttemptAbort['cause']): void;
  /** Resolves with the first report that satisfies the condition. */
  reported(condition: (report: JsonObject) => boolean): Promise<JsonObject>;
}

export interface AttemptOptions {
  readonly spec?: Partial<TaskSpec>;
  readonly tenant?: string;
  readonly checkpoint?: Json;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly artifacts?: Readonly<Record<string, { readonly name: string; readonly bytes: string | Buffer }>>;
}

export const noOutbound: Outbound = {
  send: () => Promise.reject(new DomainError('policy_violation', 'no way out')),
  check: () => Promise.resolve(),
  stop: () => Promise.resolve(),
};

/** A far end that answers every request with its method and body, and keeps what was sent. */
export function echo(): { readonly outbound: Outbound; readonly sent: OutboundRequest[] } {
  const sent: OutboundRequest[] = [];
  const outbound: Outbound = {
    ...noOutbound,
    async send(request) {
      sent.push(request);
      const got = request.body === undefined ? null : Buffer.from(request.body).toString();
      const body = Buffer.from(JSON.stringify({ method: request.method, got }));
      return { status: 201, headers: { 'content-type': 'application/json' }, body, durationMs: 3 };
    },
  };
  return { outbound, sent };
}

/** The payload of a JavaScript program. */
export const js = (code: string): { language: string; code: string } => ({ language: 'javascript', code });

/** The executor of a test file: started before its tests, stopped after them with nothing left in its directory. */
export function executorForTests(
  options: Partial<CodeExecutorOptions> = {},
  outbound: Outbound = noOutbound,
): () => Executor {
  let executor: Executor | null = null;
  let workRoot = '';
  before(async () => {
    workRoot = await mkdtemp(join(tmpdir(), 'batuta-code-'));
    executor = createCodeExecutor({
      log: silentLog,
      clock: systemClock,
      random: systemRandom,
      outbound,
      options: { workRoot, poolSize: 2, ...options },
    });
    await executor.start();
  });
  after(async () => {
    await executor?.stop();
    assert.deepEqual(await readdir(workRoot), [], 'nothing is left in the work directory');
    await rm(workRoot, { recursive: true });
  });
  return () => {
    assert.ok(executor !== null);
    return Object.assign(executor, { workRoot });
  };
}

/** Skips the test where bubblewrap does not work, unless this is CI, where it must. */
export function needsBubblewrap(t: TestContext, executor: Executor): boolean {
  const { bubblewrap } = executor.status().detail as { bubblewrap: { missing?: string } };
  if (bubblewrap.missing === undefined) return true;
  t.skip(absent(`no sandbox: ${bubblewrap.missing}`));
  return false;
}

export function specOf(payload: JsonObject, spec: Partial<TaskSpec> = {}): TaskSpec {
  return {
    type: 'code_execution',
    payload,
    timeoutMs: 30_000,
    resources: {},
    variables: {},
    secretNames: [],
    dependencies: [],
    ...spec,
  } as unknown as TaskSpec;
}

/** Begins an attempt as the engine would. */
export async function begin(
  executor: Executor,
  payload: JsonObject,
  options: AttemptOptions = {},
): Promise<Attempt> {
  const { workRoot } = executor as Executor & { readonly workRoot: string };
  const workspace = await mkdtemp(join(workRoot, 'attempt-'));
  const recorded: Recorded = { reports: [], logs: [], samples: [], warnings: [], saved: [] };
  const controller = new AbortController();
  const waiting = new Set<() => void>();
  const context = {
    ...recording(recorded, options),
    task: { tenant: options.tenant ?? 'default', id: 'T', ranMs: 0, spec: specOf(payload, options.spec) },
    signal: controller.signal,
    traffic: new AttemptTraffic(systemClock, options.spec?.resources?.networkMbps),
    workspace,
    report(report: JsonObject) {
      recorded.reports.push(report);
      for (const look of waiting) look();
    },
  } as unknown as AttemptContext;
  const result = executor.run(context).finally(() => rm(workspace, { recursive: true }));
  result.catch(() => {});
  return {
    ...recorded,
    result,
    workspace,
    abort: cause => controller.abort(new AttemptAbort(cause)),
    reported: condition =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const found = recorded.reports.find(condition);
          if (found !== undefined) resolve(found);
        };
        waiting.add(look);
        look();
        result.then(end => reject(new Error(`it ended first: ${JSON.stringify(end)}`)), reject);
      }),
  };
}

function recording(recorded: Recorded, options: AttemptOptions): Partial<AttemptContext> {
  return {
    checkpoint: options.checkpoint ?? null,
    secrets: options.secrets ?? {},
    log: (level, message, metadata) =>
      recorded.logs.push({ level, message, ...(metadata !== undefined && { metadata }) }),
    sample: usage => recorded.samples.push({ ...usage }),
    warn: (resource, value, limit) => recorded.warnings.push({ resource, value, limit }),
    openArtifact(which) {
      const id = typeof which === 'string' ? which : `${which.taskId}/${which.name}`;
      const found = options.artifacts?.[id];
      if (found === undefined)
        return Promise.reject(new DomainError('not_found', `there is no artifact ${id}`));
      const bytes = Buffer.from(found.bytes);
      const artifact = { id, name: found.name, sizeBytes: bytes.length } as unknown as Artifact;
      return Promise.resolve({ artifact, stream: Readable.from([bytes]) });
    },
    async saveArtifact({ name, type, mediaType, source }) {
      const bytes = source instanceof Readable ? await buffer(source) : Buffer.from(source);
      recorded.saved.push({ name, type, mediaType, bytes });
      return { name } as unknown as Artifact;
    },
  };
}

/** Runs an attempt to its end. */
export async function run(
  executor: Executor,
  payload: JsonObject,
  options: AttemptOptions = {},
): Promise<Recorded & { readonly end: AttemptResult; readonly output: JsonObject }> {
  const attempt = await begin(executor, payload, options);
  const end = await attempt.result;
  return { ...attempt, end, output: (end.output ?? {}) as JsonObject };
}

/** The error an attempt failed with. */
export function errorOf(end: AttemptResult): Extract<AttemptResult, { status: 'failed' }>['error'] {
  assert.equal(end.status, 'failed', JSON.stringify(end));
  return end.error;
}

/** Numbers of the processes whose command line or environment holds the text. */
export async function processesWith(text: string): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const told = await Promise.all(
      ['cmdline', 'environ'].map(file => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
    );
    if (told.some(one => one.includes(text))) found.push(pid);
  }
  return found;
}
