// What the kernel says about processes, read from /proc.

import { readlinkSync, statSync } from 'node:fs';
import {
  entriesAt,
  ioCalls,
  ownerOf,
  statFields,
  TICKS_PER_SECOND,
  textAt,
} from '../../../runtime/procfs.ts';

/** What one process holds and has used. */
export interface ProcessUsage {
  readonly threads: number;
  /** Anonymous, shared and swapped memory: what it holds beyond the files it runs from. */
  readonly memoryBytes: number;
  /** Its own processor time and that of its children already waited for. */
  readonly cpuSeconds: number;
  readonly writtenBytes: number;
  /** Its read and write calls and those of its children already waited for. */
  readonly diskOperations: number;
}

/** The process's descendants, itself not included, parents before children; stops looking beyond `countMax`. */
export function descendants(pid: number, countMax: number): number[] {
  const found: number[] = [];
  const queue = [pid];
  for (let parent = queue.shift(); parent !== undefined && found.length <= countMax; parent = queue.shift()) {
    for (const thread of entriesAt(`/proc/${parent}/task`)) {
      const children = textAt(`/proc/${parent}/task/${thread}/children`)
        .split(' ')
        .filter(Boolean)
        .map(Number);
      found.push(...children);
      queue.push(...children);
    }
  }
  return found;
}

/** What a process holds and has used, or null once it is gone. */
export function usageOf(pid: number): ProcessUsage | null {
  const status = textAt(`/proc/${pid}/status`);
  if (status === '') return null;
  const kilobytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? 0);
  const written = /^write_bytes: (\d+)/m.exec(textAt(`/proc/${pid}/io`))?.[1];
  return {
    threads: kilobytes('Threads'),
    memoryBytes: (kilobytes('RssAnon') + kilobytes('RssShmem') + kilobytes('VmSwap')) * 1_024,
    cpuSeconds: cpuTicks(pid) / TICKS_PER_SECOND,
    writtenBytes: Number(written ?? 0),
    diskOperations: ioCalls(pid),
  };
}

/** What a process holds, each page shared with others divided among them; null where that cannot be read. */
export function proportionalBytes(pid: number): number | null {
  const rollup = textAt(`/proc/${pid}/smaps_rollup`);
  if (rollup === '') return null;
  let kilobytes = 0;
  for (const [, size] of rollup.matchAll(/^(?:Pss_Anon|Pss_Shmem|SwapPss):\s+(\d+)/gm))
    kilobytes += Number(size);
  return kilobytes * 1_024;
}

/** Bytes of files that were unlinked but are still open or mapped, so that no walk of a directory finds them. */
export function unlinkedBytes(pids: readonly number[]): number {
  const sizes = new Map<string, number>();
  for (const pid of pids) {
    for (const fd of entriesAt(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${fd}`;
      try {
        if (!readlinkSync(path).endsWith(' (deleted)')) continue;
        const { ino, blocks } = statSync(path);
        sizes.set(String(ino), blocks * 512);
      } catch {
        // Closed since the directory was read.
      }
    }
    for (const line of textAt(`/proc/${pid}/maps`).split('\n')) {
      const [, from, to, inode] = /^(\w+)-(\w+) \S+ \S+ \S+ (\d+) .* \(deleted\)$/.exec(line) ?? [];
      if (inode === undefined || sizes.has(inode)) continue;
      sizes.set(inode, Number.parseInt(to ?? '0', 16) - Number.parseInt(from ?? '0', 16));
    }
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

/** How the processes of a program without a namespace of its own are told from others. */
export interface ProcessMark {
  /** Its first process, leader of a group and a session. */
  readonly leader: number;
  /** An entry of the environment it began with. */
  readonly variable: string;
  /** A user id that is its alone. */
  readonly uid: number | null;
}

/** Every process of the machine that bears the mark; one that left its session and its environment escapes unless it has a user id. */
export function marked({ leader, variable, uid }: ProcessMark): number[] {
  return entriesAt('/proc')
    .map(Number)
    .filter(pid => {
      if (!Number.isInteger(pid) || pid === process.pid) return false;
      const [state, , group, session] = statFields(pid);
      if (state === undefined || state === 'Z') return false;
      if (Number(group) === leader || Number(session) === leader) return true;
      if (uid !== null && ownerOf(pid) === uid) return true;
      return textAt(`/proc/${pid}/environ`).split('\0').includes(variable);
    });
}

/** Threads of every process that runs as this user. */
export function threadsOfUser(uid: number): number {
  let threads = 0;
  for (const name of entriesAt('/proc')) {
    const status = /^\d+$/.test(name) ? textAt(`/proc/${name}/status`) : '';
    if (Number(/^Uid:\s+(\d+)/m.exec(status)?.[1] ?? -1) !== uid) continue;
    threads += Number(/^Threads:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  }
  return threads;
}

/** Signals each process that still exists. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // Ended in the meantime, which is what was wanted.
    }
  }
}

function cpuTicks(pid: number): number {
  const fields = statFields(pid);
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
}
