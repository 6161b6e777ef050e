// Limits by control group v2, where this process may make groups: the kernel then holds memory, processes and processors exactly.
// Everything is read from and written to the group's files; a test may give a directory of its own for the file system.

import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const MOUNT = '/sys/fs/cgroup';
const PERIOD_US = 100_000;
/** What groups have that were given none, as the server's own. */
const WEIGHT_A_CORE = 100;

/** What a group may use. */
export interface GroupLimits {
  readonly memoryMb: number;
  readonly processes: number;
  readonly cpuCores: number;
  /** Its cores become its share against others instead of a bound: the kernel takes back the rest at once (`SAM-117`). */
  readonly cpuBurst: boolean;
}

/** A directory under which groups with memory and process limits can be made, or why there is none. */
export function findGroupBase(
  mount = MOUNT,
  membership = '/proc/self/cgroup',
): { base: string; holdsCpu: boolean } | { missing: string } {
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
      const { holdsCpu } = group.make({ memoryMb: 64, processes: 8, cpuCores: 1, cpuBurst: false });
      return { base, holdsCpu };
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

  /** Throws where the group or its limits cannot be made, but for that on processors: answers whether that holds. */
  make(limits: GroupLimits): { readonly holdsCpu: boolean } {
    try {
      mkdirSync(this.#path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    this.#write('memory.max', String(limits.memoryMb * 2 ** 20));
    this.#write('pids.max', String(limits.processes));
    // Kernels without swap accounting or the cpu controller still hold memory and processes.
    this.#tryWrite('memory.swap.max', '0');
    this.#tryWrite('memory.oom.group', '1');
    const { cpuCores, cpuBurst } = limits;
    this.#tryWrite('cpu.weight', String(Math.min(10_000, Math.max(1, Math.round(cpuCores * WEIGHT_A_CORE)))));
    const quota = cpuBurst ? 'max' : String(Math.round(cpuCores * PERIOD_US));
    return { holdsCpu: this.#tryWrite('cpu.max', `${quota} ${PERIOD_US}`) };
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

  #tryWrite(file: string, value: string): boolean {
    try {
      this.#write(file, value);
      return true;
    } catch {
      return false;
    }
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
