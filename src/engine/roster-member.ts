// One agent as the roster keeps it: what it said of itself, what it holds, and how its last runs went.

import { AGENT_SILENCE_MS, type Agent, type AgentHealth } from '../domain/agent.ts';
import type { TenantId } from '../domain/ids.ts';
import type { ResourceLimits, WorkType } from '../domain/task.ts';
import type { AgentRegistration } from './api.ts';
import type { ReservedWork } from './reserved-work.ts';
import { added, type Load, left, NO_LOAD } from './roster-load.ts';

/** Tasks an agent runs at once at most (`SAM-54`). */
export const AGENT_SLOTS_MAX = 100;

/** Where a tenant's tasks may run, and what no agent elsewhere may do. */
export interface RosterRules {
  readonly regionsOf: (tenant: TenantId) => readonly string[] | undefined;
  readonly reserved: ReservedWork;
}

/** How an asking agent stands beside others; of each figure the lower is the better. */
export interface Standing {
  readonly busyShare: number;
  readonly coldness: 0 | 1;
  readonly errorRate: number;
}

/** An agent, and what is known of its work here. */
export interface Member {
  agent: Agent;
  schemas: AgentRegistration['schemas'];
  writtenAt: number;
  /** Whether each of the last runs failed. */
  readonly failures: boolean[];
  busy: number;
  /** What other nodes gave it, as of the last look at the leases. */
  elsewhere: Load;
  /** Tasks it can hold at once: what it was registered with, else the most it has been seen to hold and ask for together. */
  holdsMost: number;
  /** When it last began a task of each of its types. */
  readonly ranAt: Map<WorkType, number>;
  readonly reserved: Required<ResourceLimits>;
}

/** An agent of whose work nothing is known yet. */
export function newMember(agent: Agent, schemas: AgentRegistration['schemas']): Member {
  return {
    agent,
    schemas,
    writtenAt: 0,
    failures: [],
    busy: 0,
    elsewhere: NO_LOAD,
    ranAt: new Map(),
    // The most there is says nothing of what the agent can do: that shows when it asks.
    holdsMost: agent.slots < AGENT_SLOTS_MAX ? agent.slots : 0,
    reserved: { ...NO_LOAD.reserved },
  };
}

/** Whether what an agent says of itself differs from what it was registered with. */
export function saysSomethingNew(agent: Agent, said: Omit<AgentRegistration, 'slots'>): boolean {
  return (
    agent.version !== said.version ||
    agent.region !== said.region ||
    (said.labels !== undefined && said.labels.join() !== (agent.labels ?? []).join()) ||
    said.types.some(type => !agent.types.includes(type)) ||
    said.capabilities.some(capability => !agent.capabilities.includes(capability))
  );
}

/** Tasks it holds, given by whichever node. */
export function busyOf({ busy, elsewhere }: Member): number {
  return busy + elsewhere.busy;
}

function reservedOf({ reserved, elsewhere }: Member): Required<ResourceLimits> {
  return elsewhere.busy === 0 ? reserved : added(reserved, elsewhere.reserved, 1);
}

/** How an agent is at this instant (`SAM-136`). */
export function healthOf(member: Member, now: number): AgentHealth {
  const { agent } = member;
  if (agent.draining) return 'draining';
  if (agent.kind === 'worker' && now - agent.seenAt > AGENT_SILENCE_MS) return 'offline';
  const { memoryMb, cpuCores } = agent.capacity;
  const reserved = reservedOf(member);
  const tight = [
    [reserved.memoryMb, memoryMb],
    [reserved.cpuCores, cpuCores],
  ].some(([used = 0, total]) => total !== undefined && used > 0.9 * total);
  return errorRateOf(member) > 0.05 || tight ? 'degraded' : 'healthy';
}

/** What that leaves of what it declared; what it did not declare stays unlimited. */
export function freeOf(member: Member): ResourceLimits {
  return left(member.agent.capacity, reservedOf(member));
}

/** Share of its last runs that failed. */
export function errorRateOf(member: Member): number {
  if (member.failures.length === 0) return 0;
  return member.failures.filter(Boolean).length / member.failures.length;
}
