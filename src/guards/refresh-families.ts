// Refresh tokens: a family is the chain of tokens that came of one exchange, and only its newest works (`SAM-17`). A spent one coming
// back means that two hold the chain, so it ends for both. No token is stored: each carries a MAC under its family's sealed secret.

import { createHmac } from 'node:crypto';
import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Permission } from '../domain/principal.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { StoredDocument } from '../store/rows.ts';
import { sameBytes } from './constant-time.ts';
import { changeDocument, createDocument, type Documents } from './documents.ts';
import type { Vault } from './vault.ts';

/** What all access tokens of a family are made of. */
export interface RefreshGrant {
  readonly tenant: TenantId;
  readonly keyId: string;
  readonly permissions: readonly Permission[];
}

/** What came of presenting a refresh token. */
export type Turn =
  | {
      readonly status: 'turned';
      readonly family: string;
      readonly grant: RefreshGrant;
      readonly next: string;
    }
  /** No token of ours, or of a family that ended. */
  | { readonly status: 'invalid' }
  /** A spent one: its family must be revoked. */
  | { readonly status: 'reused'; readonly family: string; readonly grant: RefreshGrant };

interface FamilyBody {
  readonly grant: RefreshGrant;
  /** Of the one token that works; the first is 1. */
  readonly generation: number;
  readonly sealed: string;
  readonly revokedAt: number | null;
}

interface Presented {
  readonly stored: StoredDocument;
  readonly body: FamilyBody;
  readonly generation: number;
}

const KIND = 'refresh_family';
const LIFE_MS = 30 * 86_400_000;
const FORM = /^br_([0-9a-f-]{36})\.([1-9]\d{0,9})\.([\w-]{43})$/;

/** The families of all tenants. */
export class RefreshFamilies {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: Documents;
  readonly #vault: Vault;

  constructor(clock: Clock, random: Random, store: Documents, vault: Vault) {
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#vault = vault;
  }

  /** Begins a family; its first token works 30 days. */
  async begin(grant: RefreshGrant): Promise<{ readonly family: string; readonly token: string }> {
    const family = this.#random.uuid();
    const secret = Buffer.from(this.#random.bytes(32)).toString('base64url');
    const sealed = this.#vault.seal(secret, contextOf(grant.tenant, family));
    const body: FamilyBody = { grant, generation: 1, sealed, revokedAt: null };
    const ref = { tenant: grant.tenant, kind: KIND, id: family };
    await createDocument(this.#store, ref, body as unknown as JsonObject, this.#clock.now() + LIFE_MS);
    return { family, token: this.#token(family, body) };
  }

  /** Whose token this is, spent or not, without spending it; null if it is none of ours or its family has ended. */
  async peek(token: string): Promise<{ readonly family: string; readonly grant: RefreshGrant } | null> {
    const presented = await this.#read(token);
    return presented === null ? null : { family: presented.stored.id, grant: presented.body.grant };
  }

  /** Spends the token for the next of its family; of two who do so at once, one is told that it was reused. */
  async turn(token: string): Promise<Turn> {
    const presented = await this.#read(token);
    if (presented === null) return { status: 'invalid' };
    const { stored, body, generation } = presented;
    const known = { family: stored.id, grant: body.grant };
    if (generation !== body.generation) return { status: 'reused', ...known };
    const next: FamilyBody = { ...body, generation: generation + 1 };
    const [outcome] = await this.#store.putDocuments([
      {
        tenant: stored.tenant,
        kind: KIND,
        id: stored.id,
        body: next as unknown as JsonObject,
        expected: stored.version,
        expiresAt: this.#clock.now() + LIFE_MS,
      },
    ]);
    if (outcome?.status !== 'done') return { status: 'reused', ...known };
    return { status: 'turned', ...known, next: this.#token(stored.id, next) };
  }

  /** Ends a family for good; repeating it is harmless. */
  async revoke(tenant: TenantId, family: string): Promise<void> {
    const revokedAt = this.#clock.now();
    await changeDocument(this.#store, { tenant, kind: KIND, id: family }, body => ({ ...body, revokedAt }));
  }

  async #read(token: string): Promise<Presented | null> {
    const [, family = '', generation = '', mac = ''] = FORM.exec(token) ?? [];
    if (family === '') return null;
    const [stored] = await this.#store.documents({ kind: KIND, ids: [family] });
    if (stored === undefined) return null;
    const body = stored.body as unknown as FamilyBody;
    const expected = this.#mac(family, Number(generation), body);
    if (!sameBytes(Buffer.from(mac), Buffer.from(expected)) || body.revokedAt !== null) return null;
    return { stored, body, generation: Number(generation) };
  }

  #token(family: string, body: FamilyBody): string {
    return `br_${family}.${body.generation}.${this.#mac(family, body.generation, body)}`;
  }

  #mac(family: string, generation: number, { sealed, grant }: FamilyBody): string {
    const secret = this.#vault.open(sealed, contextOf(grant.tenant, family));
    return createHmac('sha256', secret).update(`${family}.${generation}`).digest('base64url');
  }
}

function contextOf(tenant: TenantId, family: string): { tenant: TenantId; purpose: string } {
  return { tenant, purpose: `refresh_family/${family}` };
}
