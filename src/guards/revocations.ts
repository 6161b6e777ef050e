// What was revoked before its time: tokens by `jti` or by themselves, and whole families of refreshed ones. Refused at once on this
// node and within 1 s on all (`SAM-14`, `SAM-17`). A revocation is kept until what it revokes would have ended anyway.

import { hash } from 'node:crypto';
import type { TenantId } from '../domain/ids.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Documents } from './documents.ts';
import { FreshCache } from './fresh-cache.ts';

/** What can be revoked: a token that has a `jti`, one that has none by its signed part, or a refresh family's access tokens. */
export type Revocable =
  | { readonly by: 'jti'; readonly jti: string }
  | { readonly by: 'content'; readonly signingInput: string }
  | { readonly by: 'family'; readonly family: string };

const KIND = 'jwt_revocation';
// No token lives longer than 24 h; the rest covers the tolerances of both ends.
const KEPT_MS = 25 * 3_600_000;

/** The revocations of all tenants. */
export class Revocations {
  readonly #clock: Clock;
  readonly #store: Documents;
  readonly #cache: FreshCache<true>;

  constructor(clock: Clock, store: Documents) {
    this.#clock = clock;
    this.#store = store;
    this.#cache = new FreshCache(clock, async ids => {
      const found = await store.documents({ kind: KIND, ids });
      return new Map(found.map(one => [one.id, true]));
    });
  }

  /** Repeating it is harmless. */
  async revoke(tenant: TenantId, revocable: Revocable): Promise<void> {
    const id = nameOf(tenant, revocable);
    const expiresAt = this.#clock.now() + KEPT_MS;
    await this.#store.putDocuments([{ tenant, kind: KIND, id, body: { by: revocable.by }, expiresAt }]);
    this.#cache.forget(id);
  }

  /** Whether any of the names was revoked. */
  async isAnyRevoked(names: readonly string[]): Promise<boolean> {
    for (const name of names) if ((await this.#cache.get(name)) !== null) return true;
    return false;
  }
}

/** The name a revocation is looked up by; unique over tenants, and of one length whatever the `jti`. */
export function nameOf(tenant: TenantId, revocable: Revocable): string {
  return hash('sha256', JSON.stringify([tenant, revocable]), 'base64url');
}
