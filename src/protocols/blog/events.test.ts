// Events (ENP) and the message bus: what is told of what happens, to whom, and what may be published.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Loose } from '../../../test/serve.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import { bodyCheck } from '../validation.ts';
import { ask, historyOf, listen, message, sharedPost } from './bench.test.ts';
import { systemEvent } from './schemas.ts';
import { EVENT_TYPES } from './vocabulary.ts';

const open = sharedPost();

const EVENT_001 = {
  id: 'event-001',
  type: 'content.published',
  source: 'executor-agent',
  data: { contentId: 'post-123', title: 'My Blog Post', publishedAt: '2026-02-24T10:00:00Z' },
  metadata: {
    timestamp: '2026-02-24T10:00:00Z',
    correlationId: 'correlation-456',
    userId: 'user-789',
    traceId: 'trace-123',
  },
};
const publish = async (event: object) => (await open()).admin.ask('POST', '/protocols/blog/events', event);

test('BLOG-66 BLOG-60 the event of the source is accepted, told as it is, and its id repeated changes nothing', async () => {
  const post = await open();
  const ann = await post.register('pub-ann');
  const heard = await listen(ann, 'pub-ann', ['content.published']);
  assert.equal((await publish(EVENT_001)).status, 202);
  const again = await publish(EVENT_001);
  assert.deepEqual([again.status, again.body.status], [200, 'duplicate']);
  const other = await publish({ ...EVENT_001, source: 'other' });
  assert.deepEqual([other.status, other.body.code], [409, 'INVARIANT_VIOLATION']);
  const second = { ...EVENT_001, id: 'event-002' };
  await publish(second);
  const told = await heard(2);
  assert.deepEqual(
    told.map(({ id }) => id),
    ['event-001', 'event-002'],
  );
  const { metadata, ...rest } = told[0];
  assert.deepEqual(rest, {
    id: 'event-001',
    type: EVENT_001.type,
    source: EVENT_001.source,
    data: EVENT_001.data,
  });
  assert.deepEqual(metadata, {
    ...EVENT_001.metadata,
    timestamp: '2026-02-24T10:00:00.000Z',
    protocolVersion: '1.0.0',
  });
  const mute = await post.agent('mute', { permissions: ['message:receive'] });
  assert.equal(
    (await mute.ask('POST', '/protocols/blog/events', { ...EVENT_001, id: 'event-003' })).status,
    403,
  );
});

test('BLOG-61 events are of twelve types, and another is refused', async () => {
  assert.equal(EVENT_TYPES.length, 12);
  for (const type of EVENT_TYPES)
    assert.equal((await publish({ ...EVENT_001, id: `kind-${type}`, type })).status, 202, type);
  for (const type of ['content.moved', 'request', '']) {
    const { status, body } = await publish({ ...EVENT_001, id: 'kind-x', type });
    assert.deepEqual([status, body.code], [400, 'VALIDATION_ERROR']);
  }
});

test('BLOG-65 BLOG-64 the subscription of the source gets what was published for its user alone, by paths or by a condition', async () => {
  const post = await open();
  const [ann, bob] = [await post.register('sub-ann'), await post.register('sub-bob')];
  const byPath = await listen(ann, 'sub-ann', ['content.published'], { 'metadata.userId': 'user-789' });
  const byCondition = await listen(bob, 'sub-bob', ['content.*'], "metadata.userId == 'user-789'");
  const by = (id: string, userId: string, type = 'content.published') =>
    publish({ ...EVENT_001, id, type, metadata: { ...EVENT_001.metadata, userId } });
  await by('filter-1', 'user-1');
  await by('filter-2', 'user-789');
  await by('filter-3', 'user-789', 'skill.failed');
  await by('filter-4', 'user-789');
  for (const heard of [byPath, byCondition])
    assert.deepEqual(
      (await heard(2)).map(({ id }) => id),
      ['filter-2', 'filter-4'],
    );
  for (const types of [[], ['content.moved'], ['nothing.*']]) {
    const { status, body } = await ann.ask('POST', '/protocols/blog/subscriptions', { eventTypes: types });
    assert.deepEqual([status, body.code], [400, 'VALIDATION_ERROR'], types.join());
  }
  const bad = await ann.ask('POST', '/protocols/blog/subscriptions', {
    eventTypes: ['content.*'],
    filter: 'a ==',
  });
  assert.equal(bad.status, 400);
});

