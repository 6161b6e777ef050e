// What is done for the records of all tenants by one node: deleting what has expired, and giving texts the vectors they lack.

import type { Cancel, Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { MemoryStore } from '../../store/memory.ts';
import type { Embedder } from '../ports/embedder.ts';
import { putInForce } from './re-embedding.ts';

/** What has expired is deleted within a minute (`ARMY-37`), whoever leads meanwhile. */
const SWEEP_MS = 15_000;
const SWEPT_AT_ONCE = 200;
/** So often is looked for texts without vectors where nothing is known to lack any: another node may have failed to make them. */
const LOOK_MS = 3_600_000;

/** The chores of the memory. */
export class Chores {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: MemoryStore;
  readonly #embedder: Embedder;
  readonly #leads: () => boolean;
  readonly #ending = new AbortController();
  #inForce: string | null = null;
  #dueAt = Number.NEGATIVE_INFINITY;
  #timer: Cancel | null = null;
  #sweeping: Promise<void> = Promise.resolve();
  #embedding: Promise<void> | null = null;

  constructor(log: Log, clock: Clock, store: MemoryStore, embedder: Embedder, leads: () => boolean) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#embedder = embedder;
    this.#leads = leads;
  }

  /** The embedder in force as last seen, at most one round ago. */
  get inForce(): string | null {
    return this.#inForce;
  }

  /** Puts the embedder in force where there was none, and begins. */
  async start(): Promise<void> {
    this.#inForce = await this.#store.embedder();
    this.#inForce ??= await this.#store.enforce(this.#embedder.name, null);
    this.#round();
  }

  /** Says that texts were stored without vectors. */
  owe(): void {
    this.#dueAt = Number.NEGATIVE_INFINITY;
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    this.#timer?.();
    await Promise.all([this.#sweeping, this.#embedding]);
  }

  #round(): void {
    if (this.#ending.signal.aborted) return;
    this.#sweeping = this.#sweep().finally(() => {
      if (!this.#ending.signal.aborted) this.#timer = this.#clock.after(SWEEP_MS, () => this.#round());
    });
    if (this.#leads() && this.#embedding === null && this.#clock.monotonic() >= this.#dueAt)
      this.#embedding = this.#embed().finally(() => {
        this.#embedding = null;
      });
  }

  async #sweep(): Promise<void> {
    try {
      this.#inForce = await this.#store.embedder();
      while (this.#leads() && !this.#ending.signal.aborted)
        if ((await this.#store.sweep(SWEPT_AT_ONCE)) < SWEPT_AT_ONCE) break;
    } catch (error) {
      this.#log.warn('expired records could not be deleted now', { error: String(error) });
    }
  }

  async #embed(): Promise<void> {
    this.#dueAt = this.#clock.monotonic() + LOOK_MS;
    try {
      const embedded = await putInForce(this.#clock, this.#store, this.#embedder, this.#ending.signal);
      this.#inForce = this.#embedder.name;
      if (embedded > 0)
        this.#log.info('texts were embedded', { embedder: this.#embedder.name, chunks: embedded });
    } catch (error) {
      if (this.#ending.signal.aborted) return;
      this.owe();
      this.#log.warn('texts could not be embedded now', {
        embedder: this.#embedder.name,
        error: String(error),
      });
    }
  }
}
