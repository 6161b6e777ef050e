// A whole engine for tests: the real one over a real store, with a clock and randomness of our own, and a far end
// (executor, channel, secrets) that does what the test says.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DomainError } from '../src/domain/errors.ts';
import type { AgentId, TaskId, TenantId } from '../src/domain/ids.ts';
import { DEFAULT_TENANT } from '../src/domain/ids.ts';
import type { Json, JsonObject } from '../src/domain/json.ts';
import { RETRY_POLICIES } from '../src/domain/retry.ts';
import type { TaskError, TaskSpec, TaskType } from '../src/domain/task.ts';
import type { TaskOrder, WorkAnswer, WorkLease, WorkRequest } from '../src/engine/api.ts';
import { Engine, type EngineOptions } from '../src/engine/engine.ts';
import type { Alert } from '../src/engine/ports/alerts.ts';
import type {
  Channel,
  ChannelMessage,
  NotificationRenderer,
  SendOutcome,
} from '../src/engine/ports/channel.ts';
import type {
  AttemptContext,
  AttemptResult,
  Executor,
  ProgressReport,
} from '../src/engine/ports/executor.ts';
import { type Quotas, UNLIMITED } from '../src/engine/ports/quotas.ts';
import type { PayloadCheck } from '../src/engine/ports/schemas.ts';
import type { SecretKeeper, TenantWeights } from '../src/engine/ports/secrets.ts';
import { createSealer } from '../src/guards/sealer.ts';
import { instructionsIn } from '../src/protocols/sam/instructions.ts';
import type { Clock } from '../src/runtime/clock.ts';
import { systemClock } from '../src/runtime/clock.ts';
import { silentLog } from '../src/runtime/log.ts';
import { type Random, systemRandom } from '../src/runtime/random.ts';
import type { Blobs } from '../src/store/blobs.ts';
import { openFileBlobs } from '../src/store/files/blobs.ts';
import type { Store } from '../src/store/store.ts';
import { openTestStore } from './store.ts';

/** What a test may choose. */
export interface HouseOptions {
  readonly clock?: Clock;
  readonly random?: Random;
  readonly store?: Store;
  readonly blobs?: Blobs;
  /** Where workspaces and blobs go; a new folder, removed on stop, unless given. */
  readonly dir?: string;
  /** Task types that run in this process; `code_execution` alone unless given. */
  readonly types?: readonly TaskType[];
  readonly run?: (context: AttemptContext) => Promise<AttemptResult>;
  /** Executors beside those. */
  readonly executors?: (parts: {
    readonly clock: Clock;
    readonly store: Store;
    readonly engine: () => Engine;
  }) => readonly Executor[];
  readonly send?: (message: ChannelMessage) => SendOutcome | Promise<SendOutcome>;
  /** Judges targets; all are permitted unless given. */
  readonly check?: (url: string) => Promise<void>;
  readonly secrets?: Readonly<Record<string, string>>;
  readonly options?: Partial<EngineOptions>;
  readonly weights?: Readonly<Record<string, number>>;
  readonly prices?: TenantWeights['prices'];
  readonly regions?: TenantWeights['regions'];
  readonly quotas?: Quotas;
  /** Checks by JSON Schema; all passes unless given. */
  readonly schemas?: PayloadCheck;
}

/** An engine, its store, and what its channel sent. */
export interface House {
  readonly engine: Engine;
  readonly store: Store;
  readonly sent: ChannelMessage[];
  readonly alerts: readonly Alert[];
  stop(): Promise<void>;
}

