// How API keys are used: requests, failures and source networks a day, daily quotas, and what looks unlike the key (`SAM-21`).
// Counting is in memory and never waits; days are merged into the store in the background, so several nodes add up.

import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import { BoundedMap } from '../runtime/bounded-map.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Service } from '../runtime/service.ts';
import type { DocumentWrite, StoredDocument } from '../store/rows.ts';
import type { ApiKey } from './api-key.ts';
import type { AuditRecorder } from './audit.ts';
import type { Documents } from './documents.ts';
import { networkOf } from './network.ts';
import {
  add,
  anomaliesOf,
  countNetwork,
  emptyDay,
  emptyTally,
  isEmpty,
  type Tally,
  type UsageAnomaly,
  type UsageDay,
} from './usage-day.ts';

/** A key's last 30 days, newest first; days without use are absent. */
export interface ApiKeyUsageView {
  readonly lastUsedAt: number | null;
  readonly anomaly: boolean;
  readonly days: readonly UsageDay[];
}

interface Counter {
  readonly key: ApiKey;
  readonly date: string;
  /** The day as stored when last read; null until then. */
  stored: UsageDay | null;
  /** The days before, as far as they are kept. */
  history: readonly UsageDay[];
  added: Tally;
  /** Taken from `added` and being written. */
  merging: Tally | null;
}

const KIND = 'api_key_usage';
const DAY_MS = 86_400_000;
const HISTORY_DAYS = 30;
const ADDRESSES_MAX = 2_000;
const KEPT_MS = 100 * DAY_MS;
const FLUSH_MS = 1_000;

/** Counts the use of keys; started or not it counts, and flushes within a second of counting. */
export class ApiKeyUsage implements Service {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Documents;
  readonly #audit: AuditRecorder;
  readonly #counters = new Map<string, Counter>();
  readonly #networks = new BoundedMap<string, string>(ADDRESSES_MAX);
  #today = { day: Number.NaN, date: '' };
  #cancelFlush: Cancel | null = null;
  #turn: Promise<void> = Promise.resolve();

