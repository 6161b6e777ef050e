// Drives one SAM agent as a remote worker drives itself: asks the engine for as many tasks as the agent has slots, keeps their leases,
// and leads each at the agent. On several nodes one of them drives; another takes over when it falls silent.

import type { Agent } from '../../domain/agent.ts';
import { asDomainError } from '../../domain/errors.ts';
import type { FencingToken } from '../../domain/ids.ts';
import type { Task } from '../../domain/task.ts';
import type { EngineApi, WorkAnswer, WorkLease, WorkRequest } from '../../engine/api.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Documents } from '../../guards/documents.ts';
import { type Cancel, type Clock, pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Random } from '../../runtime/random.ts';
import { ArtifactCopier, type CopyDeps } from './artifacts.ts';
import { type AttemptDeps, type AttemptOptions, DelegatedAttempt, type Tidings } from './attempt.ts';
import { type RemoteAccess, type RemoteAnswer, RemoteClient } from './client.ts';
import { type Delegation, type Delegations, newDelegation } from './delegation.ts';
import { DrivingSeat } from './driving-seat.ts';
import type { AgentRef, Enrolments } from './enrolment.ts';
import { orderBody, traceparentOf } from './order.ts';

/** What a bridge is built from. */
export interface BridgeDeps extends CopyDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly engine: Pick<EngineApi, 'work' | 'agents' | 'task' | 'cancel'>;
  readonly store: CopyDeps['store'] & Documents;
  readonly outbound: Pick<Outbound, 'send'>;
  readonly enrolments: Enrolments;
  readonly delegations: Delegations;
}

/** How a bridge behaves; durations in milliseconds. */
export interface BridgeOptions extends AttemptOptions {
  readonly serverId: string;
  readonly version: string;
  /** Where agents send their webhooks: this server's `/api/v2/webhooks/task-completed`, absolute. */
  readonly receiverUrl: string;
  /** Whether other nodes may drive the same agents. */
  readonly shared: boolean;
}

const WAIT_MS = 20_000;
const HEARTBEAT_MS = { least: 200, most: 10_000, shareOfLease: 1 / 3 };
const IDLE_MS = 1_000;
/** A quicker empty answer than this means that there is no waiting: the engine drains. */
const HASTY_MS = 100;
const REST_MS = { first: 1_000, most: 60_000 };
const RETIRE_MS = 5_000;

/** One agent's bridge. */
export class AgentBridge {
  readonly #agent: AgentRef;
  readonly #deps: BridgeDeps;
  readonly #options: BridgeOptions;
  readonly #seat: DrivingSeat;
  readonly #attemptDeps: AttemptDeps;
  readonly #stop = new AbortController();
  /** Attempts that hold a lease. */
  readonly #leading = new Map<FencingToken, DelegatedAttempt>();
  readonly #running = new Map<DelegatedAttempt, Promise<void>>();
  #loop: Promise<void> = Promise.resolve();
  #heartbeat: Cancel = () => {};
  #heartbeatMs = HEARTBEAT_MS.most;
  /** Of the monotonic clock. */
  #heartbeatDueAt = Number.POSITIVE_INFINITY;
  #adopted = false;
  /** Ends the wait for tasks under way. */
  #asking = new AbortController();
  #restMs = 0;
  #restUntil = 0;
  #url: string | null = null;

  constructor(agent: AgentRef, deps: BridgeDeps, options: BridgeOptions) {
    this.#agent = agent;
    this.#deps = deps;
    this.#options = options;
    this.#seat = new DrivingSeat(agent, deps.clock, deps.random, deps.store, options);
    const client = new RemoteClient(deps.outbound, () => this.#access(), options);
    this.#attemptDeps = {
      log: deps.log,
      clock: deps.clock,
      engine: deps.engine,
      delegations: deps.delegations,
      client,
      copier: new ArtifactCopier(deps, client),
      order: (task, delegation) => this.#order(task, delegation),
      traceparent: task => traceparentOf(task, deps.random),
      tell: tidings => this.#tell(tidings),
      answered: answer => this.#restAfter(answer),
    };
  }

