// The engine: makes the parts, joins them, and answers for them. Whoever wants to know how a task moves starts here and follows
// one name at a time: intake, dispatch, local or work, settlement, outbox, sweeper.

import { DomainError } from '../domain/errors.ts';
import type { AgentId, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import type { ResourceLimits, Task, TaskSpec, TaskType } from '../domain/task.ts';
import { workTypeOf } from '../domain/task.ts';
import { hasEnded } from '../domain/transitions.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Service } from '../runtime/service.ts';
import type { Blobs } from '../store/blobs.ts';
import type { Store } from '../store/store.ts';
import { obeyAcknowledgement } from './acknowledgement.ts';
import type {
  Admission,
  AgentRegistration,
  AgentView,
  ControlCall,
  EndpointView,
  EngineApi,
  EngineMeasure,
  TaskForecast,
  TaskOrder,
  WorkAnswer,
  WorkRequest,
} from './api.ts';
import { Attempts } from './attempts.ts';
import { Control } from './control.ts';
import { Dispatcher } from './dispatch.ts';
import { Endpoints } from './endpoints.ts';
import { defaultResources, Forecaster } from './forecast.ts';
import { Intake } from './intake.ts';
import { Journal } from './journal.ts';
import { Lifecycle } from './lifecycle.ts';
import { LocalWorker } from './local.ts';
import { Outbox } from './outbox.ts';
import { checkOutput } from './output.ts';
import type { Channel, NotificationRenderer } from './ports/channel.ts';
import type { Executor } from './ports/executor.ts';
import type { Outbound } from './ports/outbound.ts';
import type { PayloadCheck } from './ports/schemas.ts';
import type { SecretKeeper, TenantWeights } from './ports/secrets.ts';
import { Roster } from './roster.ts';
import { Settlement } from './settlement.ts';
import { Signals } from './signals.ts';
import { RunStatistics } from './statistics.ts';
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
  readonly outbound: Outbound;
  readonly schemas: PayloadCheck;
  readonly renderer: NotificationRenderer;
  readonly channels: readonly Channel[];
  readonly executors: readonly Executor[];
}

/** The engine's settings; durations in milliseconds. */
export interface EngineOptions {
  /** The name under which this process runs tasks itself. */
  readonly serverId: AgentId;
  readonly tenantOfServer: TenantId;
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
}

const SAVE_MS = 60_000;
const ROSTER_MS = 5_000;

/** A running engine. */
export class Engine implements EngineApi, Service {
  readonly #parts: EngineParts;
  readonly #options: EngineOptions;
  readonly #executors: ReadonlyMap<TaskType, Executor>;
  readonly #signals = new Signals();
  readonly #roster: Roster;
  readonly #attempts: Attempts;
  readonly #statistics: RunStatistics;
  readonly #lifecycle: Lifecycle;
  readonly #dispatcher: Dispatcher;
  readonly #forecaster: Forecaster;
  readonly #settlement: Settlement;
  readonly #journal: Journal;
  readonly #endpoints: Endpoints;
  readonly #outbox: Outbox;
  readonly #sweeper: Sweeper;
  readonly #control: Control;
  readonly #intake: Intake;
  readonly #work: WorkExchange;
  readonly #workbench: Workbench;
  #local: LocalWorker | null = null;
  #draining = false;
  #stopped: Promise<void> | null = null;
  readonly #periodic: Cancel[] = [];

