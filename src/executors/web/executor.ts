// Runs web_automation tasks: knows whether there is a browser here and how it can be confined, and gives each attempt a driver and a
// way through the filtering proxy.

import { tmpdir } from 'node:os';
import { basename } from 'node:path';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { LimitModes, TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ExecutorStatus } from '../../engine/ports/executor.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Tunnels } from '../../engine/ports/tunnels.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { canHoldProcessors } from '../../runtime/processors.ts';
import type { Random } from '../../runtime/random.ts';
import { runAttempt } from './attempt.ts';
import { browserNeeds, checkPayload, literalUrls, payloadOf } from './check.ts';
import { type Confinement, confinements, findChromium, findSetpriv, hasUser } from './chromium.ts';
import type { DriverThread } from './driver-thread.ts';
import { Drivers } from './drivers.ts';
import { Pace } from './pace.ts';
import { WEB_PAYLOAD, type WebPayload } from './payload.ts';
import { FilteringProxy } from './proxy.ts';
import { Robots } from './robots.ts';
import { findRoot } from './roots.ts';

/** What may be set. */
export interface WebExecutorOptions {
  /** The browser to use (`BATUTA_CHROMIUM`); null to look for one. */
  readonly chromium: string | null;
  /** Where to look for one. */
  readonly path: string;
  /** Jobs at once. */
  readonly slots: number;
  /** Whether a browser may run with neither a sandbox nor a user of its own. */
  readonly allowUnconfined: boolean;
  /** Jobs a browser serves before it is replaced. */
  readonly jobsPerBrowser?: number;
}

/** What the executor of `web_automation` is made from. */
export interface WebExecutorParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly outbound: Outbound;
  readonly tunnels: Tunnels;
  readonly options: WebExecutorOptions;
}

const MIB = 1_048_576;

/** The executor of `web_automation` (`SAM-142` to `SAM-148`); without Chromium it reads static pages and says what is missing. */
export function createWebExecutor(parts: WebExecutorParts): Executor {
  return new WebExecutor(parts);
}

class WebExecutor implements Executor {
  readonly type = 'web_automation';
  readonly payloadSchema = WEB_PAYLOAD as unknown as JsonObject;
  readonly defaults = { resources: { memoryMb: 1_024, cpuCores: 1, diskMb: 1_024 }, expectedMs: 60_000 };
  readonly #parts: WebExecutorParts;
  readonly #pace: Pace;
  readonly #robots: Robots;
  readonly #proxy: FilteringProxy;
  #drivers: Drivers | null = null;
  #missing: string | null = 'the executor was not started';
  /** The ways to confine a browser to be tried, strongest first; one alone once it worked. */
  #ways: readonly Confinement[] = [];
  /** The name of its file: status is for everyone, and paths of this host are not. */
  #browser: string | null = null;
  #version: string | null = null;

  constructor(parts: WebExecutorParts) {
    this.#parts = parts;
    this.#pace = new Pace(parts.clock);
    this.#robots = new Robots(parts.clock, parts.outbound);
    this.#proxy = new FilteringProxy(parts.log, parts.random, parts.tunnels);
  }

