// What a task is likely to cost: a tenant's price table applied to what the task reserves for as long as it is expected to run.

import { type TaskSpec, type WorkType, workTypeOf } from './task.ts';

/** Prices in the tenant's currency; what is not named costs nothing. */
export interface PriceTable {
  readonly cpuCoreHour?: number;
  readonly memoryGbHour?: number;
  /** Of each task, by work type, `*` for those not named. */
  readonly perTask?: Readonly<Record<WorkType, number>>;
}

const HOUR_MS = 3_600_000;

/** The estimated cost of a task, to a millionth; 0 without a price table (`SAM-42`). */
export function estimatedCost(
  prices: PriceTable | undefined,
  spec: Pick<TaskSpec, 'type' | 'typeName' | 'resources'>,
  expectedMs: number,
): number {
  if (prices === undefined) return 0;
  const { cpuCoreHour = 0, memoryGbHour = 0, perTask = {} } = prices;
  const { cpuCores = 0, memoryMb = 0 } = spec.resources;
  const hours = expectedMs / HOUR_MS;
  const flat = perTask[workTypeOf(spec)] ?? perTask['*'] ?? 0;
  const cost = flat + hours * (cpuCores * cpuCoreHour + (memoryMb / 1_024) * memoryGbHour);
  return Math.round(cost * 1_000_000) / 1_000_000;
}
