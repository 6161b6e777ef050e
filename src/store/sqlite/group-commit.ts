// One transaction a turn: whatever callers ask within a turn of the event loop, or while the disk still works on the transaction
// before, goes as the next one. Nobody is answered before what the answer tells of is on disk, reads included.

import { atEndOfTurn } from '../../runtime/turn.ts';
import { type Call, isRead, type Reply, type SqliteCore } from './core.ts';
import { closed } from './errors.ts';

interface Waiting {
  readonly call: Call;
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Items that go as one transaction, a call's array counting whole: with many more the event loop would stand still for too long. */
const ITEMS_MAX = 256;

/** Runs the calls of many callers on a core whose commits do not wait for the disk. */
export class GroupCommit {
  readonly #core: SqliteCore;
  readonly #sync: () => Promise<void>;
  readonly #afterCommit: () => void;
  #waiting: Waiting[] = [];
  #syncing: Promise<void> | null = null;
  #scheduled = false;
  #failure: Error | null = null;
  #onIdle: (() => void) | null = null;

  /** `sync` resolves once all that was committed before is on disk; `afterCommit` is called when it is, between transactions. */
  constructor(core: SqliteCore, sync: () => Promise<void>, afterCommit: () => void) {
    this.#core = core;
    this.#sync = sync;
    this.#afterCommit = afterCommit;
  }

  /** The call's answer; rejects with `unavailable` once the disk has failed, for then nobody knows what is on it. */
  ask(call: Call): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ call, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves once all that was asked is answered. */
  idle(): Promise<void> {
    if (this.#waiting.length === 0 && this.#syncing === null) return Promise.resolve();
    return new Promise(resolve => {
      this.#onIdle = resolve;
    });
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    atEndOfTurn(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  #turn(): void {
    const { writes, batch } = this.#take();
    if (batch.length === 0) return;
    const replies = this.#failure === null ? this.#core.runAll(batch.map(({ call }) => call)) : [];
    if (writes && this.#failure === null) this.#syncing = this.#synced();
    if (this.#syncing === null) this.#tell(batch, replies);
    else void this.#syncing.then(() => this.#tell(batch, replies));
    if (this.#waiting.length > 0 && this.#syncing === null) this.#schedule();
  }

  #tell(batch: readonly Waiting[], replies: readonly Reply[]): void {
    for (const [index, { resolve, reject }] of batch.entries()) {
      const reply = this.#failure === null ? replies[index] : { error: this.#failure };
      if (reply === undefined || 'error' in reply) reject(reply?.error ?? closed());
      else resolve(reply.answer);
    }
  }

  /** What may go now: all in the order of asking, or, while the disk works, only those who read. */
  #take(): { readonly writes: boolean; readonly batch: readonly Waiting[] } {
    if (this.#syncing === null) {
      const batch = this.#waiting.splice(0, callsWithin(this.#waiting, ITEMS_MAX));
      return { batch, writes: batch.some(({ call }) => !isRead(call.verb)) };
    }
    const batch = this.#waiting.filter(({ call }) => isRead(call.verb));
    if (batch.length > 0) this.#waiting = this.#waiting.filter(({ call }) => !isRead(call.verb));
    return { batch, writes: false };
  }

  async #synced(): Promise<void> {
    try {
      await this.#sync();
    } catch (error) {
      // What the disk lost of a failed sync it will not report again: only a restart, which reads the log, can tell what is there.
      this.#failure = closed(error);
    }
    this.#syncing = null;
    this.#afterCommit();
    if (this.#waiting.length > 0) this.#schedule();
    else this.#onIdle?.();
  }
}

/** How many of the first calls to take, one at least. */
function callsWithin(waiting: readonly Waiting[], itemsMax: number): number {
  let items = 0;
  const beyond = waiting.findIndex(({ call }) => {
    const [first] = call.args;
    items += Array.isArray(first) ? first.length : 1;
    return items > itemsMax;
  });
  return beyond === -1 ? waiting.length : Math.max(1, beyond);
}
