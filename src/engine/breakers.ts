// Breakers: what keeps failing is left alone for a while, then tried by one, then by all. Nodes share them: what opens on one is open
// on all within seconds, one node at a time tries again, and what it closes is closed everywhere. An open breaker is a document that
// expires; while all is well nothing is written, and alone on its store a node writes nothing at all.

import { hash } from 'node:crypto';
import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Service } from '../runtime/service.ts';
import type { StoredDocument } from '../store/rows.ts';
import type { Store } from '../store/store.ts';

/** When breakers open, and for how long. */
export interface BreakerTerms {
  /** Of the documents. */
  readonly kind: string;
  /** Failures in a row that open it. */
  readonly failuresMax: number;
  readonly firstOpenMs: number;
  /** Each try that fails doubles the time, to this at most. */
  readonly openMsMax: number;
  /** Once its time is up one is closed again by itself, instead of being tried by one first; only its next time is the longer. */
  readonly lapses?: boolean;
}

/** The terms of most: five failures in a row open it for half a minute, then one call tries. */
export const FIVE_IN_A_ROW = { failuresMax: 5, firstOpenMs: 30_000, openMsMax: 30_000 } as const;

/** Whether to go on, or to come back in so many milliseconds. */
export type Passage = { readonly go: true } | { readonly go: false; readonly waitMs: number };

/** How a breaker stands. */
export interface BreakerView {
  readonly tenant: TenantId;
  readonly name: string;
  readonly state: 'closed' | 'open' | 'probing';
  /** Epoch milliseconds, where it is open. */
  readonly openUntil: number | null;
}

/** Where nodes find each other's breakers. */
export type BreakerStore = Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'hear'>;

interface Breaker {
  readonly tenant: TenantId;
  readonly name: string;
  state: BreakerView['state'];
  failures: number;
  openMs: number;
  openUntil: number;
  /** Until when whoever tries it now may take; after that another may. */
  probeUntil: number;
  /** Of its document; null where there is none. */
  version: number | null;
  /** How often it changed here, and as of which of these changes its document was written. */
  changes: number;
  written: number;
  /** When that was, by `#writes`. */
  writtenAs: number;
  /** The right to try it is being asked for. */
  isAsking: boolean;
}

type BreakerBody = Pick<Breaker, 'name' | 'failures' | 'openMs' | 'openUntil' | 'probeUntil'>;

const GO: Passage = { go: true };
const PROBE_MS_MAX = 60_000;
const PROBE_WAIT_MS = 1_000;
const LOOK_MS = 3_000;
/** So long after it could have been tried again is one forgotten that nobody tried. */
const KEPT_MS = 3_600_000;
const BREAKERS_MAX = 10_000;

/** Breakers by tenant and name; at most 10,000, the oldest forgotten first. */
export class Breakers implements Service {
  readonly #log: Log;
  readonly #clock: Clock;
  /** Null where there is nobody to share with. */
  readonly #store: BreakerStore | null;
  readonly #terms: BreakerTerms;
  readonly #breakers = new Map<string, Breaker>();
  #writes = 0;
  #writing: Promise<void> | null = null;
  #reading: Promise<void> | null = null;
  #readAgain = false;
  #timer: Cancel = () => {};
  #deafen: () => void = () => {};
  #running = false;

