// What the kernel says about a browser's processes, read from /proc.

import { entriesAt, ioCalls, ownerOf, statFields, TICKS_PER_SECOND, textAt } from '../../runtime/procfs.ts';

/** How the processes of one browser are told from others. */
export interface BrowserMark {
  /** An entry of the environment it began with. */
  readonly variable: string;
  /** A user id that is its alone. */
  readonly uid: number | null;
}

/** What processes hold and have used together. */
export interface BrowserUsage {
  readonly processes: number;
  readonly threads: number;
  /** Memory beyond the files they run from, pages shared counted in each. */
  readonly memoryBytes: number;
  readonly cpuSeconds: number;
  /** Read and write calls. */
  readonly diskOperations: number;
}

/** Every living process of the machine that bears the mark, or descends from one that does. */
export function markedProcesses({ variable, uid }: BrowserMark): number[] {
  const pids = entriesAt('/proc')
    .map(Number)
    .filter(pid => Number.isInteger(pid) && pid !== process.pid);
  if (uid !== null) return pids.filter(pid => ownerOf(pid) === uid && isAlive(pid));
  const children = new Map<number, number[]>();
  for (const pid of pids) {
    const parent = Number(statFields(pid)[1] ?? 0);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  // A sandboxed process shows its environment to nobody, but its parent to everyone.
  const found = new Set(pids.filter(pid => textAt(`/proc/${pid}/environ`).split('\0').includes(variable)));
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child);
  return [...found].filter(isAlive);
}

/** Living processes whose command line holds the text, with that command line. */
export function processesNaming(part: string): { readonly pid: number; readonly text: string }[] {
  return entriesAt('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .map(name => ({ pid: Number(name), text: textAt(`/proc/${name}/cmdline`) }))
    .filter(found => found.text.includes(part));
}

/** What the processes hold and have used. */
export function usageOf(pids: readonly number[]): BrowserUsage {
  let [threads, kilobytes, ticks, diskOperations] = [0, 0, 0, 0];
  for (const pid of pids) {
    const status = textAt(`/proc/${pid}/status`);
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
    threads += field('Threads');
    kilobytes += field('RssAnon') + field('RssShmem') + field('VmSwap');
    diskOperations += ioCalls(pid);
    const stat = statFields(pid);
    // Of children waited for the time is in their parent's count, of living ones in their own.
    ticks += Number(stat[11] ?? 0) + Number(stat[12] ?? 0);
  }
  return {
    processes: pids.length,
    threads,
    memoryBytes: kilobytes * 1_024,
    cpuSeconds: ticks / TICKS_PER_SECOND,
    diskOperations,
  };
}

/** The memory of the processes, each page divided among those that share it; null where that cannot be read of all. */
export function proportionalBytes(pids: readonly number[]): number | null {
  let kilobytes = 0;
  for (const pid of pids) {
    const rollup = textAt(`/proc/${pid}/smaps_rollup`);
    if (rollup === '' && isAlive(pid)) return null;
    for (const [, size] of rollup.matchAll(/^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+)/gm))
      kilobytes += Number(size);
  }
  return kilobytes * 1_024;
}

/** Those of the processes that are this process's own children, dead ones that nobody waited for included. */
export function ownChildren(pids: readonly number[]): number[] {
  return pids.filter(pid => Number(statFields(pid)[1]) === process.pid);
}

/** Kills each process that still exists. */
export function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Ended in the meantime, which is what was wanted.
    }
  }
}

function isAlive(pid: number): boolean {
  const [state] = statFields(pid);
  return state !== undefined && state !== 'Z' && state !== 'X';
}
