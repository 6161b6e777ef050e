// Queues: where ready tasks wait. A queue holds tasks that any worker of one kind may take and that count alike for fairness;
// inside it they stand in order of rank.

import type { AgentId, TenantId } from './ids.ts';
import type { TaskSpec, WorkType } from './task.ts';
import { workTypeOf } from './task.ts';

/** What tells one queue from another. */
export interface QueueName {
  readonly tenant: TenantId;
  readonly workType: WorkType;
  /** Sorted capabilities a worker must have, the permit a task needs beside them, and whom it is for first. */
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
    capabilities: [...(spec.requiredCapabilities ?? []), ...permitsOf(spec), ...wishesOf(spec)].sort(),
    region: spec.region ?? null,
    requester: spec.requester.agentId,
  };
}

/** Leave to start one more task: no worker has it, whoever gives out tasks gives it with them. */
export interface Permit {
  readonly tenant: TenantId;
  readonly key: string;
  readonly limit: number;
}

const PERMIT = /^permit:concurrency:([1-9][0-9]{0,6}):(.+)$/s;

/** The permit that tasks of a queue need; null where they need none. */
export function permitOf({ tenant, capabilities }: QueueName): Permit | null {
  for (const capability of capabilities) {
    const [, limit, key] = PERMIT.exec(capability) ?? [];
    if (limit !== undefined && key !== undefined) return { tenant, key, limit: Number(limit) };
  }
  return null;
}

/** Whom tasks are for first; others may have them too, later (`SAM-225`, `SAM-228`). */
export interface Preference {
  readonly region: string | null;
  readonly canary: boolean;
}

const FOR_CANARIES = 'prefer:canary';
const WISH = /^prefer:(?:canary|fallback:.+|region:(.+))$/s;
const FALLBACK = 'prefer:fallback:';

/** Whom tasks of a queue are for first. */
export function preferenceOf({ capabilities }: QueueName): Preference {
  const region = capabilities.map(capability => WISH.exec(capability)?.[1]).find(one => one !== undefined);
  return { region: region ?? null, canary: capabilities.includes(FOR_CANARIES) };
}

/** The work type of those that may take a queue's tasks while nobody else is there for them; null where there are none. */
export function fallbackOf({ capabilities }: QueueName): WorkType | null {
  return capabilities.find(one => one.startsWith(FALLBACK))?.slice(FALLBACK.length) ?? null;
}

/** What a worker itself must be capable of to take tasks of a queue. */
export function capabilitiesOf({ capabilities }: QueueName): readonly string[] {
  return capabilities.filter(capability => !PERMIT.test(capability) && !WISH.test(capability));
}

function permitsOf({ concurrency }: TaskSpec): readonly string[] {
  return concurrency === undefined ? [] : [`permit:concurrency:${concurrency.limit}:${concurrency.key}`];
}

function wishesOf({ preferredRegion, canary, fallback }: TaskSpec): readonly string[] {
  return [
    ...(fallback === undefined ? [] : [`${FALLBACK}${workTypeOf(fallback)}`]),
    ...(preferredRegion === undefined ? [] : [`prefer:region:${preferredRegion}`]),
    ...(canary === true ? [FOR_CANARIES] : []),
  ];
}
