// Warm QuickJS host processes (SAM-109): as many as the last ten minutes needed, at least one, at most the pool's size. The process
// used last is used first, so that those demand no longer needs fall idle and are let go.

import type { Cancel, Clock } from '../../../runtime/clock.ts';
import type { Log } from '../../../runtime/log.ts';
import { WasmChild } from './child.ts';
import { spawnHost } from './launch.ts';

const IDLE_MS_MAX = 600_000;

/** What a program needs of its process. */
export interface ChildWanted {
  readonly memoryMb: number;
  readonly owner: string;
}

interface Waiting {
  readonly wanted: ChildWanted;
  readonly resolve: (child: WasmChild) => void;
  readonly reject: (error: unknown) => void;
}

/** A pool of host processes. */
export class WasmPool {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #sizeMax: number;
  readonly #memoryMb: number;
  readonly #spawn: (memoryMb: number) => WasmChild;
  readonly #all = new Set<WasmChild>();
  readonly #idle: { readonly child: WasmChild; readonly cancel: Cancel }[] = [];
  readonly #waiting: Waiting[] = [];
  #hits = 0;
  #misses = 0;
  #isOpen = false;

  constructor(
    log: Log,
    clock: Clock,
    options: {
      readonly sizeMax: number;
      /** The memory of the processes kept warm; programs that want another size get processes of their own. */
      readonly memoryMb: number;
      readonly spawn?: (memoryMb: number) => WasmChild;
    },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#sizeMax = Math.max(1, options.sizeMax);
    this.#memoryMb = options.memoryMb;
    this.#spawn = options.spawn ?? (memoryMb => new WasmChild(spawnHost(memoryMb), memoryMb));
  }

  /** Resolves when the first process is warm; rejects if none can be had. */
  async start(): Promise<void> {
    this.#isOpen = true;
    this.#park(await this.#make(this.#memoryMb));
  }

  async stop(): Promise<void> {
    this.#isOpen = false;
    for (const { cancel } of this.#idle.splice(0)) cancel();
    for (const { reject } of this.#waiting.splice(0)) reject(new Error('the pool is closed'));
    await Promise.all([...this.#all].map(child => child.kill()));
  }

  /** Hits found a warm process, misses had to wait for one. */
  counts(): {
    readonly processes: number;
    readonly idle: number;
    readonly hits: number;
    readonly misses: number;
  } {
    return { processes: this.#all.size, idle: this.#idle.length, hits: this.#hits, misses: this.#misses };
  }

  /** A process for one program, to be given back by `release`; in order of asking once all are busy. */
  async acquire(wanted: ChildWanted, signal: AbortSignal): Promise<WasmChild> {
    signal.throwIfAborted();
    if (!this.#isOpen) throw new Error('the pool is closed');
    const warm = this.#takeIdle(wanted);
    if (warm !== null) {
      this.#hits++;
      return warm;
    }
    this.#misses++;
    if (this.#all.size >= this.#sizeMax) this.#evict();
    // Nothing is awaited before the queue is joined: a process given back meanwhile would be missed.
    if (this.#all.size >= this.#sizeMax) return await this.#wait(wanted, signal);
    return await this.#make(wanted.memoryMb);
  }

  /** Takes a process back; one that may not be used again is replaced. */
  release(child: WasmChild): void {
    const at = this.#waiting.findIndex(({ wanted }) => wanted.memoryMb === child.memoryMb);
    if (!child.isUsable) this.#replace(child);
    else if (at >= 0) this.#waiting.splice(at, 1)[0]?.resolve(child);
    else if (this.#waiting.length > 0) this.#replace(child);
    else this.#park(child);
  }

  #takeIdle(wanted: ChildWanted): WasmChild | null {
    const fits = this.#idle.filter(({ child }) => child.memoryMb === wanted.memoryMb);
    const chosen = fits.findLast(({ child }) => child.owner === wanted.owner) ?? fits.at(-1);
    if (chosen === undefined) return null;
    this.#unpark(chosen.child);
    return chosen.child;
  }

  /** Ends the idle process unused for longest, of a size nobody asks for now. */
  #evict(): void {
    const oldest = this.#idle[0]?.child;
    if (oldest !== undefined) this.#end(oldest);
  }

  #end(child: WasmChild): void {
    this.#unpark(child);
    this.#all.delete(child);
    void child.kill();
  }

  #wait(wanted: ChildWanted, signal: AbortSignal): Promise<WasmChild> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        const at = this.#waiting.indexOf(waiting);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      const settled = <Value>(settle: (value: Value) => void) => {
        return (value: Value): void => {
          signal.removeEventListener('abort', onAbort);
          settle(value);
        };
      };
      const waiting = { wanted, resolve: settled(resolve), reject: settled(reject) };
      this.#waiting.push(waiting);
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Ends a process and fills its place: for whoever waits longest, else to stay warm. */
  #replace(child: WasmChild): void {
    this.#end(child);
    const next = this.#waiting.shift();
    if (next !== undefined) this.#make(next.wanted.memoryMb).then(next.resolve, next.reject);
    else if (this.#isOpen && (child.memoryMb === this.#memoryMb || this.#idle.length === 0)) {
      this.#make(this.#memoryMb).then(
        fresh => this.release(fresh),
        error => this.#log.warn('no sandbox process could be started', { error: String(error) }),
      );
    }
  }

  async #make(memoryMb: number): Promise<WasmChild> {
    const child = this.#spawn(memoryMb);
    this.#all.add(child);
    void child.ended.then(() => {
      this.#all.delete(child);
      this.#unpark(child);
    });
    await child.ready();
    return child;
  }

  #park(child: WasmChild): void {
    if (!this.#isOpen) {
      this.#end(child);
      return;
    }
    const cancel = this.#clock.after(IDLE_MS_MAX, () => {
      this.#unpark(child);
      if (this.#all.size > 1) this.#end(child);
      else this.#park(child);
    });
    this.#idle.push({ child, cancel });
  }

  #unpark(child: WasmChild): void {
    const at = this.#idle.findIndex(parked => parked.child === child);
    const [parked] = at < 0 ? [] : this.#idle.splice(at, 1);
    parked?.cancel();
  }
}
