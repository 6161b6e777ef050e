// What this host has for the tasks it runs itself.

import { statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import type { ResourceLimits } from '../domain/task.ts';

const MB = 1_048_576;
/** Left to the server itself and to whatever else runs here. */
const MEMORY_SHARE = 0.8;
const DISK_SHARE = 0.9;

/** Memory, processors and disk that tasks may reserve in all (`SAM-115`); a processor is shared by two, as most of them wait. */
export async function capacityOf(dataDir: string): Promise<ResourceLimits> {
  const disk = await statfs(dataDir);
  return {
    memoryMb: Math.floor((totalmem() * MEMORY_SHARE) / MB),
    cpuCores: 2 * availableParallelism(),
    diskMb: Math.floor((disk.bavail * disk.bsize * DISK_SHARE) / MB),
  };
}