/** A started engine whose executor completes every task with `{done: true}` unless told otherwise. */
export async function openHouse(choice: HouseOptions = {}): Promise<House> {
  const clock = choice.clock ?? systemClock;
  const random = choice.random ?? systemRandom;
  const dir = choice.dir ?? mkdtempSync(join(tmpdir(), 'batuta-house-'));
  const store = choice.store ?? (await openTestStore({ clock, random }));
  const sent: ChannelMessage[] = [];
  const alerts: Alert[] = [];
  const engine: Engine = new Engine(
    {
      log: silentLog,
      clock,
      random,
      store,
      blobs: choice.blobs ?? (await openFileBlobs(dir, random)),
      secrets: secretsOf(choice),
      weights: weightsOf(choice),
      quotas: choice.quotas ?? UNLIMITED,
      sealer: createSealer(),
      alerts: { raise: async alert => void alerts.push(alert) },
      outbound: { send: unreachable, check: choice.check ?? (async () => {}), stop: async () => {} },
      schemas: choice.schemas ?? { check: async () => {}, admit: async () => {} },
      renderer: plainRenderer,
      channels: ['webhook', 'email'].map(name => recordingChannel(name, sent, choice)),
      executors: [
        ...(choice.types ?? ['code_execution']).map(type => executorOf(type, choice.run)),
        ...(choice.executors?.({ clock, store, engine: () => engine }) ?? []),
      ],
    },
    {
      serverId: 'house' as AgentId,
      version: '0.0.0',
      tenantOfServer: DEFAULT_TENANT,
      capacity: {},
      slotsPerType: 4,
      workRoot: join(dir, 'work'),
      leaseMs: 30_000,
      waitingMax: 1_000_000,
      webhooksPerHour: 1_000_000,
      archiveDelayMs: 60_000,
      drainMs: 2_000,
      ...choice.options,
    },
  );
  await engine.start();
  return {
    engine,
    store,
    sent,
    alerts,
    async stop() {
      await engine.stop();
      await store.stop();
      if (choice.dir === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}

function weightsOf({ weights, prices, regions }: HouseOptions): TenantWeights {
  return {
    weight: tenant => weights?.[tenant] ?? 1,
    ...(prices === undefined ? {} : { prices }),
    ...(regions === undefined ? {} : { regions }),
  };
}

function secretsOf(choice: HouseOptions): SecretKeeper {
  return {
    missing: async (_tenant, names) => names.filter(name => choice.secrets?.[name] === undefined),
    values: async (_tenant, names) => Object.fromEntries(names.map(name => [name, secretOf(choice, name)])),
    maskJson: (value, values) =>
      JSON.parse(values.reduce((text, secret) => text.replaceAll(secret, '***'), JSON.stringify(value))),
    webhookSecrets: async (_tenant, sealed) => [sealed ?? 'tenant-secret'],
    mask: (text, values) => values.reduce((masked, value) => masked.replaceAll(value, '***'), text),
  };
}

const plainRenderer: NotificationRenderer = {
  render: due => ({ event_type: due.delivery.event, sequence: due.delivery.sequence }),
  words: due => ({ title: `task ${due.task.id}: ${due.delivery.event}`, facts: [] }),
  instructionsIn,
};

/** An order for a task; `spec` overrides what a plain one has. */
export function orderOf(
  id: string,
  spec: Partial<TaskSpec> = {},
  tenant: string = DEFAULT_TENANT,
): TaskOrder {
  return {
    tenant: tenant as TenantId,
    id: id as TaskId,
    spec: {
      type: 'code_execution',
      description: 'a task of a test',
      payload: {},
      priority: 5,
      requester: { agentId: 'tester' as AgentId },
      timeoutMs: 3_600_000,
      retry: { ...RETRY_POLICIES.exponential, firstDelayMs: 10, attemptsMax: 3 },
      resources: {},
      variables: {},
      secretNames: [],
      dependencies: [],
      dependsOn: [],
      traceId: '0'.repeat(31).concat('1'),
      depth: 0,
      ...spec,
    },
    fingerprint: `fingerprint of ${id}`,
    actor: 'test',
    steps: {},
  };
}

/** A notification plan for these events. */
export function planOf(
  events: NonNullable<TaskSpec['notification']>['events'],
): NonNullable<TaskSpec['notification']> {
  return {
    channel: 'webhook',
    url: 'https://receiver.test/hook',
    events,
    retry: { ...RETRY_POLICIES.exponential, firstDelayMs: 5, attemptsMax: 5 },
  };
}

/** Resolves with the task once it satisfies the condition; rejects after ten seconds, telling where it stood. */
export async function until(
  house: House,
  id: string,
  holds: (task: Awaited<ReturnType<Engine['task']>>) => boolean,
  tenant: string = DEFAULT_TENANT,
) {
  const signal = AbortSignal.timeout(10_000);
  const first = await house.engine.task(tenant as TenantId, id as TaskId);
  if (holds(first)) return first;
  for await (const _ of house.engine.changes(tenant as TenantId, first.key, signal)) {
    const task = await house.engine.task(tenant as TenantId, id as TaskId);
    if (holds(task)) return task;
  }
  const last = await house.engine.task(tenant as TenantId, id as TaskId);
  throw new Error(`task ${id} stayed ${last.state} (version ${last.version}, attempt ${last.attempt})`);
}

function executorOf(type: TaskType, run: HouseOptions['run']): Executor {
  return {
    type,
    payloadSchema: {} as JsonObject,
    defaults: { resources: { memoryMb: 256, cpuCores: 1, diskMb: 512 }, expectedMs: 1_000 },
    status: () => ({ available: true, isolation: ['wasm'], detail: {} }),
    check: () => {},
    run: run ?? (async () => ({ status: 'completed', output: { done: true } })),
    start: async () => {},
    stop: async () => {},
  };
}

function recordingChannel(
  name: string,
  sent: ChannelMessage[],
  { send, check = async () => {} }: HouseOptions,
): Channel {
  return {
    name,
    start: async () => {},
    stop: async () => {},
    check,
    async send(message) {
      sent.push(message);
      return send === undefined
        ? { status: 200, durationMs: 1, answer: '', verdict: 'delivered' }
        : await send(message);
    },
  };
}

function secretOf({ secrets }: HouseOptions, name: string): string {
  const value = secrets?.[name];
  if (value === undefined) throw new DomainError('unprocessable', `there is no secret ${name}`);
  return value;
}

async function unreachable(): Promise<never> {
  throw new Error('a test reached for the network');
}

/** A remote worker as a test plays it: one exchange a call, nothing by itself. */
export function workAs(
  house: Pick<House, 'engine'>,
  agent: string,
  types: readonly string[],
  extra: Partial<WorkRequest> = {},
) {
  const exchange = (said: Partial<WorkRequest>): Promise<WorkAnswer> =>
    house.engine.work({
      tenant: DEFAULT_TENANT,
      agentId: agent as AgentId,
      types,
      capabilities: [],
      slots: 0,
      waitMs: 0,
      results: [],
      progress: [],
      logs: [],
      heartbeats: [],
      ...extra,
      ...said,
    });
  const refOf = (lease: WorkLease | undefined) => {
    if (lease === undefined) throw new Error('there is no lease to speak of');
    return { taskId: lease.task.id, token: lease.token };
  };
  return {
    exchange,
    /** Makes itself known. */
    hello: () => exchange({}),
    /** Asks for so many tasks without waiting. */
    ask: (slots: number) => exchange({ slots }),
    complete: (lease: WorkLease | undefined, output: Json) =>
      exchange({ results: [{ ...refOf(lease), status: 'completed', output }] }),
    fail: (lease: WorkLease | undefined, error: Partial<TaskError>) =>
      exchange({
        results: [
          {
            ...refOf(lease),
            status: 'failed',
            error: { code: 'task_failed', message: 'failed as the test asked', recoverable: true, ...error },
          },
        ],
      }),
    report: (lease: WorkLease | undefined, report: ProgressReport) =>
      exchange({ progress: [{ ...refOf(lease), report }] }),
    beat: (lease: WorkLease | undefined) => exchange({ heartbeats: [refOf(lease)] }),
  };
}
