// What is found, in which order, and what is told beside it.

import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { ACME, GLOBEX, keysOf, learn, openMemory, remember, search } from '../../../test/memory.ts';
import { freshDatabase, postgresMissing } from '../../../test/postgres.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { openPostgres } from '../../store/postgres/open.ts';
import { Memory } from './memory.ts';

const SALES =
  'Los estudios demuestran que un proceso de calificación de leads mejorado puede incrementar las tasas de conversión B2B. Las estrategias de ventas incluyen seguimiento y contenido.';
const CUSTOMER =
  'La personalización de la experiencia del cliente en cada etapa del embudo de ventas ha mostrado incrementos de la conversión en empresas de tecnología.';
const GARDEN =
  'Tomatoes need full sun, deep watering twice a week and a stake to climb. Prune the lower leaves.';
const LEASES =
  'A worker renews its lease by heartbeats; a lease that expires goes back to the queue of waiting tasks.';

async function library(t: TestContext, parts: Parameters<typeof openMemory>[1] = {}) {
  const bundle = await openMemory(t, parts);
  const { memory } = bundle;
  const about = (author: string, type: string, more: object = {}): object => ({
    metadata: { author, document_type: type, ...more },
  });
  await learn(memory, 'sales', SALES, {
    collection: 'kb-sales',
    ...about('Marketing', 'pdf', { department: 'sales', updated_at: '2024-11-15' }),
  });
  await learn(memory, 'customer', CUSTOMER, {
    collection: 'kb-market',
    ...about('Research', 'markdown', { department: 'sales', updated_at: '2023-01-30' }),
  });
  await learn(memory, 'garden', GARDEN, { collection: 'kb-home', ...about('Research', 'pdf') });
  await learn(memory, 'leases', LEASES, { collection: 'kb-home', ...about('Marketing', 'markdown') });
  return bundle;
}

test('ARMY-39 ARMY-40 by meaning, by words and by both, the nearest is first, with a score that falls, in either language', async t => {
  const { memory } = await library(t);
  const questions: readonly (readonly [string, string])[] = [
    ['estrategias para incrementar la tasa de conversión en ventas B2B', 'sales'],
    ['personalizar experiencias de clientes', 'customer'],
    ['how often should I water a tomato?', 'garden'],
    ['expired leases of workers', 'leases'],
  ];
  for (const [question, best] of questions)
    for (const type of ['semantic', 'keyword', 'hybrid'] as const) {
      const { hits, total } = await search(memory, question, { type });
      assert.equal(hits[0]?.record.key, best, `${type}: ${question}`);
      assert.ok(total >= hits.length);
      for (const [at, { score }] of hits.entries())
        assert.ok(score > 0 && score <= 1 && score <= (hits[at - 1]?.score ?? 1), `${type}: ${score}`);
    }
});

test('ARMY-40 NOOB-73 where nothing is like the question there is an empty answer and no error', async t => {
  const { memory } = await library(t);
  const { memory: empty } = await openMemory(t);
  for (const type of ['semantic', 'keyword', 'hybrid', 'key', 'tags'] as const) {
    for (const one of [memory, empty]) {
      const { hits, total } = await search(one, 'zqxj wvkk', { type });
      assert.deepEqual([hits, total], [[], 0], type);
    }
  }
});

test('ARMY-41 a misspelt word and another form of a word are found by meaning, where words alone find nothing', async t => {
  const { memory } = await openMemory(t);
  await remember(memory, 'k1', { value: 'configuración del servidor' });
  await remember(memory, 'k2', { value: 'recetas de cocina' });
  assert.deepEqual(keysOf(await search(memory, 'configuraciones de servidores', { type: 'keyword' })), [
    'k1',
  ]);
  const misspelt = 'konfiguracion del servidro';
  assert.deepEqual(keysOf(await search(memory, misspelt, { type: 'keyword' })), []);
  assert.deepEqual(keysOf(await search(memory, misspelt)), ['k1']);
});

test('ARMY-41 NOOB-75 after a restart the same question gets the same answer, whatever was replaced and removed before', async t => {
  const { memory, again } = await library(t);
  for (let round = 0; round < 5; round++) {
    await learn(memory, 'sales', `${SALES} Versión ${round}.`, { collection: 'kb-sales' });
    await remember(memory, `note ${round}`, { value: `ventas y conversión ${round % 3}` });
    if (round % 2 === 0) await memory.forget({ tenant: ACME, collection: 'memory', key: `note ${round}` });
    await search(memory, 'ventas');
  }
  const later = await again();
  for (const type of ['semantic', 'keyword', 'hybrid'] as const) {
    const query = { type, by: 'chunk', reranking: true, limit: 50 } as const;
    const [before, after] = [
      await search(memory, 'conversión de ventas', query),
      await search(later, 'conversión de ventas', query),
    ];
    assert.ok(before.total >= 4);
    assert.deepEqual({ ...after, related: [] }, { ...before, related: [] });
  }
});

