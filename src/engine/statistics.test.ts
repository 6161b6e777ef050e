import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { StoredDocument } from '../store/rows.ts';
import { quantile, RunStatistics } from './statistics.ts';

function setup() {
  const kept = new Map<string, StoredDocument>();
  const store = {
    documents: async () => [...kept.values()],
    putDocuments: async (
      writes: readonly { tenant: typeof DEFAULT_TENANT; kind: string; id: string; body: unknown }[],
    ) =>
      writes.map(write => {
        kept.set(write.id, { ...write, version: 1, expiresAt: null } as StoredDocument);
        return { status: 'done' as const, version: 1 };
      }),
  };
  return { store, statistics: new RunStatistics(store as never) };
}

test('SAM-42 the estimate is the median of the last 50 runs, and none under 5', () => {
  const { statistics } = setup();
  for (const ms of [1, 2, 3, 4]) statistics.add(DEFAULT_TENANT, 'x', ms);
  assert.equal(statistics.median(DEFAULT_TENANT, 'x'), null);
  statistics.add(DEFAULT_TENANT, 'x', 100);
  assert.equal(statistics.median(DEFAULT_TENANT, 'x'), 3);
  for (let run = 0; run < 50; run++) statistics.add(DEFAULT_TENANT, 'x', 7);
  assert.equal(statistics.median(DEFAULT_TENANT, 'x'), 7);
});

test('SAM-31 an absent timeout is three times the 95th percentile within a minute and a day, or an hour where little is known', () => {
  const { statistics } = setup();
  const timeoutAfter = (runs: number, ms: number) => {
    for (let run = 0; run < runs; run++) statistics.add(DEFAULT_TENANT, `t${ms}`, ms);
    return statistics.timeout(DEFAULT_TENANT, `t${ms}`);
  };
  assert.equal(timeoutAfter(19, 100_000), 3_600_000);
  assert.equal(timeoutAfter(1, 100_000), 300_000);
  assert.equal(timeoutAfter(20, 1_000), 60_000);
  assert.equal(timeoutAfter(20, 80_000_000), 86_400_000);
});

test('what was learnt before a restart is known after it', async () => {
  const { store, statistics } = setup();
  for (let run = 0; run < 5; run++) statistics.add(DEFAULT_TENANT, 'x', 42);
  await statistics.save();
  const after = new RunStatistics(store as never);
  await after.load();
  assert.equal(after.median(DEFAULT_TENANT, 'x'), 42);
});

test('a quantile is the nearest rank', () => {
  assert.equal(quantile([], 0.5), null);
  assert.equal(quantile([5, 1, 3], 0.5), 3);
  assert.equal(quantile([1, 2, 3, 4], 0.95), 4);
});
