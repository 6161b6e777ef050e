// Agents: named participants that run work, local or remote, with what they can do and how they are.

import { DomainError } from './errors.ts';
import type { AgentId, TenantId } from './ids.ts';
import { type ResourceLimits, type TaskSpec, type WorkType, workTypeOf } from './task.ts';

/** How an agent is reached: in this process, by its own polling, or by SAM over HTTP (`SAM-98`). */
export type AgentKind = 'local' | 'worker' | 'sam';

/** An agent's condition (`SAM-136`); the last two get no work. */
export type AgentHealth = 'healthy' | 'degraded' | 'draining' | 'offline';

/** How the ids of agents begin that take work inside this server as any worker does; nobody outside bears one. */
export const INSIDE_PREFIX = 'inside.';

/** Throws `forbidden` where somebody outside would bear such an id. */
export function refuseInsideId(id: string): void {
  if (!id.startsWith(INSIDE_PREFIX)) return;
  throw new DomainError('forbidden', `agents of this server alone have ids that begin ${INSIDE_PREFIX}`, {
    details: { rule: 'agent_inside', agent_id: id },
  });
}

/** After this long without a word an agent is offline, in milliseconds (`SAM-136`). */
export const AGENT_SILENCE_MS = 90_000;

/** A registered agent. */
export interface Agent {
  readonly id: AgentId;
  readonly tenant: TenantId;
  readonly kind: AgentKind;
  readonly types: readonly WorkType[];
  readonly capabilities: readonly string[];
  /** What it answers to in messages, each `<wire>:<role>`: `army:writer`. */
  readonly roles?: readonly string[];
  /** Tasks it runs at once; at most 100 unless configured (`SAM-54`). */
  readonly slots: number;
  readonly capacity: ResourceLimits;
  readonly region?: string;
  /** Words of whoever runs it; `canary` sets it apart (`SAM-228`). */
  readonly labels?: readonly string[];
  readonly version?: string;
  readonly url?: string;
  readonly draining: boolean;
  readonly registeredAt: number;
  readonly seenAt: number;
}

/** The label of agents that are tried with a share of the tasks before the rest follow (`SAM-228`). */
export const CANARY = 'canary';

/** Whether the agent is one of those that are tried. */
export function isCanary({ labels = [] }: Pick<Agent, 'labels'>): boolean {
  return labels.includes(CANARY);
}

/** Whether tasks that may run in these regions alone, anywhere where absent, may run there; who has no region is in none (`SAM-225`). */
export function mayRunIn(region: string | undefined, regions: readonly string[] | undefined): boolean {
  return regions === undefined || (region !== undefined && regions.includes(region));
}

const GPU = 'gpu_units:';
const GPUS_MAX = 64;

/** What an agent with so many free GPUs can do: a task that needs some asks for an agent that can do that many. */
export function gpuAbilities(units: number): readonly string[] {
  const count = Math.min(GPUS_MAX, Math.max(0, Math.floor(units)));
  return Array.from({ length: count }, (_, index) => gpuAbility(index + 1));
}

/** The one a task of so many GPUs asks for. */
export function gpuAbility(units: number): string {
  return `${GPU}${units}`;
}

/** Whether an agent's declared types, capabilities, region and totals admit the task at all. */
export function canRun(agent: Agent, spec: TaskSpec): boolean {
  if (!agent.types.includes(workTypeOf(spec))) return false;
  // How many GPUs are free is known when it asks for work; whether it has so many at all is among the resources.
  const needed = (spec.requiredCapabilities ?? []).filter(one => !one.startsWith(GPU));
  if (needed.some(capability => !agent.capabilities.includes(capability))) return false;
  if (spec.region !== undefined && agent.region !== spec.region) return false;
  return fits(spec.resources, agent.capacity);
}

/** Whether the needs are within what there is; what is not declared is not limited, but for GPUs: those nobody has who does not say so. */
export function fits(needs: ResourceLimits, within: ResourceLimits): boolean {
  if ((needs.gpuUnits ?? 0) > (within.gpuUnits ?? 0)) return false;
  const keys = ['memoryMb', 'cpuCores', 'diskMb', 'networkMbps'] as const;
  return keys.every(key => (needs[key] ?? 0) <= (within[key] ?? Number.POSITIVE_INFINITY));
}
