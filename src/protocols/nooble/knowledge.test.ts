// Knowledge over a whole server: kept, searched, counted, and what the built-in agent makes of it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import { type Loose, taskBody } from '../../../test/serve.ts';
import type { JsonObject } from '../../domain/json.ts';
import { asked, message, orchestrator, refused } from './fixture.test.ts';
import { WORK_TYPES } from './worker.ts';

let post: Post;
let boss: Correspondent;

before(async () => {
  post = await openPost();
  boss = await orchestrator(post);
  const kept = [
    [
      'sales',
      'leads',
      'playbook',
      'Calificar mejor los leads aumenta la conversión en ventas B2B.',
      'Marketing',
      '2025-01-15',
    ],
    [
      'sales',
      'funnel',
      'report',
      'El embudo de ventas pierde conversión en la última etapa.',
      'Research',
      '2025-05-20',
    ],
    [
      'sales',
      'funnel-copy',
      'report',
      'El embudo de ventas pierde conversión en la última etapa.',
      'Research',
      '2024-05-20',
    ],
    ['pets', 'cats', 'playbook', 'Los gatos duermen mucho y comen pescado.', 'Marketing', '2025-03-01'],
  ] as const;
  for (const [kb, id, type, content, author, updated] of kept)
    await update(kb, { id, type, content, metadata: { author, updated_at: updated } });
});
after(() => post.stop());

function update(kb: string, document: JsonObject, operation = 'upsert'): Promise<Loose> {
  return asked(boss, message('knowledge.update', { operation, kb_id: kb, document }));
}

function search(query: string, more: JsonObject = {}): Promise<Loose> {
  return asked(boss, message('knowledge.search', { query, ...more }));
}

const idsOf = ({ payload }: Loose): readonly string[] => payload.results.map((one: Loose) => one.document_id);

test('NOOB-73 NOOB-75 NOOB-79 a search is answered by results with its task_id, best first with all that a result has, the same each time; nothing found is no error', async () => {
  const ask = message('knowledge.search', { query: 'conversión leads' });
  const found = await asked(boss, ask);
  assert.deepEqual(found.type, { domain: 'knowledge', action: 'results' });
  assert.equal(found.task_id, ask.task_id);
  const [first] = found.payload.results;
  assert.deepEqual(Object.keys(first).sort(), [
    ...['chunk_id', 'content', 'document_id', 'keywords', 'metadata', 'score', 'vector_id'],
  ]);
  assert.deepEqual(
    [first.document_id, first.chunk_id, first.metadata.author],
    ['leads', 'chunk-001', 'Marketing'],
  );
  const scores = found.payload.results.map((one: Loose) => one.score);
  assert.ok(scores.every((one: number) => one > 0 && one <= 1));
  assert.deepEqual(
    scores,
    scores.toSorted((one: number, other: number) => other - one),
  );
  assert.deepEqual((await search('conversión leads')).payload.results, found.payload.results);
  const nothing = await search('xyzzy', { search_config: { search_type: 'keyword' } });
  assert.deepEqual([nothing.payload.results, nothing.error], [[], undefined]);
});

test('NOOB-74 the way of searching and the weights, scaled to 1, decide the scores', async () => {
  const by = async (config: JsonObject) =>
    (await search('conversión leads', { search_config: config })).payload.results.map(
      (one: Loose) => one.score,
    );
  const usual = await by({});
  assert.deepEqual(await by({ semantic_weight: 7, keyword_weight: 3 }), usual);
  assert.deepEqual(await by({ search_type: 'hybrid', semantic_weight: 0.7, keyword_weight: 0.3 }), usual);
  const words = await by({ search_type: 'keyword' });
  assert.deepEqual(await by({ semantic_weight: 0, keyword_weight: 5 }), words);
  assert.notDeepEqual(words, usual);
  assert.notDeepEqual(await by({ search_type: 'semantic' }), usual);
  for (const config of [
    { search_type: 'psychic' },
    { semantic_weight: -1 },
    { semantic_weight: 0, keyword_weight: 0 },
  ]) {
    const ask = message('knowledge.search', { query: 'ventas', search_config: config });
    assert.equal((await refused(boss, ask)).body.code, 'VAL_001', JSON.stringify(config));
  }
  assert.equal((await refused(boss, message('knowledge.search', {}))).body.code, 'VAL_002');
});