test('ARMY-38 a search keeps to tags, all of them, and to when a note was stored, from and to included', async t => {
  const { memory, clock } = await openMemory(t);
  const start = clock.now();
  for (const [key, tags] of [
    ['plan a', ['x', 'y']],
    ['plan b', ['x']],
    ['plan c', ['y', 'x', 'z']],
  ] as const) {
    await remember(memory, key, { tags });
    clock.leap(1_000);
  }
  const found = async (more: object): Promise<string> =>
    keysOf(await search(memory, 'plan', more))
      .toSorted()
      .join();
  assert.equal(await found({ tags: ['x', 'y'] }), 'plan a,plan c');
  assert.equal(await found({ tags: ['y', 'none'] }), '');
  assert.equal(await found({ stored: { from: start + 1_000, to: start + 2_000 } }), 'plan b,plan c');
  assert.equal(await found({ stored: { to: start } }), 'plan a');
  assert.equal(await found({ stored: { from: start + 2_001 } }), '');
  assert.equal(await found({ stored: { from: start + 1 }, tags: ['z'] }), 'plan c');
});

test('ARMY-39 a note is found by its key, by the beginning of keys, and by tags, latest first', async t => {
  const { memory, clock } = await openMemory(t);
  for (const key of ['user/1', 'user/2', 'group/1']) {
    await remember(memory, key, { tags: ['all', key.split('/')[0] ?? ''] });
    clock.leap(1);
  }
  const by = async (type: 'key' | 'tags', text: string): Promise<unknown> => {
    const answer = await search(memory, text, { type, limit: 2 });
    return [keysOf(answer).join(), answer.total];
  };
  assert.deepEqual(await by('key', 'user/1'), ['user/1', 1]);
  assert.deepEqual(await by('key', 'user'), ['', 0]);
  assert.deepEqual(await by('key', 'user/*'), ['user/2,user/1', 2]);
  assert.deepEqual(await by('tags', 'all'), ['group/1,user/2', 3]);
  assert.deepEqual(await by('tags', 'all, user'), ['user/2,user/1', 2]);
});

test('ARMY-38 NOOB-74 a search without words, with a limit beyond 100 or with weights that weigh nothing is refused', async t => {
  const { memory } = await openMemory(t);
  const wrong: readonly (readonly [string, object, string])[] = [
    ['  ', {}, 'text'],
    ['x'.repeat(2_001), {}, 'text'],
    ['x', { limit: 101 }, 'limit'],
    ['x', { limit: 0 }, 'limit'],
    ['x', { limit: 1.5 }, 'limit'],
    ['x', { weights: { semantic: 0, keyword: 0 } }, 'weights'],
    ['x', { weights: { semantic: -1, keyword: 2 } }, 'weights'],
    ['x', { weights: { semantic: Number.NaN, keyword: 1 } }, 'weights'],
  ];
  for (const [text, more, field] of wrong)
    await assert.rejects(search(memory, text, { type: 'hybrid', ...more }), {
      code: 'invalid_request',
      details: { field },
    });
});

test('NOOB-74 NOOB-75 a hybrid score is the weighted sum of both, weights scaled to one, 0.7 and 0.3 unless told', async t => {
  const { memory } = await library(t);
  const scores = async (more: object): Promise<readonly number[]> => {
    const { hits } = await search(memory, 'conversión en ventas', { type: 'hybrid', limit: 2, ...more });
    assert.deepEqual(hits.map(({ record }) => record.key).toSorted(), ['customer', 'sales']);
    return hits
      .toSorted((one, another) => (one.record.key < another.record.key ? -1 : 1))
      .map(({ score }) => score);
  };
  const cosines = await scores({ weights: { semantic: 5, keyword: 0 } });
  const words = await scores({ weights: { semantic: 0, keyword: 0.1 } });
  const usual = await scores({});
  const even = await scores({ weights: { semantic: 3, keyword: 3 } });
  for (const [at, cosine] of cosines.entries()) {
    const word = words[at] ?? 0;
    assert.notEqual(cosine, word);
    assert.ok(Math.abs((usual[at] ?? 0) - (0.7 * cosine + 0.3 * word)) < 1e-12);
    assert.ok(Math.abs((even[at] ?? 0) - (cosine + word) / 2) < 1e-12);
  }
  assert.deepEqual(await scores({ type: 'keyword' }), words);
});

