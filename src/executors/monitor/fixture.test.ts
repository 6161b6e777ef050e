// What the tests of this folder share: attempts run through the real executor and guard, and attempts on a clock that a test moves, with a
// probe that finds what the test says.

import { tmpdir } from 'node:os';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { NO_PIPES } from '../../../test/attempted.ts';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import type { Artifact } from '../../domain/artifact.ts';
import type { ArtifactId, TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Lease, Task, TaskError, TaskSpec } from '../../domain/task.ts';
import type {
  AttemptAlert,
  AttemptContext,
  AttemptResult,
  Executor,
  ProgressReport,
} from '../../engine/ports/executor.ts';
import { AttemptTraffic } from '../../engine/traffic.ts';
import { createOutbound, parsePrivateTargets } from '../../guards/outbound.ts';
import { createTunnels } from '../../guards/tunnels.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { seededRandom, systemRandom } from '../../runtime/random.ts';
import { runAttempt } from './attempt.ts';
import { createMonitorExecutor, type MonitorParts } from './executor.ts';
import type { Finding } from './finding.ts';
import { planOf } from './plan.ts';
import type { BeginRun } from './prober.ts';

/** JSON of whatever shape. */
export type Loose = ReturnType<typeof JSON.parse>;

/** What an attempt may be given beside its payload. */
export interface Given {
  readonly secrets?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  readonly checkpoint?: Json;
  readonly tenant?: string;
  readonly timeoutMs?: number;
  readonly lease?: Lease;
  readonly ranMs?: number;
}

/** What attempts told and left. */
export class Told {
  readonly reports: ProgressReport[] = [];
  readonly lines: string[] = [];
  readonly warnings: string[] = [];
  readonly files = new Map<string, string>();

  get alerts(): readonly AttemptAlert[] {
    return this.reports.flatMap(({ alerts }) => alerts ?? []);
  }

  /** Alerts as short as a word: kind, and what it is about. */
  get words(): readonly string[] {
    return this.alerts.map(alert => {
      if (alert.kind === 'resource_warning')
        return `warning ${alert.resource} ${alert.value} of ${alert.limit}`;
      return alert.kind === 'agent_error'
        ? `error ${alert.error.message}`
        : `${alert.name} ${alert.detail.check}`;
    });
  }

  get checkpoint(): Json {
    return this.reports.findLast(({ checkpoint }) => checkpoint !== undefined)?.checkpoint ?? null;
  }

  get intermediates(): readonly Loose[] {
    return this.reports.flatMap(({ intermediate }) => (intermediate === undefined ? [] : [intermediate]));
  }

  context(payload: JsonObject, given: Given): AttemptContext {
    return {
      task: {
        tenant: given.tenant ?? 'default',
        spec: specOf(payload, given),
        lease: given.lease ?? null,
        ranMs: given.ranMs ?? 0,
      } as unknown as Task,
      checkpoint: given.checkpoint ?? null,
      secrets: given.secrets ?? {},
      signal: given.signal ?? new AbortController().signal,
      workspace: tmpdir(),
      traffic: new AttemptTraffic(systemClock, undefined),
      // As it would come back from a store.
      report: progress => void this.reports.push(JSON.parse(JSON.stringify(progress)) as ProgressReport),
      log: (level, message) => void this.lines.push(`${level} ${message}`),
      sample: () => {},
      warn: (resource, value, limit) => void this.warnings.push(`${resource} ${value} of ${limit}`),
      ...NO_PIPES,
      openArtifact: () => Promise.reject(new Error('nothing is read')),
      outputOf: () => Promise.reject(new Error('nothing is read')),
      saveArtifact: async file => {
        const bytes =
          file.source instanceof Uint8Array ? Buffer.from(file.source) : await buffer(file.source);
        this.files.set(file.name, bytes.toString());
        const id = `artifact-${this.files.size}` as ArtifactId;
        return { id, name: file.name, sizeBytes: bytes.length, sha256: 'digest' } as Artifact;
      },
    };
  }
}

/** The real executor. */
export class House extends Told {
  readonly executor: Executor;

  constructor(executor: Executor) {
    super();
    this.executor = executor;
  }

