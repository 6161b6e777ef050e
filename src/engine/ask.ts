// What a worker asks of the dispatcher, and whether a queue is for it.

import type { AgentId, TenantId } from '../domain/ids.ts';
import { capabilitiesOf, fallbackOf, type QueueName } from '../domain/queue.ts';
import type { WorkType } from '../domain/task.ts';
import type { RunningAttempt } from './attempts.ts';

/** A worker's wish for tasks. */
export interface Ask {
  readonly agentId: AgentId;
  readonly agentTenant: TenantId;
  /** Null: serves every tenant. */
  readonly tenant: TenantId | null;
  readonly types: ReadonlySet<WorkType>;
  readonly capabilities: ReadonlySet<string>;
  readonly region: string | undefined;
  /** Asked at each round, so a waiting ask grows as slots fall free. */
  readonly slots: () => number;
  /** Gets what was claimed, at least one; the ask is then done. */
  readonly take: (attempts: readonly RunningAttempt[]) => void;
}

/** Whether whoever asks may take tasks of the queue, permits aside; `needs` where the capabilities it needs are known already. */
export function serves(ask: Ask, name: QueueName, needs = capabilitiesOf(name)): boolean {
  return ask.types.has(name.workType) && suits(ask, name, needs);
}

/** Whether it could take them as what they fall back to. */
export function servesFallback(ask: Ask, name: QueueName, needs = capabilitiesOf(name)): boolean {
  const fallback = fallbackOf(name);
  return fallback !== null && ask.types.has(fallback) && suits(ask, name, needs);
}

function suits(ask: Ask, name: QueueName, needs: readonly string[]): boolean {
  if (ask.tenant !== null && ask.tenant !== name.tenant) return false;
  if (name.region !== null && name.region !== ask.region) return false;
  return needs.every(capability => ask.capabilities.has(capability));
}
