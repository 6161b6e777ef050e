// How each endpoint has behaved: its latencies, its breaker, its hourly budget. A dead endpoint waits alone and never holds up the
// others. Kept in memory; after a restart an endpoint is believed healthy until it shows otherwise.

import type { TenantId } from '../domain/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import type { EndpointView } from './api.ts';
import { quantile } from './statistics.ts';

const ANSWERS_KEPT = 50;
const TIMEOUT_MS = { least: 2_000, most: 30_000, unknown: 10_000, samplesMin: 5, p95Factor: 4 };
const BREAKER = { failuresMax: 10, firstOpenMs: 30_000, openMsMax: 600_000 };
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
  failures: number;
  openMs: number;
  openUntil: number;
  state: 'closed' | 'open' | 'probing';
  hour: number;
  sentThisHour: number;
  readonly hours: Map<number, { good: number; all: number }>;
}

/** What may be sent to an endpoint now: go ahead, or come back in so many milliseconds. */
export type Clearance =
  | { readonly go: true; readonly timeoutMs: number }
  | { readonly go: false; readonly waitMs: number };

/** The endpoints of all tenants. */
export class Endpoints {
  readonly #clock: Clock;
  readonly #perHour: number;
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(clock: Clock, options: { readonly perHour: number }) {
    this.#clock = clock;
    this.#perHour = options.perHour;
  }

  /** Whether to send now; ends go before progress when the hour's budget runs low (`SAM-54`, `SAM-91`). */
  clear(tenant: TenantId, url: string, isEnd: boolean): Clearance {
    const endpoint = this.#of(tenant, url);
    const now = this.#clock.now();
    if (endpoint.state === 'probing') return { go: false, waitMs: 1_000 };
    if (endpoint.state === 'open') {
      if (now < endpoint.openUntil) return { go: false, waitMs: endpoint.openUntil - now };
      endpoint.state = 'probing';
    }
    this.#turnHour(endpoint, now);
    const reserve = isEnd ? 0 : Math.ceil(this.#perHour / 10);
    if (endpoint.sentThisHour >= this.#perHour - reserve) {
      if (endpoint.state === 'probing') endpoint.state = 'open';
      return { go: false, waitMs: (endpoint.hour + 1) * HOUR_MS - now + (isEnd ? 0 : 1_000) };
    }
    endpoint.sentThisHour++;
    return { go: true, timeoutMs: timeoutOf(endpoint) };
  }

  /** Notes how a try went; true when this one closed the breaker (`SAM-90`, `SAM-91`). */
  note(tenant: TenantId, url: string, good: boolean, durationMs: number): boolean {
    const endpoint = this.#of(tenant, url);
    const now = this.#clock.now();
    push(endpoint.results, good);
    if (good) this.#noteLatency(endpoint, durationMs);
    const hour = Math.floor(now / HOUR_MS);
    const tally = endpoint.hours.get(hour) ?? { good: 0, all: 0 };
    endpoint.hours.set(hour, { good: tally.good + (good ? 1 : 0), all: tally.all + 1 });
    for (const old of endpoint.hours.keys()) if (old <= hour - HOURS_KEPT) endpoint.hours.delete(old);
    if (good) {
      const closed = endpoint.state !== 'closed';
      endpoint.state = 'closed';
      endpoint.failures = 0;
      endpoint.openMs = BREAKER.firstOpenMs;
      return closed;
    }
    endpoint.failures++;
    if (endpoint.state === 'probing' || endpoint.failures >= BREAKER.failuresMax) {
      endpoint.state = 'open';
      endpoint.openUntil = now + endpoint.openMs;
      endpoint.openMs = Math.min(BREAKER.openMsMax, endpoint.openMs * 2);
    }
    return false;
  }

  /** A tenant's endpoints as they are. */
  list(tenant: TenantId): readonly EndpointView[] {
    return [...this.#endpoints.values()].filter(endpoint => endpoint.tenant === tenant).map(viewOf);
  }

  #noteLatency(endpoint: Endpoint, durationMs: number): void {
    const oldest = push(endpoint.latencies, durationMs);
    if (oldest === undefined) return;
    endpoint.baselineMs = endpoint.baselineMs === null ? oldest : endpoint.baselineMs * 0.98 + oldest * 0.02;
  }

  #turnHour(endpoint: Endpoint, now: number): void {
    const hour = Math.floor(now / HOUR_MS);
    if (endpoint.hour === hour) return;
    endpoint.hour = hour;
    endpoint.sentThisHour = 0;
  }

  #of(tenant: TenantId, url: string): Endpoint {
    const key = `${tenant}\n${url}`;
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
      failures: 0,
      openMs: BREAKER.firstOpenMs,
      openUntil: 0,
      state: 'closed',
      hour: 0,
      sentThisHour: 0,
      hours: new Map(),
    };
    this.#endpoints.set(key, endpoint);
    return endpoint;
  }
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

function viewOf(endpoint: Endpoint): EndpointView {
  const { latencies, results, baselineMs } = endpoint;
  const meanMs =
    latencies.length === 0 ? null : latencies.reduce((sum, ms) => sum + ms, 0) / latencies.length;
  const slow = baselineMs !== null && meanMs !== null && meanMs > 3 * baselineMs;
  return {
    endpoint: endpoint.url,
    breaker: endpoint.state,
    meanMs,
    p95Ms: quantile(latencies, 0.95),
    successRate: results.length === 0 ? null : results.filter(Boolean).length / results.length,
    timeoutMs: timeoutOf(endpoint),
    openUntil: endpoint.state === 'open' ? endpoint.openUntil : null,
    availability: [...endpoint.hours]
      .sort(([a], [b]) => b - a)
      .map(([hour, { good, all }]) => ({
        hour: new Date(hour * HOUR_MS).toISOString().slice(0, 13),
        share: good / all,
      })),
    warning: slow ? 'answers take more than three times as long as they used to' : null,
  };
}
