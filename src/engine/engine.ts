// The engine: answers for its rooms. Whoever wants to know how a task moves starts here and follows one name at a time: intake,
// dispatch, local or work, settlement, outbox, sweeper.

import { DomainError } from '../domain/errors.ts';
import type { AgentId, TaskId, TaskKey, TenantId } from '../domain/ids.ts';
import type { LimitModes, ResourceLimits, Task, TaskSpec } from '../domain/task.ts';
import { workTypeOf } from '../domain/task.ts';
import { hasEnded } from '../domain/transitions.ts';
import type { Cancel } from '../runtime/clock.ts';
import type { Service } from '../runtime/service.ts';
import { obeyInstructions } from './acknowledgement.ts';
import type {
  Admission,
  AgentRegistration,
  AgentView,
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
import { LocalWorker } from './local.ts';
import { workTypesOf } from './ports/executor.ts';
import { takeUpAgain } from './restart.ts';
import { purge } from './retention.ts';
import { type EngineOptions, type EngineParts, furnish, type Rooms } from './rooms.ts';
import { Schedules } from './schedules.ts';

export type { EngineOptions, EngineParts } from './rooms.ts';

const SAVE_MS = 60_000;
/** Hints of other nodes may be lost: so often everyone looks without one. */
const LISTEN_ANEW_MS = 5_000;
/** So often is counted what other nodes gave agents and run of tenants; an end shows at the second count. */
const RECOUNT_MS = 900;
/** A day's purge in hourly portions, so that a server that is restarted every night purges too. */
const PURGE_MS = 3_600_000;

/** A running engine. */
export class Engine implements EngineApi, Service {
  readonly #parts: EngineParts;
  readonly #options: EngineOptions;
  readonly #rooms: Rooms;
  /** Orders handed in again and again. */
  readonly schedules: Schedules;
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
    this.schedules = new Schedules(parts.log, parts.clock, parts.store, {
      submit: orders => this.submit(orders),
      cancel: call => this.cancel(call),
      check: order => this.#rooms.intake.check(order),
      leads: () => this.#rooms.nodes.leads,
    });
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
    this.#rooms.outbox.start();
    this.schedules.start();
    this.#repeat(SAVE_MS, () => this.#rooms.statistics.save());
    this.#repeat(PURGE_MS, async () => {
      if (nodes.leads) await purge(log, clock, store, blobs);
    });
    if (!store.capabilities.shared) return;
    this.#periodic.push(
      hearOthers(store, { ...this.#rooms, schedules: this.schedules }, error =>
        log.warn('a hint led nowhere', { error: String(error) }),
      ),
    );
    this.#repeat(RECOUNT_MS, () => this.#recount());
    this.#repeat(LISTEN_ANEW_MS, async () => {
      signals.ring(null);
      await this.#rooms.roster.load();
    });
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
    return defaultResources(this.#rooms.executors, spec.type);
  }

  limitModes(task: Pick<Task, 'agentId' | 'spec'>): LimitModes {
    return limitModes(this.#rooms.executors, task, this.#options.serverId);
  }

  async cancel(call: ControlCall & { readonly graceMs?: number }): Promise<Task> {
    const { tenant, actor } = call;
    const task = await this.task(tenant, call.id);
    // First, so that a crash in between cannot leave undone what the task was to see to.
    const farewell =
      task.outcome === null ? this.#rooms.executors.get(task.spec.type)?.farewell?.(task) : null;
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
    const spec: TaskSpec = { ...task.spec, retryOf: task.id, submittedBy: call.actor, dependsOn: [] };
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

  async agents(tenant: TenantId): Promise<readonly AgentView[]> {
    return this.#rooms.roster.list(tenant);
  }

  async registerAgent(registration: AgentRegistration): Promise<AgentView> {
    for (const { input, output } of Object.values(registration.schemas ?? {})) {
      if (input !== undefined) await this.#parts.schemas.admit(input, 'schemas.input');
      if (output !== undefined) await this.#parts.schemas.admit(output, 'schemas.output');
    }
    const view = await this.#rooms.roster.register(registration);
    this.#rooms.dispatcher.wake();
    return view;
  }

  drainAgent(tenant: TenantId, id: AgentId): Promise<AgentView> {
    return this.#rooms.roster.drain(tenant, id);
  }

  removeAgent(tenant: TenantId, id: AgentId): Promise<void> {
    return this.#rooms.roster.remove(tenant, id);
  }

  canaries(): CanaryView {
    return this.#rooms.canaries.view;
  }

  setCanaries(settings: CanarySettings, setBy: string): Promise<CanaryView> {
    return this.#rooms.canaries.set(settings, setBy);
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
    await this.drain(this.#options.drainMs);
    await this.schedules.stop();
    await this.#rooms.sweeper.stop();
    await this.#rooms.outbox.stop();
    await this.#rooms.endpoints.stop();
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

  async #recount(): Promise<void> {
    const { roster, attempts } = this.#rooms;
    const { store, quotas } = this.#parts;
    if (!roster.hasOthersToCount && !quotas.countsRunning) return;
    const leases = store.leases({});
    await Promise.all([attempts.recount(leases), quotas.recount(leases)]);
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
