// Seals small secrets for storage: AES-256-GCM under a key of the tenant's own, derived from the master key by HKDF and bound
// to tenant and purpose, so that a sealed value copied elsewhere does not open. It does not keep what it seals.

import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../domain/ids.ts';
import { BoundedMap } from '../runtime/bounded-map.ts';
import type { Random } from '../runtime/random.ts';
import { createDocument, type Documents, oneDocument } from './documents.ts';

/** What a sealed value belongs to; it opens under the same context alone. */
export interface SealContext {
  readonly tenant: TenantId;
  readonly purpose: string;
}

const VERSION = 'v1';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_BYTES = 32;
const DERIVED_MAX = 1_000;

/** Seals with the current master key and opens with it or a previous one. */
export class Vault {
  readonly #random: Random;
  readonly #masters: ReadonlyMap<string, Uint8Array>;
  readonly #derived = new BoundedMap<string, Buffer>(DERIVED_MAX);
  /** Names the current master key without telling anything of it. */
  readonly keyId: string;

  constructor(random: Random, master: Uint8Array, previous: readonly Uint8Array[] = []) {
    this.#random = random;
    this.#masters = new Map([master, ...previous].map(key => [nameOf(key), key]));
    this.keyId = nameOf(master);
  }

  /** `v1.<key id>.<nonce, ciphertext and tag in base64url>`; the same text never seals to the same value twice. */
  seal(text: string, context: SealContext): string {
    const nonce = this.#random.bytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#tenantKey(this.keyId, context.tenant), nonce);
    cipher.setAAD(boundTo(this.keyId, context));
    const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${VERSION}.${this.keyId}.${sealed.toString('base64url')}`;
  }

  /** The text; throws `internal` if the value was changed, moved to another context, or sealed under an unknown key. */
  open(sealed: string, context: SealContext): string {
    const [version, keyId = '', encoded = '', ...rest] = sealed.split('.');
    const bytes = Buffer.from(encoded, 'base64url');
    const isCanonical = rest.length === 0 && bytes.toString('base64url') === encoded;
    if (version !== VERSION || !isCanonical || bytes.length < NONCE_BYTES + TAG_BYTES)
      throw new DomainError('internal', 'a sealed value has an unknown form');
    try {
      const decipher = createDecipheriv(
        'aes-256-gcm',
        this.#tenantKey(keyId, context.tenant),
        bytes.subarray(0, NONCE_BYTES),
        { authTagLength: TAG_BYTES },
      );
      decipher.setAAD(boundTo(keyId, context));
      decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
      const text = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString('utf8');
    } catch (error) {
      throw new DomainError('internal', 'a sealed value cannot be opened', { cause: error });
    }
  }

  /** A key of 32 bytes for one purpose, the same at every start under the same master key. */
  subkey(purpose: string): Buffer {
    return this.#derive(this.keyId, `purpose/${purpose}`);
  }

  #tenantKey(keyId: string, tenant: TenantId): Buffer {
    return this.#derive(keyId, `tenant/${tenant}`);
  }

  #derive(keyId: string, use: string): Buffer {
    const name = `${keyId}/${use}`;
    const known = this.#derived.get(name);
    if (known !== undefined) return known;
    const master = this.#masters.get(keyId);
    if (master === undefined) throw new Error(`no master key ${keyId} is configured`);
    const key = derive(master, use, KEY_BYTES);
    this.#derived.set(name, key);
    return key;
  }
}

/** Throws `internal` unless the vault opens what the store's first vault sealed: a wrong master key must stop the start (`SAM-213`). */
export async function proveMasterKey(store: Documents, vault: Vault): Promise<void> {
  const ref = { tenant: DEFAULT_TENANT, kind: 'vault_proof', id: 'master' };
  const context = { tenant: DEFAULT_TENANT, purpose: 'proof' };
  await createDocument(store, ref, { sealed: vault.seal('proof', context) });
  const proof = await oneDocument(store, ref);
  vault.open(String(proof?.body.sealed), context);
}

function nameOf(master: Uint8Array): string {
  if (master.length !== KEY_BYTES) throw new Error(`a master key has ${KEY_BYTES} bytes`);
  return derive(master, 'name', 6).toString('base64url');
}

function derive(master: Uint8Array, use: string, bytes: number): Buffer {
  return Buffer.from(hkdfSync('sha256', master, '', `batuta/${use}`, bytes));
}

function boundTo(keyId: string, context: SealContext): Buffer {
  return Buffer.from(JSON.stringify([VERSION, keyId, context.tenant, context.purpose]));
}
