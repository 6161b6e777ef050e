// Queues: where ready tasks wait. A queue holds tasks that any worker of one kind may take and that count alike for fairness;
// inside it they stand in order of rank.

import type { AgentId, TenantId } from './ids.ts';
import type { TaskSpec, WorkType } from './task.ts';
import { workTypeOf } from './task.ts';

/** What tells one queue from another. */
export interface QueueName {
  readonly tenant: TenantId;
  readonly workType: WorkType;
  /** Sorted capabilities a worker must have. */
  readonly capabilities: readonly string[];
  readonly region: string | null;
  /** The orchestrator whose tasks these are (`SAM-111`). */
  readonly requester: AgentId;
}

/** The queue a task belongs to. */
export function queueOf(tenant: TenantId, spec: TaskSpec): QueueName {
  return {
    tenant,
    workType: workTypeOf(spec),
    capabilities: [...(spec.requiredCapabilities ?? [])].sort(),
    region: spec.region ?? null,
    requester: spec.requester.agentId,
  };
}