test('NOOB-76 a second look puts words that stand together and in order first, and drops what says the same again', async t => {
  const { memory } = await openMemory(t);
  const filler = 'mucho texto de relleno sobre otras cosas distintas que separa las palabras buscadas';
  const aside = 'cuando nadie mira suben costes';
  await learn(
    memory,
    'apart',
    `Conversión, ${aside}. Tasa, tasa, ${aside}. Conversión, conversión. Bajan. Tasa.`,
  );
  await learn(memory, 'together', `Cómo medir la tasa de conversión. ${filler}.`);
  await learn(memory, 'again', `Cómo medir la tasa de conversión! ${filler}.`);
  const query = { type: 'keyword', by: 'chunk' } as const;
  const first = await search(memory, 'tasa de conversión', query);
  assert.equal(first.hits[0]?.record.key, 'apart');
  const second = await search(memory, 'tasa de conversión', { ...query, reranking: true });
  assert.deepEqual(keysOf(second), ['together', 'apart']);
  assert.equal(second.total, 3);
});

test('NOOB-76 with a model the model orders, and where it fails the first order stays, with a warning', async t => {
  let fails = false;
  const reranker = {
    async order(_query: string, passages: readonly string[]): Promise<readonly number[]> {
      if (fails) throw new Error('no model today');
      // Forgets all but the last, names it twice, and invents one.
      return [passages.length - 1, passages.length - 1, 99];
    },
  };
  const { memory } = await library(t, { reranker });
  const query = { type: 'keyword', limit: 10 } as const;
  const first = await search(memory, 'ventas conversión lease', query);
  const byModel = await search(memory, 'ventas conversión lease', { ...query, reranking: true });
  assert.equal(first.hits.length, 3);
  const [last] = keysOf(first).slice(-1);
  assert.deepEqual(keysOf(byModel), [last, ...keysOf(first).slice(0, -1)]);
  assert.deepEqual(byModel.warnings, []);
  fails = true;
  const failed = await search(memory, 'ventas conversión lease', { ...query, reranking: true });
  assert.deepEqual(keysOf(failed), keysOf(first));
  assert.match(failed.warnings.join(), /model could not rank/);
});

test('NOOB-77 collections, types and metadata narrow a search; a collection that is not there is named, not searched', async t => {
  const { memory } = await library(t);
  const found = async (more: object): Promise<string> =>
    keysOf(await search(memory, 'ventas conversión lease tomato', { type: 'keyword', ...more }))
      .toSorted()
      .join();
  assert.equal(await found({}), 'customer,garden,leases,sales');
  assert.equal(await found({ collections: ['kb-sales', 'kb-home'] }), 'garden,leases,sales');
  assert.equal(await found({ metadataAnyOf: { document_type: ['pdf', 'html'] } }), 'garden,sales');
  assert.equal(await found({ metadata: { department: 'sales', author: 'Research' } }), 'customer');
  assert.equal(
    await found({ changed: { after: Date.parse('2024-01-01') }, metadata: { department: 'sales' } }),
    'sales',
  );
  assert.equal(await found({ changed: { before: Date.parse('2024-01-01') } }), 'customer');
  const { searched, unknown, warnings } = await search(memory, 'ventas', {
    collections: ['kb-none', 'kb-sales'],
  });
  assert.deepEqual([searched, unknown], [['kb-sales'], ['kb-none']]);
  assert.match(warnings.join(), /kb-none/);
});

test('NOOB-79 NOOB-80 a result names its passage, its words and its vector; facets count all matches, not only those given', async t => {
  const { memory } = await library(t);
  const query = { type: 'hybrid', by: 'chunk', facets: ['author', 'document_type', 'department'] } as const;
  const answer = await search(memory, 'ventas conversión lease tomato', { ...query, limit: 1 });
  const [hit] = answer.hits;
  assert.equal(answer.hits.length, 1);
  assert.equal(answer.total, 4);
  assert.deepEqual(answer.facets, {
    author: { Marketing: 2, Research: 2 },
    document_type: { markdown: 2, pdf: 2 },
    department: { sales: 2 },
  });
  assert.equal(hit?.chunk.id, 'chunk-001');
  assert.ok(hit.chunk.content.length > 20 && hit.keywords.length === 5);
  for (const word of hit.keywords) assert.ok(hit.chunk.content.includes(word), word);
  const vectors = (await search(memory, 'ventas conversión lease tomato', query)).hits.map(
    ({ vectorId }) => vectorId,
  );
  assert.equal(new Set(vectors).size, 4);
  assert.match(answer.queryVectorId, /^qvec-[0-9a-f]{16}$/);
});

