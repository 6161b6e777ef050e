// What a tenant may use, and each credential and user in it (`SAM-119`): the shape of quotas, and which of them are sound. The
// names are those that callers see.

import { DomainError } from '../domain/errors.ts';

/** What quotas limit: tasks and MB at once, then what is used up in a UTC day. */
export const QUOTAS = [
  'concurrent_tasks',
  'memory_mb',
  'cpu_seconds_per_day',
  'cost_per_day',
  'tokens_per_day',
] as const;

/** A quota's name. */
export type QuotaName = (typeof QUOTAS)[number];

/** The limits that are set; 0 lets nothing through. */
export type QuotaLimits = Readonly<Partial<Record<QuotaName, number>>>;

/** Over a quota, tasks wait in the queue, or are refused. */
export type QuotaPolicy = 'queue' | 'refuse';

/** Limits of many, by name; `*` is for each that has none of its own. */
export type QuotasByName = Readonly<Record<string, QuotaLimits>>;

/** A tenant's quotas; null or absent limits nothing. Credentials and users over theirs are always refused. */
export interface QuotaPlan {
  readonly tenant?: { readonly policy: QuotaPolicy; readonly limits: QuotaLimits } | null;
  /** By principal: `key:<id>`, `jwt:<agent>`. */
  readonly credentials?: QuotasByName | null;
  /** By the requester's `user_id`. */
  readonly users?: QuotasByName | null;
}

/** Throws `invalid_request` for a limit that is none. */
export function requireSound({ tenant, credentials, users }: QuotaPlan): void {
  const limits: readonly (readonly [string, QuotaLimits])[] = [
    ['tenant.limits', tenant?.limits ?? {}],
    ...Object.entries(credentials ?? {}).map(([name, one]) => [`credentials.${name}`, one] as const),
    ...Object.entries(users ?? {}).map(([name, one]) => [`users.${name}`, one] as const),
  ];
  for (const [where, one] of limits)
    for (const [quota, limit] of Object.entries(one)) {
      if ((QUOTAS as readonly string[]).includes(quota) && Number.isFinite(limit) && limit >= 0) continue;
      const field = `options.quotas.${where}.${quota}`;
      const message = `must be a number of at least 0, of ${QUOTAS.join(', ')}`;
      throw new DomainError('invalid_request', `${field} ${message}`, {
        details: { errors: [{ field, message }] },
      });
    }
}
