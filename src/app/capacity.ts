// What this host has for the tasks it runs itself.

import { readdir, readFile, statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import type { ResourceLimits } from '../domain/task.ts';

const MB = 1_048_576;
const LINKS = '/sys/class/net';
/** Left to the server itself and to whatever else runs here. */
const MEMORY_SHARE = 0.8;
const DISK_SHARE = 0.9;

/** What tasks may reserve in all (`SAM-115`); a processor is shared by two, as most of them wait, and bandwidth is known on few hosts. */
export async function capacityOf(dataDir: string): Promise<ResourceLimits> {
  const [disk, networkMbps] = await Promise.all([statfs(dataDir), linkMbps(LINKS)]);
  return {
    memoryMb: Math.floor((totalmem() * MEMORY_SHARE) / MB),
    cpuCores: 2 * availableParallelism(),
    diskMb: Math.floor((disk.bavail * disk.bsize * DISK_SHARE) / MB),
    ...(networkMbps === null ? {} : { networkMbps }),
  };
}

/** The speed of the fastest link that is up, as the kernel knows it: virtual ones have none. */
export async function linkMbps(directory: string): Promise<number | null> {
  const names = await readdir(directory).catch(() => []);
  const speeds = await Promise.all(
    names.map(name =>
      readFile(join(directory, name, 'speed'), 'utf8').then(
        text => Number(text),
        () => 0,
      ),
    ),
  );
  const fastest = Math.max(0, ...speeds.filter(Number.isFinite));
  return fastest > 0 ? fastest : null;
}
