// Keeps API keys: makes, lists, rotates and revokes them, and proves their secrets in constant time (`SAM-18` – `SAM-20`). A secret
// is shown once; what stays is its salted hash and, where the key signs requests, its ciphertext.

import { hash } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Principal } from '../domain/principal.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { StoredDocument } from '../store/rows.ts';
import { type ApiKey, type NewApiKey, rangesOf, settingsOf } from './api-key.ts';
import { sameBytes } from './constant-time.ts';
import { changeDocument, createDocument, type Documents, everyDocument, oneDocument } from './documents.ts';
import { FreshCache } from './fresh-cache.ts';
import { SIGNING_SCHEMES } from './hmac.ts';
import type { AddressRange } from './network.ts';
import { requireGrantable } from './permissions.ts';
import type { Vault } from './vault.ts';

/** Which of a key's secrets was shown; the previous one works for 24 h after a rotation. */
export type SecretAge = 'current' | 'previous';

/** A key as it is checked. */
export interface ApiKeyRecord {
  readonly key: ApiKey;
  readonly ranges: readonly AddressRange[] | null;
  /** Current first. */
  readonly secrets: readonly StoredSecret[];
}

/** A key with its secret, which nobody can show again. */
export interface IssuedApiKey {
  readonly key: ApiKey;
  readonly secret: string;
}

interface StoredSecret {
  readonly salt: string;
  /** SHA-256 of salt and secret. */
  readonly hash: string;
  readonly sealed: string | null;
  /** Null for the current one. */
  readonly expiresAt: number | null;
}

interface KeyBody {
  readonly key: ApiKey;
  readonly secrets: readonly StoredSecret[];
}

const KIND = 'api_key';
const OVERLAP_MS = 24 * 3_600_000;
const KEY_ID = /^bk_[A-Za-z0-9_-]{22}$/;

/** The keys of all tenants; a change works here at the next request, on other nodes within 1 s. */
export class ApiKeys {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Documents;
  readonly #vault: Vault;
  readonly #bootstrap: ApiKeyRecord | null;
  readonly #decoy: StoredSecret;
  readonly #cache: FreshCache<ApiKeyRecord>;

