// Tenants: who they are, their share of the capacity, their options, and the secret their webhooks are signed with, which always
// exists and rotates with an overlap (`SAM-78`). `default` exists without being made.

import { DomainError } from '../domain/errors.ts';
import { type Guardrails, requireSoundGuardrails } from '../domain/guardrails.ts';
import { DEFAULT_TENANT, isCallerId, type TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { PriceTable } from '../domain/price.ts';
import type { TenantWeights } from '../engine/ports/secrets.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Service } from '../runtime/service.ts';
import { Watch } from '../runtime/watch.ts';
import type { Store } from '../store/store.ts';
import { changeDocument, createDocument, type Documents, everyDocument } from './documents.ts';
import { FreshCache } from './fresh-cache.ts';
import { requireSoundDemands, type SignatureDemands } from './messages/demands.ts';
import { type QuotaPlan, requireSound } from './quota-plan.ts';
import type { QuotaPlans } from './quotas.ts';
import type { Vault } from './vault.ts';

/** What a tenant may choose for itself. */
export interface TenantOptions {
  /** How far a signed request's timestamp may be off, and how long its nonce is remembered: 30–900 (`SAM-26`). */
  readonly hmacWindowSeconds: number;
  /** Tokens without `jti` are refused (`SAM-14`). */
  readonly requireJti: boolean;
  /** API keys whose secret is older are refused; null only warns, from 90 days on (`SAM-20`). */
  readonly apiKeyAgeMaxDays: number | null;
  /** The webhook secret is renewed when it gets that old; null leaves it to the route. */
  readonly webhookRotationDays: number | null;
  /** What its tasks may use (`SAM-119`); a change replaces whole scopes and leaves those it does not name. */
  readonly quotas: QuotaPlan;
  /** What its tasks are estimated to cost by; absent where they cost nothing (`SAM-42`). */
  readonly prices?: PriceTable;
  /** Where its tasks may run; null or absent: anywhere (`SAM-225`). */
  readonly residency?: Residency | null;
  /** Which messages must be signed; a change replaces it whole, and absent none must (`ARMY-114`). */
  readonly signatures?: SignatureDemands;
  /** What its agents move within; a change replaces it whole, and what it leaves out is as for everybody. */
  readonly guardrails?: Partial<Guardrails>;
}

/** The regions a tenant's tasks may run in: on nodes and agents of these alone. */
export interface Residency {
  readonly regions: readonly string[];
}

/** A tenant. */
export interface Tenant {
  readonly id: TenantId;
  readonly name: string;
  /** Share of the capacity relative to the others'. */
  readonly weight: number;
  readonly options: TenantOptions;
  readonly createdAt: number;
}

/** What is said of a tenant when it is made or changed. */
export interface TenantSettings {
  readonly name?: string;
  readonly weight?: number;
  readonly options?: Partial<TenantOptions>;
}

interface WebhookSecret {
  readonly sealed: string;
  readonly createdAt: number;
  /** Null for the newest; the one before it signs along until then. */
  readonly expiresAt: number | null;
}

interface TenantBody {
  readonly tenant: Tenant;
  readonly webhookSecrets: readonly WebhookSecret[];
}

const KIND = 'tenant';
const DAY_MS = 86_400_000;
const OVERLAP_MS = DAY_MS;
/** Hints of other nodes may be lost: so often all tenants are read without one, where that is cheap. */
const RELOAD_MS = 800;
const WEIGHT_MIN = 0.01;
const WEIGHT_MAX = 1_000;
const REGIONS_MAX = 100;
const DEFAULT_OPTIONS: TenantOptions = {
  hmacWindowSeconds: 300,
  requireJti: false,
  apiKeyAgeMaxDays: null,
  webhookRotationDays: null,
  quotas: {},
};

/** Keeps the tenants; started, it also follows changes made on other nodes and renews webhook secrets on schedule. */
export class Tenants implements Service, TenantWeights, QuotaPlans {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Documents & Pick<Store, 'hear'>;
  readonly #vault: Vault;
  readonly #cache: FreshCache<TenantBody>;
  #weights: ReadonlyMap<string, number> = new Map();
  #plans: ReadonlyMap<TenantId, QuotaPlan> = new Map();
  #prices: ReadonlyMap<TenantId, PriceTable | undefined> = new Map();
  #regions: ReadonlyMap<TenantId, readonly string[] | undefined> = new Map();
  #guardrails: ReadonlyMap<TenantId, Partial<Guardrails> | undefined> = new Map();
  readonly #watch: Watch;
  #deafen: () => void = () => undefined;

  constructor(log: Log, clock: Clock, random: Random, store: Documents & Pick<Store, 'hear'>, vault: Vault) {
    this.#log = log;
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#vault = vault;
    this.#watch = new Watch(clock, RELOAD_MS, () => this.#reload());
    this.#cache = new FreshCache(clock, async ids => {
      const found = await store.documents({ kind: KIND, ids });
      return new Map(found.map(one => [one.id, one.body as unknown as TenantBody]));
    });
  }

  async start(): Promise<void> {
    const id = DEFAULT_TENANT;
    await createDocument(this.#store, refOf(id), this.#newBody({ id, name: 'default' }));
    this.#cache.forget(id);
    this.#deafen = this.#store.hear(({ documents }) => {
      if (documents === null || documents.includes(KIND)) this.#watch.tell();
    });
    await this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#deafen();
    await this.#watch.stop();
  }

  /** Makes a tenant; throws `invalid_request`, and `conflict` where the name is taken. */
  async create(tenant: TenantSettings & { readonly id: string }): Promise<Tenant> {
    if (!isCallerId(tenant.id)) throw invalid('tenant_id', 'must be 1–200 characters of [A-Za-z0-9._:-]');
    const id = tenant.id as TenantId;
    const body = this.#newBody({ ...tenant, id });
    if (!(await createDocument(this.#store, refOf(id), body)))
      throw new DomainError('conflict', `the tenant ${id} exists`);
    this.#took(id, body as unknown as TenantBody);
    return (body as unknown as TenantBody).tenant;
  }

  /** Changes what is given and leaves the rest; throws `not_found`, `invalid_request`. */
  async update(id: TenantId, settings: TenantSettings): Promise<Tenant> {
    const body = await this.#change(id, ({ tenant, webhookSecrets }) => ({
      tenant: settled({ ...tenant, ...definedOf(settings) }, tenant.options, settings.options),
      webhookSecrets,
    }));
    return body.tenant;
  }

  /** All tenants, by name. */
  async list(): Promise<readonly Tenant[]> {
    const all = await everyDocument(this.#store, { kind: KIND });
    return all
      .map(one => (one.body as unknown as TenantBody).tenant)
      .sort((one, other) => (one.id < other.id ? -1 : 1));
  }

  /** The tenant as of at most 1 s ago, or null. */
  async get(id: TenantId): Promise<Tenant | null> {
    return (await this.#cache.get(id))?.tenant ?? null;
  }

  /** The tenant's options, those of a new one where there is no such tenant. */
  async options(id: TenantId): Promise<TenantOptions> {
    return (await this.get(id))?.options ?? DEFAULT_OPTIONS;
  }

  weight(id: TenantId): number {
    return this.#weights.get(id) ?? 1;
  }

  prices(id: TenantId): PriceTable | undefined {
    return this.#prices.get(id);
  }

  regions(id: TenantId): readonly string[] | undefined {
    return this.#regions.get(id);
  }

  /** How many tasks of its may make one another; absent where it does not say. */
  depthMax(id: TenantId): number | undefined {
    return this.#guardrails.get(id)?.depthMax;
  }

  /** What it set of its guardrails. */
  guardrails(id: TenantId): Partial<Guardrails> | undefined {
    return this.#guardrails.get(id);
  }

  quotaPlan(id: TenantId): QuotaPlan | undefined {
    return this.#plans.get(id);
  }

  planned(): Iterable<TenantId> {
    return this.#plans.keys();
  }

  /** The secrets to sign the tenant's webhooks with, newest first; throws `not_found`. */
  async webhookSecrets(id: TenantId): Promise<readonly string[]> {
    const body = await this.#cache.get(id);
    if (body === null) throw new DomainError('not_found', 'there is no such tenant');
    const now = this.#clock.now();
    return body.webhookSecrets
      .filter(secret => secret.expiresAt === null || secret.expiresAt > now)
      .map(secret => this.#vault.open(secret.sealed, contextOf(id)));
  }

  /** Makes a new webhook secret and answers it; the one before signs along for `overlapMs` (24 h); throws `not_found`. */
  async rotateWebhookSecret(id: TenantId, overlapMs = OVERLAP_MS): Promise<string> {
    const { secret, sealed } = this.#newWebhookSecret(id);
    await this.#change(id, ({ tenant, webhookSecrets: [newest] }) => ({
      tenant,
      webhookSecrets: [
        sealed,
        ...(newest === undefined ? [] : [{ ...newest, expiresAt: sealed.createdAt + overlapMs }]),
      ],
    }));
    return secret;
  }

  async #change(id: TenantId, change: (body: TenantBody) => TenantBody): Promise<TenantBody> {
    const changed = await changeDocument(
      this.#store,
      refOf(id),
      body => change(body as unknown as TenantBody) as unknown as JsonObject,
    );
    const body = changed as unknown as TenantBody;
    this.#took(id, body);
    return body;
  }

  #took(id: TenantId, body: TenantBody): void {
    this.#cache.forget(id);
    this.#weights = new Map(this.#weights).set(id, body.tenant.weight);
    this.#plans = plansOf([...this.#plans, [id, body.tenant.options.quotas]]);
    this.#prices = new Map(this.#prices).set(id, body.tenant.options.prices);
    this.#regions = new Map(this.#regions).set(id, body.tenant.options.residency?.regions);
    this.#guardrails = new Map(this.#guardrails).set(id, body.tenant.options.guardrails);
  }

  async #reload(): Promise<void> {
    try {
      const all = await everyDocument(this.#store, { kind: KIND });
      const bodies = all.map(one => one.body as unknown as TenantBody);
      this.#weights = new Map(bodies.map(({ tenant }) => [tenant.id, tenant.weight]));
      this.#plans = plansOf(bodies.map(({ tenant }) => [tenant.id, tenant.options.quotas]));
      this.#prices = new Map(bodies.map(({ tenant }) => [tenant.id, tenant.options.prices]));
      this.#regions = new Map(bodies.map(({ tenant }) => [tenant.id, tenant.options.residency?.regions]));
      this.#guardrails = new Map(bodies.map(({ tenant }) => [tenant.id, tenant.options.guardrails]));
      for (const { tenant, webhookSecrets } of bodies)
        if (this.#isDue(tenant, webhookSecrets)) await this.rotateWebhookSecret(tenant.id);
    } catch (error) {
      this.#log.warn('tenants could not be read again', { error: String(error) });
    }
  }

  #isDue({ options }: Tenant, [newest]: readonly WebhookSecret[]): boolean {
    const { webhookRotationDays } = options;
    if (webhookRotationDays === null || newest === undefined) return false;
    return this.#clock.now() - newest.createdAt >= webhookRotationDays * DAY_MS;
  }

  #newBody(settings: TenantSettings & { readonly id: TenantId }): JsonObject {
    const { id, name = id, weight = 1 } = settings;
    const tenant = { id, name, weight, options: DEFAULT_OPTIONS, createdAt: this.#clock.now() };
    const body: TenantBody = {
      tenant: settled(tenant, DEFAULT_OPTIONS, settings.options),
      webhookSecrets: [this.#newWebhookSecret(id).sealed],
    };
    return body as unknown as JsonObject;
  }

  #newWebhookSecret(id: TenantId): { readonly secret: string; readonly sealed: WebhookSecret } {
    const secret = `whsec_${Buffer.from(this.#random.bytes(32)).toString('base64')}`;
    const sealed = this.#vault.seal(secret, contextOf(id));
    return { secret, sealed: { sealed, createdAt: this.#clock.now(), expiresAt: null } };
  }
}

function settled(tenant: Tenant, options: TenantOptions, changes: Partial<TenantOptions> = {}): Tenant {
  const chosen = { ...options, ...changes, quotas: { ...options.quotas, ...changes.quotas } };
  const { hmacWindowSeconds, apiKeyAgeMaxDays, webhookRotationDays } = chosen;
  if (tenant.name === '' || tenant.name.length > 200) throw invalid('name', 'must be 1–200 characters');
  if (!(tenant.weight >= WEIGHT_MIN && tenant.weight <= WEIGHT_MAX))
    throw invalid('weight', `must be within ${WEIGHT_MIN}–${WEIGHT_MAX}`);
  if (!Number.isInteger(hmacWindowSeconds) || hmacWindowSeconds < 30 || hmacWindowSeconds > 900)
    throw invalid('options.hmac_window_seconds', 'must be an integer within 30–900');
  if (!isDays(apiKeyAgeMaxDays)) throw invalid('options.api_key_age_max_days', 'must be 1 or more days');
  if (!isDays(webhookRotationDays)) throw invalid('options.webhook_rotation_days', 'must be 1 or more days');
  requireRegions(chosen.residency);
  requireSound(chosen.quotas);
  if (chosen.signatures !== undefined) requireSoundDemands(chosen.signatures);
  if (chosen.guardrails !== undefined) requireSoundGuardrails(chosen.guardrails);
  return { ...tenant, options: chosen };
}

/** Of those that limit something; tenants from before there were quotas have no plan at all. */
function plansOf(
  plans: readonly (readonly [TenantId, QuotaPlan | undefined])[],
): ReadonlyMap<TenantId, QuotaPlan> {
  const some = new Map<TenantId, QuotaPlan>();
  for (const [id, plan] of plans) {
    if (Object.values(plan ?? {}).some(scope => scope !== null) && plan !== undefined) some.set(id, plan);
    else some.delete(id);
  }
  return some;
}

function requireRegions(residency: Residency | null | undefined): void {
  if (residency === null || residency === undefined) return;
  const { regions } = residency;
  if (regions.length >= 1 && regions.length <= REGIONS_MAX && regions.every(isRegion)) return;
  throw invalid(
    'options.residency.regions',
    `must be 1–${REGIONS_MAX} names of regions, each 1–200 characters`,
  );
}

function isRegion(region: string): boolean {
  return region.length >= 1 && region.length <= 200;
}

function isDays(days: number | null): boolean {
  return days === null || (Number.isInteger(days) && days >= 1);
}

function definedOf({ name, weight }: TenantSettings): Partial<Pick<Tenant, 'name' | 'weight'>> {
  return { ...(name === undefined ? {} : { name }), ...(weight === undefined ? {} : { weight }) };
}

function refOf(id: TenantId): { readonly tenant: TenantId; readonly kind: string; readonly id: string } {
  return { tenant: id, kind: KIND, id };
}

function contextOf(tenant: TenantId): { readonly tenant: TenantId; readonly purpose: string } {
  return { tenant, purpose: 'webhook_secret' };
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('invalid_request', `${field} ${message}`, {
    details: { errors: [{ field, message }] },
  });
}
