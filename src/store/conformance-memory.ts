// The chapters on records: writing and finding them, what indexes hear of, and what embedders make of them.

import assert from 'node:assert/strict';
import type { AgentId, TenantId } from '../domain/ids.ts';
import { ACME, type Claim, suite } from './conformance-setup.ts';
import type { NewChunk, NewRecord, RecordFeed, RecordOutcome, RecordWrite, StoredRecord } from './memory.ts';
import type { Store } from './store.ts';

const GLOBEX = 'globex' as TenantId;
const SCOUT = 'scout' as AgentId;
const CLERK = 'clerk' as AgentId;
const PLENTY = { records: 1_000, chunks: 1_000, bytes: 1_000_000 };

/** A record to write. */
export function remembering(
  key: string,
  record: Partial<NewRecord> = {},
  more: Partial<RecordWrite> = {},
): RecordWrite {
  return {
    ...{ tenant: ACME, collection: 'memory', key },
    record: {
      ...{ value: { of: key }, tags: [], metadata: {}, owner: SCOUT, userId: null, ttlMs: null },
      ...{ chunks: [chunk(`the text of ${key}`)], limits: { agent: PLENTY, tenant: PLENTY } },
      ...record,
    },
    ...more,
  };
}

/** The removal of a record. */
function forgetting(key: string, more: Partial<RecordWrite> = {}): RecordWrite {
  return { tenant: ACME, collection: 'memory', key, record: null, ...more };
}

function chunk(content: string, vectors: NewChunk['vectors'] = {}): NewChunk {
  return { id: 'chunk-001', content, vectors };
}

async function put(store: Store, ...writes: readonly RecordWrite[]): Promise<readonly RecordOutcome[]> {
  return store.memory.put(writes);
}

/** Writes a record that must be stored. */
async function stored(store: Store, write: RecordWrite): Promise<StoredRecord> {
  const [outcome] = await put(store, write);
  return outcome?.status === 'stored'
    ? outcome.record
    : assert.fail(`it must be stored: ${JSON.stringify(outcome)}`);
}

async function keysOf(store: Store, query: object): Promise<string> {
  const found = await store.memory.find({ tenant: ACME, limit: 100, ...query });
  return found.map(({ key }) => key).join(' ');
}

/** The feed from a position to its end, in one. */
async function told(store: Store, after = 0, tenant: TenantId = ACME): Promise<RecordFeed> {
  const feed = await store.memory.feed(tenant, after, 100);
  assert.equal(feed.more, false);
  return feed;
}

function keysIn({ changes }: RecordFeed): string {
  return changes.map(({ record }) => record?.key ?? 'gone').join(' ');
}