  /** Begins to drive. */
  start(): void {
    this.#loop = this.#drive();
    this.#beat();
  }

  /** Lets go; what is under way at the agent goes on, and is resumed by whoever drives next while its lease lasts. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the bridge stops'));
    this.#asking.abort();
    this.#heartbeat();
    await this.#loop;
    for (const attempt of this.#running.keys()) attempt.stop();
    await Promise.all(this.#running.values());
    await this.#seat.leave();
  }

  /** Cancels at the agent what this bridge leads there; resolves when it knows, or is not to be reached in time. */
  async retire(reason: string): Promise<void> {
    for (const attempt of this.#running.keys()) attempt.cancel(reason);
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#deps.clock.after(RETIRE_MS, resolve);
    await Promise.race([promise, Promise.all(this.#running.values())]);
    cancel();
  }

  /** Something was heard of a task: its attempt, if led here, looks at once. */
  wake(remoteId: string): void {
    for (const attempt of this.#running.keys()) if (attempt.remoteId === remoteId) attempt.wake();
  }

  async #drive(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (!(await this.#round())) await pause(clock, IDLE_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        log.warn('a SAM agent could not be driven; trying again', {
          agent: this.#agent.agentId,
          error: String(error),
        });
        await pause(clock, IDLE_MS, signal).catch(() => {});
      }
    }
  }

  /** One exchange with the engine; false where there was nothing to do and no waiting either. */
  async #round(): Promise<boolean> {
    const { clock } = this.#deps;
    if (!(await this.#seat.take())) {
      this.#letGo();
      return false;
    }
    const agent = await this.#registered();
    if (agent === null) return false;
    if (!this.#adopted) await this.#adopt();
    const restMs = this.#restUntil - clock.now();
    const startedAt = clock.monotonic();
    this.#asking = new AbortController();
    if (this.#stop.signal.aborted) return true;
    const answer = await this.#exchange(agent, {
      slots: restMs > 0 ? 0 : agent.slots,
      waitMs: restMs > 0 ? Math.min(restMs, WAIT_MS) : WAIT_MS,
      signal: this.#asking.signal,
    });
    const isEmpty = answer.leases.length === 0 && answer.cancellations.length === 0;
    return !isEmpty || clock.monotonic() - startedAt > HASTY_MS;
  }

  /** Another node drives now. */
  #letGo(): void {
    for (const attempt of this.#running.keys()) attempt.stop();
    this.#leading.clear();
    this.#adopted = false;
  }

