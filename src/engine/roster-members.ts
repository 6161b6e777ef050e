// Who is in the roster, by key and by tenant: a submit looks at its own tenant's agents however many others have theirs.

import type { TenantId } from '../domain/ids.ts';

/** Members by key, each of one tenant for as long as it is in. */
export class Members<Member extends { readonly agent: { readonly tenant: TenantId } }> {
  readonly #byKey = new Map<string, Member>();
  readonly #byTenant = new Map<TenantId, Map<string, Member>>();

  get(key: string): Member | undefined {
    return this.#byKey.get(key);
  }

  set(key: string, member: Member): void {
    const { tenant } = member.agent;
    const own = this.#byTenant.get(tenant) ?? new Map<string, Member>();
    this.#byTenant.set(tenant, own.set(key, member));
    this.#byKey.set(key, member);
  }

  delete(key: string): void {
    const member = this.#byKey.get(key);
    if (member === undefined) return;
    this.#byKey.delete(key);
    const { tenant } = member.agent;
    const own = this.#byTenant.get(tenant);
    own?.delete(key);
    if (own?.size === 0) this.#byTenant.delete(tenant);
  }

  /** All of one tenant, without a look at anybody else's. */
  of(tenant: TenantId): Iterable<Member> {
    return this.#byTenant.get(tenant)?.values() ?? [];
  }

  keys(): Iterable<string> {
    return this.#byKey.keys();
  }

  values(): Iterable<Member> {
    return this.#byKey.values();
  }
}
