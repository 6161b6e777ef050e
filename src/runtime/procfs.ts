// What the kernel says in /proc. Every reader answers nothing for a process that has just ended.

import { readdirSync, readFileSync, statSync } from 'node:fs';

/** The kernel's unit of processor time in /proc, the same on every architecture Node runs on. */
export const TICKS_PER_SECOND = 100;

/** The fields of /proc/PID/stat after the command's name, which may hold anything: state first. */
export function statFields(pid: number): string[] {
  const stat = textAt(`/proc/${pid}/stat`);
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** The user id a process runs under. */
export function ownerOf(pid: number): number | null {
  try {
    return statSync(`/proc/${pid}`).uid;
  } catch {
    return null;
  }
}

/** Read and write calls of a process and of its children it has waited for; 0 where they may not be known. */
export function ioCalls(pid: number): number {
  let calls = 0;
  for (const [, count] of textAt(`/proc/${pid}/io`).matchAll(/^sysc[rw]: (\d+)$/gm)) calls += Number(count);
  return calls;
}

/** The names in a directory. */
export function entriesAt(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** A file's whole text. */
export function textAt(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