test('BLOG-63 taking up, finishing and failing a request, a skill and an error are each told', async () => {
  const post = await open();
  const ann = await post.register('told-ann');
  const heard = await listen(ann, 'told-ann', ['agent.*', 'skill.*', 'system.*']);
  await ask(post.admin, 'told-1', { payload: { skill: 'moderate_content', params: { content: 'fine' } } });
  const good = await heard(3);
  assert.deepEqual(good.map(({ type }) => type).sort(), [
    'agent.completed',
    'agent.started',
    'skill.executed',
  ]);
  for (const one of good) {
    assert.equal(bodyCheck(systemEvent)(one), null);
    assert.deepEqual([one.source, one.metadata.correlationId], ['coder-agent', 'told-1']);
  }
  await ask(post.admin, 'told-2', { payload: { skill: 'summarize_content', params: { content: '' } } });
  const bad = await heard(4);
  assert.deepEqual(bad.map(({ type }) => type).sort(), [
    'agent.failed',
    'agent.started',
    'skill.failed',
    'system.warning',
  ]);
  const warning: Loose = bad.find(({ type }) => type === 'system.warning');
  assert.deepEqual([warning.data.code, warning.data.severity], ['VALIDATION_ERROR', 'low']);
  const flow = { steps: [{ skill: 'moderate_content', params: { content: 'fine' } }] };
  await ask(post.admin, 'told-3', { from: 'told-ann', to: 'executor', payload: flow });
  const steps = await heard(3);
  assert.deepEqual(steps.map(({ type }) => type).sort(), [
    'agent.completed',
    'agent.started',
    'skill.executed',
  ]);
});

test('BLOG-63 a skill an agent elsewhere brought is told too, and an error that is grave as system.error', async () => {
  const post = await open();
  const ann = await post.register('grave-ann');
  const worker = await post.register('grave-worker', { types: ['custom:grave_skill'] });
  const heard = await listen(ann, 'grave-ann', ['skill.*', 'system.*'], {
    'metadata.correlationId': 'grave-1',
  });
  const retryStrategy = { maxRetries: 0, backoffMs: [], retryableErrors: [] };
  const payload = { skillId: 'grave_skill', input: {}, config: { retryStrategy } };
  assert.equal((await post.admin.send('blog', message('grave-1', { payload }))).status, 202);
  const [given] = await worker.read('blog', 'grave-worker', { wait: 10 });
  const failure = { code: 'NETWORK_ERROR', message: 'no net', details: {}, recoverable: true };
  const said = { from: 'grave-worker', to: 'executor', type: 'error', correlationId: given?.message.id };
  assert.equal((await worker.send('blog', message('grave-2', { ...said, payload: failure }))).status, 202);
  const told = await heard(2);
  assert.deepEqual(
    told.map(({ type, data }) => [type, data.code, data.severity ?? data.skillId]),
    [
      ['skill.failed', 'NETWORK_ERROR', 'grave_skill'],
      ['system.error', 'NETWORK_ERROR', 'high'],
    ],
  );
});

