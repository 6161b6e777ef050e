// What the tests of this folder share: the real executor, and attempts run through it with all they told and left.

import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, type TestContext } from 'node:test';
import { Attempted, type GivenToAll } from '../../../test/attempted.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Lease, ResourceLimits, Task, TaskSpec } from '../../domain/task.ts';
import type { AttemptResult, Executor } from '../../engine/ports/executor.ts';
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
export interface Given extends GivenToAll {
  readonly tenant?: string;
  readonly resources?: ResourceLimits;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly variables?: Readonly<Record<string, string>>;
  readonly lease?: Lease;
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
export class WebAttempted extends Attempted<Given> {
  readonly logs: string[] = [];

  /** Checks the order as at submit, then runs it. */
  override async run(payload: JsonObject, given: Given = {}): Promise<AttemptResult> {
    await this.executor.check(specOf(payload, given));
    return await super.run(payload, given);
  }

  /** The records of the data file. */
  records(name: string): JsonObject[] {
    return JSON.parse(String(this.saved.get(name))) as JsonObject[];
  }

  protected override contextOf(payload: JsonObject, given: Given) {
    const { tenant = 'default', lease = null, secrets = {} } = given;
    return {
      task: { id: 'task', tenant, spec: specOf(payload, given), lease } as Task,
      secrets,
      log: (_level: string, message: string) => {
        this.logs.push(message);
        given.onLog?.(message);
      },
    };
  }
}

/** A fresh attempt on an executor. */
export async function attempt(t: TestContext, executor: Executor): Promise<WebAttempted> {
  const workspace = await mkdtemp(join(tmpdir(), 'batuta-web-'));
  t.after(() => rm(workspace, { recursive: true, force: true }));
  return new WebAttempted(executor, workspace);
}
