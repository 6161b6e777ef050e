// What a tenant has settled for its army: limits, retries, thresholds (`ARMY-49`, `ARMY-50`). Kept as one document; a node knows of a
// change within a second.

import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Store } from '../../store/store.ts';
import { durationMs, durationText } from './durations.ts';
import type { Role } from './words.ts';

/** Settings in force; durations in milliseconds. */
export interface ArmySettings {
  /** For an attempt that says nothing of its time. */
  readonly defaultTimeoutMs: number;
  /** Before each further attempt; there are as many as these. */
  readonly retryDelaysMs: readonly number[];
  readonly maxTimeMs: number;
  readonly maxTokens: number;
  readonly maxMemoryMb: number;
  readonly minQualityScore: number;
  /** Messages a minute from one agent. */
  readonly rateLimit: number;
  readonly maxDepth: number;
  readonly reviewCritical: boolean;
  /** Built-in roles that were shut down. */
  readonly resting: readonly string[];
}

/** What holds where nothing was settled. */
export const DEFAULTS: ArmySettings = {
  defaultTimeoutMs: 30_000,
  retryDelaysMs: [1_000, 2_000, 4_000],
  maxTimeMs: 300_000,
  maxTokens: 4_000,
  maxMemoryMb: 100,
  minQualityScore: 0.7,
  rateLimit: 600,
  maxDepth: 8,
  reviewCritical: true,
  resting: [],
};

const KIND = 'army_settings';
const ID = 'settings';
const FRESH_MS = 1_000;
/** When it is worthwhile to ask a role again that was shut down. */
const RESTING_MS = 60_000;
const TENANTS_MAX = 10_000;

interface Known {
  readonly at: number;
  readonly settings: ArmySettings;
}

/** The settings of all tenants. */
export class Settings {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly #known = new Map<TenantId, Known>();

  constructor(clock: Clock, store: Pick<Store, 'documents' | 'putDocuments'>) {
    this.#clock = clock;
    this.#store = store;
  }

  /** Those in force. */
  async of(tenant: TenantId): Promise<ArmySettings> {
    const known = this.#known.get(tenant);
    if (known !== undefined && this.#clock.monotonic() - known.at < FRESH_MS) return known.settings;
    const [document] = await this.#store.documents({ kind: KIND, tenant, ids: [ID] });
    return this.#keep(tenant, document === undefined ? DEFAULTS : settingsOf(document.body));
  }

  /** Those in force as last heard; the defaults before anybody asked. */
  lastOf(tenant: TenantId): ArmySettings {
    return this.#known.get(tenant)?.settings ?? DEFAULTS;
  }

  /** Changes some of them, in the wire's words; answers those in force then. */
  async change(tenant: TenantId, changes: JsonObject): Promise<ArmySettings> {
    for (;;) {
      const [document] = await this.#store.documents({ kind: KIND, tenant, ids: [ID] });
      const body = { ...document?.body, ...changes };
      const [outcome] = await this.#store.putDocuments([
        { tenant, kind: KIND, id: ID, body, expected: document?.version ?? 'absent' },
      ]);
      if (outcome?.status === 'done') return this.#keep(tenant, settingsOf(body));
    }
  }

  #keep(tenant: TenantId, settings: ArmySettings): ArmySettings {
    if (this.#known.size >= TENANTS_MAX) this.#known.clear();
    this.#known.set(tenant, { at: this.#clock.monotonic(), settings });
    return settings;
  }
}

/** Settings in the wire's words. */
export function settingsText(settings: ArmySettings): JsonObject {
  return {
    default_timeout: durationText(settings.defaultTimeoutMs),
    retry_delays: settings.retryDelaysMs.map(durationText),
    max_time: durationText(settings.maxTimeMs),
    max_tokens: settings.maxTokens,
    max_memory_mb: settings.maxMemoryMb,
    min_quality_score: settings.minQualityScore,
    rate_limit: settings.rateLimit,
    max_depth: settings.maxDepth,
    review_critical: settings.reviewCritical,
  };
}

/** Throws `unavailable` where the built-in role was shut down (`ARMY-48`). */
export async function requireAtWork(role: Role, tenant: TenantId, settings: Settings): Promise<void> {
  if (!(await settings.of(tenant)).resting.includes(role)) return;
  throw new DomainError('unavailable', `the built-in ${role} was shut down`, {
    details: { role, hint: 'a supervisor registers the role again' },
    retryAfterMs: RESTING_MS,
  });
}

function settingsOf(body: JsonObject): ArmySettings {
  const ms = (member: string, otherwise: number): number =>
    (typeof body[member] === 'string' ? durationMs(body[member]) : null) ?? otherwise;
  const number = (member: string, otherwise: number): number =>
    typeof body[member] === 'number' ? body[member] : otherwise;
  const { retry_delays: delays, resting } = body;
  return {
    defaultTimeoutMs: ms('default_timeout', DEFAULTS.defaultTimeoutMs),
    retryDelaysMs: Array.isArray(delays)
      ? delays.map(one => durationMs(String(one)) ?? 0)
      : DEFAULTS.retryDelaysMs,
    maxTimeMs: ms('max_time', DEFAULTS.maxTimeMs),
    maxTokens: number('max_tokens', DEFAULTS.maxTokens),
    maxMemoryMb: number('max_memory_mb', DEFAULTS.maxMemoryMb),
    minQualityScore: number('min_quality_score', DEFAULTS.minQualityScore),
    rateLimit: number('rate_limit', DEFAULTS.rateLimit),
    maxDepth: number('max_depth', DEFAULTS.maxDepth),
    resting: Array.isArray(resting) ? resting.map(String) : [],
    reviewCritical:
      typeof body.review_critical === 'boolean' ? body.review_critical : DEFAULTS.reviewCritical,
  };
}