test('BLOG-62 each change of a content is told once, with what it is called and when it was published', async () => {
  const post = await open();
  const ann = await post.register('news-ann');
  const heard = await listen(ann, 'news-ann', ['content.*'], {
    source: 'executor-agent',
    'data.contentId': 'news',
  });
  const change = (id: string, action: string, content?: object) =>
    ask(ann, id, {
      from: 'news-ann',
      to: 'executor',
      payload: { action, contentId: 'news', ...(content === undefined ? {} : { content }) },
    });
  const content = { title: 'News', content: 'All is well.' };
  await change('news-1', 'create_content', content);
  await change('news-2', 'update_content', content);
  const steps = [{ id: 'schema-validation', name: 'Schema', order: 1, required: true }];
  await ask(post.admin, 'news-3', { to: 'reviewer', payload: { contentId: 'news', content, steps } });
  await change('news-4', 'publish_content');
  await change('news-5', 'delete_content');
  const told = await heard(4);
  assert.deepEqual(
    told.map(({ type }) => type),
    ['content.created', 'content.updated', 'content.published', 'content.deleted'],
  );
  for (const { data, source } of told)
    assert.deepEqual([data.contentId, data.title, source], ['news', 'News', 'executor-agent']);
  assert.ok(Date.parse(told[2].data.publishedAt) > 0);
  assert.equal(told[0].data.publishedAt, undefined);
});

test('BLOG-62 BLOG-21 changes of one content at once all happen, each with its event in the log of its task’s end', async () => {
  const post = await open();
  const ann = await post.register('rush-ann');
  const heard = await listen(ann, 'rush-ann', ['content.*'], { 'data.contentId': 'rush' });
  const change = (id: string, action: string, text: string) =>
    ask(ann, id, {
      ...{ from: 'rush-ann', to: 'executor' },
      payload: { action, contentId: 'rush', content: { title: text, content: 'Words.' } },
    });
  const kept = async (): Promise<Loose> =>
    post.server.engine.memory.recall({ tenant: DEFAULT_TENANT, collection: 'content', key: 'rush' });
  await change('rush-0', 'create_content', 'none');
  const first = await kept();
  assert.deepEqual([first.version, first.value.version], [1, 1]);
  const titles = Array.from({ length: 8 }, (_, n) => `title ${n}`);
  const replies = await Promise.all(
    titles.map((title, n) => change(`rush-${n + 1}`, 'update_content', title)),
  );
  assert.deepEqual(replies.map(({ payload }) => payload.version).sort(), [2, 3, 4, 5, 6, 7, 8, 9]);
  const last = replies.find(({ payload }) => payload.version === 9);
  const { version, value } = await kept();
  assert.deepEqual([version, value.content.title], [9, last?.payload.title]);
  const told = await heard(9);
  assert.deepEqual(
    told.slice(1).map(({ type, data }) => [type, data.title]),
    replies
      .toSorted((one, other) => one.payload.version - other.payload.version)
      .map(({ payload }) => ['content.updated', payload.title]),
  );
  const events = await historyOf(post.admin, 'rush-1');
  const at = events.findIndex(({ name }) => name === 'content.updated');
  assert.deepEqual(events[at]?.detail, { contentId: 'rush', title: 'title 0' });
  assert.deepEqual([events[at + 1]?.to, events[at + 1]?.timestamp], ['completing', events[at]?.timestamp]);
});

test('BLOG-74 every subscriber of a type hears each later message of it, and one that cannot be reached hinders nobody', async () => {
  const post = await open();
  const [ann, bob] = [await post.register('bus-ann'), await post.register('bus-bob')];
  const dead = await post.admin.ask('POST', '/protocols/blog/subscriptions', {
    ...{ types: ['notif*'], deliver: 'webhook', url: 'http://127.0.0.1:9/nobody' },
  });
  assert.equal(dead.status, 201, JSON.stringify(dead.body));
  const filter = { from: 'bus-ann' };
  const hearing = [
    await listen(post.admin, 'bus-bob', ['notif*'], filter),
    await listen(post.admin, 'coder', ['notification'], filter),
  ];
  for (const n of [1, 2])
    assert.equal(
      (await ann.send('blog', message(`bus-${n}`, { from: 'bus-ann', to: 'planner', type: 'notification' })))
        .status,
      202,
    );
  for (const heard of hearing)
    assert.deepEqual(
      (await heard(2)).map(({ id }) => id),
      ['bus-1', 'bus-2'],
    );
  assert.ok(bob.headers.authorization !== undefined);
});