  async start(): Promise<void> {
    const { log, clock, random, options } = this.#parts;
    const { chromium, path, slots, allowUnconfined, jobsPerBrowser } = options;
    const executable = await findChromium(chromium, path);
    const setpriv = await findSetpriv();
    const isRoot = process.getuid?.() === 0;
    this.#ways = confinements({ isRoot, hasSetpriv: setpriv !== null, allowNone: allowUnconfined });
    this.#browser = executable === null ? null : basename(executable);
    const root = await findRoot(this.#ways.some(hasUser));
    this.#missing = missingOf({ executable, configured: chromium, ways: this.#ways, root });
    this.#drivers = new Drivers(log, clock, random, {
      ...{ executable, setpriv, root: root ?? tmpdir(), max: Math.max(1, slots) },
      ...(jobsPerBrowser === undefined ? {} : { jobsMax: jobsPerBrowser }),
    });
    await this.#drivers.sweep();
  }

  async stop(): Promise<void> {
    await this.#drivers?.stop();
    this.#drivers = null;
    await this.#proxy.stop();
  }

  status(): ExecutorStatus {
    const [confinement = null] = this.#ways;
    const { warm = 0, cold = 0 } = this.#drivers?.counts ?? {};
    return {
      available: this.#drivers !== null,
      ...(this.#missing === null ? {} : { missing: this.#missing }),
      isolation: this.#missing === null ? ['process'] : [],
      detail: {
        engines: this.#missing === null ? ['browser', 'http'] : ['http'],
        ...(this.#missing === null ? { browser: this.#browser, confinement, version: this.#version } : {}),
        warm_starts: warm,
        cold_starts: cold,
      },
    };
  }

  /** A browser is held in everything; static pages are read by a thread of this process. */
  limitModes(spec: TaskSpec): LimitModes {
    const { engine = 'auto' } = spec.payload as Partial<WebPayload>;
    const isBrowser = engine !== 'http' && this.#missing === null && canHoldProcessors();
    if (!isBrowser) return { memory: 'advisory', cpu: 'advisory', disk: 'advisory', network: 'enforced' };
    const cpu = spec.burst === true ? 'advisory' : 'enforced';
    return { memory: 'enforced', cpu, disk: 'enforced', network: 'enforced' };
  }

  async check(spec: TaskSpec): Promise<void> {
    const payload = await checkPayload(spec);
    this.#engineOf(payload);
    for (const url of literalUrls(payload)) await this.#parts.outbound.check(url);
  }

  async run(context: AttemptContext): Promise<AttemptResult> {
    const payload = payloadOf(context.task.spec);
    const engine = this.#engineOf(payload);
    if (engine === 'http') return await this.#attempt(context, payload, null);
    let result: AttemptResult | null = null;
    for (const way of this.#ways) {
      if (result !== null) this.#parts.log.warn('the browser cannot be confined as wished', { next: way });
      result = await this.#attempt(context, payload, way);
      if (result.status === 'completed' || result.error.details?.launch !== true) return result;
    }
    return (
      result ?? {
        status: 'failed',
        error: { code: 'unavailable', message: 'there is no browser', recoverable: true },
      }
    );
  }

  async #attempt(
    context: AttemptContext,
    payload: WebPayload,
    confinement: Confinement | null,
  ): Promise<AttemptResult> {
    const { log, clock, outbound } = this.#parts;
    const { spec, tenant } = context.task;
    const drivers = this.#drivers;
    if (drivers === null) throw new DomainError('unavailable', 'the executor is stopping');
    const burst = spec.burst === true;
    const limits = { ...this.defaults.resources, ...spec.resources, burst };
    context.signal.throwIfAborted();
    const driver = await drivers.take(tenant, confinement);
    // A job that is told to stop takes its browser with it: nothing of it can linger, and it is nobody else's.
    const onAbort = (): void => void driver.kill();
    context.signal.addEventListener('abort', onAbort, { once: true });
    let result: AttemptResult | null = null;
    try {
      const pass =
        confinement === null ? null : await this.#proxy.admit(limits.diskMb * MIB, context.traffic);
      result = await runAttempt(context, payload, {
        ...{ log, clock, outbound, limits, driver, pass, pace: this.#pace, robots: this.#robots },
        onBrowser: version => {
          this.#version = version;
          // What this host offers is known now, and no trouble later makes it less.
          if (confinement !== null) this.#ways = [confinement];
        },
      });
      return result;
    } finally {
      context.signal.removeEventListener('abort', onAbort);
      // A browser that was made to give way could not be made to stop doing so.
      if (burst) await driver.kill();
      await this.#giveBack(drivers, driver, tenant, result);
    }
  }

  async #giveBack(
    drivers: Drivers,
    driver: DriverThread,
    tenant: string,
    result: AttemptResult | null,
  ): Promise<void> {
    // A job that was told to stop or used more than it may, and a browser that could not start as it was to, leave nothing to reuse.
    const { code, details } = result?.status === 'failed' ? result.error : {};
    if (result === null || code === 'resource_exhausted' || details?.launch === true) await driver.kill();
    await drivers.give(driver, tenant);
  }

  /** Throws `unprocessable` for what needs a browser where there is none, or where none is wanted (`SAM-147`). */
  #engineOf(payload: WebPayload): 'browser' | 'http' {
    const { engine = 'auto' } = payload;
    if (engine === 'browser' || (engine === 'auto' && this.#missing === null)) {
      if (this.#missing === null) return 'browser';
      throw new DomainError('unprocessable', `there is no browser: ${this.#missing}`, {
        details: { field: 'task_data.engine', missing: this.#missing },
      });
    }
    const needs = browserNeeds(payload);
    if (needs.length === 0) return 'http';
    const why = engine === 'http' ? 'engine is http' : this.#missing;
    throw new DomainError('unprocessable', `${needs[0]} needs a browser: ${why}`, {
      details: { needs, ...(engine === 'http' ? {} : { missing: this.#missing }) },
    });
  }
}

function missingOf(found: {
  readonly executable: string | null;
  readonly configured: string | null;
  readonly ways: readonly Confinement[];
  readonly root: string | null;
}): string | null {
  const { executable, configured, ways, root } = found;
  if (executable === null && configured !== null)
    return 'the browser that BATUTA_CHROMIUM names is not there, or cannot be run';
  if (executable === null)
    return 'Chromium is not installed; install it (Debian, Ubuntu: apt install chromium) or name one in BATUTA_CHROMIUM';
  if (ways.length === 0)
    return 'Chromium cannot be confined for root without setpriv; install util-linux, run as another user, or set BATUTA_ALLOW_RLIMITS=true';
  if (root === null)
    return 'Chromium runs as a user of its own, who can pass through neither TMPDIR nor /tmp; name a TMPDIR that others may enter (chmod o+x, and every directory above it)';
  return null;
}
