// Limits by control group v2, where this process may make groups: the kernel then holds memory, processes and processors exactly.
// Everything is read from and written to the group's files; a test may give a directory of its own for the file system.

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const MOUNT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;

/** What a group may use. */
export interface GroupLimits {
  readonly memoryMb: number;
  readonly processes: number;
  readonly cpuCores: number;
}

/** A directory under which groups with memory and process limits can be made, or why there is none. */
export function findGroupBase(
  mount = MOUNT,
  membership = '/proc/self/cgroup',
): { base: string } | { missing: string } {
  let own: string | undefined;
  try {
    own = /^0::(\/.*)$/m.exec(readFileSync(membership, 'utf8'))?.[1];
  } catch {
    own = undefined;
  }
  if (own === undefined) return { missing: 'this process is in no cgroup v2' };
  // A delegated subtree is the parent of the server's own group (systemd's DelegateSubgroup), or that group itself.
  const bases = new Set([join(mount, dirname(own)), join(mount, own), mount]);
  for (const base of bases) {
    const group = new Group(join(base, `batuta-probe-${process.pid}`));
    try {
      enableControllers(base);
      group.make({ memoryMb: 64, processes: 8, cpuCores: 1 });
      return { base };
    } catch {
      // Not ours to use; the next may be.
    } finally {
      group.remove();
    }
  }
  return { missing: `no writable cgroup v2 with memory and pids controllers under ${mount}` };
}

/** One attempt's control group. */
export class Group {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Throws where the group or its limits cannot be made. */
  make(limits: GroupLimits): void {
    try {
      mkdirSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    this.#write('memory.max', String(limits.memoryMb * 2 ** 20));
    this.#write('pids.max', String(limits.processes));
    try {
      this.#write('memory.swap.max', '0');
      this.#write('memory.oom.group', '1');
      this.#write('cpu.max', `${Math.round(limits.cpuCores * PERIOD_US)} ${PERIOD_US}`);
    } catch {
      // Kernels without swap accounting or the cpu controller still hold memory and processes.
    }
  }

  add(pid: number): void {
    this.#write('cgroup.procs', String(pid));
  }

  /** Bytes in use now, page cache included, or null where the kernel does not say. */
  memoryBytes(): number | null {
    const value = this.#read('memory.current');
    return value === '' ? null : Number(value);
  }

  /** True once the kernel has killed for lack of memory. */
  ranOutOfMemory(): boolean {
    return /^oom_kill [1-9]/m.test(this.#read('memory.events'));
  }

  /** Kills everything in it. */
  kill(): void {
    try {
      this.#write('cgroup.kill', '1');
    } catch {
      // Gone, or a kernel before 5.14: the sandbox's own init takes everything with it all the same.
    }
  }

  /** Harmless where it does not exist. */
  remove(): void {
    try {
      rmdirSync(this.#path);
    } catch {
      // Never made, or removed before.
    }
  }

  #write(file: string, value: string): void {
    // Never made, only written: where the kernel offers no such file, this is no control group.
    writeFileSync(join(this.#path, file), value, { flag: 'r+' });
  }

  #read(file: string): string {
    try {
      return readFileSync(join(this.#path, file), 'utf8').trim();
    } catch {
      return '';
    }
  }
}

function enableControllers(base: string): void {
  try {
    writeFileSync(join(base, 'cgroup.subtree_control'), '+memory +pids +cpu', { flag: 'r+' });
  } catch {
    // They may be on already; making the probe's limits tells.
  }
}
