// What a tenant decides of this wire: whether a person has the last word before anything is published (`BLOG-54`).

import type { TenantId } from '../../domain/ids.ts';
import type { Store } from '../../store/store.ts';

/** A tenant's decisions. */
export interface BlogSettings {
  readonly finalApproval: 'automatic' | 'person';
}

const KIND = 'blog_settings';

/** Keeps them. */
export class Settings {
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>) {
    this.#store = store;
  }

  /** What holds for the tenant. */
  async of(tenant: TenantId): Promise<BlogSettings> {
    const [found] = await this.#store.documents({ tenant, kind: KIND, ids: [tenant] });
    return { finalApproval: found?.body.finalApproval === 'person' ? 'person' : 'automatic' };
  }

  async put(tenant: TenantId, settings: BlogSettings): Promise<void> {
    await this.#store.putDocuments([{ tenant, kind: KIND, id: tenant, body: { ...settings } }]);
  }
}
