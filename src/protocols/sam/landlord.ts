// What only those may do who run the house: administrators of the default tenant.

import { DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import type { Principal } from '../../domain/principal.ts';

/** Throws `forbidden` for whoever is of another tenant. */
export function requireLandlord({ tenant }: Pick<Principal, 'tenant'>): void {
  if (tenant === DEFAULT_TENANT) return;
  throw new DomainError('forbidden', 'only administrators of the default tenant do this', {
    details: { rule: 'default_tenant' },
  });
}
