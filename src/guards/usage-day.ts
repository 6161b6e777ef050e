// One day in the life of an API key: what is counted of it, and what makes it unlike the days before (`SAM-21`). Pure.

/** What makes a key's use unlike its past: a network unseen in 30 days, or ten times the daily mean. */
export type UsageAnomaly = 'new_network' | 'request_surge';

/** One UTC day of a key. */
export interface UsageDay {
  /** `2026-01-31`. */
  readonly date: string;
  readonly requests: number;
  readonly failures: number;
  /** Requests by source network; beyond 100 networks a day the rest is `other`. */
  readonly networks: Readonly<Record<string, number>>;
  readonly anomalies: readonly UsageAnomaly[];
  readonly lastUsedAt: number | null;
}

/** What is counted of a day. */
export interface Tally {
  requests: number;
  failures: number;
  networks: Record<string, number>;
  lastUsedAt: number | null;
}

const NETWORKS_MAX = 100;
const SURGE_FACTOR = 10;

/** What is unlike the days before; a key without a past has no anomaly. */
export function anomaliesOf(
  today: Pick<UsageDay, 'requests' | 'networks'>,
  past: readonly UsageDay[],
): readonly UsageAnomaly[] {
  const used = past.filter(day => day.requests > 0);
  if (used.length === 0) return [];
  const known = new Set(used.flatMap(day => Object.keys(day.networks)));
  const mean = used.reduce((total, day) => total + day.requests, 0) / used.length;
  const isNew = Object.keys(today.networks).some(network => network !== 'other' && !known.has(network));
  return [
    ...(isNew ? (['new_network'] as const) : []),
    ...(today.requests >= SURGE_FACTOR * mean ? (['request_surge'] as const) : []),
  ];
}

/** Adds one tally to another. */
export function add(tally: Tally, other: Tally): void {
  tally.requests += other.requests;
  tally.failures += other.failures;
  tally.lastUsedAt = Math.max(tally.lastUsedAt ?? 0, other.lastUsedAt ?? 0) || null;
  for (const [network, count] of Object.entries(other.networks)) countNetwork(tally.networks, network, count);
}

/** Counts requests from a network. */
export function countNetwork(networks: Record<string, number>, network: string, count: number): void {
  const known = networks[network];
  if (known !== undefined) networks[network] = known + count;
  else if (Object.keys(networks).length < NETWORKS_MAX) networks[network] = count;
  else networks.other = (networks.other ?? 0) + count;
}

/** Whether nothing was counted. */
export function isEmpty({ requests, failures }: Tally): boolean {
  return requests + failures === 0;
}

/** Nothing counted yet. */
export function emptyTally(): Tally {
  return { requests: 0, failures: 0, networks: {}, lastUsedAt: null };
}

/** A day nothing was counted on yet. */
export function emptyDay(date: string): UsageDay {
  return { date, ...emptyTally(), anomalies: [] };
}
