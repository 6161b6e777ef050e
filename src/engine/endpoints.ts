// How each endpoint has behaved: its latencies, its breaker, its hourly budget. A dead endpoint waits alone and never holds up the
// others. Kept in memory, breakers and budgets shared between nodes; after a restart of the only node an endpoint is believed healthy
// until it shows otherwise.

import type { TenantId } from '../domain/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Service } from '../runtime/service.ts';
import type { EndpointView } from './api.ts';
import { type BreakerStore, Breakers, type BreakerView } from './breakers.ts';
import { HourlyCounts } from './endpoints-counts.ts';
import { quantile } from './statistics.ts';

const ANSWERS_KEPT = 50;
const TIMEOUT_MS = { least: 2_000, most: 30_000, unknown: 10_000, samplesMin: 5, p95Factor: 4 };
const BREAKER = { kind: 'endpoint_breaker', failuresMax: 10, firstOpenMs: 30_000, openMsMax: 600_000 };
const HOUR_MS = 3_600_000;
const HOURS_KEPT = 24;
const ENDPOINTS_MAX = 10_000;

interface Endpoint {
  readonly tenant: TenantId;
  readonly url: string;
  readonly latencies: number[];
  /** Mean of the answers before the last 50, to notice a slow-down (`SAM-90`). */
  baselineMs: number | null;
  readonly results: boolean[];
  readonly hours: Map<number, { good: number; all: number }>;
}

/** What may be sent to an endpoint now: go ahead, or come back in so many milliseconds. */
export type Clearance =
  | { readonly go: true; readonly timeoutMs: number }
  | { readonly go: false; readonly waitMs: number };

/** The endpoints of all tenants; what happens to one on several nodes within 3 s, they may know of a little late. */
export class Endpoints implements Service {
  readonly #clock: Clock;
  readonly #perHour: number;
  readonly #breakers: Breakers;
  readonly #counts: HourlyCounts;
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(
    log: Log,
    clock: Clock,
    random: Random,
    store: BreakerStore,
    options: { readonly perHour: number },
  ) {
    this.#clock = clock;
    this.#perHour = options.perHour;
    this.#breakers = new Breakers(log, clock, store, BREAKER);
    this.#counts = new HourlyCounts(log, clock, random, store, options.perHour);
  }

  async start(): Promise<void> {
    await Promise.all([this.#breakers.start(), this.#counts.start()]);
  }

  async stop(): Promise<void> {
    await Promise.all([this.#breakers.stop(), this.#counts.stop()]);
  }

  /** Whether to send now; ends go before progress when the hour's budget runs low (`SAM-54`, `SAM-91`). */
  async clear(tenant: TenantId, url: string, isEnd: boolean): Promise<Clearance> {
    const reserve = isEnd ? 0 : Math.ceil(this.#perHour / 10);
    const key = keyOf(tenant, url);
    if (!this.#counts.take(key, this.#perHour - reserve))
      return { go: false, waitMs: this.#counts.turnsInMs + (isEnd ? 0 : 1_000) };
    const passage = await this.#breakers.pass(tenant, url);
    if (passage.go) return { go: true, timeoutMs: timeoutOf(this.#of(tenant, url)) };
    this.#counts.giveBack(key);
    return passage;
  }

  /** Notes how a try went; true when this one closed the breaker (`SAM-90`, `SAM-91`). */
  note(tenant: TenantId, url: string, good: boolean, durationMs: number): boolean {
    const endpoint = this.#of(tenant, url);
    push(endpoint.results, good);
    if (good) this.#noteLatency(endpoint, durationMs);
    const hour = Math.floor(this.#clock.now() / HOUR_MS);
    const tally = endpoint.hours.get(hour) ?? { good: 0, all: 0 };
    endpoint.hours.set(hour, { good: tally.good + (good ? 1 : 0), all: tally.all + 1 });
    for (const old of endpoint.hours.keys()) if (old <= hour - HOURS_KEPT) endpoint.hours.delete(old);
    return this.#breakers.note(tenant, url, good);
  }

  /** A tenant's endpoints as they are, and those that only other nodes know, where their breaker is not closed. */
  list(tenant: TenantId): readonly EndpointView[] {
    const breakers = new Map(this.#breakers.list(tenant).map(breaker => [breaker.name, breaker]));
    for (const url of breakers.keys()) this.#of(tenant, url);
    return [...this.#endpoints.values()]
      .filter(endpoint => endpoint.tenant === tenant)
      .map(endpoint => viewOf(endpoint, breakers.get(endpoint.url)));
  }

  #noteLatency(endpoint: Endpoint, durationMs: number): void {
    const oldest = push(endpoint.latencies, durationMs);
    if (oldest === undefined) return;
    endpoint.baselineMs = endpoint.baselineMs === null ? oldest : endpoint.baselineMs * 0.98 + oldest * 0.02;
  }

  #of(tenant: TenantId, url: string): Endpoint {
    const key = keyOf(tenant, url);
    const known = this.#endpoints.get(key);
    if (known !== undefined) return known;
    if (this.#endpoints.size >= ENDPOINTS_MAX) {
      const oldest = this.#endpoints.keys().next().value;
      if (oldest !== undefined) this.#endpoints.delete(oldest);
    }
    const endpoint: Endpoint = {
      tenant,
      url,
      latencies: [],
      baselineMs: null,
      results: [],
      hours: new Map(),
    };
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }
}

function keyOf(tenant: TenantId, url: string): string {
  return `${tenant}\n${url}`;
}

function push<Item>(ring: Item[], item: Item): Item | undefined {
  ring.push(item);
  return ring.length > ANSWERS_KEPT ? ring.shift() : undefined;
}

function timeoutOf({ latencies }: Endpoint): number {
  if (latencies.length < TIMEOUT_MS.samplesMin) return TIMEOUT_MS.unknown;
  const adapted = TIMEOUT_MS.p95Factor * (quantile(latencies, 0.95) ?? 0);
  return Math.round(Math.min(TIMEOUT_MS.most, Math.max(TIMEOUT_MS.least, adapted)));
}

function viewOf(endpoint: Endpoint, breaker: BreakerView | undefined): EndpointView {
  const { latencies, results, baselineMs } = endpoint;
  const meanMs =
    latencies.length === 0 ? null : latencies.reduce((sum, ms) => sum + ms, 0) / latencies.length;
  const slow = baselineMs !== null && meanMs !== null && meanMs > 3 * baselineMs;
  return {
    endpoint: endpoint.url,
    breaker: breaker?.state ?? 'closed',
    meanMs,
    p95Ms: quantile(latencies, 0.95),
    successRate: results.length === 0 ? null : results.filter(Boolean).length / results.length,
    timeoutMs: timeoutOf(endpoint),
    openUntil: breaker?.openUntil ?? null,
    availability: [...endpoint.hours]
      .sort(([a], [b]) => b - a)
      .map(([hour, { good, all }]) => ({
        hour: new Date(hour * HOUR_MS).toISOString().slice(0, 13),
        share: good / all,
      })),
    warning: slow ? 'answers take more than three times as long as they used to' : null,
  };
}
