// What the tests of this folder share: the real executor over real sockets, and attempts that remember what they told and left.

import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { NO_PIPES } from '../../../test/attempted.ts';
import type { Artifact } from '../../domain/artifact.ts';
import { DomainError } from '../../domain/errors.ts';
import type { ArtifactId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Task, TaskError, TaskSpec } from '../../domain/task.ts';
import type { AttemptContext, AttemptResult, Executor, ProgressReport } from '../../engine/ports/executor.ts';
import { AttemptTraffic } from '../../engine/traffic.ts';
import { withHostBreakers } from '../../guards/host-breakers.ts';
import { createOutbound, parsePrivateTargets } from '../../guards/outbound.ts';
import { SchemaGuard } from '../../guards/schemas.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import type { ClientLimits } from './client.ts';
import { createContentExecutor } from './executor.ts';
import { type ModelServer, openModelServer } from './model-server.test.ts';
import type { BlockedPhrase } from './phrases.ts';
import { createOpenAiProvider, type ProviderSettings } from './provider.ts';

/** The key no output may show. */
export const KEY = 'sk-test-0123456789abcdef';

/** What an attempt may be given beside its payload. */
export interface Given {
  readonly signal?: AbortSignal;
  readonly checkpoint?: Json;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly artifacts?: Readonly<Record<string, string>>;
  readonly tasks?: Readonly<Record<string, Json>>;
  /** Called with each report. */
  readonly onReport?: (report: ProgressReport) => void;
}

/** How the executor under test is set up. */
export interface Setting {
  readonly primary?: Partial<ProviderSettings>;
  /** A second provider, with a server of its own. */
  readonly fallback?: Partial<ProviderSettings>;
  readonly limits?: Partial<ClientLimits>;
  readonly blocked?: readonly BlockedPhrase[];
  /** Whether tenants may bring providers. */
  readonly byTenants?: boolean;
  /** No provider of the operator's. */
  readonly none?: boolean;
  /** Whom tools and tenants' providers may reach; loopback unless told otherwise. */
  readonly allow?: string;
}

/** An executor with the servers behind it. */
export interface Bundle {
  readonly executor: Executor;
  readonly server: ModelServer;
  readonly second: ModelServer;
  readonly reports: ProgressReport[];
  readonly logs: string[];
  readonly saved: Map<string, { readonly text: string; readonly bytes: Buffer; readonly mediaType: string }>;
  check(payload: JsonObject, more?: Partial<TaskSpec>): Promise<void>;
  run(payload: JsonObject, given?: Given): Promise<AttemptResult>;
  /** The output of an attempt that must complete. */
  output(payload: JsonObject, given?: Given): Promise<JsonObject>;
  /** The error of an attempt that must fail. */
  error(payload: JsonObject, given?: Given): Promise<TaskError>;
}

/** A started executor, with one provider or two. */
export async function setup(t: TestContext, setting: Setting = {}): Promise<Bundle> {
  const [server, second] = [await openModelServer(t), await openModelServer(t)];
  const outbound = createOutbound({
    clock: systemClock,
    log: silentLog,
    allowed: parsePrivateTargets(setting.allow ?? '127.0.0.1'),
  });
  const provider = (name: string, baseUrl: string, more: Partial<ProviderSettings>) =>
    createOpenAiProvider(
      {
        name,
        baseUrl,
        key: KEY,
        models: ['writer'],
        imageModel: null,
        moderationModel: null,
        prices: {},
        ...more,
      },
      {
        clock: systemClock,
        outbound: withHostBreakers(
          createOutbound({ clock: systemClock, log: silentLog, allowed: parsePrivateTargets('127.0.0.1') }),
          systemClock,
        ),
        elsewhere: outbound,
        ...(setting.limits === undefined ? {} : { limits: setting.limits }),
      },
    );
  const executor = createContentExecutor({
    log: silentLog,
    clock: systemClock,
    outbound,
    schemas: new SchemaGuard(systemClock, []),
    ownProvider:
      setting.byTenants === true
        ? settings => createOpenAiProvider(settings, { clock: systemClock, outbound, elsewhere: outbound })
        : null,
    providers: [
      ...(setting.none === true ? [] : [provider('primary', server.url, setting.primary ?? {})]),
      ...(setting.fallback === undefined ? [] : [provider('fallback', second.url, setting.fallback)]),
    ],
    blocked: setting.blocked ?? [],
  });
  await executor.start();
  t.after(async () => {
    await executor.stop();
    await outbound.stop();
  });
  return bundleOf(executor, server, second);
}

function bundleOf(executor: Executor, server: ModelServer, second: ModelServer): Bundle {
  const told: Pick<Bundle, 'reports' | 'logs' | 'saved'> = { reports: [], logs: [], saved: new Map() };
  const run = (payload: JsonObject, given: Given = {}): Promise<AttemptResult> =>
    executor.run(contextOf(payload, given, told));
  return {
    executor,
    server,
    second,
    ...told,
    run,
    check: async (payload, more) => executor.check(specOf(payload, more)),
    async output(payload, given) {
      const result = await run(payload, given);
      if (result.status === 'completed') return result.output as JsonObject;
      throw new Error(
        `${result.error.code}: ${result.error.message} ${JSON.stringify(result.error.details)}`,
      );
    },
    async error(payload, given) {
      const result = await run(payload, given);
      if (result.status === 'failed') return result.error;
      throw new Error(`completed with ${JSON.stringify(result.output)}`);
    },
  };
}

function specOf(payload: JsonObject, more: Partial<TaskSpec> = {}): TaskSpec {
  return {
    type: 'content_generation',
    payload,
    variables: {},
    secretNames: [],
    ...more,
  } as unknown as TaskSpec;
}

function contextOf(
  payload: JsonObject,
  given: Given,
  { reports, logs, saved }: Pick<Bundle, 'reports' | 'logs' | 'saved'>,
): AttemptContext {
  const { secrets = {} } = given;
  const spec = specOf(payload, { secretNames: Object.keys(secrets) });
  return {
    task: { id: 'task', executionId: 'run', attempt: 1, spec, lease: null } as unknown as Task,
    checkpoint: given.checkpoint ?? null,
    secrets,
    signal: given.signal ?? new AbortController().signal,
    workspace: '/nowhere',
    traffic: new AttemptTraffic(systemClock, undefined),
    report: progress => {
      reports.push(progress);
      given.onReport?.(progress);
    },
    log: (level, message) => logs.push(`${level} ${message}`),
    sample: () => {},
    warn: () => {},
    ...NO_PIPES,
    openArtifact: async id => {
      const content = given.artifacts?.[String(id)];
      if (content === undefined) throw new DomainError('not_found', `there is no artifact ${id}`);
      return { artifact: { id } as Artifact, stream: Readable.from([Buffer.from(content)]) };
    },
    outputOf: async id => {
      const output = given.tasks?.[id];
      if (output === undefined) throw new DomainError('not_found', `task ${id} has no output`);
      return output;
    },
    saveArtifact: async ({ name, mediaType, source }) => {
      const bytes = source instanceof Uint8Array ? Buffer.from(source) : await buffer(source);
      saved.set(name, { text: bytes.toString(), bytes, mediaType });
      return { id: `artifact-${saved.size}` as ArtifactId, sizeBytes: bytes.length, sha256: '0' } as Artifact;
    },
  };
}