/** Writing and finding records. */
export const keepingRecords: readonly Claim[] = suite(test => {
  test('a record is kept as it was given, over a restart too', async bundle => {
    const value = { text: 'año\u0000\ud800 nuevo', list: [1, null, { deep: true }] };
    const record = await stored(
      bundle.store,
      remembering('a', { value, tags: ['x', 'y'], metadata: { page: 3 }, userId: 'u1', ttlMs: 60_000 }),
    );
    assert.deepEqual(
      [record.version, record.updatedAt - record.createdAt, (record.expiresAt ?? 0) - record.createdAt],
      [1, 0, 60_000],
    );
    await bundle.reopen();
    const [found] = await bundle.store.memory.read([remembering('a')]);
    assert.deepEqual({ ...found, value: null }, { ...record, value: null });
    assert.match(JSON.stringify(found?.value), /año.* nuevo.*\[1,null,\{"deep":true\}\]/);
  });

  test('a record stored again replaces the one before with its version one higher and its first instant kept', async bundle => {
    const { store } = bundle;
    const first = await stored(store, remembering('a', { tags: ['old'] }));
    await bundle.passTime(1_000);
    const second = await stored(store, remembering('a', { value: 2, owner: CLERK }));
    assert.deepEqual(
      [second.version, second.createdAt, second.updatedAt, second.id],
      [2, first.createdAt, first.createdAt + 1_000, first.id],
    );
    assert.deepEqual(await store.memory.read([remembering('a'), remembering('b')]), [second, null]);
    assert.deepEqual([second.tags, second.value, second.owner], [[], 2, CLERK]);
  });

  test('records of one key are apart by collection and tenant', async ({ store }) => {
    const elsewhere = { collection: 'other' };
    await put(
      store,
      remembering('a', { value: 1 }),
      remembering('a', { value: 2 }, elsewhere),
      remembering('a', { value: 3 }, { tenant: GLOBEX }),
    );
    await put(store, forgetting('a', elsewhere));
    const found = await store.memory.read([
      remembering('a'),
      remembering('a', {}, elsewhere),
      remembering('a', {}, { tenant: GLOBEX }),
    ]);
    assert.deepEqual(
      found.map(record => record?.value ?? null),
      [1, null, 3],
    );
    const [globex] = found.slice(2);
    const [none] = await store.memory.passages(ACME, [{ id: globex?.id ?? 0, chunk: 0 }]);
    assert.equal(none, null);
  });

  test('a write whose expectation fails is a conflict that tells the version, and changes nothing', async ({
    store,
  }) => {
    const outcomes = await put(
      store,
      remembering('a', {}, { expected: 'absent' }),
      remembering('a', { value: 'no' }, { expected: 'absent' }),
      remembering('a', { value: 2 }, { expected: 1 }),
      remembering('a', { value: 'no' }, { expected: 1 }),
      forgetting('a', { expected: 1 }),
      remembering('none', {}, { expected: 1 }),
      forgetting('a', { expected: 2 }),
      forgetting('a'),
    );
    assert.deepEqual(
      outcomes.map(outcome => [
        outcome.status,
        'version' in outcome ? outcome.version : 'record' in outcome && outcome.record.version,
      ]),
      [
        ['stored', 1],
        ['conflict', 1],
        ['stored', 2],
        ['conflict', 2],
        ['conflict', 2],
        ['conflict', 0],
        ['removed', 2],
        ['removed', 0],
      ],
    );
  });

  test('of writers that expect the same version exactly one succeeds', async ({ store }) => {
    await put(store, remembering('a'));
    const outcomes = await Promise.all(
      Array.from({ length: 8 }, () => put(store, remembering('a', {}, { expected: 1 }))),
    );
    assert.equal(outcomes.flat().filter(({ status }) => status === 'stored').length, 1);
  });

  test('an expired record is absent to every reader, its text too, and what is stored anew begins at 1', async bundle => {
    const { store } = bundle;
    const { id } = await stored(store, remembering('a', { ttlMs: 1_000, userId: 'u1' }));
    await bundle.passTime(999);
    assert.equal(await keysOf(store, {}), 'a');
    await bundle.passTime(1);
    assert.deepEqual(await store.memory.read([remembering('a')]), [null]);
    assert.deepEqual(await store.memory.passages(ACME, [{ id, chunk: 0 }]), [null]);
    assert.equal(await keysOf(store, { userId: 'u1' }), '');
    const outcomes = await put(
      store,
      remembering('a', {}, { expected: 1 }),
      remembering('a', {}, { expected: 'absent' }),
    );
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['conflict', 'stored'],
    );
    assert.equal((await store.memory.read([remembering('a')]))[0]?.version, 1);
  });

  test('records are found by all conditions together, in the order they were first stored', async bundle => {
    const { store } = bundle;
    await put(
      store,
      remembering('b/1', { tags: ['x', 'y'], metadata: { dept: 'sales', page: 1 }, userId: 'u1' }),
      remembering('b/2', { tags: ['x'], metadata: { dept: 'sales', page: '1' }, owner: CLERK }),
    );
    const [first] = await store.memory.find({ tenant: ACME, limit: 1 });
    await bundle.passTime(1_000);
    await put(
      store,
      remembering('a', { tags: ['y'], metadata: { dept: 'it', done: true, none: null } }),
      remembering('c', {}, { collection: 'docs' }),
      remembering('d', {}, { tenant: GLOBEX }),
    );
    const at = first?.updatedAt ?? 0;
    const queries: readonly (readonly [object, string])[] = [
      [{}, 'b/1 b/2 a c'],
      [{ collections: ['docs', 'memory'] }, 'b/1 b/2 a c'],
      [{ collections: ['docs'] }, 'c'],
      [{ keyPrefix: 'b/' }, 'b/1 b/2'],
      [{ tags: ['y', 'x'] }, 'b/1'],
      [{ tags: [] }, 'b/1 b/2 a c'],
      [{ metadata: { dept: 'sales', page: 1 } }, 'b/1'],
      [{ metadata: { page: '1' } }, 'b/2'],
      [{ metadata: { done: true, none: null } }, 'a'],
      [{ metadata: { done: 1 } }, ''],
      [{ owner: CLERK }, 'b/2'],
      [{ userId: 'u1' }, 'b/1'],
      [{ since: at + 1_000 }, 'a c'],
      [{ until: at + 999 }, 'b/1 b/2'],
      [{ since: at, until: at, tags: ['x'] }, 'b/1 b/2'],
      [{ after: first?.id, limit: 2 }, 'b/2 a'],
    ];
    for (const [query, keys] of queries)
      assert.equal(await keysOf(store, query), keys, JSON.stringify(query));
  });

  test('a tenant’s and an agent’s use is counted, and a write beyond a limit is refused with what is used', async ({
    store,
  }) => {
    const limits = { agent: { ...PLENTY, records: 2 }, tenant: { ...PLENTY, chunks: 4 } };
    const parts = (...texts: readonly string[]): readonly NewChunk[] => texts.map(text => chunk(text));
    const outcomes = await put(
      store,
      remembering('a', { limits, chunks: parts('one', 'two') }),
      remembering('b', { limits }),
      remembering('c', { limits }),
      remembering('c', { limits, owner: CLERK, chunks: parts('one', 'two') }),
      remembering('a', { limits, chunks: parts('less') }),
      remembering('c', { limits, owner: CLERK, chunks: parts('one', 'two') }),
    );
    assert.deepEqual(
      outcomes.map(outcome => (outcome.status === 'full' ? outcome.of : outcome.status)),
      ['stored', 'stored', 'agent', 'tenant', 'stored', 'stored'],
    );
    const refused = outcomes[2];
    assert.ok(refused?.status === 'full' && refused.used.records === 2 && refused.used.bytes > 0);
    const usage = await store.memory.usage(ACME);
    assert.deepEqual(
      usage.map(({ owner, records, chunks }) => [owner, records, chunks]),
      [
        [CLERK, 1, 2],
        [SCOUT, 2, 2],
      ],
    );
    await put(store, forgetting('a'), forgetting('b'), forgetting('c'));
    assert.deepEqual(await store.memory.usage(ACME), []);
  });

  test('all that is about a person is erased, and nothing else', async ({ store }) => {
    await put(
      store,
      remembering('a', { userId: 'u1' }),
      remembering('b', { userId: 'u2' }),
      remembering('c', { userId: 'u1' }, { tenant: GLOBEX }),
      remembering('d', { userId: 'u1' }, { collection: 'docs' }),
    );
    assert.deepEqual(
      [
        await store.memory.erase(ACME, 'u1', 1),
        await store.memory.erase(ACME, 'u1', 10),
        await store.memory.erase(ACME, 'u1', 10),
      ],
      [1, 1, 0],
    );
    assert.equal(await keysOf(store, {}), 'b');
    assert.equal(await keysOf(store, { tenant: GLOBEX }), 'c');
  });
});

