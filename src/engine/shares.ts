// How the slots of one ask are shared among the tenants whose tasks wait: in stride order (domain/fairness.ts), a slot at a time.

import { newStrides, nextKey, type StrideState, serve } from '../domain/fairness.ts';
import type { TenantId } from '../domain/ids.ts';
import type { WorkType } from '../domain/task.ts';
import type { QuotaRoom } from './ports/quotas.ts';
import type { TenantWeights } from './ports/secrets.ts';

/** Remembers what each tenant was given, for each pool of workers. */
export class Shares {
  readonly #weights: Pick<TenantWeights, 'weight'>;
  /** By the types a pool of workers serves. */
  readonly #strides = new Map<string, StrideState<TenantId>>();

  constructor(weights: Pick<TenantWeights, 'weight'>) {
    this.#weights = weights;
  }

  /** Of so many slots those each tenant gets, no more than it has waiting and its quota leaves. */
  of(
    types: ReadonlySet<WorkType>,
    waiting: ReadonlyMap<TenantId, number>,
    slots: number,
    rooms: ReadonlyMap<TenantId, QuotaRoom>,
  ): ReadonlyMap<TenantId, number> {
    const strides = this.#stridesOf(types);
    const left = new Map<TenantId, number>();
    for (const [tenant, tasks] of waiting)
      left.set(tenant, Math.min(tasks, rooms.get(tenant)?.tasks ?? tasks));
    const limits = new Map<TenantId, number>();
    for (let slot = 0; slot < slots && left.size > 0; ) {
      const tenant = nextKey(strides, left.keys());
      if (tenant === null) break;
      // Alone, a tenant takes all there is in one step.
      const units = left.size === 1 ? Math.min(slots - slot, left.get(tenant) ?? 0) : 1;
      serve(strides, tenant, this.#weights.weight(tenant), units);
      limits.set(tenant, (limits.get(tenant) ?? 0) + units);
      slot += units;
      const rest = (left.get(tenant) ?? 0) - units;
      if (rest > 0) left.set(tenant, rest);
      else left.delete(tenant);
    }
    return limits;
  }

  #stridesOf(types: ReadonlySet<WorkType>): StrideState<TenantId> {
    const pool = [...types].sort().join(' ');
    const known = this.#strides.get(pool);
    if (known !== undefined) return known;
    const strides = newStrides<TenantId>();
    this.#strides.set(pool, strides);
    return strides;
  }
}
