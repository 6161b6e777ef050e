// Keeps the keys tokens are verified, opened and (our own) signed with. A key belongs to one tenant and is pinned to one algorithm
// (`SAM-10`, `SAM-11`); which keys a token may be tried with is decided here, by tenant, `kid` and algorithm alone.

import { hash, type KeyObject } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { changeDocument, createDocument, type Documents, everyDocument, oneDocument } from './documents.ts';
import { FreshCache } from './fresh-cache.ts';
import {
  ENCRYPTION_ALGORITHMS,
  type JwtAlgorithm,
  type KeyMaterial,
  keptMaterial,
  keyOf,
} from './jwt-material.ts';
import type { Vault } from './vault.ts';

/** A key as it is listed: never its secret. */
export interface JwtKeyView {
  readonly tenant: TenantId;
  readonly kid: string;
  readonly algorithm: JwtAlgorithm;
  /** Tokens must bear this `iss`, where it is set. */
  readonly issuer?: string;
  /** Tokens must bear this `aud`, where it is set. */
  readonly audience?: string;
  readonly active: boolean;
  /** Our own: signs the tokens of `auth/token`. */
  readonly isOwn: boolean;
  readonly createdAt: number;
}

/** A key as it is used; the fingerprint tells whether a key of the same name is still the same key. */
export interface JwtKey extends JwtKeyView {
  readonly key: KeyObject;
  readonly fingerprint: string;
}

/** What is asked for when a key is added. */
export interface NewJwtKey {
  /** Unique over all tenants; made up where absent. */
  readonly kid?: string;
  readonly algorithm: JwtAlgorithm;
  readonly material: KeyMaterial;
  readonly issuer?: string;
  readonly audience?: string;
}

/** A key from the configuration, of the default tenant, kept in memory alone. */
export type ConfiguredJwtKey = Omit<NewJwtKey, 'kid'> & { readonly kid: string };

interface KeyBody {
  readonly view: JwtKeyView;
  readonly text: string;
  readonly isSealed: boolean;
}

const KIND = 'jwt_key';
const KID_KIND = 'jwt_kid';
const OWN_PREFIX = 'own.';
const TRIED_MAX = 8;
const KID = /^[\x21-\x7e]{1,256}$/;

/** The keys of all tenants; a change works here at once, on other nodes within 1 s. */
export class JwtKeys {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Documents;
  readonly #vault: Vault;
  readonly #configured: readonly JwtKey[];
  readonly #keys: FreshCache<readonly JwtKey[]>;
  readonly #owners: FreshCache<TenantId>;

