// Processor time of processes that are ours, where no control group holds them: stopped while they are ahead of their share, or made to
// give way to everyone else.

import { availableParallelism, setPriority } from 'node:os';
import type { Cancel, Clock } from './clock.ts';
import { entriesAt, statFields, TICKS_PER_SECOND } from './procfs.ts';

const LOOK_MS = 100;
/** Seconds of its share a program may save up by resting, so that short work is not slowed. */
const SAVED_SECONDS_MAX = 1;
/** The kernel then gives a process one part of a processor for every nine of another that wants it. */
const NICENESS = 10;

/** Whether processes can be held to a part of the processors here. */
export function canHoldProcessors(): boolean {
  return process.platform === 'linux';
}

/**
 * Holds processes, all of them together, to so many processors on average until the answer is called, which lets them go on. More
 * processors than there are need no holding.
 */
export function holdProcessors(clock: Clock, pids: () => readonly number[], cores: number): Cancel {
  if (!canHoldProcessors() || cores >= availableParallelism()) return () => {};
  const hold = new Hold(clock, pids, cores);
  return () => hold.end();
}

class Hold {
  readonly #clock: Clock;
  readonly #pids: () => readonly number[];
  readonly #cores: number;
  readonly #usedBy = new Map<number, number>();
  #stopped: readonly number[] = [];
  #savedSeconds: number;
  #lookedAt: number;
  #cancel: Cancel;

  constructor(clock: Clock, pids: () => readonly number[], cores: number) {
    this.#clock = clock;
    this.#pids = pids;
    this.#cores = cores;
    this.#savedSeconds = SAVED_SECONDS_MAX * cores;
    this.#lookedAt = clock.monotonic();
    this.#cancel = clock.after(LOOK_MS, () => this.#look());
  }

  end(): void {
    this.#cancel();
    signalAll(this.#stopped, 'SIGCONT');
    this.#stopped = [];
  }

  #look(): void {
    const now = this.#clock.monotonic();
    const share = (this.#cores * (now - this.#lookedAt)) / 1_000;
    this.#lookedAt = now;
    // 0 would be ourselves, and 1 is nobody's.
    const pids = this.#pids().filter(pid => pid > 1);
    const saved = this.#savedSeconds + share - this.#usedSince(pids);
    this.#savedSeconds = Math.min(saved, SAVED_SECONDS_MAX * this.#cores);
    if (this.#savedSeconds < 0) {
      // Again those that are stopped already: what they began meanwhile is not.
      signalAll(pids, 'SIGSTOP');
      this.#stopped = pids;
    } else this.#letGo();
    this.#cancel = this.#clock.after(LOOK_MS, () => this.#look());
  }

  #letGo(): void {
    signalAll(this.#stopped, 'SIGCONT');
    this.#stopped = [];
  }

  /** What a process used before it was first seen was somebody else's, or is too little to matter. */
  #usedSince(pids: readonly number[]): number {
    let seconds = 0;
    for (const pid of pids) {
      const used = usedBy(pid);
      seconds += Math.max(0, used - (this.#usedBy.get(pid) ?? used));
      this.#usedBy.set(pid, used);
    }
    return seconds;
  }
}

/** Makes every thread of the processes, and what they begin from now on, give way to whoever was not asked to. */
export function giveWay(pids: readonly number[]): void {
  for (const pid of pids) {
    const threads = entriesAt(`/proc/${pid}/task`).map(Number);
    for (const thread of threads.length === 0 ? [pid] : threads) {
      try {
        setPriority(thread, NICENESS);
      } catch {
        // It has just ended.
      }
    }
  }
}

/** Seconds of processor time, those of the process's own children it has waited for included. */
function usedBy(pid: number): number {
  const ticks = statFields(pid)
    .slice(11, 15)
    .reduce((sum, field) => sum + Number(field), 0);
  return ticks / TICKS_PER_SECOND;
}

function signalAll(pids: readonly number[], signal: 'SIGSTOP' | 'SIGCONT'): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has just ended.
    }
  }
}