  constructor(log: Log, clock: Clock, store: Documents, audit: AuditRecorder) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#audit = audit;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {
    await this.flush();
    this.#cancelFlush?.();
  }

  /** Reads today's use of a key with a quota, once a day, so that `msUntilRenewal` knows of it. */
  async prepare(key: ApiKey): Promise<void> {
    if (key.usageQuota === undefined) return;
    const counter = this.#counter(key);
    if (counter.stored === null)
      await this.#inTurn(async () => {
        if (counter.stored === null) await this.#read([counter]);
      });
  }

  /** Milliseconds until the used-up quota is renewed; null while some of it is left. */
  msUntilRenewal(key: ApiKey): number | null {
    if (key.usageQuota === undefined) return null;
    const { stored, merging, added } = this.#counter(key);
    const used = (stored?.requests ?? 0) + (merging?.requests ?? 0) + added.requests;
    return used < key.usageQuota ? null : DAY_MS - (this.#clock.now() % DAY_MS);
  }

  /** Counts one accepted request. */
  accepted(key: ApiKey, address: string): void {
    const { added } = this.#counter(key);
    added.requests += 1;
    added.lastUsedAt = this.#clock.now();
    countNetwork(added.networks, this.#networkOf(address), 1);
    this.#wake();
  }

  /** Counts one refused attempt that named the key. */
  refused(key: ApiKey): void {
    this.#counter(key).added.failures += 1;
    this.#wake();
  }

  /** The last 30 days of a key, what is still in memory here included. */
  async view(tenant: TenantId, keyId: string): Promise<ApiKeyUsageView> {
    await this.flush();
    const ids = datesUntil(this.#clock.now(), HISTORY_DAYS).map(date => idOf(keyId, date));
    const found = await this.#store.documents({ kind: KIND, tenant, ids });
    const days = found.map(dayOf).sort((one, other) => (one.date < other.date ? 1 : -1));
    const uses = days.flatMap(day => day.lastUsedAt ?? []);
    return {
      lastUsedAt: uses.length === 0 ? null : Math.max(...uses),
      anomaly: days.some(day => day.anomalies.length > 0),
      days,
    };
  }

  /** Merges what was counted into the store; what cannot be written is kept and tried again. */
  async flush(): Promise<void> {
    await this.#inTurn(async () => {
      const counters = [...this.#counters.values()].filter(({ added }) => !isEmpty(added));
      try {
        if (counters.length > 0) await this.#merge(counters);
        this.#dropPast();
      } catch (error) {
        this.#log.warn('the use of API keys could not be stored', { error: String(error) });
      }
    });
  }

  /** One reader or writer of days at a time: a slow read must not overwrite what a merge has just learnt. */
  #inTurn(job: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(job);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #merge(counters: readonly Counter[]): Promise<void> {
    const written = new Set<Counter>();
    for (const counter of counters) {
      counter.merging = counter.added;
      counter.added = emptyTally();
    }
    try {
      const versions = await this.#read(counters);
      const merges = counters.map(mergeOf);
      const outcomes = await this.#store.putDocuments(
        merges.map(({ counter, day }) => writeOf(counter, day, versions)),
      );
      for (const [at, { counter, day, fresh }] of merges.entries()) {
        if (outcomes[at]?.status !== 'done') continue;
        written.add(counter);
        counter.stored = day;
        for (const anomaly of fresh) this.#raise(counter.key, anomaly, day);
      }
    } finally {
      for (const counter of counters) {
        if (!written.has(counter) && counter.merging !== null) add(counter.added, counter.merging);
        counter.merging = null;
      }
      if (written.size < counters.length) this.#wake();
    }
  }

  /** Reads today and, once a day, the days before; answers the versions of the stored days by document id. */
  async #read(counters: readonly Counter[]): Promise<ReadonlyMap<string, number>> {
    const idsByTenant = new Map<TenantId, string[]>();
    for (const { key, date, stored } of counters) {
      const dates = stored === null ? [date, ...datesBefore(date)] : [date];
      const ids = idsByTenant.get(key.tenant) ?? [];
      ids.push(...dates.map(one => idOf(key.id, one)));
      idsByTenant.set(key.tenant, ids);
    }
    const reads = [...idsByTenant].map(([tenant, ids]) => this.#store.documents({ kind: KIND, tenant, ids }));
    const byId = new Map((await Promise.all(reads)).flat().map(one => [one.id, one]));
    for (const counter of counters) {
      const { key, date, stored } = counter;
      const dayAt = (when: string): UsageDay | null => {
        const document = byId.get(idOf(key.id, when));
        return document === undefined ? null : dayOf(document);
      };
      if (stored === null) counter.history = datesBefore(date).flatMap(past => dayAt(past) ?? []);
      counter.stored = dayAt(date) ?? emptyDay(date);
    }
    return new Map([...byId].map(([id, { version }]) => [id, version]));
  }

  #raise(key: ApiKey, anomaly: UsageAnomaly, { requests, networks }: UsageDay): void {
    this.#log.warn('an API key is used unlike before', { keyId: key.id, tenant: key.tenant, anomaly });
    this.#audit.record({
      tenant: key.tenant,
      action: 'security.key_anomaly',
      principal: `key:${key.id}`,
      detail: { anomaly, requests, networks: Object.keys(networks) },
    });
  }

  #counter(key: ApiKey): Counter {
    const date = this.#date();
    const name = idOf(key.id, date);
    const known = this.#counters.get(name);
    if (known !== undefined) return known;
    const counter = { key, date, stored: null, history: [], added: emptyTally(), merging: null };
    this.#counters.set(name, counter);
    return counter;
  }

  /** Today, worked out once a day. */
  #date(): string {
    const day = Math.floor(this.#clock.now() / DAY_MS);
    if (this.#today.day !== day) this.#today = { day, date: dateOf(day * DAY_MS) };
    return this.#today.date;
  }

  #networkOf(address: string): string {
    const known = this.#networks.get(address);
    if (known !== undefined) return known;
    const network = networkOf(address);
    this.#networks.set(address, network);
    return network;
  }

  #dropPast(): void {
    const today = this.#date();
    for (const [name, { date, added }] of this.#counters)
      if (date !== today && isEmpty(added)) this.#counters.delete(name);
  }

  #wake(): void {
    this.#cancelFlush ??= this.#clock.after(FLUSH_MS, () => {
      this.#cancelFlush = null;
      void this.flush();
    });
  }
}

function mergeOf(counter: Counter): {
  readonly counter: Counter;
  readonly day: UsageDay;
  readonly fresh: readonly UsageAnomaly[];
} {
  const stored = counter.stored ?? emptyDay(counter.date);
  const tally = { ...stored, networks: { ...stored.networks } };
  add(tally, counter.merging ?? emptyTally());
  const fresh = anomaliesOf(tally, counter.history).filter(one => !stored.anomalies.includes(one));
  return { counter, day: { ...tally, anomalies: [...stored.anomalies, ...fresh] }, fresh };
}

function writeOf(
  { key, date }: Counter,
  day: UsageDay,
  versions: ReadonlyMap<string, number>,
): DocumentWrite {
  const id = idOf(key.id, date);
  return {
    tenant: key.tenant,
    kind: KIND,
    id,
    body: day as unknown as JsonObject,
    expected: versions.get(id) ?? 'absent',
    expiresAt: Date.parse(date) + KEPT_MS,
  };
}

function dayOf({ body }: StoredDocument): UsageDay {
  return body as unknown as UsageDay;
}

function idOf(keyId: string, date: string): string {
  return `${keyId}.${date}`;
}

function dateOf(instant: number): string {
  return new Date(instant).toISOString().slice(0, 10);
}

function datesBefore(date: string): readonly string[] {
  return datesUntil(Date.parse(date) - DAY_MS, HISTORY_DAYS);
}

function datesUntil(instant: number, count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => dateOf(instant - at * DAY_MS));
}
