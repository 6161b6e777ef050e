// Conformance, on changes that keep a record: the task and the record change together, or neither does.

import assert from 'node:assert/strict';
import type { FencingToken } from '../domain/ids.ts';
import { remembering } from './conformance-memory.ts';
import {
  ACME,
  claimed,
  claimedOne,
  current,
  ending,
  historyOf,
  order,
  reporting,
  submitted,
  suite,
} from './conformance-setup.ts';
import type { Store } from './store.ts';

async function kept(store: Store, key = 'a') {
  const [record] = await store.memory.read([{ tenant: ACME, collection: 'memory', key }]);
  return record == null ? null : [record.version, record.value];
}

/** Claims about changes with a record. */
export const changingRecords = suite(test => {
  test('BLOG-62 the end of a task and the record that changes with it are there together, over a restart too', async bundle => {
    await submitted(bundle.store, order('a'));
    const end = ending(await claimedOne(bundle.store), 'completed', {
      record: remembering('a', { value: 'new' }, { expected: 'absent' }),
    });
    assert.equal((await bundle.store.commit([end]))[0]?.status, 'done');
    await bundle.reopen();
    assert.equal((await current(bundle.store, 'a')).outcome, 'completed');
    assert.deepEqual(await kept(bundle.store), [1, 'new']);
    const { changes } = await bundle.store.memory.feed(ACME, 0, 10);
    assert.deepEqual(
      changes.map(({ record }) => record?.key),
      ['a'],
    );
  });

  test('BLOG-62 where the record is not as expected, or there is no room for it, nothing of the change happens', async ({
    store,
  }) => {
    await store.memory.put([remembering('a', { value: 'old' })]);
    await submitted(store, order('a'), order('b'));
    const [one, other] = await claimed(store);
    if (one === undefined || other === undefined) assert.fail('two tasks were claimed');
    const before = await current(store, one.task.id);
    const nothing = { records: 0, chunks: 0, bytes: 0 };
    const limits = { agent: nothing, tenant: nothing };
    const outcomes = await store.commit([
      ending(one, 'completed', { record: remembering('a', { value: 'new' }, { expected: 'absent' }) }),
      ending(one, 'completed', { record: remembering('new', { limits }) }),
      ending(other, 'completed', { record: { ...remembering('a'), record: null, expected: 1 } }),
    ]);
    assert.deepEqual(
      outcomes.map(outcome => (outcome.status === 'refused' ? outcome.record.status : outcome.status)),
      ['conflict', 'full', 'done'],
    );
    assert.deepEqual(outcomes[0], { status: 'refused', record: { status: 'conflict', version: 1 } });
    assert.deepEqual(await current(store, one.task.id), before);
    assert.equal((await historyOf(store, one.task.key)).length, before.version);
    assert.equal((await current(store, other.task.id)).outcome, 'completed');
    assert.deepEqual([await kept(store), await kept(store, 'new')], [null, null]);
    const again = ending(one, 'completed', { record: remembering('a', { value: 'new' }) });
    assert.equal((await store.commit([again]))[0]?.status, 'done');
    assert.deepEqual(await kept(store), [1, 'new']);
  });

  test('BLOG-62 a change that lost its lease keeps no record, and others of the call happen', async ({
    store,
  }) => {
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    const lost = { ...claim, token: (Number(claim.token) + 1_000) as FencingToken };
    const outcomes = await store.commit([
      ending(lost, 'completed', { record: remembering('a') }),
      reporting(claim, 10),
      reporting(claim, 20, { record: remembering('b', { value: 1 }) }),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['stale', 'done', 'done'],
    );
    assert.deepEqual([await kept(store), await kept(store, 'b')], [null, [1, 1]]);
    assert.equal((await current(store, 'a')).progress?.percentage, 20);
  });
});