  run(payload: JsonObject, given: Given = {}): Promise<AttemptResult> {
    return this.executor.run(this.context(payload, given));
  }

  /** Runs one check and answers its last result. */
  async look(check: JsonObject, given: Given = {}): Promise<Loose> {
    const { output } = await this.run({ checks: [check] }, given);
    return (output as Loose).checks[0].last;
  }

  /** What is wrong with a payload, by field. */
  async faults(payload: JsonObject, given: Given = {}): Promise<readonly string[]> {
    try {
      await this.executor.check(specOf(payload, given), (given.tenant ?? 'default') as TenantId);
      return [];
    } catch (error) {
      const { code, details, message } = error as { code: string; details: JsonObject; message: string };
      if (code !== 'invalid_request') return [`${code}: ${message}`];
      return (details.errors as readonly JsonObject[]).map(one => `${one.field} ${one.message}`);
    }
  }
}

/** A started executor that may reach 127.0.0.1 and no other private address. */
export async function setup(t: TestContext, more: Partial<MonitorParts> = {}): Promise<House> {
  const clock = systemClock;
  const log = silentLog;
  const allowed = parsePrivateTargets('127.0.0.1');
  const outbound = createOutbound({ clock, log, allowed });
  const executor = createMonitorExecutor({
    ...{ clock, random: systemRandom, outbound, allowed },
    openOutbound: () => createOutbound({ clock, log, allowed }),
    tunnels: createTunnels({ clock, log, allowed }),
    ...more,
  });
  await executor.start();
  t.after(async () => {
    await executor.stop();
    await outbound.stop();
  });
  return new House(executor);
}

/** What a probe of the test's finds: a figure is a measured value, a text a fault, a function takes its time. */
export type Found = number | string | ((signal: AbortSignal) => Promise<Finding>);

/** Attempts on a clock of their own; `find` is asked with the check's name and the seconds since the beginning. */
export class Scheduled extends Told {
  readonly clock = new VirtualClock();
  readonly startedAt = this.clock.now();
  readonly at: number[] = [];
  readonly #find: (check: string, seconds: number) => Found;

  constructor(find: (check: string, seconds: number) => Found) {
    super();
    this.#find = find;
  }

  /** Seconds since the beginning. */
  get seconds(): number {
    return (this.clock.now() - this.startedAt) / 1_000;
  }

  /** Begins an attempt. */
  start(payload: JsonObject, given: Given = {}): Promise<AttemptResult> {
    const attempt = runAttempt(this.context(payload, given), planOf(payload, specOf(payload, given)), {
      clock: this.clock,
      random: seededRandom(1, () => this.clock.now()),
      beginRun: this.#beginRun,
    });
    attempt.catch(() => {});
    return attempt;
  }

  /** Runs an attempt to its end, however long it takes. */
  async finish(payload: JsonObject, given: Given = {}): Promise<AttemptResult> {
    const attempt = this.start(payload, given);
    let isOver = false;
    const over = attempt.then(() => {
      isOver = true;
    });
    for (let hours = 0; !isOver && hours < 200; hours++) await this.clock.advance(3_600_000);
    await over;
    return await attempt;
  }

  #beginRun: BeginRun = () => {
    this.at.push(this.seconds);
    return {
      probe: async ({ name }, signal) => {
        const found = this.#find(name, this.seconds);
        if (typeof found === 'function') return await found(signal);
        if (typeof found === 'number') return { value: found, latencyMs: found, fault: null, detail: {} };
        return { ...NOTHING, fault: { code: 'dependency_failed', message: found } };
      },
      over: async () => {},
    };
  };
}

const NOTHING: Finding = { value: null, latencyMs: null, fault: null, detail: {} };

/** The error of a result that must be a failure. */
export function errorOf(result: AttemptResult): TaskError {
  if (result.status === 'failed') return result.error;
  throw new Error(`completed with ${JSON.stringify(result.output)}`);
}

function specOf(payload: JsonObject, given: Given): TaskSpec {
  return {
    type: 'monitoring_task',
    payload,
    secretNames: Object.keys(given.secrets ?? {}),
    timeoutMs: given.timeoutMs ?? 604_800_000,
  } as unknown as TaskSpec;
}