test('NOOB-76 reranking drops near-repeats', async () => {
  const query = 'embudo de ventas pierde conversión';
  const plain = idsOf(await search(query));
  assert.ok(plain.includes('funnel') && plain.includes('funnel-copy'));
  const again = idsOf(await search(query, { search_config: { reranking: true } }));
  assert.equal(again.filter(id => id.startsWith('funnel')).length, 1, String(again));
});

test('NOOB-77 filters by base, type, metadata and dates all hold, and an unknown base is left out with a warning', async () => {
  const by = (filter: JsonObject) => search('conversión ventas gatos', { filter });
  assert.deepEqual(idsOf(await by({ kb_ids: ['pets'] })), ['cats']);
  assert.deepEqual(idsOf(await by({ document_types: ['playbook', 'memo'] })).toSorted(), ['cats', 'leads']);
  assert.deepEqual(idsOf(await by({ metadata: { author: 'Research' } })).toSorted(), [
    'funnel',
    'funnel-copy',
  ]);
  const dated = { author: 'Research', updated_after: '2025-01-01', updated_before: '2025-12-31T00:00:00Z' };
  assert.deepEqual(idsOf(await by({ metadata: dated })), ['funnel']);
  const { payload, metadata } = await by({ kb_ids: ['pets', 'nope'] });
  assert.deepEqual(payload.search_stats.indexes_searched, ['pets']);
  assert.match(String(metadata.warnings), /nope/);
  const ask = message('knowledge.search', { query: 'x', filter: { metadata: { updated_after: 'soon' } } });
  assert.equal((await refused(boss, ask)).body.code, 'VAL_003');
});

test('NOOB-78 limit, metadata and the length of contents are as asked', async () => {
  await update('long', { id: 'long', content: `Zanahoria ${'naranja '.repeat(80)}` });
  const by = async (options: JsonObject) =>
    (await search('zanahoria', { filter: { kb_ids: ['long'] }, request_options: options })).payload
      .results[0];
  assert.ok((await by({})).content.length > 300);
  assert.equal((await by({ include_raw_content: false })).content.length, 300);
  assert.equal((await by({ return_metadata: false })).metadata, undefined);
  const one = await search('ventas conversión', { request_options: { limit: 1 } });
  assert.equal(one.payload.results.length, 1);
  const many = message('knowledge.search', { query: 'x', request_options: { limit: 101 } });
  assert.equal((await refused(boss, many)).body.code, 'VAL_004');
});

test('NOOB-80 the numbers tell of all matches, those beyond the limit too, and facets count them', async () => {
  const { payload } = await search('conversión ventas', {
    search_config: { search_type: 'keyword' },
    filter: { kb_ids: ['sales'], metadata: { updated_at: ['2025-01-15', '2025-05-20'].at(1) as string } },
    request_options: { limit: 1 },
  });
  assert.deepEqual(payload.facets, {
    author: { Research: 1 },
    document_type: { report: 1 },
    updated_at: { '2025-05-20': 1 },
  });
  const all = await search('conversión ventas', {
    search_config: { search_type: 'keyword' },
    filter: { kb_ids: ['sales'] },
    request_options: { limit: 1 },
  });
  const { execution_time_ms: took, query_vector_id: vector, ...stats } = all.payload.search_stats;
  assert.deepEqual(stats, { total_results: 3, returned_results: 1, indexes_searched: ['sales'] });
  assert.ok(took >= 0 && vector.length > 0);
  assert.deepEqual(all.payload.facets, {
    author: { Marketing: 1, Research: 2 },
    document_type: { playbook: 1, report: 2 },
  });
});

test('NOOB-81 related queries are the tenant’s own, at most five, and never the query itself', async () => {
  await search('conversión en ventas');
  const { payload } = await search('conversión');
  assert.ok(payload.related_queries.includes('conversión en ventas'), String(payload.related_queries));
  assert.ok(payload.related_queries.length <= 5 && !payload.related_queries.includes('conversión'));
});

