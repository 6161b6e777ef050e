// Who there is to read an inbox: the tenant's agents by name and role, as of a moment ago.

import type { AgentId, TenantId } from '../../domain/ids.ts';
import { type InboxName, inboxOfAgent } from '../../domain/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { AgentView, EngineApi } from '../api.ts';

const FRESH_MS = 500;
/** Who is not there is looked for again after so long, for it may have registered with another node; at once if anybody did here. */
const MISS_MS = 20;
const TENANTS_MAX = 10_000;

/** What was seen when a tenant's agents were looked at. */
interface Look {
  readonly at: number;
  readonly registered: number;
  readonly agents: Promise<readonly AgentView[]>;
}

/** The agents of all tenants, half a second old at most. */
export class Directory {
  readonly #clock: Clock;
  readonly #engine: Pick<EngineApi, 'agents' | 'agentsRegistered'>;
  readonly #tenants = new Map<TenantId, Look>();

  constructor(clock: Clock, engine: Pick<EngineApi, 'agents' | 'agentsRegistered'>) {
    this.#clock = clock;
    this.#engine = engine;
  }

  /** The tenant's agents, those inside servers included. */
  agents(tenant: TenantId): Promise<readonly AgentView[]> {
    const now = this.#clock.monotonic();
    const known = this.#tenants.get(tenant);
    if (known !== undefined && now - known.at < FRESH_MS) return known.agents;
    if (this.#tenants.size >= TENANTS_MAX) this.#tenants.clear();
    const { agentsRegistered: registered } = this.#engine;
    const agents = this.#engine.agents(tenant);
    this.#tenants.set(tenant, { at: now, registered, agents });
    agents.catch(() => this.#tenants.delete(tenant));
    return agents;
  }

  /** The agent of that name, or null; one that registered a moment ago is found. */
  async agent(tenant: TenantId, id: string): Promise<AgentView | null> {
    const isIt = ({ agent }: AgentView): boolean => agent.id === id && agent.kind !== 'local';
    const found = (await this.agents(tenant)).find(isIt);
    if (found !== undefined) return found;
    const known = this.#tenants.get(tenant);
    if (known !== undefined && this.#isOver(known)) this.forget(tenant);
    return (await this.agents(tenant)).find(isIt) ?? null;
  }

  /** Whether who was missing then may be there by now. */
  #isOver({ at, registered }: Look): boolean {
    return registered !== this.#engine.agentsRegistered || this.#clock.monotonic() - at > MISS_MS;
  }

  /** The agent of that name as it is at this instant where it has GPUs, which it may have taken up just now; else as `agent`. */
  async now(tenant: TenantId, id: string): Promise<AgentView | null> {
    const known = await this.agent(tenant, id);
    if (known?.agent.capacity.gpuUnits === undefined) return known;
    this.forget(tenant);
    return this.agent(tenant, id);
  }

  /** Agents that are there to read the inbox: of that name, or with that role, and not offline. */
  async readersOf(tenant: TenantId, inbox: InboxName): Promise<readonly AgentId[]> {
    const agents = await this.agents(tenant);
    return agents
      .filter(({ agent, health }) => agent.kind !== 'local' && health !== 'offline')
      .filter(({ agent }) => inbox === inboxOfAgent(agent.id) || inboxesOfRoles(agent.roles).includes(inbox))
      .map(({ agent }) => agent.id);
  }

  /** What was registered just now shows at the next look. */
  forget(tenant: TenantId): void {
    this.#tenants.delete(tenant);
  }
}

/** The inboxes of roles, each named `<wire>:<role>`. */
export function inboxesOfRoles(roles: readonly string[] | undefined): readonly InboxName[] {
  return (roles ?? []).map(role => `role:${role}` as InboxName);
}
