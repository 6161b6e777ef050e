// Which agents there are, what they can do and how they are. Agents are documents, so that any node knows them; how busy they
// are is counted from the attempts under way, those that other nodes gave out included.

import { AGENT_SILENCE_MS, type Agent, canRun, fits, isCanary, mayRunIn } from '../domain/agent.ts';
import { DomainError } from '../domain/errors.ts';
import { type AgentId, DEFAULT_TENANT, type TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import { capabilitiesOf, type QueueName } from '../domain/queue.ts';
import { type ResourceLimits, type TaskSpec, type WorkType, workTypeOf } from '../domain/task.ts';
import { Batcher } from '../runtime/batcher.ts';
import type { Clock } from '../runtime/clock.ts';
import type { LeaseRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { AgentRegistration, AgentView } from './api.ts';
import type { Breakers } from './breakers.ts';
import { refuseUntrusted } from './reserved-work.ts';
import { AgentDocuments, keyOf } from './roster-documents.ts';
import { added, NO_LOAD } from './roster-load.ts';
import {
  AGENT_SLOTS_MAX,
  busyOf,
  errorRateOf,
  freeOf,
  healthOf,
  type Member,
  newMember,
  type RosterRules,
  type Standing,
  saysSomethingNew,
} from './roster-member.ts';
import { Members } from './roster-members.ts';

const SEEN_WRITE_MS = 20_000;
const RUNS_KEPT = 50;
/** So long what a type needs is thought to be loaded still (`SAM-109`). */
const WARM_MS = 600_000;

/** All agents of all tenants; an agent of the pool (tenant null in `serves`) works for everyone. */
export class Roster {
  readonly #clock: Clock;
  readonly #documents: AgentDocuments;
  readonly #bars: Pick<Breakers, 'note' | 'isOpen'>;
  /** Whoever asks while a reading is under way waits for one that began later. */
  readonly #readings = new Batcher<null, null>(async asked => {
    await this.#read();
    return asked.map(() => null);
  });
  readonly #members = new Members<Member>();
  /** Agents inside nodes serve every tenant. */
  readonly #pool = new Set<string>();
  /** Those of them that are inside other nodes. */
  readonly #abroad = new Set<string>();
  /** Nodes that were canaries when they were last heard of: what they ran is judged after they are gone. */
  readonly #goneCanaries = new Set<AgentId>();
  readonly #rules: RosterRules;
  #registered = 0;

  constructor(
    clock: Clock,
    store: Pick<Store, 'documents' | 'putDocuments'>,
    bars: Pick<Breakers, 'note' | 'isOpen'>,
    rules: RosterRules,
  ) {
    this.#clock = clock;
    this.#bars = bars;
    this.#rules = rules;
    this.#documents = new AgentDocuments(store);
  }

  /** How often agents were registered here. */
  get registered(): number {
    return this.#registered;
  }

  /** Learns which agents there are and what is said of them, as of the call or later, here or on another node (`SAM-233`). */
  async load(): Promise<void> {
    await this.#readings.add(null);
  }

  /** The agents inside other nodes, which serve every tenant for as long as those live, and how many tasks each runs. */
  inOtherNodes(agents: readonly { readonly agent: Agent; readonly running: number }[]): void {
    const living = new Set(agents.map(({ agent }) => keyOf(agent.tenant, agent.id)));
    for (const key of this.#abroad) {
      if (living.has(key)) continue;
      const gone = this.#members.get(key)?.agent;
      if (gone !== undefined && isCanary(gone)) this.#goneCanaries.add(gone.id);
      this.#abroad.delete(key);
      this.#pool.delete(key);
      this.#members.delete(key);
    }
    for (const { agent, running } of agents) {
      const key = keyOf(agent.tenant, agent.id);
      const member = this.#members.get(key) ?? newMember(agent, undefined);
      Object.assign(member, { agent, busy: running });
      this.#members.set(key, member);
      this.#goneCanaries.delete(agent.id);
      this.#abroad.add(key);
      this.#pool.add(key);
    }
  }

  /** Adds or renews an agent; a draining one stays draining until removed. */
  async register(registration: AgentRegistration): Promise<AgentView> {
    refuseUntrusted(registration, this.#rules.reserved);
    const now = this.#clock.now();
    const { schemas, ...rest } = registration;
    const key = keyOf(rest.tenant, rest.id);
    const known = this.#members.get(key);
    const kept = {
      ...(known?.agent.roles === undefined ? {} : { roles: known.agent.roles }),
      ...(known?.agent.labels === undefined ? {} : { labels: known.agent.labels }),
    };
    const agent: Agent = {
      ...kept,
      ...rest,
      slots: Math.min(rest.slots, AGENT_SLOTS_MAX),
      draining: known?.agent.draining ?? false,
      registeredAt: known?.agent.registeredAt ?? now,
      seenAt: now,
    };
    const member = known ?? newMember(agent, schemas);
    member.agent = agent;
    member.holdsMost = agent.slots;
    if (schemas !== undefined) member.schemas = schemas;
    this.#members.set(key, member);
    this.#registered++;
    if (agent.kind === 'local') this.#pool.add(key);
    else await this.#write(member);
    return this.#view(member);
  }

  /** Notes that an agent spoke, registering or re-registering it where what it says of itself is new (`SAM-135`). */
  async hear(registration: Omit<AgentRegistration, 'slots'>, asked: number): Promise<void> {
    const key = keyOf(registration.tenant, registration.id);
    const member = this.#members.get(key);
    if (member === undefined) {
      // One that just registered with another node must not be taken for one that never did.
      await this.load();
      if (this.#members.get(key) !== undefined) return this.hear(registration, asked);
      await this.register({ ...registration, slots: AGENT_SLOTS_MAX });
      const made = this.#members.get(key);
      if (made !== undefined) made.holdsMost = asked;
      return;
    }
    const holdsMost = Math.max(member.holdsMost, busyOf(member) + asked);
    // A SAM agent is as it was registered: the bridge that speaks for it adds nothing (SAM-98).
    if (member.agent.kind !== 'sam' && saysSomethingNew(member.agent, registration)) {
      await this.register({ ...registration, slots: member.agent.slots });
      member.holdsMost = holdsMost;
      return;
    }
    member.holdsMost = holdsMost;
    const now = this.#clock.now();
    member.agent = { ...member.agent, seenAt: now };
    if (now - member.writtenAt <= SEEN_WRITE_MS) return;
    member.writtenAt = now;
    // That it was heard of is no reason to undo what another node was told of it.
    if (!(await this.#documents.renew(member))) await this.load();
  }

  /** The tenant's agents and those of the pool, by id. */
  list(tenant: TenantId): readonly AgentView[] {
    return [...this.#serving(tenant)]
      .map(member => this.#view(member))
      .sort((a, b) => (a.agent.id < b.agent.id ? -1 : 1));
  }

  /** Marks an agent as taking no more work; throws `not_found`. */
  async drain(tenant: TenantId, id: AgentId): Promise<AgentView> {
    const member = this.#find(tenant, id);
    member.agent = { ...member.agent, draining: true };
    await this.#write(member);
    return this.#view(member);
  }

  /** Forgets an agent; throws `not_found`. */
  async remove(tenant: TenantId, id: AgentId): Promise<void> {
    this.#find(tenant, id);
    this.#members.delete(keyOf(tenant, id));
    await this.#documents.remove(tenant, id);
  }

  /** Agents that could run the task some day, well or not: none means it can never run here (`SAM-45`). */
  capable(tenant: TenantId, spec: TaskSpec): readonly AgentView[] {
    return [...this.#permitted(tenant)]
      .filter(({ agent }) => canRun(agent, spec))
      .map(member => this.#view(member));
  }

  /** Whether any agent could run the task some day; cheap enough for every submit. */
  canEverRun(tenant: TenantId, spec: TaskSpec): boolean {
    for (const member of this.#permitted(tenant)) if (canRun(member.agent, spec)) return true;
    return false;
  }

  /** Slots of all agents that could run the task, busy or not. */
  slotsFor(tenant: TenantId, spec: TaskSpec): number {
    let slots = 0;
    for (const member of this.#permitted(tenant)) if (canRun(member.agent, spec)) slots += member.agent.slots;
    return slots;
  }

  /** The schemas a worker registered for a custom type, if any (`SAM-175`). */
  schemasOf(
    tenant: TenantId,
    typeName: string,
  ): { readonly input?: JsonObject; readonly output?: JsonObject } | null {
    for (const member of this.#members.of(tenant)) {
      const found = member.schemas?.[typeName];
      if (found !== undefined) return found;
    }
    return null;
  }

  /**
   * Slots the agent may still be given now, over all nodes but for what another gave it in the last 2 s; 0 while draining, offline or barred
   * (`SAM-54`, `SAM-113`, `SAM-136`).
   */
  room(tenant: TenantId, id: AgentId): number {
    const member = this.#members.get(keyOf(tenant, id));
    return member === undefined ? 0 : this.#room(member);
  }

  /** Tasks like this that agents elsewhere, online and under their limits, can take before one must wait (`SAM-40`). */
  spareFor(tenant: TenantId, spec: TaskSpec): number {
    let spare = 0;
    for (const member of this.#permitted(tenant)) {
      if (member.agent.kind === 'local' || !canRun(member.agent, spec)) continue;
      if (fits(spec.resources, freeOf(member))) spare += this.#spare(member);
    }
    return spare;
  }

  /** Tasks of the queue that those of its agents that are meant, here and elsewhere, can take now; 0 too where there are none. */
  spareOf(name: QueueName, isMeant: (agent: Agent) => boolean): number {
    let spare = 0;
    for (const member of this.#online(name)) if (isMeant(member.agent)) spare += this.#spare(member);
    return spare;
  }

  /** Whether one that is meant is there for the queue's tasks, busy or not. */
  serves(name: QueueName, isMeant: (agent: Agent) => boolean): boolean {
    for (const { agent } of this.#online(name)) if (isMeant(agent)) return true;
    return false;
  }

  /** Whether the agent, or the node of that name, is a canary, also once it is gone (`SAM-228`). */
  isCanary(tenant: TenantId, id: AgentId): boolean {
    const member = this.#members.get(keyOf(tenant, id)) ?? this.#members.get(keyOf(DEFAULT_TENANT, id));
    return member === undefined ? this.#goneCanaries.has(id) : isCanary(member.agent);
  }

  /** Whether the agent is this process itself. */
  isLocal(tenant: TenantId, id: AgentId): boolean {
    return this.#pool.has(keyOf(tenant, id));
  }

  /** What the agent has left of the resources it declared. */
  free(tenant: TenantId, id: AgentId): ResourceLimits {
    const member = this.#members.get(keyOf(tenant, id));
    return member === undefined ? {} : freeOf(member);
  }

  /**
   * Share of its slots in use; then 0 where it has run one of the wanted types lately, so that its environment is warm, else 1; then the
   * share of its recent runs that failed: the lowest is served first (`SAM-113`).
   */
  standing(tenant: TenantId, id: AgentId, wanted: ReadonlySet<WorkType>): Standing {
    const member = this.#members.get(keyOf(tenant, id));
    if (member === undefined) return { busyShare: 1, coldness: 1, errorRate: 0 };
    const warmSince = this.#clock.now() - WARM_MS;
    const isWarm = [...member.ranAt].some(([type, at]) => at >= warmSince && wanted.has(type));
    const busyShare = busyOf(member) / Math.max(1, member.agent.slots);
    return { busyShare, coldness: isWarm ? 0 : 1, errorRate: errorRateOf(member) };
  }

  /** Counts an attempt begun. */
  took(tenant: TenantId, id: AgentId, spec: TaskSpec): void {
    const member = this.#members.get(keyOf(tenant, id));
    if (member === undefined) return;
    member.busy++;
    member.ranAt.set(workTypeOf(spec), this.#clock.now());
    Object.assign(member.reserved, added(member.reserved, spec.resources, 1));
  }

  /** Counts an attempt over; agent errors (not the task's own) strike, and five bar the agent a while (`SAM-113`). */
  gaveBack(
    tenant: TenantId,
    id: AgentId,
    needs: ResourceLimits,
    how: 'completed' | 'failed' | 'agent_error' | 'returned',
  ): void {
    const member = this.#members.get(keyOf(tenant, id));
    if (member === undefined) return;
    member.busy = Math.max(0, member.busy - 1);
    Object.assign(member.reserved, added(member.reserved, needs, -1));
    if (how === 'returned') return;
    member.failures.push(how !== 'completed');
    if (member.failures.length > RUNS_KEPT) member.failures.shift();
    this.#bars.note(tenant, id, how !== 'agent_error');
  }

  /** Whether agents elsewhere are online, whom other nodes may give tasks too. */
  get hasOthersToCount(): boolean {
    const since = this.#clock.now() - AGENT_SILENCE_MS;
    for (const { agent } of this.#members.values())
      if (agent.kind !== 'local' && agent.seenAt > since) return true;
    return false;
  }

  /** Counts these leases against their agents, in place of what other nodes were thought to have given them. */
  countElsewhere(leases: readonly LeaseRow[]): void {
    for (const member of this.#members.values()) if (member.elsewhere.busy > 0) member.elsewhere = NO_LOAD;
    for (const { tenant, agentId, needs } of leases) {
      const member = this.#members.get(keyOf(tenant, agentId));
      if (member === undefined || member.agent.kind === 'local') continue;
      const { busy, reserved } = member.elsewhere;
      member.elsewhere = { busy: busy + 1, reserved: added(reserved, needs, 1) };
    }
  }

  async #read(): Promise<void> {
    const { records, isOutdated } = await this.#documents.read();
    for (const [key, { agent, schemas }] of records) {
      const known = this.#members.get(key);
      if (known === undefined && !isOutdated(key)) this.#members.set(key, newMember(agent, schemas));
      if (known === undefined || isOutdated(key)) continue;
      if (agent.slots !== known.agent.slots) known.holdsMost = agent.slots;
      known.agent = { ...agent, seenAt: Math.max(agent.seenAt, known.agent.seenAt) };
      known.schemas = schemas;
    }
    for (const key of this.#members.keys())
      if (!records.has(key) && !this.#pool.has(key) && !isOutdated(key)) this.#members.delete(key);
  }

  *#serving(tenant: TenantId): Iterable<Member> {
    yield* this.#members.of(tenant);
    for (const key of this.#pool) {
      const member = this.#members.get(key);
      if (member !== undefined && member.agent.tenant !== tenant) yield member;
    }
  }

  /** Those that serve the tenant where its tasks may run. */
  *#permitted(tenant: TenantId): Iterable<Member> {
    const regions = this.#rules.regionsOf(tenant);
    for (const member of this.#serving(tenant)) if (mayRunIn(member.agent.region, regions)) yield member;
  }

  *#online(name: QueueName): Iterable<Member> {
    const needs = capabilitiesOf(name);
    for (const member of this.#permitted(name.tenant)) {
      const { types, capabilities, region } = member.agent;
      if (!types.includes(name.workType) || !needs.every(one => capabilities.includes(one))) continue;
      if (name.region !== null && name.region !== region) continue;
      const health = healthOf(member, this.#clock.now());
      if (health !== 'offline' && health !== 'draining') yield member;
    }
  }

  #spare(member: Member): number {
    const room = this.#room(member);
    return member.agent.kind === 'local'
      ? room
      : Math.max(0, Math.min(room, member.holdsMost - busyOf(member)));
  }

  #room(member: Member): number {
    const health = healthOf(member, this.#clock.now());
    if (health === 'draining' || health === 'offline') return 0;
    if (this.#bars.isOpen(member.agent.tenant, member.agent.id)) return 0;
    return Math.max(0, member.agent.slots - busyOf(member));
  }

  #find(tenant: TenantId, id: AgentId): Member {
    const member = this.#members.get(keyOf(tenant, id));
    if (member === undefined) throw new DomainError('not_found', `there is no agent ${id}`);
    return member;
  }

  #view(member: Member): AgentView {
    return {
      agent: member.agent,
      health: healthOf(member, this.#clock.now()),
      busy: busyOf(member),
      free: freeOf(member),
      errorRate: errorRateOf(member),
    };
  }

  async #write(member: Member): Promise<void> {
    member.writtenAt = this.#clock.now();
    await this.#documents.write(member);
  }
}
