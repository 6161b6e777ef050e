import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Latency, NO_LATENCY, percentile, withTime } from './latency.ts';

const summed = (times: readonly number[]): Latency => times.reduce(withTime, NO_LATENCY);

test('SAM-172 percentiles are within 1 % of the exact ones, whatever the times and however they come', () => {
  const times = fc.array(fc.double({ min: 0.05, max: 60_000, noNaN: true }), {
    minLength: 1,
    maxLength: 200,
  });
  fc.assert(
    fc.property(times, fc.double({ min: 0, max: 1, noNaN: true }), (all, share) => {
      const inOrder = all.toSorted((one, other) => one - other);
      const exact = inOrder[Math.max(1, Math.ceil(all.length * share)) - 1] ?? 0;
      const found = percentile(summed(all), share) ?? 0;
      assert.ok(Math.abs(found - exact) <= exact * 0.01 + 1e-9, `${found} for ${exact}`);
    }),
    { seed: 1, numRuns: 200 },
  );
});

test('SAM-172 times take no more room than a few hundred buckets, and none is lost', () => {
  const latency = summed(Array.from({ length: 20_000 }, (_, n) => 0.1 + ((n * 7_919) % 60_000)));
  assert.equal(latency.count, 20_000);
  assert.equal(
    Object.values(latency.buckets).reduce((sum, times) => sum + times, 0),
    20_000,
  );
  assert.ok(Object.keys(latency.buckets).length < 900);
  assert.equal(percentile(NO_LATENCY, 0.95), null);
  assert.equal(percentile(summed([7]), 0.95), 7);
});
