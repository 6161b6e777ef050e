// The arithmetic of what an agent holds and what that leaves of its resources.

import type { ResourceLimits } from '../domain/task.ts';

/** Tasks held and what they reserve. */
export interface Load {
  readonly busy: number;
  readonly reserved: Required<ResourceLimits>;
}

/** Nothing held. */
export const NO_LOAD: Load = {
  busy: 0,
  reserved: { memoryMb: 0, cpuCores: 0, diskMb: 0, networkMbps: 0, gpuUnits: 0 },
};

/** What is reserved once these needs are added, or taken away. */
export function added(
  reserved: Required<ResourceLimits>,
  needs: ResourceLimits,
  sign: 1 | -1,
): Required<ResourceLimits> {
  return {
    memoryMb: reserved.memoryMb + sign * (needs.memoryMb ?? 0),
    cpuCores: reserved.cpuCores + sign * (needs.cpuCores ?? 0),
    diskMb: reserved.diskMb + sign * (needs.diskMb ?? 0),
    networkMbps: reserved.networkMbps + sign * (needs.networkMbps ?? 0),
    gpuUnits: reserved.gpuUnits + sign * (needs.gpuUnits ?? 0),
  };
}

/** What is left of a capacity; what it does not name stays unlimited. */
export function left(capacity: ResourceLimits, reserved: Required<ResourceLimits>): ResourceLimits {
  const { memoryMb, cpuCores, diskMb, networkMbps, gpuUnits } = capacity;
  return {
    ...(memoryMb === undefined ? {} : { memoryMb: memoryMb - reserved.memoryMb }),
    ...(cpuCores === undefined ? {} : { cpuCores: cpuCores - reserved.cpuCores }),
    ...(diskMb === undefined ? {} : { diskMb: diskMb - reserved.diskMb }),
    ...(networkMbps === undefined ? {} : { networkMbps: networkMbps - reserved.networkMbps }),
    ...(gpuUnits === undefined ? {} : { gpuUnits: gpuUnits - reserved.gpuUnits }),
  };
}