  /** `bootstrap` is a key from the configuration: an administrator of the default tenant, kept in memory alone. */
  constructor(
    clock: Clock,
    random: Random,
    store: Documents,
    vault: Vault,
    options: { readonly bootstrap?: { readonly id: string; readonly secret: string } } = {},
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#vault = vault;
    this.#decoy = this.#stored(DEFAULT_TENANT, this.#newSecret(), true);
    this.#bootstrap = options.bootstrap === undefined ? null : this.#bootstrapRecord(options.bootstrap);
    this.#cache = new FreshCache(clock, async ids => {
      const found = await store.documents({ kind: KIND, ids });
      return new Map(found.map(one => [one.id, recordOf(one)]));
    });
  }

  /** Makes a key; throws `invalid_request`, and `forbidden` if it could do what its maker cannot. */
  async create(tenant: TenantId, asked: NewApiKey, grantor?: Principal): Promise<IssuedApiKey> {
    const id = `bk_${this.#text(16)}`;
    const key: ApiKey = { id, tenant, ...settingsOf(asked, this.#clock.now()) };
    if (grantor !== undefined) requireGrantable(grantor, key.permissions);
    const secret = this.#newSecret();
    const body: KeyBody = { key, secrets: [this.#stored(tenant, secret, key.algorithms.length > 0)] };
    if (!(await createDocument(this.#store, refOf(tenant, id), body as unknown as JsonObject)))
      throw new DomainError('conflict', 'the key id is taken');
    this.#cache.forget(id);
    return { key, secret };
  }

  /** A tenant's keys, oldest first, revoked ones included. */
  async list(tenant: TenantId): Promise<readonly ApiKey[]> {
    const all = await everyDocument(this.#store, { kind: KIND, tenant });
    return all.map(one => recordOf(one).key).sort((one, other) => one.createdAt - other.createdAt);
  }

  /** Throws `not_found`. */
  async get(tenant: TenantId, id: string): Promise<ApiKey> {
    const found = await oneDocument(this.#store, refOf(tenant, id));
    if (found === null) throw new DomainError('not_found', 'there is no such api key');
    return recordOf(found).key;
  }

  /** Gives a key a new secret; the old one works 24 h more, one older still no longer; throws `not_found`, `conflict` if revoked. */
  async rotate(tenant: TenantId, id: string): Promise<IssuedApiKey> {
    const secret = this.#newSecret();
    const now = this.#clock.now();
    const { key } = await this.#change(tenant, id, body => {
      if (body.key.revokedAt !== undefined) throw new DomainError('conflict', 'the API key is revoked');
      const [current] = body.secrets;
      const previous = current === undefined ? [] : [{ ...current, expiresAt: now + OVERLAP_MS }];
      const signs = body.key.algorithms.length > 0;
      return {
        key: { ...body.key, rotatedAt: now },
        secrets: [this.#stored(tenant, secret, signs), ...previous],
      };
    });
    return { key, secret };
  }

  /** Ends a key for good; repeating it changes nothing; throws `not_found`. */
  async revoke(tenant: TenantId, id: string): Promise<ApiKey> {
    const revokedAt = this.#clock.now();
    const { key } = await this.#change(tenant, id, ({ key, secrets }) => ({
      key: { ...key, revokedAt: key.revokedAt ?? revokedAt },
      secrets,
    }));
    return key;
  }

  /** Whether the text is in the form of an id and so may be written to an audit: a secret in its place must not. */
  isId(text: string): boolean {
    return KEY_ID.test(text) || text === this.#bootstrap?.key.id;
  }

  /** The key as of at most 1 s ago, or null. */
  async find(id: string): Promise<ApiKeyRecord | null> {
    if (this.#bootstrap !== null && id === this.#bootstrap.key.id) return this.#bootstrap;
    return KEY_ID.test(id) ? this.#cache.get(id) : null;
  }

  /** Which of the key's living secrets this is; an unknown key takes as long as a wrong secret. */
  match(record: ApiKeyRecord | null, secret: string): SecretAge | null {
    let matched: SecretAge | null = null;
    for (const { age, stored } of this.#living(record)) {
      const given = hash('sha256', stored.salt + secret, 'buffer');
      if (sameBytes(given, Buffer.from(stored.hash, 'base64url'))) matched = age;
    }
    return record === null ? null : matched;
  }

  /** The living secrets in clear, to verify signatures with; for an unknown key a decoy, so that it takes as long. */
  signingSecrets(
    record: ApiKeyRecord | null,
  ): readonly { readonly age: SecretAge; readonly secret: string }[] {
    const context = contextOf(record?.key.tenant ?? DEFAULT_TENANT);
    return this.#living(record).flatMap(({ age, stored }) =>
      stored.sealed === null ? [] : [{ age, secret: this.#vault.open(stored.sealed, context) }],
    );
  }

  #living(
    record: ApiKeyRecord | null,
  ): readonly { readonly age: SecretAge; readonly stored: StoredSecret }[] {
    const now = this.#clock.now();
    return (record?.secrets ?? [this.#decoy])
      .map((stored, at) => ({ age: at === 0 ? ('current' as const) : ('previous' as const), stored }))
      .filter(({ stored }) => stored.expiresAt === null || stored.expiresAt > now);
  }

  async #change(tenant: TenantId, id: string, change: (body: KeyBody) => KeyBody): Promise<KeyBody> {
    const body = await changeDocument(
      this.#store,
      refOf(tenant, id),
      old => change(old as unknown as KeyBody) as unknown as JsonObject,
    );
    this.#cache.forget(id);
    return body as unknown as KeyBody;
  }

  #bootstrapRecord({ id, secret }: { readonly id: string; readonly secret: string }): ApiKeyRecord {
    const asked = { name: 'bootstrap', permissions: ['admin'], algorithms: SIGNING_SCHEMES };
    const key = { id, tenant: DEFAULT_TENANT, ...settingsOf(asked, this.#clock.now()) };
    return { key, ranges: null, secrets: [this.#stored(DEFAULT_TENANT, secret, true)] };
  }

  #stored(tenant: TenantId, secret: string, signs: boolean): StoredSecret {
    const salt = this.#text(16);
    return {
      salt,
      hash: hash('sha256', salt + secret, 'base64url'),
      sealed: signs ? this.#vault.seal(secret, contextOf(tenant)) : null,
      expiresAt: null,
    };
  }

  #newSecret(): string {
    return `bs_${this.#text(32)}`;
  }

  #text(bytes: number): string {
    return Buffer.from(this.#random.bytes(bytes)).toString('base64url');
  }
}

function recordOf({ body }: StoredDocument): ApiKeyRecord {
  const { key, secrets } = body as unknown as KeyBody;
  return { key, ranges: rangesOf(key), secrets };
}

function refOf(tenant: TenantId, id: string): { tenant: TenantId; kind: string; id: string } {
  return { tenant, kind: KIND, id };
}

function contextOf(tenant: TenantId): { tenant: TenantId; purpose: string } {
  return { tenant, purpose: 'api_key' };
}