  /** Leads on what an earlier process or another node began; whose lease is lost meanwhile is cancelled at the agent. */
  async #adopt(): Promise<void> {
    const open = await this.#deps.delegations.openAt(this.#agent);
    this.#adopted = true;
    const held = open.filter(one => one.state !== 'cancelling');
    if (held.length > 0) {
      const heartbeats = held.map(({ taskId, token }) => ({ taskId, token }));
      for (const delegation of held) this.#lead(delegation, null);
      await this.#tell({ heartbeats });
    }
    for (const delegation of open) if (delegation.state === 'cancelling') this.#lead(delegation, null);
  }

  #begin(lease: WorkLease): void {
    this.#heartbeatEvery(lease.expiresAt);
    const delegation = newDelegation(lease, this.#agent.agentId, this.#deps.clock.now());
    this.#lead(delegation, lease.task);
  }

  #lead(delegation: Delegation, leased: Task | null): void {
    const attempt = new DelegatedAttempt(this.#attemptDeps, this.#options, delegation, leased === null);
    if (delegation.state !== 'cancelling') this.#leading.set(delegation.token, attempt);
    const run = attempt.run(leased).finally(() => {
      this.#running.delete(attempt);
      if (this.#leading.get(delegation.token) === attempt) this.#leading.delete(delegation.token);
    });
    this.#running.set(attempt, run);
  }

  async #tell(tidings: Tidings): Promise<WorkAnswer> {
    const agent = await this.#registered();
    if (agent !== null) return this.#exchange(agent, tidings);
    // Nobody may speak for an agent that was removed: its tasks are lost to it.
    for (const attempt of this.#leading.values()) attempt.cancel('the agent was removed');
    return { leases: [], cancellations: [], extensions: [], rejected: [] };
  }

  async #exchange(agent: Agent, say: Partial<WorkRequest>): Promise<WorkAnswer> {
    const answer = await this.#deps.engine.work({
      tenant: agent.tenant,
      agentId: agent.id,
      types: agent.types,
      capabilities: agent.capabilities,
      ...(agent.region === undefined ? {} : { region: agent.region }),
      ...(agent.version === undefined ? {} : { version: agent.version }),
      capacity: agent.capacity,
      slots: 0,
      waitMs: 0,
      results: [],
      progress: [],
      logs: [],
      heartbeats: [],
      ...say,
    });
    for (const lease of answer.leases) this.#begin(lease);
    for (const { token, reason } of answer.cancellations) {
      this.#leading.get(token)?.cancel(reason);
      this.#leading.delete(token);
    }
    for (const { expiresAt } of answer.extensions) this.#heartbeatEvery(expiresAt);
    return answer;
  }

  async #registered(): Promise<Agent | null> {
    const views = await this.#deps.engine.agents(this.#agent.tenant);
    const found = views.find(({ agent }) => agent.id === this.#agent.agentId)?.agent;
    if (found?.kind !== 'sam' || found.url === undefined) return null;
    this.#url = found.url;
    return found;
  }

  /** Where the agent is, or was before it was removed: what it still does for this server is to be cancelled. */
  async #access(): Promise<RemoteAccess | null> {
    const [, enrolment] = await Promise.all([this.#registered(), this.#deps.enrolments.find(this.#agent)]);
    return this.#url === null ? null : { url: this.#url, credential: enrolment?.credential ?? null };
  }

  async #order(task: Task, { remoteId, agentId }: Delegation) {
    const enrolment = await this.#deps.enrolments.find(this.#agent);
    if (enrolment === null) throw new Error(`the agent ${agentId} is not enrolled`);
    const { serverId, receiverUrl } = this.#options;
    const [webhookSecret] = enrolment.webhookSecrets;
    return orderBody(task, { remoteId, serverId, agentId, receiverUrl, webhookSecret });
  }

  /**
   * An agent that cannot be reached, or lets nobody in, gets no more work for a while, a longer one each time; one that is full, for as
   * long as it says. Else it would fail one waiting task after the other that might run elsewhere.
   */
  #restAfter(answer: RemoteAnswer): void {
    const isClosed = answer.kind === 'refused' && (answer.status === 401 || answer.status === 403);
    const growing = answer.kind === 'unreachable' || isClosed;
    const wished = answer.kind === 'refused' ? Number(answer.error.details?.retry_after_ms ?? 0) : 0;
    this.#restMs = growing ? Math.min(REST_MS.most, Math.max(REST_MS.first, this.#restMs * 2)) : wished;
    this.#restUntil = this.#deps.clock.now() + this.#restMs;
    if (this.#restMs > 0) this.#asking.abort();
  }

  #heartbeatEvery(leaseExpiresAt: number): void {
    const { least, most, shareOfLease } = HEARTBEAT_MS;
    const leftMs = leaseExpiresAt - this.#deps.clock.now();
    this.#heartbeatMs = Math.min(most, Math.max(least, leftMs * shareOfLease));
    if (this.#deps.clock.monotonic() + this.#heartbeatMs < this.#heartbeatDueAt) this.#beat();
  }

  #beat(): void {
    this.#heartbeat();
    this.#heartbeatDueAt = this.#deps.clock.monotonic() + this.#heartbeatMs;
    this.#heartbeat = this.#deps.clock.after(this.#heartbeatMs, () => {
      this.#keepLeases()
        .catch(error =>
          this.#deps.log.warn('leases could not be kept', { error: asDomainError(error).message }),
        )
        .finally(() => {
          if (!this.#stop.signal.aborted) this.#beat();
        });
    });
  }

  async #keepLeases(): Promise<void> {
    if (this.#leading.size === 0) return;
    if (!(await this.#seat.take())) return;
    await this.#tell({ heartbeats: [...this.#leading.values()].map(attempt => attempt.ref) });
  }
}
