// How much was sent to each endpoint in the hour under way, over all nodes. Each tells the others of the endpoints that matter through
// one document; it outlives its node, so nobody's restart opens a spent hour again.

import { hash } from 'node:crypto';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Service } from '../runtime/service.ts';
import type { Store } from '../store/store.ts';

const KIND = 'endpoint_counts';
const HOUR_MS = 3_600_000;
const SHARE_MS = 3_000;
const COUNTS_MAX = 100_000;
/** The others are told of an endpoint from this share of its limit on; below it matters to nobody. */
const TOLD_FROM = 0.01;

type Counts = Readonly<Record<string, number>>;

/** Counts by name; an hour never counts more than its limit on one node, and over nodes only what is taken within 3 s. */
export class HourlyCounts implements Service {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments'>;
  readonly #toldFrom: number;
  readonly #node: string;
  readonly #counts = new Map<string, number>();
  #elsewhere: ReadonlyMap<string, number> = new Map();
  #hour = 0;
  #isUntold = false;
  #timer: Cancel = () => {};
  #running = false;

  constructor(
    log: Log,
    clock: Clock,
    random: Random,
    store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments'>,
    perHour: number,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#toldFrom = Math.ceil(perHour * TOLD_FROM);
    this.#node = random.uuid();
  }

  async start(): Promise<void> {
    if (!this.#store.capabilities.shared) return;
    this.#running = true;
    await this.#share();
    this.#schedule();
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#timer();
    await this.#share();
  }

  /** Counts one more, unless that would be more than the limit over all nodes. */
  take(name: string, limit: number): boolean {
    this.#turn();
    const count = this.#counts.get(name) ?? 0;
    const elsewhere = this.#elsewhere.size === 0 ? 0 : (this.#elsewhere.get(idOf(name)) ?? 0);
    if (count + elsewhere >= limit) return false;
    const [oldest] = this.#counts.keys();
    if (this.#counts.size >= COUNTS_MAX && oldest !== undefined) this.#counts.delete(oldest);
    this.#counts.set(name, count + 1);
    this.#isUntold ||= count + 1 >= this.#toldFrom;
    return true;
  }

  /** Counts one less: it was not sent after all. */
  giveBack(name: string): void {
    this.#turn();
    const count = this.#counts.get(name) ?? 0;
    if (count > 0) this.#counts.set(name, count - 1);
  }

  /** Until the next hour begins. */
  get turnsInMs(): number {
    return HOUR_MS - (this.#clock.now() % HOUR_MS);
  }

  #turn(): void {
    const hour = Math.floor(this.#clock.now() / HOUR_MS);
    if (hour === this.#hour) return;
    this.#hour = hour;
    this.#counts.clear();
    this.#elsewhere = new Map();
  }

  async #share(): Promise<void> {
    try {
      this.#turn();
      if (this.#isUntold) await this.#tell();
      const documents = await this.#store.documents({ kind: KIND, tenant: DEFAULT_TENANT });
      const elsewhere = new Map<string, number>();
      for (const { id, body } of documents) {
        if (id === this.#node || body.hour !== this.#hour) continue;
        for (const [name, count] of Object.entries(body.counts as Counts))
          elsewhere.set(name, (elsewhere.get(name) ?? 0) + count);
      }
      this.#elsewhere = elsewhere;
    } catch (error) {
      this.#log.warn('what was sent to endpoints could not be shared', { error: String(error) });
    }
  }

  async #tell(): Promise<void> {
    this.#isUntold = false;
    const told = [...this.#counts].filter(([, count]) => count >= this.#toldFrom);
    const counts = Object.fromEntries(told.map(([name, count]) => [idOf(name), count]));
    const body: JsonObject = { hour: this.#hour, counts };
    const expiresAt = this.#clock.now() + this.turnsInMs;
    try {
      const ref = { tenant: DEFAULT_TENANT, kind: KIND, id: this.#node };
      await this.#store.putDocuments([{ ...ref, body, expiresAt }]);
    } catch (error) {
      this.#isUntold = true;
      throw error;
    }
  }

  #schedule(): void {
    this.#timer = this.#clock.after(SHARE_MS, async () => {
      await this.#share();
      if (this.#running) this.#schedule();
    });
  }
}

/** Names are URLs with tenants, as long as they please. */
function idOf(name: string): string {
  return hash('sha256', name, 'base64url').slice(0, 22);
}
