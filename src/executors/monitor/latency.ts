// Times summed up so that they take little room however many there are: least, mean, greatest, and percentiles within 1 %.

/** Times in milliseconds; plain JSON, so that it can stand in a checkpoint. */
export interface Latency {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
  /** How many times fell in each bucket; a bucket reaches 2 % further than the one before. */
  readonly buckets: Readonly<Record<string, number>>;
}

const GROWTH = Math.log(1.02);
const LEAST_MS = 0.01;

/** No times yet. */
export const NO_LATENCY: Latency = { count: 0, sum: 0, min: 0, max: 0, buckets: {} };

/** With one more time. */
export function withTime(latency: Latency, ms: number): Latency {
  const bucket = Math.ceil(Math.log(Math.max(ms, LEAST_MS) / LEAST_MS) / GROWTH);
  const { count, sum, min, max, buckets } = latency;
  return {
    count: count + 1,
    sum: sum + ms,
    min: count === 0 ? ms : Math.min(min, ms),
    max: Math.max(max, ms),
    buckets: { ...buckets, [bucket]: (buckets[bucket] ?? 0) + 1 },
  };
}

/** The time that this share of all times did not exceed, within 1 %; null without times. */
export function percentile({ count, min, max, buckets }: Latency, share: number): number | null {
  if (count === 0) return null;
  let left = Math.max(1, Math.ceil(count * share));
  if (left === count) return max;
  const inOrder = Object.entries(buckets).sort(([one], [other]) => Number(one) - Number(other));
  for (const [bucket, times] of inOrder) {
    left -= times;
    if (left > 0) continue;
    const middle = LEAST_MS * Math.exp(GROWTH * (Number(bucket) - 0.5));
    return Math.min(max, Math.max(min, middle));
  }
  return max;
}
