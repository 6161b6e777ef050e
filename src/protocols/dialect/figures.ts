// What passed a dialect's doors since this process began, by tenant: messages in by type and outcome and how long they took, and how many
// were handed out, how many of these not for the first time (`TASK-60`).

import type { TenantId } from '../../domain/ids.ts';
import type { Taken } from './taken.ts';

const TYPES_MAX = 200;
const TIMES_KEPT = 1_000;

/** A tenant's figures as they are now. */
export interface FiguresShown {
  readonly messages: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Of the last thousand calls, a message; null before the first. */
  readonly handlingMs: { readonly p50: number | null; readonly p99: number | null };
  readonly handled: { readonly count: number; readonly ms: number };
  readonly deliveries: number;
  readonly redeliveries: number;
}

/** Counts of one dialect. */
export class Figures {
  readonly #tenants = new Map<TenantId, Tally>();

  /** Counts what came in together, which took so long in all. */
  count(tenant: TenantId, taken: readonly Taken[], tookMs: number): void {
    this.#of(tenant).count(taken, tookMs);
  }

  /** Counts what was handed out: each by how many times it was by then. */
  handedOut(tenant: TenantId, handouts: readonly { readonly attempt: number }[]): void {
    const tally = this.#of(tenant);
    tally.deliveries += handouts.length;
    tally.redeliveries += handouts.filter(({ attempt }) => attempt > 1).length;
  }

  /** A tenant's figures; those of nobody else. */
  show(tenant: TenantId): FiguresShown {
    return (this.#tenants.get(tenant) ?? new Tally()).show();
  }

  #of(tenant: TenantId): Tally {
    const known = this.#tenants.get(tenant) ?? new Tally();
    this.#tenants.set(tenant, known);
    return known;
  }
}

class Tally {
  deliveries = 0;
  redeliveries = 0;
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #times: number[] = [];
  #next = 0;
  #handled = { count: 0, ms: 0 };

  count(taken: readonly Taken[], tookMs: number): void {
    for (const one of taken) {
      const type = one.status === 'rejected' ? 'refused' : one.message.type;
      const outcome = one.status === 'rejected' ? one.error.code : one.status;
      this.#add(this.#counts.has(type) || this.#counts.size < TYPES_MAX ? type : 'other', outcome);
    }
    if (taken.length === 0) return;
    this.#handled = { count: this.#handled.count + taken.length, ms: this.#handled.ms + tookMs };
    this.#times[this.#next] = tookMs / taken.length;
    this.#next = (this.#next + 1) % TIMES_KEPT;
  }

  show(): FiguresShown {
    const times = this.#times.toSorted((one, other) => one - other);
    const at = (share: number): number | null => times[Math.floor(share * (times.length - 1))] ?? null;
    return {
      messages: Object.fromEntries(
        [...this.#counts].map(([type, outcomes]) => [type, Object.fromEntries(outcomes)]),
      ),
      handlingMs: { p50: at(0.5), p99: at(0.99) },
      handled: this.#handled,
      deliveries: this.deliveries,
      redeliveries: this.redeliveries,
    };
  }

  #add(type: string, outcome: string): void {
    const outcomes = this.#counts.get(type) ?? new Map<string, number>();
    this.#counts.set(type, outcomes);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
}
