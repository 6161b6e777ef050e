// This server's own keys, by which its built-in participants sign what they say and receive what is confidential. Each tenant has its
// own, so that nothing signed for or sealed in one means anything in another. Made when first needed, sealed in the store, shared by
// all nodes, and renewed as they age.

import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Clock } from '../../runtime/clock.ts';
import { createDocument, type Documents, everyDocument } from '../documents.ts';
import { FreshCache } from '../fresh-cache.ts';
import type { SealContext, Vault } from '../vault.ts';
import { KEY_WRAPPING } from './agent-key.ts';

/** What a key is for, in the words of a JWK. */
export type ServerKeyUse = 'sig' | 'enc';

/** One of our keys. */
export interface ServerKey {
  readonly kid: string;
  readonly use: ServerKeyUse;
  /** Of its use, counted from 1. */
  readonly generation: number;
  readonly publicJwk: JsonObject;
  readonly privateKey: KeyObject;
  readonly createdAt: number;
}

interface KeyBody extends Omit<ServerKey, 'privateKey'> {
  readonly sealed: string;
}

const KIND = 'server_key';
const USES = ['sig', 'enc'] as const;
const ALGORITHMS: Readonly<Record<ServerKeyUse, string>> = { sig: 'EdDSA', enc: KEY_WRAPPING };
const DAY_MS = 86_400_000;
const RENEWED_AFTER_MS = 90 * DAY_MS;
/** By then it is neither published nor opens anything: what was encrypted with it just before its renewal had half of that. */
const OVER_AFTER_MS = 180 * DAY_MS;
/** Published this long before anything is signed with it: longer than anybody keeps the published set. */
const LEAD_MS = 600_000;

/** For how many seconds others may keep the published set. */
export const JWKS_AGE_SECONDS = 300;

/** The keys of this server in each tenant. */
export class ServerKeys {
  readonly #clock: Clock;
  readonly #store: Documents;
  readonly #vault: Vault;
  readonly #cache: FreshCache<readonly ServerKey[]>;

  constructor(clock: Clock, store: Documents, vault: Vault) {
    this.#clock = clock;
    this.#store = store;
    this.#vault = vault;
    this.#cache = new FreshCache(clock, async tenants => {
      const read = tenants.map(async tenant => [tenant, await this.#read(tenant as TenantId)] as const);
      return new Map(await Promise.all(read));
    });
  }

  /** The key to sign with now: the newest that has been published long enough. */
  async signer(tenant: TenantId): Promise<ServerKey> {
    const keys = (await this.#current(tenant)).filter(key => key.use === 'sig');
    const ripe = this.#clock.now() - LEAD_MS;
    const signer = keys.findLast(key => key.createdAt <= ripe) ?? keys[0];
    if (signer === undefined) throw new Error('a tenant has no signing key just after one was made');
    return signer;
  }

  /** The keys that open what was encrypted to us, newest first. */
  async openers(tenant: TenantId): Promise<readonly ServerKey[]> {
    return (await this.#current(tenant)).filter(key => key.use === 'enc').toReversed();
  }

  /** The public halves as a JWK Set, newest last; whoever encrypts takes the last. */
  async published(tenant: TenantId): Promise<readonly JsonObject[]> {
    const keys = await this.#current(tenant);
    return keys.map(({ kid, use, publicJwk }) => ({ ...publicJwk, kid, use, alg: ALGORITHMS[use] }));
  }

  /** The keys in use, oldest first, each use with one that is not due for renewal. */
  async #current(tenant: TenantId): Promise<readonly ServerKey[]> {
    const known = await this.#good(tenant);
    const due = USES.filter(use => this.#isDue(known.findLast(key => key.use === use)));
    if (due.length === 0) return known;
    for (const use of due) {
      const last = known.findLast(key => key.use === use);
      await this.#make(tenant, use, (last?.generation ?? 0) + 1);
    }
    this.#cache.forget(tenant);
    return this.#good(tenant);
  }

  async #good(tenant: TenantId): Promise<readonly ServerKey[]> {
    return (await this.#cache.get(tenant)) ?? [];
  }

  #isDue(newest: ServerKey | undefined): boolean {
    return newest === undefined || this.#clock.now() - newest.createdAt >= RENEWED_AFTER_MS;
  }

  /** Of nodes that make the same generation one succeeds, and the others take that one. */
  async #make(tenant: TenantId, use: ServerKeyUse, generation: number): Promise<void> {
    const { privateKey, publicKey } =
      use === 'sig' ? generateKeyPairSync('ed25519') : generateKeyPairSync('x25519');
    const publicJwk = publicKey.export({ format: 'jwk' });
    const kid = await calculateJwkThumbprint(publicJwk as JWK);
    const pkcs8 = String(privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const body: KeyBody = {
      kid,
      use,
      generation,
      publicJwk: publicJwk as JsonObject,
      createdAt: this.#clock.now(),
      sealed: this.#vault.seal(pkcs8, contextOf(tenant, kid)),
    };
    const expiresAt = body.createdAt + OVER_AFTER_MS;
    const ref = { tenant, kind: KIND, id: `${use}-${generation}` };
    await createDocument(this.#store, ref, body as unknown as JsonObject, expiresAt);
  }

  async #read(tenant: TenantId): Promise<readonly ServerKey[]> {
    const stored = await everyDocument(this.#store, { kind: KIND, tenant });
    return stored
      .map(one => one.body as unknown as KeyBody)
      .sort((one, other) => one.generation - other.generation)
      .map(({ sealed, ...key }) => ({
        ...key,
        privateKey: createPrivateKey(this.#vault.open(sealed, contextOf(tenant, key.kid))),
      }));
  }
}

function contextOf(tenant: TenantId, kid: string): SealContext {
  return { tenant, purpose: `server_key/${kid}` };
}