test('NOOB-81 related questions come from passages and the tenant’s earlier ones, never the question itself or another tenant’s', async t => {
  const { memory } = await library(t);
  await search(memory, 'seguimiento de ventas');
  await learn(memory, 'other', 'Ventas secretas de otra empresa.', { tenant: GLOBEX });
  await search(memory, 'ventas secretas', { tenant: GLOBEX });
  const { related } = await search(memory, 'Ventas', { type: 'keyword' });
  assert.ok(
    related.includes('seguimiento de ventas') && related.length > 1 && related.length <= 5,
    related.join('; '),
  );
  assert.ok(!related.some(phrase => /secret|^ventas?$/i.test(phrase)), related.join('; '));
  const again = await search(memory, 'ventas y seguimiento', { type: 'keyword' });
  assert.ok(!again.related.some(phrase => phrase === 'seguimiento de ventas'), 'the same in other words');
  assert.deepEqual((await search(memory, 'zqxj', { type: 'keyword' })).related, []);
});

test('NOOB-82 a document stored again is found by its new passages alone, and by none once it is removed', async t => {
  const { memory } = await openMemory(t);
  const long = (word: string): string =>
    Array.from(
      { length: 30 },
      (_, at) => `El ${word} número ${at} tiene una historia propia y algo que contar.`,
    ).join('\n\n');
  const { chunks } = await learn(memory, 'doc', long('caballo'));
  assert.ok(chunks > 1);
  const passages = async (text: string): Promise<number> =>
    (await search(memory, text, { type: 'keyword', by: 'chunk', limit: 100 })).total;
  assert.deepEqual([await passages('caballo'), await passages('camello')], [chunks, 0]);
  const second = await learn(memory, 'doc', long('camello').slice(0, 900));
  assert.deepEqual([second.chunks, second.record.version], [1, 2]);
  assert.deepEqual([await passages('caballo'), await passages('camello')], [0, 1]);
  assert.equal((await search(memory, 'camello')).total, 1);
  await memory.forget({ tenant: ACME, collection: 'kb', key: 'doc' });
  assert.deepEqual([await passages('camello'), (await search(memory, 'camello')).searched], [0, []]);
  await assert.rejects(learn(memory, 'doc', ' \n '), { code: 'invalid_request' });
});

describe('several nodes', { skip: postgresMissing }, () => {
  test('ARMY-41 NOOB-75 every node finds what any other stored as soon as it was answered, in the same order', async t => {
    const { url, drop } = await freshDatabase();
    const stores = await Promise.all([0, 1].map(() => openPostgres({ url, auditKey: 'k', connections: 4 })));
    const parts = { log: silentLog, clock: systemClock, leads: () => true };
    const nodes = stores.map(store => new Memory({ ...parts, store: store.memory }));
    t.after(async () => {
      await Promise.all(nodes.map(node => node.stop()));
      await Promise.all(stores.map(store => store.stop()));
      await drop();
    });
    await Promise.all(nodes.map(node => node.start()));
    const [one, other] = nodes as [Memory, Memory];
    for (const [round, text] of [SALES, CUSTOMER, GARDEN, LEASES].entries()) {
      await learn(round % 2 === 0 ? one : other, `doc ${round}`, text);
      await remember(round % 2 === 0 ? other : one, `note ${round % 3}`, {
        value: text.slice(0, 60 + round),
      });
      for (const type of ['semantic', 'keyword', 'hybrid'] as const) {
        const query = { type, by: 'chunk', limit: 50 } as const;
        const [here, there] = [await search(one, text, query), await search(other, text, query)];
        assert.ok(keysOf(here).includes(`doc ${round}`));
        assert.deepEqual({ ...there, related: [] }, { ...here, related: [] });
      }
    }
    await one.forget({ tenant: ACME, collection: 'kb', key: 'doc 0' });
    assert.ok(!keysOf(await search(other, SALES)).includes('doc 0'));
  });
});
