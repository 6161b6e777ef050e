// How long tasks of a kind take here: the last run times per tenant and work type, for estimates, default timeouts and the pace
// of progress. Kept in memory and written down now and then; losing a minute of them loses nothing that matters.

import type { TenantId } from '../domain/ids.ts';
import type { WorkType } from '../domain/task.ts';
import type { Store } from '../store/store.ts';

const RUNS_KEPT = 50;
const RUNS_FOR_MEDIAN = 5;
const RUNS_FOR_TIMEOUT = 20;
const KIND = 'runs';

/** The estimate's unit is milliseconds throughout. */
export class RunStatistics {
  readonly #runs = new Map<string, Runs>();
  readonly #dirty = new Set<string>();
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;

  constructor(store: Pick<Store, 'documents' | 'putDocuments'>) {
    this.#store = store;
  }

  /** Reads what was known before the last stop. */
  async load(): Promise<void> {
    for (const { tenant, id, body } of await this.#store.documents({ kind: KIND })) {
      const durations = body.durations;
      if (!Array.isArray(durations)) continue;
      for (const duration of durations) if (typeof duration === 'number') this.add(tenant, id, duration);
    }
  }

  /** Writes what changed since the last save. */
  async save(): Promise<void> {
    const changed = [...this.#dirty];
    this.#dirty.clear();
    if (changed.length === 0) return;
    await this.#store.putDocuments(
      changed.map(key => {
        const [tenant = '', id = ''] = key.split('\n');
        return {
          tenant: tenant as TenantId,
          kind: KIND,
          id,
          body: { durations: this.#runs.get(key)?.latest ?? [] },
        };
      }),
    );
  }

  /** Counts a completed run. */
  add(tenant: TenantId, workType: WorkType, durationMs: number): void {
    const key = keyOf(tenant, workType);
    const runs = this.#runs.get(key) ?? { latest: [], sorted: [] };
    this.#runs.set(key, runs);
    runs.latest.push(durationMs);
    runs.sorted.splice(placeOf(runs.sorted, durationMs), 0, durationMs);
    const oldest = runs.latest.length > RUNS_KEPT ? runs.latest.shift() : undefined;
    if (oldest !== undefined) runs.sorted.splice(placeOf(runs.sorted, oldest), 1);
    this.#dirty.add(key);
  }

  /** Median of the last 50 runs, or null under 5 (`SAM-42`). */
  median(tenant: TenantId, workType: WorkType): number | null {
    return this.#quantile(tenant, workType, 0.5, RUNS_FOR_MEDIAN);
  }

  /** Three times the 95th percentile within a minute and a day, or an hour where fewer than 20 runs are known (`SAM-31`). */
  timeout(tenant: TenantId, workType: WorkType): number {
    const p95 = this.#quantile(tenant, workType, 0.95, RUNS_FOR_TIMEOUT);
    return p95 === null
      ? 3_600_000
      : Math.min(86_400_000, Math.max(60_000, Math.ceil((3 * p95) / 1_000) * 1_000));
  }

  #quantile(tenant: TenantId, workType: WorkType, share: number, runsMin: number): number | null {
    const runs = this.#runs.get(keyOf(tenant, workType));
    if (runs === undefined || runs.sorted.length < runsMin) return null;
    return nearestRank(runs.sorted, share);
  }
}

/** The value below which the share of the numbers lies (nearest rank); null of none. */
export function quantile(numbers: readonly number[], share: number): number | null {
  return nearestRank(
    [...numbers].sort((a, b) => a - b),
    share,
  );
}

/** The last runs, in order of time and, since every submit asks for a quantile, of size. */
interface Runs {
  readonly latest: number[];
  readonly sorted: number[];
}

function nearestRank(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null;
}

/** Index of the first number not below the given one. */
function placeOf(sorted: readonly number[], number: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] ?? 0) < number) low = middle + 1;
    else high = middle;
  }
  return low;
}

function keyOf(tenant: TenantId, workType: WorkType): string {
  return `${tenant}\n${workType}`;
}
