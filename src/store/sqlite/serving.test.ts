// What only a store that commits in groups can get wrong: batches that share a fate, the disk's word, a log that grows.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import type { Clock } from '../../runtime/clock.ts';
import { ACME, current, LOGGED, logLine, order, submitted } from '../conformance-setup.ts';
import type { Store } from '../store.ts';
import { openSqlite } from './open.ts';

async function setup(t: TestContext, clock?: Clock): Promise<Store> {
  return (await opened(t, clock)).store;
}

async function opened(
  t: TestContext,
  clock?: Clock,
): Promise<{ readonly store: Store; readonly path: string }> {
  const directory = mkdtempSync(join(tmpdir(), 'batuta-serving-'));
  const path = join(directory, 'batuta.db');
  const store = await openSqlite({ path, auditKey: 'k', ...(clock !== undefined && { clock }) });
  t.after(async () => {
    await store.stop();
    rmSync(directory, { recursive: true });
  });
  return { store, path };
}

test('a call that fails in a batch fails alone', async t => {
  const store = await setup(t);
  const odd = { n: 1n } as unknown as JsonObject;
  const [first, wrong, last] = await Promise.allSettled([
    store.submit([order('a')]),
    store.record([logLine('odd', { metadata: odd })], []),
    store.submit([order('b')]),
  ]);
  assert.deepEqual([first.status, wrong.status, last.status], ['fulfilled', 'rejected', 'fulfilled']);
  assert.equal((await current(store, 'b')).state, 'queued');
  assert.deepEqual(await store.logs({ key: LOGGED, limit: 1 }), []);
});

test('a task that is no JSON is refused to its submitter alone', async t => {
  const store = await setup(t);
  const loop: Record<string, unknown> = {};
  loop.self = loop;
  const [wrong, right] = await Promise.allSettled([
    store.submit([order('a', { spec: { payload: loop as JsonObject } })]),
    store.submit([order('b')]),
  ]);
  assert.deepEqual([wrong.status, right.status], ['rejected', 'fulfilled']);
});

test('the store’s clock is its opener’s', async t => {
  let now = 1_000_000;
  const store = await setup(t, { now: () => now, monotonic: () => now, after: () => () => {} });
  await submitted(store, order('a'));
  now = 2_000_000;
  await submitted(store, order('b'));
  assert.deepEqual(
    [(await current(store, 'a')).createdAt, (await current(store, 'b')).createdAt],
    [1_000_000, 2_000_000],
  );
});

test('what many ask at once is answered to each, in one transaction or few', async t => {
  let reads = 0;
  const now = (): number => {
    reads += 1;
    return 1_000_000;
  };
  const store = await setup(t, { now, monotonic: now, after: () => () => {} });
  const before = reads;
  const outcomes = await Promise.all(Array.from({ length: 300 }, (_, at) => store.submit([order(`t${at}`)])));
  assert.equal(
    outcomes.flat().every(({ status }) => status === 'created'),
    true,
  );
  // The clock is read once a batch.
  assert.equal(reads - before <= 2, true);
  const page = await store.list({ tenant: ACME, limit: 1, offset: 0 });
  assert.equal(page.total, 300);
});

test('the log is brought into the database while the store serves, and begins anew', async t => {
  const { store, path } = await opened(t);
  const payload = { text: 'x'.repeat(20_000) };
  for (let round = 0; round < 400; round++) {
    const tasks = Array.from({ length: 20 }, (_, at) => order(`t${round}-${at}`, { spec: { payload } }));
    assert.equal((await store.submit(tasks)).length, 20);
  }
  // 160 MB of tasks went through it.
  assert.ok(statSync(`${path}-wal`).size < 100_000_000, `the log has ${statSync(`${path}-wal`).size} bytes`);
  assert.ok(statSync(path).size > 60_000_000, `the database has ${statSync(path).size} bytes`);
});