  constructor(parts: EngineParts, options: EngineOptions) {
    const { log, clock, random, store, blobs, secrets, executors } = parts;
    this.#parts = parts;
    this.#options = options;
    this.#executors = new Map(executors.map(executor => [executor.type, executor]));
    this.#roster = new Roster(clock, store);
    this.#attempts = new Attempts(store, this.#roster);
    this.#statistics = new RunStatistics(store);
    this.#lifecycle = new Lifecycle(clock, random, store, this.#signals, options);
    const roster = this.#roster;
    const attempts = this.#attempts;
    const statistics = this.#statistics;
    const lifecycle = this.#lifecycle;
    const dispatcher = new Dispatcher(log, clock, store, roster, attempts, parts.weights, options);
    this.#dispatcher = dispatcher;
    this.#forecaster = new Forecaster(
      clock,
      store,
      { dispatcher, roster, attempts, statistics, executors: this.#executors },
      options,
    );
    const settlement = new Settlement(
      clock,
      random,
      lifecycle,
      attempts,
      statistics,
      checkOutput(roster, parts.schemas),
    );
    this.#settlement = settlement;
    this.#journal = new Journal(log, clock, store);
    const journal = this.#journal;
    this.#endpoints = new Endpoints(clock, { perHour: options.webhooksPerHour });
    this.#outbox = new Outbox(log, clock, random, store, {
      lifecycle,
      signals: this.#signals,
      endpoints: this.#endpoints,
      channels: new Map(parts.channels.map(channel => [channel.name, channel])),
      renderer: parts.renderer,
      secrets,
      onAcknowledged: (due, acknowledgement) => obeyAcknowledgement(log, this, due, acknowledgement),
    });
    this.#sweeper = new Sweeper(log, clock, store, lifecycle, attempts, settlement);
    this.#work = new WorkExchange(
      clock,
      store,
      { dispatcher, attempts, settlement, roster, journal, secrets },
      options,
    );
    this.#control = new Control(store, lifecycle, attempts, {
      stop: (task, _cause, reason) => this.#work.stop(task, reason),
    });
    this.#workbench = new Workbench(
      log,
      clock,
      random,
      store,
      { blobs, secrets, journal, settlement },
      options,
    );
    const wakers = {
      ready: (task: Pick<Task, 'tenant' | 'spec'>) => dispatcher.ready(task),
      timer: (dueInMs: number) => this.#sweeper.wake(dueInMs),
      delivery: () => this.#outbox.wake(),
    };
    lifecycle.wakers = wakers;
    const { outbound, schemas } = parts;
    this.#intake = new Intake(
      clock,
      random,
      store,
      {
        executors: this.#executors,
        roster,
        secrets,
        outbound,
        schemas,
        forecaster: this.#forecaster,
        wakers,
      },
      options,
    );
  }

  /** Starts executors and channels, reads what was known, and begins to move tasks. */
  async start(): Promise<void> {
    const { channels, executors } = this.#parts;
    await Promise.all([
      this.#workbench.sweep(),
      this.#roster.load(),
      this.#statistics.load(),
      ...channels.map(channel => channel.start()),
      ...executors.map(executor => executor.start()),
    ]);
    await this.#startLocal();
    this.#sweeper.start();
    this.#outbox.start();
    this.#repeat(SAVE_MS, () => this.#statistics.save());
    if (this.#parts.store.capabilities.shared) this.#repeat(ROSTER_MS, () => this.#roster.load());
  }

  /** Drains, then lets go of everything but the store, which is its opener's. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  submit(
    orders: readonly TaskOrder[],
    options: { readonly atomic?: boolean } = {},
  ): Promise<readonly Admission[]> {
    return this.#intake.submit(orders, options.atomic ?? false);
  }

  task(tenant: TenantId, id: TaskId): Promise<Task> {
    return this.#control.task(tenant, id);
  }

  forecast(task: Task): Promise<TaskForecast> {
    return this.#forecaster.forecast(task);
  }

  expectedMs(tenant: TenantId, spec: Pick<TaskSpec, 'type' | 'typeName'>): number {
    return this.#forecaster.expectedMs(tenant, spec);
  }

  defaultTimeoutMs(tenant: TenantId, spec: Pick<TaskSpec, 'type' | 'typeName'>): number {
    return this.#statistics.timeout(tenant, workTypeOf(spec));
  }

  defaultResources(spec: Pick<TaskSpec, 'type' | 'typeName'>): ResourceLimits {
    return defaultResources(this.#executors, spec.type);
  }

  cancel(call: ControlCall & { readonly graceMs?: number }): Promise<Task> {
    return this.#control.cancel(call);
  }

  pause(call: ControlCall & { readonly force?: boolean }): Promise<Task> {
    return this.#control.pause(call);
  }

  resume(call: ControlCall): Promise<Task> {
    return this.#control.resume(call);
  }

  async retry(call: ControlCall & { readonly newId?: TaskId }): Promise<Admission> {
    const task = await this.task(call.tenant, call.id);
    if (!hasEnded(task.state) || task.outcome === 'completed' || task.outcome === 'rejected' || task.purged) {
      throw new DomainError(
        'invalid_transition',
        `cannot retry task ${task.id}: only failed, timed-out and cancelled tasks`,
        {
          details: { task_id: task.id, lifecycle_state: task.state, outcome: task.outcome },
        },
      );
    }
    const id = call.newId ?? (await this.#nextRetryId(task));
    const spec: TaskSpec = { ...task.spec, retryOf: task.id, dependsOn: [] };
    const order = {
      tenant: task.tenant,
      id,
      spec,
      fingerprint: `retry:${task.executionId}`,
      actor: call.actor,
      steps: {},
    };
    const [admission] = await this.submit([order]);
    if (admission === undefined) throw new Error('a submit of one task answered none');
    return admission;
  }

  async work(request: WorkRequest): Promise<WorkAnswer> {
    if (this.#draining) return this.#work.exchange({ ...request, slots: 0, waitMs: 0 });
    return this.#work.exchange(request);
  }

  async agents(tenant: TenantId): Promise<readonly AgentView[]> {
    return this.#roster.list(tenant);
  }

  async registerAgent(registration: AgentRegistration): Promise<AgentView> {
    for (const { input, output } of Object.values(registration.schemas ?? {})) {
      if (input !== undefined) await this.#parts.schemas.admit(input, 'schemas.input');
      if (output !== undefined) await this.#parts.schemas.admit(output, 'schemas.output');
    }
    const view = await this.#roster.register(registration);
    this.#dispatcher.wake();
    return view;
  }

  drainAgent(tenant: TenantId, id: AgentId): Promise<AgentView> {
    return this.#roster.drain(tenant, id);
  }

  removeAgent(tenant: TenantId, id: AgentId): Promise<void> {
    return this.#roster.remove(tenant, id);
  }

  endpoints(tenant: TenantId): readonly EndpointView[] {
    return this.#endpoints.list(tenant);
  }

  wakeOutbox(): void {
    this.#outbox.wake();
  }

  changes(tenant: TenantId, key: TaskKey | null, signal: AbortSignal): AsyncIterable<void> {
    return this.#signals.changes(tenant, key, signal);
  }

  async measure(): Promise<EngineMeasure> {
    const measure = await this.#parts.store.measure();
    return {
      activeTasks: measure.leased,
      queueSize: measure.ready,
      timers: measure.timers,
      deliveriesPending: measure.deliveriesPending,
      storeBytes: measure.bytes,
      storeWritable: measure.writable,
      schemaVersion: measure.schemaVersion,
      stalledMs: this.#dispatcher.stalledMs,
      draining: this.#draining,
    };
  }

  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    await this.#local?.drain(graceMs);
    this.#dispatcher.close();
  }

  /** Resolves when every log line and sample so far is stored; for readers that must see their own. */
  flushJournal(): Promise<void> {
    return this.#journal.flush();
  }

  async #startLocal(): Promise<void> {
    const { log, clock, store, executors } = this.#parts;
    const { serverId, tenantOfServer, capacity, slotsPerType, leaseMs } = this.#options;
    const lanes = executors
      .filter(executor => executor.status().available)
      .map(executor => ({ executor, slots: slotsPerType }));
    await this.#roster.register({
      tenant: tenantOfServer,
      id: serverId,
      kind: 'local',
      types: lanes.map(({ executor }) => executor.type),
      capabilities: [],
      slots: slotsPerType * lanes.length,
      capacity,
    });
    const parts = {
      dispatcher: this.#dispatcher,
      attempts: this.#attempts,
      settlement: this.#settlement,
      workbench: this.#workbench,
    };
    this.#local = new LocalWorker(log, clock, store, parts, { agentId: serverId, leaseMs, lanes });
    this.#local.start();
  }

  async #stop(): Promise<void> {
    for (const cancel of this.#periodic) cancel();
    await this.drain(this.#options.drainMs);
    await this.#sweeper.stop();
    await this.#outbox.stop();
    await this.#journal.stop();
    await this.#statistics.save();
    const { channels, executors } = this.#parts;
    await Promise.all([
      ...executors.map(executor => executor.stop()),
      ...channels.map(channel => channel.stop()),
    ]);
  }

  async #nextRetryId(task: Task): Promise<TaskId> {
    for (let number = 1; ; number++) {
      const id = `${task.id}.r${number}` as TaskId;
      const [taken] = await this.#parts.store.read([{ tenant: task.tenant, id }]);
      if (taken === null || taken === undefined) return id;
    }
  }

  #repeat(everyMs: number, work: () => Promise<void>): void {
    const { clock, log } = this.#parts;
    const index = this.#periodic.length;
    const tick = (): void => {
      this.#periodic[index] = clock.after(everyMs, () => {
        work()
          .catch(error => log.warn('a periodic chore failed', { error: String(error) }))
          .finally(tick);
      });
    };
    tick();
  }
}