  constructor(
    clock: Clock,
    random: Random,
    store: Documents,
    vault: Vault,
    configured: readonly ConfiguredJwtKey[] = [],
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#vault = vault;
    this.#configured = configured.map(asked => {
      const view = { ...viewOf(asked, DEFAULT_TENANT, false), createdAt: clock.now() };
      return usable(view, keptMaterial(asked.algorithm, asked.material).text);
    });
    this.#keys = new FreshCache(clock, async tenants => {
      const read = tenants.map(async tenant => [tenant, await this.#read(tenant as TenantId)] as const);
      return new Map(await Promise.all(read));
    });
    this.#owners = new FreshCache(clock, async kids => {
      const found = await store.documents({ kind: KID_KIND, ids: kids });
      return new Map(found.map(one => [one.id, one.body.owner as TenantId]));
    });
  }

  /** Adds a key; throws `invalid_request` for a weak or unfit one, `conflict` where the `kid` is taken. */
  async add(tenant: TenantId, asked: NewJwtKey): Promise<JwtKeyView> {
    const kid = asked.kid ?? `jk_${this.#random.uuid()}`;
    if (kid.startsWith(OWN_PREFIX))
      throw new DomainError('invalid_request', `a kid beginning ${OWN_PREFIX} is ours alone`);
    return this.#add(tenant, { ...asked, kid }, false);
  }

  /** A tenant's keys, oldest first. */
  async list(tenant: TenantId): Promise<readonly JwtKeyView[]> {
    const stored = await everyDocument(this.#store, { kind: KIND, tenant });
    return stored
      .map(one => (one.body as unknown as KeyBody).view)
      .sort((one, other) => one.createdAt - other.createdAt);
  }

  /** Ends a key: its tokens are refused from the next request on; throws `not_found`. */
  async deactivate(tenant: TenantId, kid: string): Promise<JwtKeyView> {
    const body = await changeDocument(this.#store, { tenant, kind: KIND, id: kid }, old => {
      const { view, ...rest } = old as unknown as KeyBody;
      return { ...rest, view: { ...view, active: false } } as unknown as JsonObject;
    });
    this.#keys.forget(tenant);
    return (body as unknown as KeyBody).view;
  }

  /**
   * The active keys a token of this header may be tried with, newest first: the one of its `kid`, else at most 8 of the algorithm, of
   * the tenant it claims, else the default's. Claims are unproven at this point and only choose among keys.
   */
  async candidates(asked: {
    readonly algorithm: JwtAlgorithm;
    readonly kid: string | null;
    readonly tenant: TenantId | null;
  }): Promise<readonly JwtKey[]> {
    const { algorithm, kid } = asked;
    const tenant = asked.tenant ?? (kid === null ? DEFAULT_TENANT : await this.#ownerOf(kid));
    const keys = tenant === null ? [] : await this.#ofTenant(tenant);
    const fitting = keys.filter(key => key.active && key.algorithm === algorithm);
    if (kid !== null) return fitting.filter(key => key.kid === kid);
    return fitting.filter(key => !key.isOwn).slice(0, TRIED_MAX);
  }

  /** The key as it is now if it is still active and the same, else null. */
  async current(key: JwtKey): Promise<JwtKey | null> {
    const keys = await this.#ofTenant(key.tenant);
    return keys.find(one => one.active && one.fingerprint === key.fingerprint) ?? null;
  }

  /** Our own signing key of the tenant, made when first asked for; that two nodes each make one does no harm. */
  async own(tenant: TenantId): Promise<JwtKey> {
    const known = await this.#newestOwn(tenant);
    if (known !== undefined) return known;
    const kid = `${OWN_PREFIX}${this.#random.uuid()}`;
    const material = Buffer.from(this.#random.bytes(32)).toString('base64url');
    await this.#add(tenant, { kid, algorithm: 'HS256', material }, true);
    const made = await this.#newestOwn(tenant);
    if (made === undefined) throw new DomainError('unavailable', 'the new signing key is not there yet');
    return made;
  }

  async #newestOwn(tenant: TenantId): Promise<JwtKey | undefined> {
    return (await this.#ofTenant(tenant)).find(key => key.isOwn && key.active);
  }

  async #add(tenant: TenantId, asked: ConfiguredJwtKey, isOwn: boolean): Promise<JwtKeyView> {
    const view = { ...viewOf(asked, tenant, isOwn), createdAt: this.#clock.now() };
    const { text, isSecret } = keptMaterial(asked.algorithm, asked.material);
    await this.#reserve(view.kid, tenant);
    const kept = isSecret ? this.#vault.seal(text, contextOf(tenant)) : text;
    const body: KeyBody = { view, text: kept, isSealed: isSecret };
    const ref = { tenant, kind: KIND, id: view.kid };
    if (!(await createDocument(this.#store, ref, body as unknown as JsonObject)))
      throw new DomainError('conflict', `the kid ${view.kid} is taken`);
    this.#keys.forget(tenant);
    this.#owners.forget(view.kid);
    return view;
  }

  /**
   * A `kid` is owned by its first tenant for ever: were it free again, or shared, a tenant could register another's public key under
   * the other's `kid` and have that one's tokens act in its own name.
   */
  async #reserve(kid: string, tenant: TenantId): Promise<void> {
    const ref = { tenant: DEFAULT_TENANT, kind: KID_KIND, id: kid };
    const isConfigured = this.#configured.some(key => key.kid === kid);
    if (!isConfigured && (await createDocument(this.#store, ref, { owner: tenant }))) return;
    const owner = isConfigured ? null : (await oneDocument(this.#store, ref))?.body.owner;
    if (owner !== tenant) throw new DomainError('conflict', `the kid ${kid} is taken`);
  }

  async #ownerOf(kid: string): Promise<TenantId | null> {
    if (this.#configured.some(key => key.kid === kid)) return DEFAULT_TENANT;
    return KID.test(kid) ? this.#owners.get(kid) : null;
  }

  async #ofTenant(tenant: TenantId): Promise<readonly JwtKey[]> {
    return (await this.#keys.get(tenant)) ?? [];
  }

  async #read(tenant: TenantId): Promise<readonly JwtKey[]> {
    const stored = await everyDocument(this.#store, { kind: KIND, tenant });
    const keys = stored
      .map(one => one.body as unknown as KeyBody)
      .sort((one, other) => other.view.createdAt - one.view.createdAt)
      .map(({ view, text, isSealed }) =>
        usable(view, isSealed ? this.#vault.open(text, contextOf(tenant)) : text),
      );
    return tenant === DEFAULT_TENANT ? [...this.#configured, ...keys] : keys;
  }
}

function viewOf(asked: ConfiguredJwtKey, tenant: TenantId, isOwn: boolean): Omit<JwtKeyView, 'createdAt'> {
  const { kid, algorithm, issuer, audience } = asked;
  if (!KID.test(kid)) throw new DomainError('invalid_request', 'a kid has 1–256 visible ASCII characters');
  const isEncryption = (ENCRYPTION_ALGORITHMS as readonly string[]).includes(algorithm);
  if (isEncryption && (issuer ?? audience) !== undefined)
    throw new DomainError('invalid_request', 'issuer and audience belong to the signing key');
  return {
    tenant,
    kid,
    algorithm,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
    active: true,
    isOwn,
  };
}

function usable(view: JwtKeyView, text: string): JwtKey {
  const fingerprint = hash(
    'sha256',
    JSON.stringify([view.tenant, view.kid, view.algorithm, text]),
    'base64url',
  );
  return { ...view, key: keyOf(view.algorithm, text), fingerprint };
}

function contextOf(tenant: TenantId): { tenant: TenantId; purpose: string } {
  return { tenant, purpose: 'jwt_key' };
}
