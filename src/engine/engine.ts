// The engine: answers for its rooms. Whoever wants to know how a task moves starts here and follows one name at a time: intake,
// dispatch, local or work, settlement, outbox, sweeper.

import type { AgentId, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import type { LimitModes, ResourceLimits, Task, TaskSpec } from '../domain/task.ts';
import { workTypeOf } from '../domain/task.ts';
import type { Cancel } from '../runtime/clock.ts';
import type { Service } from '../runtime/service.ts';
import { Watch } from '../runtime/watch.ts';
import { obeyInstructions } from './acknowledgement.ts';
import type {
  Admission,
  AgentRegistration,
  AgentView,
  AttemptHeir,
  CanarySettings,
  CanaryView,
  ControlCall,
  EndpointView,
  EngineApi,
  EngineMeasure,
  NodeView,
  TaskForecast,
  TaskOrder,
  WorkAnswer,
  WorkRequest,
} from './api.ts';
import { defaultResources, limitModes } from './forecast.ts';
import { hearOthers } from './hearing.ts';
import { handOn } from './heirs.ts';
import { LocalWorker } from './local.ts';
import { Memory } from './memory/memory.ts';
import type { Pipes } from './pipes.ts';
import { executorOf, workTypesOf } from './ports/executor.ts';
import { takeUpAgain } from './restart.ts';
import { purge } from './retention.ts';
import { retryOrder } from './retrying.ts';
import { type EngineOptions, type EngineParts, furnish, type Rooms } from './rooms.ts';
import type { Roster } from './roster.ts';
import { Schedules } from './schedules.ts';

export type { EngineOptions, EngineParts } from './rooms.ts';

const SAVE_MS = 60_000;
/** Hints of other nodes may be lost: so often everyone looks without one. */
const LISTEN_ANEW_MS = 5_000;
/** And so often what other nodes were told of agents is read. */
const AGENTS_MS = 800;
/** So often is counted what other nodes gave agents and run of tenants; an end shows at the second count. */
const RECOUNT_MS = 900;
/** A day's purge in hourly portions, so that a server that is restarted every night purges too. */
const PURGE_MS = 3_600_000;

/** A running engine. */
export class Engine implements EngineApi, Service {
  readonly #parts: EngineParts;
  readonly #options: EngineOptions;
  readonly #rooms: Rooms;
  readonly #agentsElsewhere: Watch;
  /** Orders handed in again and again. */
  readonly schedules: Schedules;
  /** What agents remember and tenants know. */
  readonly memory: Memory;
  #local: LocalWorker | null = null;
  #draining = false;
  #stopped: Promise<void> | null = null;
  readonly #periodic: Cancel[] = [];

  constructor(parts: EngineParts, options: EngineOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#rooms = furnish(parts, options, (due, instructions) => {
      const hands = { engine: this, control: this.#rooms.control, outbound: parts.outbound };
      void obeyInstructions(parts.log, hands, due, instructions);
    });
    this.#agentsElsewhere = new Watch(parts.clock, AGENTS_MS, () =>
      this.#rooms.roster.load().catch(error => {
        parts.log.warn('the agents could not be read again', { error: String(error) });
      }),
    );
    this.schedules = new Schedules(parts.log, parts.clock, parts.store, {
      submit: orders => this.submit(orders),
      cancel: call => this.cancel(call),
      check: order => this.#rooms.intake.check(order),
      leads: () => this.#rooms.nodes.leads,
    });
    const { log, clock, store, embedder, reranker } = parts;
    this.memory = new Memory(
      {
        ...{ log, clock, store: store.memory, leads: () => this.#rooms.nodes.leads },
        ...(embedder === undefined ? {} : { embedder }),
        ...(reranker === undefined ? {} : { reranker }),
      },
      options.memory,
    );
  }

  /** Starts executors and channels, reads what was known, and begins to move tasks. */
  async start(): Promise<void> {
    const { channels, executors } = this.#parts;
    // Executors try themselves out in the work root, so it is cleared before they start.
    await this.#rooms.workbench.sweep();
    await Promise.all([
      this.#rooms.roster.load(),
      this.#rooms.statistics.load(),
      ...channels.map(channel => channel.start()),
      ...executors.map(executor => executor.start()),
    ]);
    const { store, clock, log, blobs } = this.#parts;
    const { attempts, settlement, nodes, signals } = this.#rooms;
    if (!store.capabilities.shared)
      await takeUpAgain(store, attempts, settlement, this.#options, clock.now());
    await nodes.start();
    await this.#rooms.canaries.start(() => nodes.leads);
    await this.#startLocal();
    this.#rooms.sweeper.start();
    await this.#rooms.endpoints.start();
    await this.#rooms.bars.start();
    this.#rooms.outbox.start();
    this.schedules.start();
    await this.memory.start();
    this.#repeat(SAVE_MS, () => this.#rooms.statistics.save());
    this.#repeat(PURGE_MS, async () => {
      if (nodes.leads) await purge(log, clock, store, blobs);
    });
    if (!store.capabilities.shared) return;
    this.#periodic.push(
      hearOthers(store, { ...this.#rooms, agents: this.#agentsElsewhere, schedules: this.schedules }, error =>
        log.warn('a hint led nowhere', { error: String(error) }),
      ),
    );
    this.#repeat(RECOUNT_MS, () => this.#recount());
    await this.#agentsElsewhere.start();
    this.#repeat(LISTEN_ANEW_MS, async () => signals.ring(null));
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
    return this.#rooms.intake.submit(orders, options.atomic ?? false);
  }

  task(tenant: TenantId, id: TaskId): Promise<Task> {
    return this.#rooms.control.task(tenant, id);
  }

  forecast(task: Task): Promise<TaskForecast> {
    return this.#rooms.forecaster.forecast(task);
  }

  expectedMs(tenant: TenantId, spec: Pick<TaskSpec, 'type' | 'typeName'>): number {
    return this.#rooms.forecaster.expectedMs(tenant, spec);
  }

  defaultTimeoutMs(tenant: TenantId, spec: Pick<TaskSpec, 'type' | 'typeName'>): number {
    return this.#rooms.statistics.timeout(tenant, workTypeOf(spec));
  }

  defaultResources(spec: Pick<TaskSpec, 'type' | 'typeName'>): ResourceLimits {
    return defaultResources(this.#rooms.executors, spec);
  }

  limitModes(task: Pick<Task, 'agentId' | 'spec'>): LimitModes {
    return limitModes(this.#rooms.executors, task, this.#options.serverId);
  }

  async cancel(call: ControlCall & { readonly graceMs?: number }): Promise<Task> {
    const { tenant, actor } = call;
    const task = await this.task(tenant, call.id);
    // First, so that a crash in between cannot leave undone what the task was to see to.
    const farewell =
      task.outcome === null ? executorOf(this.#rooms.executors, task.spec)?.farewell?.(task) : null;
    if (farewell) await this.submit([{ ...farewell, tenant, actor, steps: {} }]);
    return this.#rooms.control.cancel(call);
  }

  pause(call: ControlCall & { readonly force?: boolean }): Promise<Task> {
    return this.#rooms.control.pause(call);
  }

  resume(call: ControlCall): Promise<Task> {
    return this.#rooms.control.resume(call);
  }

  async retry(call: ControlCall & { readonly newId?: TaskId }): Promise<Admission> {
    const order = await retryOrder(this.#parts.store, await this.task(call.tenant, call.id), call);
    const [admission] = await this.submit([order]);
    if (admission === undefined) throw new Error('a submit of one task answered none');
    return admission;
  }

  async work(request: WorkRequest): Promise<WorkAnswer> {
    if (this.#draining) return this.#rooms.work.exchange({ ...request, slots: 0, waitMs: 0 });
    return this.#rooms.work.exchange(request);
  }

  async handBack(
    { tenant, taskId, token }: Parameters<EngineApi['handBack']>[0],
    reason: string,
  ): Promise<void> {
    const attempt = await this.#rooms.attempts.find(tenant, taskId, token);
    await this.#rooms.settlement.handBack(attempt, reason);
  }

  async passOn(
    { tenant, taskId, token }: Parameters<EngineApi['passOn']>[0],
    heir: AttemptHeir,
  ): Promise<Task> {
    const { attempts, settlement, work } = this.#rooms;
    const attempt = await attempts.find(tenant, taskId, token);
    await settlement.passOn(attempt, handOn(heir, this.#options.leaseMs));
    if (heir.isUnasked) work.stop(attempt.task, `${heir.agentId} goes on with it`);
    const task = await this.task(tenant, taskId);
    // Known here at once, so that it counts against the heir's slots.
    if (task.lease?.agentId === heir.agentId) await attempts.find(tenant, taskId, task.lease.token);
    return task;
  }

  async agents(tenant: TenantId): Promise<readonly AgentView[]> {
    return (await this.#roster()).list(tenant);
  }

  get agentsRegistered(): number {
    return this.#rooms.roster.registered;
  }

  async registerAgent(registration: AgentRegistration): Promise<AgentView> {
    for (const { input, output } of Object.values(registration.schemas ?? {})) {
      if (input !== undefined) await this.#parts.schemas.admit(input, 'schemas.input');
      if (output !== undefined) await this.#parts.schemas.admit(output, 'schemas.output');
    }
    const view = await (await this.#roster()).register(registration);
    this.#rooms.dispatcher.wake();
    return view;
  }

  async drainAgent(tenant: TenantId, id: AgentId): Promise<AgentView> {
    return (await this.#roster()).drain(tenant, id);
  }

  async removeAgent(tenant: TenantId, id: AgentId): Promise<void> {
    await (await this.#roster()).remove(tenant, id);
  }

  canaries(): CanaryView {
    return this.#rooms.canaries.view;
  }

  setCanaries(settings: CanarySettings, setBy: string): Promise<CanaryView> {
    return this.#rooms.canaries.set(settings, setBy);
  }

  get pipes(): Pipes {
    return this.#rooms.pipes;
  }

  nodes(): readonly NodeView[] {
    return this.#rooms.nodes.list();
  }

  get leads(): boolean {
    return this.#rooms.nodes.leads;
  }

  endpoints(tenant: TenantId): readonly EndpointView[] {
    return this.#rooms.endpoints.list(tenant);
  }

  wakeOutbox(): void {
    this.#rooms.outbox.wake();
  }

  changes(tenant: TenantId, key: TaskKey | null, signal: AbortSignal): AsyncIterable<void> {
    return this.#rooms.signals.changes(tenant, key, signal);
  }

  onEnd(key: TaskKey, wake: () => void): () => void {
    return this.#rooms.signals.onEnd(key, wake);
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
      ...(measure.database === undefined ? {} : { database: measure.database }),
      stalledMs: this.#rooms.dispatcher.stalledMs,
      claimP99Ms: this.#rooms.claims.p99Ms,
      search: this.memory.measure(),
      draining: this.#draining,
    };
  }

  /** Takes no new work any more. */
  get draining(): boolean {
    return this.#draining;
  }

  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    this.#rooms.work.endPolls();
    await this.#rooms.nodes.drain();
    await this.#local?.drain(graceMs);
    this.#rooms.dispatcher.close();
    await this.#rooms.reuse.drain();
  }

  flushJournal(): Promise<void> {
    return this.#rooms.journal.flush();
  }

  async #startLocal(): Promise<void> {
    const { log, clock, store, executors } = this.#parts;
    const { serverId, tenantOfServer, region, labels, capacity, slotsPerType, leaseMs } = this.#options;
    const place = region === undefined ? {} : { region };
    const lanes = executors
      .filter(executor => executor.status().available)
      .map(executor => ({ executor, slots: slotsPerType === 0 ? 0 : (executor.slots ?? slotsPerType) }));
    const { agent } = await this.#rooms.roster.register({
      tenant: tenantOfServer,
      id: serverId,
      kind: 'local',
      types: lanes.flatMap(({ executor }) => workTypesOf(executor)),
      capabilities: [],
      slots: lanes.reduce((sum, { slots }) => sum + slots, 0),
      capacity,
      ...place,
      ...(labels === undefined ? {} : { labels }),
    });
    await this.#rooms.nodes.offer(agent);
    const worker = { agentId: serverId, leaseMs, lanes, ...place };
    this.#local = new LocalWorker(log, clock, store, this.#rooms, worker);
    this.#local.start();
  }

  async #stop(): Promise<void> {
    for (const cancel of this.#periodic) cancel();
    await this.#agentsElsewhere.stop();
    await this.drain(this.#options.drainMs);
    await this.schedules.stop();
    await this.memory.stop();
    await this.#rooms.sweeper.stop();
    await this.#rooms.outbox.stop();
    await this.#rooms.endpoints.stop();
    await this.#rooms.bars.stop();
    await this.#rooms.journal.stop();
    await this.#rooms.statistics.save();
    await this.#rooms.canaries.stop();
    await this.#rooms.nodes.stop();
    const { channels, executors } = this.#parts;
    await Promise.all([
      ...executors.map(executor => executor.stop()),
      ...channels.map(channel => channel.stop()),
    ]);
  }

  /** The agents as they are, whichever node was told of them last. */
  async #roster(): Promise<Roster> {
    const { roster } = this.#rooms;
    if (this.#parts.store.capabilities.shared) await roster.load();
    return roster;
  }

  async #recount(): Promise<void> {
    const { roster, attempts } = this.#rooms;
    const { store, quotas } = this.#parts;
    if (!roster.hasOthersToCount && !quotas.countsRunning) return;
    const leases = store.leases({});
    await Promise.all([attempts.recount(leases), quotas.recount(leases)]);
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
