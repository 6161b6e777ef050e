// What is remembered, for how long, by whom, and how much of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHouse } from '../../../test/harness.ts';
import { ACME, GLOBEX, keysOf, learn, openMemory, remember, SCOUT, search } from '../../../test/memory.ts';
import type { AgentId } from '../../domain/ids.ts';
import { MEMORY_DEFAULTS } from './memory.ts';

const DAY = 86_400_000;
const MEMORY = 'memory';

test('ARMY-35 ARMY-36 a note is kept with its tags for as long as it shall be; stored again it is one version on', async t => {
  const { memory, clock } = await openMemory(t);
  const first = await remember(memory, 'pref', { value: { colour: 'blue' }, tags: ['ui'], ttlMs: 7 * DAY });
  assert.deepEqual([first.version, first.expiresAt, first.tags], [1, clock.now() + 7 * DAY, ['ui']]);
  const second = await remember(memory, 'pref', { value: ['any', 'JSON', null] });
  assert.deepEqual([second.version, second.expiresAt], [2, null]);
  const kept = await memory.recall({ tenant: ACME, collection: MEMORY, key: 'pref' });
  assert.deepEqual(kept, second);
});

test('ARMY-35 ARMY-36 what no record may be is refused with the field that is wrong, and nothing is stored', async t => {
  const { memory } = await openMemory(t);
  const wrong: readonly (readonly [string, object, string])[] = [
    ['', {}, 'key'],
    ['k'.repeat(513), {}, 'key'],
    ['k', { ttlMs: 0 }, 'ttl'],
    ['k', { ttlMs: -1 }, 'ttl'],
    ['k', { ttlMs: Number.NaN }, 'ttl'],
    ['k', { ttlMs: 1e15 }, 'ttl'],
    ['k', { tags: [''] }, 'tags'],
    ['k', { value: undefined }, 'value'],
  ];
  for (const [key, note, field] of wrong) {
    await assert.rejects(remember(memory, key, note), { code: 'invalid_request', details: { field } });
  }
  await assert.rejects(remember(memory, 'k', { value: 'x'.repeat(1_048_577) }), {
    code: 'payload_too_large',
  });
  assert.deepEqual(await memory.usage(ACME), []);
  assert.equal((await remember(memory, 'k'.repeat(512))).version, 1);
});

test('ARMY-37 a note past its time is never found again, by whatever way, and is deleted within a minute', async t => {
  const { memory, clock, store } = await openMemory(t);
  await remember(memory, 'short', { ttlMs: 5_000, tags: ['x'], userId: 'u1' });
  await remember(memory, 'long', { ttlMs: DAY });
  await remember(memory, 'kept');
  assert.deepEqual(keysOf(await search(memory, 'short')), ['short']);
  clock.leap(5_000);
  for (const type of ['semantic', 'keyword', 'hybrid', 'key'] as const)
    assert.deepEqual(keysOf(await search(memory, 'short', { type })), [], type);
  assert.deepEqual(keysOf(await search(memory, 'x', { type: 'tags' })), []);
  assert.equal(await memory.recall({ tenant: ACME, collection: MEMORY, key: 'short' }), null);
  assert.deepEqual(await memory.exportOf(ACME, 'u1'), []);
  await clock.advance(60_000);
  const chunks = await store.memory.unembedded('none', null, 100);
  assert.deepEqual(chunks.map(({ content }) => content.split('\n')[0]).sort(), ['kept', 'long']);
  assert.deepEqual(
    (await memory.usage(ACME)).map(({ records }) => records),
    [2],
  );
  clock.leap(400 * DAY);
  assert.equal((await memory.recall({ tenant: ACME, collection: MEMORY, key: 'kept' }))?.version, 1);
});

test('ARMY-37 an engine deletes what has expired within a minute', async t => {
  const { VirtualClock } = await import('../../../test/simulation/clock.ts');
  const clock = new VirtualClock();
  const house = await openHouse({ clock });
  t.after(() => house.stop());
  const { memory } = house.engine;
  await remember(memory, 'short', { ttlMs: 1_000 });
  assert.equal((await memory.usage(ACME)).length, 1);
  await clock.advance(60_000);
  assert.deepEqual(await memory.usage(ACME), []);
});

test('ARMY-43 no way of asking gives another tenant’s notes', async t => {
  const { memory } = await openMemory(t);
  await remember(memory, 'secret plan', { tenant: GLOBEX, tags: ['plan'], userId: 'u1' });
  for (const type of ['semantic', 'keyword', 'hybrid', 'key', 'tags'] as const) {
    const { hits, total, searched } = await search(memory, type === 'tags' ? 'plan' : 'secret plan', {
      type,
    });
    assert.deepEqual([hits, total, searched], [[], 0, []], type);
  }
  const name = { tenant: ACME, collection: MEMORY, key: 'secret plan' };
  assert.equal(await memory.recall(name), null);
  assert.equal(await memory.forget(name), false);
  assert.deepEqual((await memory.list({ tenant: ACME, limit: 10 })).records, []);
  assert.deepEqual(await memory.exportOf(ACME, 'u1'), []);
  assert.equal(await memory.eraseOf(ACME, 'u1'), 0);
  assert.deepEqual(keysOf(await search(memory, 'secret plan', { tenant: GLOBEX })), ['secret plan']);
});