test('NOOB-82 a document is replaced whole, removed whole, and told of by a status; only those who may write do', async () => {
  const first = Array.from(
    { length: 30 },
    (_, n) => `Párrafo ${n} sobre el brontosaurio. ${'hojas '.repeat(20)}`,
  );
  const stored = await update('dinos', { id: 'd', content: first.join('\n\n') });
  assert.deepEqual(stored.type, { domain: 'knowledge', action: 'status' });
  assert.equal(stored.status, 'completed');
  assert.ok(stored.payload.chunks > 1);
  const found = async () =>
    (await search('brontosaurio', { search_config: { search_type: 'keyword' } })).payload.search_stats
      .total_results;
  assert.ok((await found()) > 1);
  assert.equal((await update('dinos', { id: 'd', content: 'Un brontosaurio.' })).payload.chunks, 1);
  assert.equal(await found(), 1);
  assert.equal((await update('dinos', { id: 'd' }, 'delete')).payload.chunks, 1);
  assert.equal(await found(), 0);
  const reader = await post.agent('agent_orchestrator', { permissions: ['message:send', 'knowledge:read'] });
  const ask = message('knowledge.update', { operation: 'delete', kb_id: 'sales', document: { id: 'leads' } });
  assert.deepEqual((await refused(reader, ask)).body.code, 'AUTH_003');
});

test('NOOB-41 without a model what the tenant knows answers the query, with its sources; what is sensitive is not looked up', async () => {
  const execute = (query: string, more: JsonObject = {}) =>
    asked(boss, message('agent.execute', { query }, { metadata: more }));
  const answer = await execute('¿Qué comen los gatos?');
  assert.match(answer.payload.response, /comen pescado/);
  assert.equal(answer.payload.sources[0].document_id, 'cats');
  assert.deepEqual(answer.payload.sources[0].chunks, [1]);
  assert.equal(answer.metadata.fallback, 'extractive');
  const sensitive = await execute('¿Qué comen los gatos?', { sensitive_data: true });
  assert.match(sensitive.payload.response, /No se encontró nada/);
});

test('NOOB-42 a document reference brings the chunks it names, and an unknown document is a warning', async () => {
  const parts = ['alfa', 'beta', 'gama'].map(
    word => `El kilopondio ${word}. ${`relleno ${word} `.repeat(60)}`,
  );
  const stored = await update('ref', { id: 'doc-456', content: parts.join('\n\n') });
  assert.equal(stored.payload.chunks, 3);
  const { payload, metadata } = await asked(
    boss,
    message('agent.execute', {
      query: 'gama',
      context: [
        { type: 'document_reference', content: { document_id: 'doc-456', chunks: [3] } },
        { type: 'document_reference', content: { document_id: 'doc-45' } },
      ],
    }),
  );
  assert.match(payload.response, /kilopondio gama/);
  assert.deepEqual(
    payload.sources.map(({ document_id, chunks }: Loose) => [document_id, chunks]),
    [['doc-456', [3]]],
  );
  assert.deepEqual(metadata.warnings, ['there is no document doc-45']);
});

test('NOOB-133 what the built-in services change is not ordered past the table of who may say what: by SAM it is forbidden and nothing is kept', async () => {
  const document = {
    operation: 'upsert',
    kb_id: 'sales',
    document: { id: 'smuggled', content: 'contrabando' },
  };
  const said = { message: { id: 'm-1', role: 'user', content: 'contrabando' } };
  const orders: Readonly<Record<string, JsonObject>> = {
    ...{ knowledge_update: document, conversation_task: said, system_task: {}, workflow_task: {} },
    ...{ tool_task: { tool_name: 'recommend' }, tool_registration: { operation: 'register', name: 'x' } },
    ...{ agent_task: { query: 'q' }, auth_task: { verdict: { valid: true } }, workflow_step: {} },
  };
  for (const [name, payload] of Object.entries(orders)) {
    const data = { type_name: name, payload, ...payload };
    const order = taskBody(`smuggled-${name}`, { task_type: 'custom', task_data: data });
    const { status, body } = await post.admin.ask('POST', '/api/v2/execute-task', order);
    assert.deepEqual([name, status, body.error?.code], [name, 403, 'FORBIDDEN'], JSON.stringify(body));
    const left = await post.admin.ask('GET', `/api/v2/task-status/smuggled-${name}`);
    assert.equal(left.status, 404);
  }
  assert.ok(!idsOf(await search('contrabando')).includes('smuggled'));
  const asMessage = message('knowledge.update', document);
  assert.equal((await asked(boss, asMessage)).status, 'completed', 'who may say it has it done');
  assert.ok(idsOf(await search('contrabando')).includes('smuggled'));
  const own = Object.values(WORK_TYPES)
    .flat()
    .map(type => type.slice('custom:'.length));
  const open = own.filter(name => !(name in orders));
  assert.deepEqual(
    open,
    ['knowledge_search'],
    'whatever a service does was tried here, but looking things up',
  );
});
