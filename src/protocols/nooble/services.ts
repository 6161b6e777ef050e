// Which services there are beside those built in: agents that bear a service's name or its role. A registered one takes a built-in one's
// place in its tenant (`NOOB-109`, `NOOB-132`, `NOOB-136`).

import { INSIDE_PREFIX } from '../../domain/agent.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { AgentView } from '../../engine/api.ts';
import type { Directory } from '../../engine/mailroom/directory.ts';
import type { Caller } from '../dialect/dialect.ts';
import { isBuiltIn, roleOf, serviceOf } from './vocabulary.ts';

/** The agents inside this server that do what built-in services are asked, one a service; their names begin so. */
export const OWN_PREFIX = `${INSIDE_PREFIX}nooble.`;

/** The services a tenant has. */
export class Services {
  readonly #directory: () => Directory;

  constructor(directory: () => Directory) {
    this.#directory = directory;
  }

  /** Agents that are the service, alive or not. */
  async agentsOf(tenant: TenantId, service: string): Promise<readonly AgentView[]> {
    return (await this.#agents(tenant)).filter(({ agent }) => isOf(agent, service));
  }

  /** Whether an agent elsewhere is the service, in place of the one built in. */
  async isElsewhere(tenant: TenantId, service: string): Promise<boolean> {
    return (await this.agentsOf(tenant, service)).length > 0;
  }

  /** Whether there ever was such a service and it did not sign off. */
  async isKnown(tenant: TenantId, service: string): Promise<boolean> {
    if (isBuiltIn(service) || (await this.isElsewhere(tenant, service))) return true;
    // It may have registered a moment ago.
    this.#directory().forget(tenant);
    return this.isElsewhere(tenant, service);
  }

  /** Names of all services that agents are. */
  async names(tenant: TenantId): Promise<readonly string[]> {
    const names = (await this.#agents(tenant)).flatMap(({ agent }) => [
      serviceOf(agent.id),
      ...(agent.roles ?? [])
        .filter(role => role.startsWith('nooble:'))
        .map(role => role.slice('nooble:'.length)),
    ]);
    return [...new Set(names)];
  }

  /** The agent of that name, or null. */
  async agent(tenant: TenantId, id: string): Promise<AgentView | null> {
    const find = async (): Promise<AgentView | null> =>
      (await this.#agents(tenant)).find(({ agent }) => agent.id === id) ?? null;
    const found = await find();
    if (found !== null) return found;
    this.#directory().forget(tenant);
    return find();
  }

  async #agents(tenant: TenantId): Promise<readonly AgentView[]> {
    const agents = await this.#directory().agents(tenant);
    return agents.filter(({ agent }) => agent.kind !== 'local' && !agent.id.startsWith(OWN_PREFIX));
  }
}

/** Whether the caller's credentials are bound to the service. */
export function isBound(caller: Caller, service: string): boolean {
  const { agentId, agent, isOperator } = caller;
  if (isOperator) return true;
  if (agentId === null) return false;
  return serviceOf(agentId) === service || (agent?.agent.roles ?? []).includes(roleOf(service));
}

function isOf(agent: { readonly id: AgentId; readonly roles?: readonly string[] }, service: string): boolean {
  return serviceOf(agent.id) === service || (agent.roles ?? []).includes(roleOf(service));
}
