// The rooms of the engine and how they are joined: who is made first, and who hears of what. Nothing here decides anything.

import type { AgentId, TenantId } from '../domain/ids.ts';
import { type ResourceLimits, type Task, type TaskType, workTypeOf } from '../domain/task.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Blobs } from '../store/blobs.ts';
import type { Store } from '../store/store.ts';
import { Addressing } from './addressing.ts';
import { Attempts } from './attempts.ts';
import { Breakers, type BreakerTerms } from './breakers.ts';
import { Canaries } from './canaries.ts';
import { ClaimTimes } from './claim-times.ts';
import { Control } from './control.ts';
import { Dispatcher } from './dispatch.ts';
import { Endpoints } from './endpoints.ts';
import { Forecaster } from './forecast.ts';
import { Intake } from './intake.ts';
import { Journal } from './journal.ts';
import { Lifecycle, type Wakers } from './lifecycle.ts';
import type { MemoryOptions } from './memory/memory.ts';
import { Nodes } from './nodes.ts';
import { type OnAcknowledged, Outbox } from './outbox.ts';
import { checkOutput } from './output.ts';
import { Overruns } from './overruns.ts';
import { Permits } from './permits.ts';
import { Pipes } from './pipes.ts';
import type { Alerts } from './ports/alerts.ts';
import type { Channel, NotificationRenderer } from './ports/channel.ts';
import type { Embedder, Reranker } from './ports/embedder.ts';
import { type Executor, executorOf } from './ports/executor.ts';
import type { Outbound } from './ports/outbound.ts';
import type { Quotas } from './ports/quotas.ts';
import type { PayloadCheck } from './ports/schemas.ts';
import type { Sealer } from './ports/sealer.ts';
import type { SecretKeeper, TenantWeights } from './ports/secrets.ts';
import type { ReservedWork } from './reserved-work.ts';
import { ResultCache } from './result-cache.ts';
import { Reuse } from './reuse.ts';
import { Roster } from './roster.ts';
import { Settlement } from './settlement.ts';
import { Shares } from './shares.ts';
import { Signals } from './signals.ts';
import { RunStatistics } from './statistics.ts';
import { Steering } from './steering.ts';
import { Sweeper } from './sweeper.ts';
import { WorkExchange } from './work.ts';
import { Workbench } from './workbench.ts';

/** What the engine is built on. */
export interface EngineParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly store: Store;
  readonly blobs: Blobs;
  readonly secrets: SecretKeeper;
  readonly weights: TenantWeights;
  readonly quotas: Quotas;
  readonly sealer: Sealer;
  readonly outbound: Outbound;
  readonly alerts: Alerts;
  readonly schemas: PayloadCheck;
  readonly renderer: NotificationRenderer;
  readonly channels: readonly Channel[];
  readonly executors: readonly Executor[];
  /** None where nobody inside this server keeps work for itself. */
  readonly reserved?: ReservedWork;
  /** In place of the local embedder, and of ranking by words. */
  readonly embedder?: Embedder;
  readonly reranker?: Reranker;
}

/** The engine's settings; durations in milliseconds. */
export interface EngineOptions {
  /** The name under which this process runs tasks itself. */
  readonly serverId: AgentId;
  readonly version: string;
  /** Where this process can be reached, once it is known. */
  readonly url?: () => string | null;
  readonly tenantOfServer: TenantId;
  /** Where this process runs, for tasks that are bound to a region (`SAM-225`). */
  readonly region?: string;
  /** Words about this process; `canary` sets it apart (`SAM-228`). */
  readonly labels?: readonly string[];
  readonly capacity: ResourceLimits;
  /** Tasks of one type this process runs at once. */
  readonly slotsPerType: number;
  readonly workRoot: string;
  readonly leaseMs: number;
  /** Waiting tasks a tenant may have. */
  readonly waitingMax: number;
  readonly webhooksPerHour: number;
  readonly archiveDelayMs: number;
  readonly drainMs: number;
  /** How much may be remembered; `MEMORY_DEFAULTS` unless said otherwise. */
  readonly memory?: MemoryOptions;
}

/** Every room of a furnished engine. */
export type Rooms = ReturnType<typeof furnish>;