/** What indexes hear of, and what embedders make of records. */
export const feedingRecords: readonly Claim[] = suite(test => {
  test('the feed tells each change of a tenant after a position once, in order, what is gone among them', async bundle => {
    const { store } = bundle;
    await put(
      store,
      remembering('a'),
      remembering('b', { ttlMs: 1_000 }),
      remembering('c', {}, { tenant: GLOBEX }),
    );
    const first = await told(store);
    assert.equal(keysIn(first), 'a b');
    assert.deepEqual(first.changes[0]?.record?.chunks, [{ content: 'the text of a', vector: null }]);
    await put(store, remembering('a', { value: 'new', chunks: [chunk('one'), chunk('two')] }));
    const second = await told(store, first.position);
    assert.deepEqual(
      second.changes.map(({ record }) => record?.chunks.map(({ content }) => content)),
      [['one', 'two']],
    );
    assert.deepEqual([second.changes[0]?.id, second.changes[0]?.record?.version], [first.changes[0]?.id, 2]);
    await put(store, forgetting('a'), remembering('d'));
    await bundle.passTime(1_000);
    assert.equal(await store.memory.sweep(10), 1);
    const third = await told(store, second.position);
    assert.equal(keysIn(third), 'gone d gone');
    assert.equal(third.changes[2]?.id, first.changes[1]?.id);
    assert.deepEqual((await told(store, third.position)).changes, []);
    assert.equal((await told(store, third.position)).position, third.position);
    assert.equal(third.at - first.at, 1_000);
  });

  test('the feed is read a page at a time, and a record that changes meanwhile is told again', async ({
    store,
  }) => {
    await put(store, ...['a', 'b', 'c', 'd', 'e'].map(key => remembering(key)));
    await put(store, forgetting('b'));
    const keys: string[] = [];
    let at = 0;
    for (let more = true; more; ) {
      const page = await store.memory.feed(ACME, at, 2);
      keys.push(keysIn(page));
      if (at === 0) await put(store, remembering('a'));
      ({ position: at, more } = page);
    }
    assert.deepEqual(keys, ['a c', 'd e', 'gone a']);
  });

  test('whoever is told of a change by the feed was told of all before it, whatever is written at once', async ({
    store,
  }) => {
    const seen = new Set<string>();
    let at = 0;
    let open = true;
    const read = async (): Promise<void> => {
      const page = await store.memory.feed(ACME, at, 1_000);
      for (const { record } of page.changes) if (record !== null) seen.add(record.key);
      at = page.position;
    };
    const reader = (async () => {
      while (open) await read();
    })();
    const keys = Array.from({ length: 60 }, (_, number) => `k${number}`);
    await Promise.all(keys.map(key => put(store, remembering(key))));
    open = false;
    await reader;
    await read();
    assert.equal(seen.size, keys.length);
  });

  test('what is gone is forgotten a day later, and an expired record’s text is deleted by the sweep', async bundle => {
    const { store } = bundle;
    await put(store, remembering('a', { ttlMs: 1_000 }), remembering('b'));
    await bundle.passTime(1_000);
    assert.deepEqual([await store.memory.sweep(10), await store.memory.sweep(10)], [1, 0]);
    assert.deepEqual(await store.memory.unembedded('any', null, 10), [
      { id: (await told(store)).changes[0]?.id, chunk: 0, content: 'the text of b' },
    ]);
    assert.equal(keysIn(await told(store)), 'b gone');
    await bundle.passTime(24 * 3_600_000);
    assert.deepEqual([await store.memory.sweep(10), keysIn(await told(store))], [1, 'b']);
  });

  test('the feed bears the vectors of the embedder in force, and tells of those that come later', async ({
    store,
  }) => {
    const both = { one: 'v1', two: 'w1' };
    const { id } = await stored(store, remembering('a', { chunks: [chunk('text', both)] }));
    const vectorOf = ({ changes }: RecordFeed): unknown => changes[0]?.record?.chunks[0]?.vector;
    assert.deepEqual([(await told(store)).embedder, await store.memory.embedder()], [null, null]);
    assert.equal(await store.memory.enforce('one', null), 'one');
    assert.equal(await store.memory.enforce('three', null), 'one');
    const first = await told(store);
    assert.deepEqual([first.embedder, vectorOf(first)], ['one', 'v1']);
    await store.memory.putVectors('two', [{ id, chunk: 0, content: 'text', vector: 'w2' }]);
    assert.deepEqual((await told(store, first.position)).changes, []);
    await store.memory.putVectors('one', [{ id, chunk: 0, content: 'text', vector: 'v2' }]);
    assert.equal(vectorOf(await told(store, first.position)), 'v2');
    assert.equal(await store.memory.enforce('two', 'one'), 'two');
    const last = await told(store);
    assert.deepEqual([last.embedder, vectorOf(last)], ['two', 'w2']);
  });

  test('chunks without a vector are found in order, and one whose text changed meanwhile gets none', async ({
    store,
  }) => {
    const a = await stored(store, remembering('a', { chunks: [chunk('a0', { old: 'v' }), chunk('a1')] }));
    const b = await stored(store, remembering('b', { chunks: [chunk('b0')] }, { tenant: GLOBEX }));
    const open = await store.memory.unembedded('new', null, 2);
    assert.deepEqual(open, [
      { id: a.id, chunk: 0, content: 'a0' },
      { id: a.id, chunk: 1, content: 'a1' },
    ]);
    const rest = await store.memory.unembedded('new', { id: a.id, chunk: 1 }, 2);
    assert.deepEqual(rest, [{ id: b.id, chunk: 0, content: 'b0' }]);
    await put(store, remembering('a', { chunks: [chunk('a0'), chunk('other')] }));
    await store.memory.putVectors(
      'new',
      [...open, ...rest].map(one => ({ ...one, vector: 'n' })),
    );
    assert.deepEqual(await store.memory.unembedded('new', null, 10), [
      { id: a.id, chunk: 1, content: 'other' },
    ]);
    assert.equal(await store.memory.pruneVectors(['old'], 1), 1);
    assert.equal(await store.memory.pruneVectors(['old'], 10), 1);
    assert.equal((await store.memory.unembedded('new', null, 10)).length, 3);
  });
});