  constructor(log: Log, clock: Clock, store: BreakerStore | null, terms: BreakerTerms) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store?.capabilities.shared === true ? store : null;
    this.#terms = terms;
  }

  /** Begins to follow what other nodes find. */
  async start(): Promise<void> {
    if (this.#store === null || this.#running) return;
    this.#running = true;
    this.#deafen = this.#store.hear(({ documents }) => {
      if (documents === null || documents.includes(this.#terms.kind)) void this.#read();
    });
    await this.#read();
    this.#schedule();
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#timer();
    this.#deafen();
    await this.#reading;
    await this.#write();
  }

  /** Whether to try now; of all who ask once an open one's time is up, over all nodes, one is let through. */
  async pass(tenant: TenantId, name: string): Promise<Passage> {
    const breaker = this.#breakers.get(keyOf(tenant, name));
    if (breaker === undefined || breaker.state === 'closed') return GO;
    const now = this.#clock.now();
    if (now < breaker.openUntil) return { go: false, waitMs: breaker.openUntil - now };
    if (breaker.state === 'probing' && now < breaker.probeUntil) return { go: false, waitMs: PROBE_WAIT_MS };
    breaker.state = 'probing';
    breaker.probeUntil = now + PROBE_MS_MAX;
    return this.#store === null || (await this.#mayProbe(this.#store, breaker))
      ? GO
      : { go: false, waitMs: PROBE_WAIT_MS };
  }

  /** Notes how a try went; true when this one closed the breaker. */
  note(tenant: TenantId, name: string, good: boolean): boolean {
    const key = keyOf(tenant, name);
    const breaker = this.#breakers.get(key);
    if (breaker !== undefined) this.#lapse(breaker);
    if (good) {
      if (breaker === undefined) return false;
      const wasOpen = breaker.state !== 'closed';
      Object.assign(breaker, { state: 'closed', failures: 0, openMs: this.#terms.firstOpenMs });
      // One that lapsed is remembered by its document still.
      if (wasOpen || (this.#terms.lapses === true && breaker.version !== null)) this.#changed(breaker);
      if (breaker.changes === 0) this.#breakers.delete(key);
      return wasOpen;
    }
    const failing = breaker ?? this.#add({ tenant, name });
    failing.failures++;
    // One that is open already hears of tries that began before: they say nothing new.
    if (failing.state === 'open') return false;
    if (failing.state === 'closed' && failing.failures < this.#terms.failuresMax) return false;
    failing.state = 'open';
    failing.openUntil = this.#clock.now() + failing.openMs;
    failing.openMs = Math.min(this.#terms.openMsMax, failing.openMs * 2);
    this.#changed(failing);
    return false;
  }

  /** Whether it is open, for those that lapse. */
  isOpen(tenant: TenantId, name: string): boolean {
    const breaker = this.#breakers.get(keyOf(tenant, name));
    return breaker?.state === 'open' && this.#clock.now() < breaker.openUntil;
  }

  /** How the one of that name stands: failures in a row, and in how many milliseconds it may be tried again. */
  standing(
    tenant: TenantId,
    name: string,
  ): { readonly state: BreakerView['state']; readonly failures: number; readonly waitMs: number } {
    const breaker = this.#breakers.get(keyOf(tenant, name));
    if (breaker === undefined) return { state: 'closed', failures: 0, waitMs: 0 };
    const { state, failures, openUntil } = breaker;
    const waitMs = state === 'closed' ? 0 : Math.max(0, openUntil - this.#clock.now());
    return { state: state === 'open' && waitMs === 0 ? 'probing' : state, failures, waitMs };
  }

  /** A try said nothing of what was tried: another may try in its place. */
  noteNothing(tenant: TenantId, name: string): void {
    const breaker = this.#breakers.get(keyOf(tenant, name));
    if (breaker?.state !== 'probing') return;
    breaker.state = 'open';
    this.#changed(breaker);
  }

  /** A tenant's breakers that are not closed. */
  list(tenant: TenantId): readonly BreakerView[] {
    return [...this.#breakers.values()]
      .filter(breaker => breaker.tenant === tenant && breaker.state !== 'closed')
      .map(({ name, state, openUntil }) => ({
        ...{ tenant, name, state },
        openUntil: state === 'open' ? openUntil : null,
      }));
  }

  /** Takes the right to try from the other nodes. A store that is away must not keep anybody from trying. */
  async #mayProbe(store: BreakerStore, breaker: Breaker): Promise<boolean> {
    breaker.isAsking = true;
    try {
      await this.#writing;
      const expected = breaker.version ?? 'absent';
      const [outcome] = await store.putDocuments([{ ...this.#documentOf(breaker), expected }]);
      if (outcome?.status === 'done') {
        breaker.version = outcome.version;
        breaker.writtenAs = ++this.#writes;
        return true;
      }
    } catch (error) {
      this.#log.warn('a breaker could not be shared', { error: String(error) });
      return true;
    } finally {
      breaker.isAsking = false;
    }
    // Another was first, or has closed it.
    await this.#read();
    return !this.#breakers.has(keyOf(breaker.tenant, breaker.name));
  }

  #changed(breaker: Breaker): void {
    if (this.#store === null) return;
    breaker.changes++;
    void this.#write();
  }

  /** Writes what is not written yet; what fails is kept for the next time. */
  #write(): Promise<void> {
    this.#writing ??= this.#writeAll(this.#store);
    return this.#writing;
  }

  async #writeAll(store: BreakerStore | null): Promise<void> {
    await Promise.resolve();
    while (store !== null) {
      const unwritten = [...this.#breakers.values()].filter(({ changes, written }) => changes !== written);
      if (unwritten.length === 0) break;
      const changes = unwritten.map(breaker => breaker.changes);
      try {
        const outcomes = await store.putDocuments(unwritten.map(breaker => this.#documentOf(breaker)));
        unwritten.forEach((breaker, index) => {
          const outcome = outcomes[index];
          const version = outcome?.status === 'done' ? outcome.version : 0;
          breaker.version = version === 0 ? null : version;
          breaker.writtenAs = ++this.#writes;
          breaker.written = changes[index] ?? breaker.written;
        });
      } catch (error) {
        this.#log.warn('breakers could not be shared', { error: String(error) });
        break;
      }
    }
    this.#writing = null;
  }

  #documentOf({ tenant, name, state, failures, openMs, openUntil, probeUntil }: Breaker) {
    const ref = { tenant, kind: this.#terms.kind, id: hash('sha256', name) };
    if (state === 'closed') return { ...ref, body: null };
    const body: BreakerBody = {
      ...{ name, failures, openMs, openUntil },
      probeUntil: state === 'probing' ? probeUntil : 0,
    };
    const expiresAt = Math.max(openUntil, body.probeUntil) + KEPT_MS;
    return { ...ref, body: body as unknown as JsonObject, expiresAt };
  }

  /** Reads what the others wrote; several who ask at once wait for one reading that began after all of them asked. */
  #read(): Promise<void> {
    this.#readAgain = true;
    this.#reading ??= this.#readWhileAsked();
    return this.#reading;
  }

  async #readWhileAsked(): Promise<void> {
    await Promise.resolve();
    while (this.#readAgain && this.#store !== null) {
      this.#readAgain = false;
      const asOf = this.#writes;
      try {
        this.#take(await this.#store.documents({ kind: this.#terms.kind }), asOf);
      } catch (error) {
        this.#log.warn('breakers of other nodes could not be read', { error: String(error) });
      }
    }
    // At once, not when whoever waits is told: what is asked in between would be lost.
    this.#reading = null;
  }

  /** Takes over what was read, but for what was written from here since. */
  #take(documents: readonly StoredDocument[], asOf: number): void {
    const found = new Set<string>();
    for (const { tenant, body, version } of documents) {
      const { name, ...rest } = body as unknown as BreakerBody;
      const key = keyOf(tenant, name);
      found.add(key);
      const breaker = this.#breakers.get(key) ?? this.#add({ tenant, name });
      if (isOurs(breaker, asOf) || (breaker.version === version && breaker.openUntil === rest.openUntil))
        continue;
      Object.assign(breaker, { ...rest, version, state: rest.probeUntil > 0 ? 'probing' : 'open' });
    }
    // One closed from here is remembered until it is surely not among what is read: else it would come back from an older reading.
    for (const [key, breaker] of this.#breakers) {
      if (found.has(key) || isOurs(breaker, asOf)) continue;
      if (breaker.version !== null || (breaker.state === 'closed' && breaker.failures === 0))
        this.#breakers.delete(key);
    }
  }

  #lapse(breaker: Breaker): void {
    if (this.#terms.lapses !== true || breaker.state !== 'open') return;
    if (this.#clock.now() >= breaker.openUntil) Object.assign(breaker, { state: 'closed', failures: 0 });
  }

  #add({ tenant, name }: Pick<Breaker, 'tenant' | 'name'>): Breaker {
    const [oldest] = this.#breakers.keys();
    if (this.#breakers.size >= BREAKERS_MAX && oldest !== undefined) this.#breakers.delete(oldest);
    const breaker: Breaker = {
      ...{ tenant, name, state: 'closed', failures: 0, openMs: this.#terms.firstOpenMs, openUntil: 0 },
      ...{ probeUntil: 0, version: null, changes: 0, written: 0, writtenAs: 0, isAsking: false },
    };
    this.#breakers.set(keyOf(tenant, name), breaker);
    return breaker;
  }

  #schedule(): void {
    this.#timer = this.#clock.after(LOOK_MS, async () => {
      await this.#write();
      await this.#read();
      if (this.#running) this.#schedule();
    });
  }
}

/** Whether what we know of it is newer than what was read. */
function isOurs({ changes, written, writtenAs, isAsking }: Breaker, asOf: number): boolean {
  return isAsking || changes !== written || writtenAs > asOf;
}

function keyOf(tenant: TenantId, name: string): string {
  return `${tenant}\n${name}`;
}