/** Makes all rooms, joined but at rest; `onAcknowledged` hears what receivers of notifications ask for. */
export function furnish(parts: EngineParts, options: EngineOptions, onAcknowledged: OnAcknowledged) {
  const { log, clock, random, store, blobs, secrets, quotas, sealer } = parts;
  const yard = groundFloor(parts, options);
  const { attempts, lifecycle, settlement, dispatcher } = yard;
  const nodes = new Nodes(log, clock, store, yard, {
    id: options.serverId,
    version: options.version,
    url: options.url ?? (() => null),
    ...(options.region === undefined ? {} : { region: options.region }),
    ...(options.labels === undefined ? {} : { labels: options.labels }),
  });
  const sweeper = new Sweeper(log, clock, store, lifecycle, attempts, settlement, () => nodes.leads);
  const channels = new Map(parts.channels.map(channel => [channel.name, channel]));
  const post = { ...yard, channels, renderer: parts.renderer, secrets, onAcknowledged };
  const outbox = new Outbox(log, clock, random, store, post, options);
  const wakers: Wakers = {
    ready: task => dispatcher.ready(task),
    timer: dueInMs => sweeper.wake(dueInMs),
    delivery: () => outbox.wake(),
    left: (task, draft) => quotas.left(task, draft),
  };
  lifecycle.wakers = wakers;
  dispatcher.onClaimed = task => {
    quotas.began(task);
    yard.signals.publish(task.tenant, task.key);
    if (task.spec.notification !== undefined) outbox.wake();
  };
  const { schemas } = parts;
  const addressing = new Addressing(yard.canaries, parts.weights, options.region);
  const guards = { secrets, channels, schemas, quotas, sealer, addressing, weights: parts.weights };
  const intake = new Intake(clock, random, store, { ...yard, ...guards, wakers }, options);
  const bench = { ...yard, blobs, secrets, sealer };
  const workbench = new Workbench(log, clock, random, store, bench, options);
  const work = new WorkExchange(clock, store, { ...yard, secrets }, options);
  const control = new Control(store, lifecycle, attempts, {
    stop: (task, _cause, reason) => work.stop(task, reason),
  });
  return { ...yard, nodes, sweeper, outbox, intake, workbench, work, control };
}

const NOTHING: ReservedWork = new Set();

/** An agent whose own errors, not its tasks', ended five attempts running gets nothing for a while, wherever it asks (`SAM-113`). */
const AGENT_BARS: BreakerTerms = {
  kind: 'agent_bar',
  failuresMax: 5,
  firstOpenMs: 60_000,
  openMsMax: 600_000,
  lapses: true,
};

/** What the other rooms stand on: who there is, what runs, and how a change is made. */
function groundFloor(parts: EngineParts, options: EngineOptions) {
  const { log, clock, random, store, blobs, schemas, weights, quotas, sealer, reserved = NOTHING } = parts;
  const executors: ReadonlyMap<TaskType, Executor> = new Map(
    parts.executors.map(executor => [executor.type, executor]),
  );
  const signals = new Signals();
  const bars = new Breakers(log, clock, store, AGENT_BARS);
  const roster = new Roster(clock, store, bars, { regionsOf: tenant => weights.regions?.(tenant), reserved });
  const attempts = new Attempts(store, roster);
  const canaries = new Canaries(log, clock, random, store, { alerts: parts.alerts, node: options.serverId });
  const statistics = new RunStatistics(store);
  const lifecycle = new Lifecycle(clock, random, store, signals, sealer, options);
  const journal = new Journal(log, clock, store);
  const endpoints = new Endpoints(log, clock, random, store, { perHour: options.webhooksPerHour });
  const outputs = checkOutput(roster, schemas);
  const coordinates = ({ spec }: Task): boolean => executorOf(executors, spec)?.coordinates === true;
  const cache = new ResultCache(log, clock, random, store);
  const settlement = new Settlement(
    clock,
    random,
    lifecycle,
    attempts,
    statistics,
    outputs,
    coordinates,
    task => cache.keep(task),
  );
  const overruns = new Overruns(log, clock, store, settlement);
  judgeBy(attempts, { clock, roster, canaries, overruns });
  const permits = new Permits(clock, store, attempts, options);
  const reuse = new Reuse(log, clock, store, { attempts, settlement, signals, cache }, options);
  const steering = new Steering(clock, roster, canaries, weights);
  const doors = { shares: new Shares(weights), quotas, permits, reuse, steering };
  const claims = new ClaimTimes(clock, store);
  const dispatcher = new Dispatcher(log, clock, claims, roster, attempts, doors, options);
  const pipes = new Pipes(clock, store, { blobs, attempts });
  const lookout = { dispatcher, roster, attempts, statistics, executors, quotas, permits, weights, pipes };
  const forecaster = new Forecaster(clock, store, lookout, options);
  return {
    executors,
    reserved,
    signals,
    bars,
    roster,
    attempts,
    canaries,
    statistics,
    lifecycle,
    journal,
    endpoints,
    claims,
    dispatcher,
    settlement,
    reuse,
    pipes,
    forecaster,
  };
}

/** What canaries run, and what others do, is counted as it ends (`SAM-228`); what takes too long is warned of meanwhile. */
function judgeBy(
  attempts: Attempts,
  {
    clock,
    roster,
    canaries,
    overruns,
  }: {
    readonly clock: Clock;
    readonly roster: Roster;
    readonly canaries: Canaries;
    readonly overruns: Overruns;
  },
): void {
  attempts.onBegun = attempt => overruns.watch(attempt);
  attempts.onOver = (attempt, how) => {
    const { task, agentTenant, agentId } = attempt;
    overruns.forget(attempt);
    if (how === 'returned') return;
    const durationMs = clock.now() - (task.lease?.claimedAt ?? clock.now());
    const canary = roster.isCanary(agentTenant, agentId);
    canaries.note({ canary, workType: workTypeOf(task.spec), failed: how !== 'completed', durationMs });
  };
}