test('a version may be demanded: only exactly that one is replaced or removed', async t => {
  const { memory } = await openMemory(t);
  const name = { tenant: ACME, collection: 'content', key: 'post-1' };
  await remember(memory, 'post-1', { collection: 'content', expected: 'absent' });
  await assert.rejects(remember(memory, 'post-1', { collection: 'content', expected: 'absent' }), {
    code: 'conflict',
  });
  const edited = await remember(memory, 'post-1', { collection: 'content', value: 'new', expected: 1 });
  assert.equal(edited.version, 2);
  await assert.rejects(remember(memory, 'post-1', { collection: 'content', value: 'late', expected: 1 }), {
    code: 'conflict',
    details: { key: 'post-1', version: 2, expected: 1 },
  });
  await assert.rejects(memory.forget(name, 1), { code: 'conflict' });
  assert.equal((await memory.recall(name))?.value, 'new');
  assert.equal(await memory.forget(name, 2), true);
  assert.deepEqual([await memory.recall(name), await memory.forget(name)], [null, false]);
});

test('an agent over its quota is told what it keeps and how much it may, and another may go on', async t => {
  const options = { ...MEMORY_DEFAULTS, agentRecordsMax: 2, agentBytesMax: 10_000 };
  const { memory } = await openMemory(t, { options });
  await remember(memory, 'a');
  await remember(memory, 'b');
  await assert.rejects(remember(memory, 'c'), {
    code: 'resource_exhausted',
    message: /the agent scout may keep no more: 2 records/,
  });
  await remember(memory, 'c', { owner: 'clerk' as AgentId });
  await remember(memory, 'a', { value: 'less' });
  await assert.rejects(remember(memory, 'a', { value: 'x'.repeat(10_000) }), { code: 'resource_exhausted' });
  await memory.forget({ tenant: ACME, collection: MEMORY, key: 'b' });
  assert.equal((await remember(memory, 'd')).version, 1);
});

test('a tenant may keep as many passages as a search index may hold', async t => {
  const { memory } = await openMemory(t, { options: { ...MEMORY_DEFAULTS, searchBytesMax: 3 * 1_536 } });
  for (const key of ['a', 'b', 'c']) await remember(memory, key, { owner: key as AgentId });
  await assert.rejects(remember(memory, 'd'), { code: 'resource_exhausted', message: /the tenant may keep/ });
  assert.equal((await remember(memory, 'd', { tenant: GLOBEX })).version, 1);
});

test('all records about a person are exported, and erased with their passages, and nobody else’s', async t => {
  const { memory, store } = await openMemory(t);
  const keys = Array.from({ length: 250 }, (_, number) => `note ${number}`);
  for (const key of keys) await remember(memory, key, { userId: 'u1' });
  await learn(memory, 'about u1', 'All we know of them.', { userId: 'u1' });
  await remember(memory, 'note 250', { userId: 'u2' });
  await remember(memory, 'elsewhere', { userId: 'u1', tenant: GLOBEX });
  const all = await memory.exportOf(ACME, 'u1');
  assert.deepEqual(
    all.map(({ key }) => key),
    [...keys, 'about u1'],
  );
  assert.deepEqual([await memory.eraseOf(ACME, 'u1'), await memory.eraseOf(ACME, 'u1')], [251, 0]);
  assert.deepEqual(await memory.exportOf(ACME, 'u1'), []);
  assert.deepEqual(keysOf(await search(memory, 'note', { type: 'keyword' })), ['note 250']);
  assert.equal((await store.memory.unembedded('none', null, 1_000)).length, 2);
  assert.equal((await memory.exportOf(GLOBEX, 'u1')).length, 1);
});

test('turns kept under growing keys are listed in the order in which they were stored', async t => {
  const { memory, again } = await openMemory(t);
  for (let turn = 1; turn <= 5; turn++)
    await remember(memory, `session-1/${turn}`, { collection: 'conversation', owner: SCOUT, value: turn });
  await remember(memory, 'session-2/1', { collection: 'conversation' });
  const later = await again();
  const query = { tenant: ACME, collections: ['conversation'], keyPrefix: 'session-1/', limit: 3 };
  const first = await later.list(query);
  const rest = await later.list({ ...query, after: first.next ?? 0 });
  assert.deepEqual(
    [...first.records, ...rest.records].map(({ value }) => value),
    [1, 2, 3, 4, 5],
  );
  assert.equal(rest.next, null);
});
