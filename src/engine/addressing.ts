// Where a task is to run, as far as that is decided when it comes in: the region it prefers, and whether canaries are to try it. What its
// tenant's residency forbids is refused, or not preferred.

import { mayRunIn } from '../domain/agent.ts';
import { DomainError } from '../domain/errors.ts';
import type { TaskSpec } from '../domain/task.ts';
import type { TaskOrder } from './api.ts';
import type { Canaries } from './canaries.ts';
import type { TenantWeights } from './ports/secrets.ts';

/** Completes orders by what this node knows. */
export class Addressing {
  readonly #canaries: Pick<Canaries, 'draws'>;
  readonly #weights: Pick<TenantWeights, 'regions'>;
  readonly #region: string | undefined;

  constructor(
    canaries: Pick<Canaries, 'draws'>,
    weights: Pick<TenantWeights, 'regions'>,
    region: string | undefined,
  ) {
    this.#canaries = canaries;
    this.#weights = weights;
    this.#region = region;
  }

  /** The order with the region it prefers, this node's unless it says (`SAM-225`), and drawn for canaries or not (`SAM-228`). */
  complete(order: TaskOrder): TaskOrder {
    const { canary: _, preferredRegion, ...spec } = order.spec;
    const region = spec.region === undefined ? (preferredRegion ?? this.#region) : undefined;
    const isAllowed = mayRunIn(region, this.#regionsOf(order));
    const completed: TaskSpec = {
      ...spec,
      ...(region === undefined || !isAllowed ? {} : { preferredRegion: region }),
      ...(this.#canaries.draws() ? { canary: true } : {}),
    };
    return { ...order, spec: completed };
  }

  /** Throws `policy_violation` where the task is bound to a region that its tenant's residency forbids. */
  check(order: TaskOrder): void {
    const { region } = order.spec;
    const regions = this.#regionsOf(order);
    if (region === undefined || mayRunIn(region, regions)) return;
    throw new DomainError('policy_violation', `tasks of this tenant may not run in the region ${region}`, {
      details: { rule: 'residency', region, allowed_regions: regions ?? [] },
    });
  }

  /** Where the tenant's tasks may run, and in words, for whoever explains why nobody can run one. */
  explain(order: Pick<TaskOrder, 'tenant'>): {
    readonly regions: readonly string[] | undefined;
    readonly where: string;
  } {
    const regions = this.#regionsOf(order);
    return {
      regions,
      where: regions === undefined ? '' : ` where this tenant's tasks may run: ${regions.join(', ')}`,
    };
  }

  #regionsOf({ tenant }: Pick<TaskOrder, 'tenant'>): readonly string[] | undefined {
    return this.#weights.regions?.(tenant);
  }
}
