// A tenant's own secrets: written, listed by name and deleted, but read only for a running attempt (`SAM-34`); and the secrets its
// notifications are signed with (`SAM-78`). Everything is sealed by the vault; nothing is cached.

import { DomainError } from '../domain/errors.ts';
import { isCallerId, type TenantId } from '../domain/ids.ts';
import type { Json } from '../domain/json.ts';
import type { SecretKeeper } from '../engine/ports/secrets.ts';
import type { Clock } from '../runtime/clock.ts';
import { type Documents, everyDocument, oneDocument } from './documents.ts';
import { mask, maskJson } from './mask.ts';
import type { Tenants } from './tenants.ts';
import type { Vault } from './vault.ts';

/** A secret as it is listed. */
export interface SecretName {
  readonly name: string;
  readonly updatedAt: number;
}

const KIND = 'secret';
const BYTES_MAX = 65_536;

/** The secrets of all tenants. */
export class Secrets implements SecretKeeper {
  readonly #clock: Clock;
  readonly #store: Documents;
  readonly #vault: Vault;
  readonly #tenants: Pick<Tenants, 'webhookSecrets'>;
  readonly #patterns: readonly RegExp[];

  /** `patterns` are global expressions whose matches are masked beside credentials. */
  constructor(
    clock: Clock,
    store: Documents,
    vault: Vault,
    tenants: Pick<Tenants, 'webhookSecrets'>,
    options: { readonly patterns?: readonly RegExp[] } = {},
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#vault = vault;
    this.#tenants = tenants;
    this.#patterns = options.patterns ?? [];
  }

  /** Writes or overwrites; throws `invalid_request` for a bad name, nothing, or more than 64 KiB. */
  async set(tenant: TenantId, name: string, value: string): Promise<void> {
    if (!isCallerId(name)) throw invalid('name', 'must be 1–200 characters of [A-Za-z0-9._:-]');
    const bytes = Buffer.byteLength(value);
    if (bytes === 0 || bytes > BYTES_MAX) throw invalid('value', `must have 1–${BYTES_MAX} bytes`);
    const sealed = this.#vault.seal(value, contextOf(tenant, name));
    const body = { sealed, updatedAt: this.#clock.now() };
    await this.#store.putDocuments([{ tenant, kind: KIND, id: name, body }]);
  }

  /** Names alone, sorted. */
  async names(tenant: TenantId): Promise<readonly SecretName[]> {
    const all = await everyDocument(this.#store, { kind: KIND, tenant });
    return all
      .map(({ id, body }) => ({ name: id, updatedAt: Number(body.updatedAt) }))
      .sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  /** Throws `not_found`. */
  async remove(tenant: TenantId, name: string): Promise<void> {
    const ref = { tenant, kind: KIND, id: name };
    const found = await oneDocument(this.#store, ref);
    if (found === null) throw new DomainError('not_found', 'there is no such secret');
    await this.#store.putDocuments([{ ...ref, body: null }]);
  }

  async missing(tenant: TenantId, names: readonly string[]): Promise<readonly string[]> {
    const sealed = await this.#sealed(tenant, names);
    return names.filter(name => !sealed.has(name));
  }

  async values(tenant: TenantId, names: readonly string[]): Promise<Readonly<Record<string, string>>> {
    const sealed = await this.#sealed(tenant, names);
    const values = names.map(name => {
      const value = sealed.get(name);
      if (value === undefined)
        throw new DomainError('unprocessable', `there is no secret ${name}`, { details: { secret: name } });
      return [name, this.#vault.open(value, contextOf(tenant, name))] as const;
    });
    return Object.fromEntries(values);
  }

  async webhookSecrets(tenant: TenantId, sealed: string | undefined): Promise<readonly string[]> {
    if (sealed === undefined) return this.#tenants.webhookSecrets(tenant);
    return [this.#vault.open(sealed, taskContextOf(tenant))];
  }

  /** Seals the `webhook_secret` a task brings along, for its notification plan. */
  sealWebhookSecret(tenant: TenantId, secret: string): string {
    return this.#vault.seal(secret, taskContextOf(tenant));
  }

  mask(text: string, values: readonly string[]): string {
    return mask(text, values, this.#patterns);
  }

  /** The same in every string, number and name of a JSON value. */
  maskJson(value: Json, values: readonly string[]): Json {
    return maskJson(value, values, this.#patterns);
  }

  async #sealed(tenant: TenantId, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
    if (names.length === 0) return new Map();
    const found = await this.#store.documents({ kind: KIND, tenant, ids: [...new Set(names)] });
    return new Map(found.map(({ id, body }) => [id, String(body.sealed)]));
  }
}

function contextOf(tenant: TenantId, name: string): { tenant: TenantId; purpose: string } {
  return { tenant, purpose: `secret/${name}` };
}

function taskContextOf(tenant: TenantId): { tenant: TenantId; purpose: string } {
  return { tenant, purpose: 'task_webhook_secret' };
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('invalid_request', `${field} ${message}`, {
    details: { errors: [{ field, message }] },
  });
}
