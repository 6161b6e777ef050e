// Watches a confined program several times a second and ends it when it uses more than it may: the kernel bounds single processes
// and files, the watch bounds them all together. Where control groups exist the kernel is faster, and the watch only confirms.

import type { Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CodeLimits } from './limits.ts';
import { LimitExceeded } from './limits.ts';
import { type Meter, type Usage, WARNING_SHARE } from './meter.ts';
import type { Confined, Layout } from './sandbox/confinement.ts';
import { proportionalBytes, unlinkedBytes } from './sandbox/processes.ts';

const WATCH_MS = 150;
/** The least a file is counted for, and the most files there may be: names fill a disk as well as bytes do. */
const ENTRY_BYTES = 4_096;
const ENTRIES_MAX = 10_000;
const STATS_AT_ONCE = 256;
/** The sandbox's own first process. */
const OWN_PROCESSES = 1;

/** Watches one program until it is stopped. */
export class Watch {
  readonly #confined: Confined;
  readonly #layout: Layout;
  readonly #limits: CodeLimits;
  readonly #meter: Meter;
  readonly #onExceeded: (failure: LimitExceeded) => void;
  #memoryPeakMb = 0;
  #isWalking = false;

  constructor(
    confined: Confined,
    layout: Layout,
    limits: CodeLimits,
    parts: { readonly meter: Meter; readonly onExceeded: (failure: LimitExceeded) => void },
  ) {
    this.#confined = confined;
    this.#layout = layout;
    this.#limits = limits;
    this.#meter = parts.meter;
    this.#onExceeded = parts.onExceeded;
  }

  /** Begins to look; ends with the meter. */
  start(): void {
    this.#meter.every(WATCH_MS, () => this.#look());
  }

  /** The most memory seen at once. */
  get memoryPeakMb(): number {
    return this.#memoryPeakMb;
  }

  #look(): void {
    const { processes } = this.#limits;
    const pids = this.#confined.pids(2 * processes);
    if (pids.length === 0) return;
    const usage = this.#meter.measure(pids);
    this.#meter.sampleIfDue();
    if (usage.threads > processes + OWN_PROCESSES)
      this.#onExceeded(new LimitExceeded('processes', processes));
    this.#checkMemory(pids, usage);
    if (!this.#isWalking) void this.#checkDisk(pids, usage);
  }

  #checkMemory(pids: readonly number[], usage: Usage): void {
    const { memoryMb } = this.#limits;
    // Pages shared after a fork are counted once for each process, until it matters.
    const isNear = usage.memoryBytes > WARNING_SHARE * memoryMb * 2 ** 20;
    const bytes = isNear
      ? pids.reduce((sum, pid) => sum + (proportionalBytes(pid) ?? 0), 0)
      : usage.memoryBytes;
    const usedMb = bytes / 2 ** 20;
    this.#memoryPeakMb = Math.max(this.#memoryPeakMb, usedMb);
    if (usedMb > memoryMb) this.#onExceeded(new LimitExceeded('memory', memoryMb));
    else if (usedMb >= WARNING_SHARE * memoryMb) this.#meter.warn('memory', usedMb, memoryMb);
  }

  async #checkDisk(pids: readonly number[], usage: Usage): Promise<void> {
    this.#isWalking = true;
    try {
      const { diskMb } = this.#limits;
      const linkedMb = await this.diskMb();
      // Looking through open files is dear: only a program that wrote so much can hold so much.
      const unlinkedMb = usage.writtenBytes > diskMb * 2 ** 20 ? unlinkedBytes(pids) / 2 ** 20 : 0;
      const usedMb = linkedMb + unlinkedMb;
      if (usedMb >= diskMb) this.#onExceeded(new LimitExceeded('disk', diskMb));
      else if (usedMb >= WARNING_SHARE * diskMb) this.#meter.warn('disk', usedMb, diskMb);
    } finally {
      this.#isWalking = false;
    }
  }

  /** What lies in the program's directories now, in MB; the whole limit where there is too much, or no right, to count it. */
  async diskMb(): Promise<number> {
    let bytes = 0;
    let entries = 0;
    const queue = [this.#layout.work, this.#layout.output];
    for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
      const found = await entriesOf(directory);
      entries += found?.length ?? 0;
      if (found === null || entries > ENTRIES_MAX) return this.#limits.diskMb;
      for (const entry of found) if (entry.isDirectory()) queue.push(join(directory, entry.name));
      for (let at = 0; at < found.length; at += STATS_AT_ONCE) {
        const paths = found.slice(at, at + STATS_AT_ONCE).map(entry => join(directory, entry.name));
        for (const size of await Promise.all(paths.map(sizeOf))) bytes += size;
      }
    }
    return bytes / 2 ** 20;
  }
}

/** Null for a directory that may not be read: giving ourselves the right would race with the program over what the path means. */
async function entriesOf(directory: string): Promise<Dirent[] | null> {
  try {
    return await readdir(directory, { withFileTypes: true });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES' ? null : [];
  }
}

/** What a file takes on the disk; holes take nothing, names take a little. */
async function sizeOf(path: string): Promise<number> {
  const blocks = await lstat(path).then(
    stat => stat.blocks,
    () => 0,
  );
  return Math.max(blocks * 512, ENTRY_BYTES);
}
