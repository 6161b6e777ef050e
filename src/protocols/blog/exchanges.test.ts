// Exchanges between agents (ACP): requests, their answers, receipts, notifications, and what nobody may say.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Loose } from '../../../test/serve.ts';
import { ask, message, refused, sharedPost } from './bench.test.ts';

const open = sharedPost();
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const SOURCE: readonly Loose[] = [
  {
    id: '550e8400-e29b-41d4-a716-446655440000',
    from: 'executor',
    to: 'planner',
    type: 'request',
    payload: {
      intent: 'generate-blog-post',
      context: { topic: 'AI in Healthcare', tone: 'professional', length: 'medium' },
    },
    metadata: { timestamp: '2026-02-24T10:00:00Z', priority: 'high', requiresAck: true },
  },
  {
    id: '550e8400-e29b-41d4-a716-446655440001',
    correlationId: '550e8400-e29b-41d4-a716-446655440000',
    from: 'planner',
    to: 'executor',
    type: 'response',
    payload: {
      steps: [
        { skill: 'generate_content', params: {} },
        { skill: 'analyze_seo', params: {} },
        { skill: 'moderate_content', params: {} },
      ],
    },
    metadata: { timestamp: '2026-02-24T10:00:02Z', priority: 'high' },
  },
  {
    id: '550e8400-e29b-41d4-a716-446655440002',
    correlationId: '550e8400-e29b-41d4-a716-446655440000',
    from: 'coder',
    to: 'executor',
    type: 'error',
    payload: {
      code: 'SKILL_EXECUTION_FAILED',
      message: 'Failed to generate content',
      details: { skill: 'generate_content', reason: 'OpenAI rate limit exceeded' },
      recoverable: true,
    },
    metadata: { timestamp: '2026-02-24T10:00:05Z', priority: 'high' },
  },
];

test('BLOG-14 the three messages of the source are accepted as they stand and make one exchange', async () => {
  const { admin } = await open();
  for (const one of SOURCE) {
    const { status, body } = await admin.send('blog', one);
    assert.deepEqual([status, body.status], [202, 'accepted'], JSON.stringify(body));
  }
  const told = await admin.read('blog', 'executor', { wait: 5 });
  assert.ok(told.length >= 2);
  for (const { message: one } of told) assert.equal(one.correlationId, SOURCE[0].id);
});

test('BLOG-11 each receiver answers a request finally once, others may join the exchange', async () => {
  const post = await open();
  const [coder, reviewer] = [await post.register('flow-coder'), await post.register('flow-other')];
  await post.admin.send('blog', message('flow-1', { to: ['flow-coder'], type: 'notification' }));
  const answer = (id: string, from: string, type: string, more: object = {}) => ({
    ...message(id, {
      from,
      to: 'executor',
      type,
      correlationId: 'flow-1',
      payload: { code: 'X', message: 'x' },
    }),
    ...more,
  });
  assert.equal((await coder.send('blog', answer('flow-a', 'flow-coder', 'response'))).status, 202);
  for (const type of ['response', 'error']) {
    const second = await coder.send('blog', answer(`flow-b-${type}`, 'flow-coder', type));
    assert.deepEqual([second.status, second.body.code], [409, 'INVARIANT_VIOLATION']);
  }
  for (const id of ['flow-c', 'flow-d'])
    assert.equal((await reviewer.send('blog', answer(id, 'flow-other', 'response'))).status, 202);
  assert.equal((await coder.send('blog', answer('flow-a', 'flow-coder', 'response'))).status, 200);
});

test('BLOG-12 acknowledging what wants it sends one ack, and the receiver’s own ack acknowledges the delivery', async () => {
  const post = await open();
  const [ann, bob] = [await post.register('ack-ann'), await post.register('ack-bob')];
  const note = (id: string, requiresAck: boolean) =>
    ann.send('blog', message(id, { from: 'ack-ann', to: 'ack-bob', type: 'notification' }, { requiresAck }));
  await note('ack-0', false);
  await note('ack-1', true);
  const given = await bob.read('blog', 'ack-bob', { wait: 5 });
  assert.equal(given.length, 2);
  for (const { delivery_id: id } of [...given, ...given])
    assert.equal((await bob.settle('blog', 'ack-bob', id)).status, 'done');
  const told = await ann.read('blog', 'ack-ann', { wait: 5 });
  assert.deepEqual(
    told.map(({ message: { type, from, correlationId } }) => [type, from, correlationId]),
    [['ack', 'ack-bob', 'ack-1']],
  );
  assert.match(told[0]?.message.id, UUID);
  await note('ack-2', true);
  assert.equal((await bob.read('blog', 'ack-bob', { wait: 5, visibility: 1 })).length, 1);
  const own = message('ack-own', { from: 'ack-bob', to: 'ack-ann', type: 'ack', correlationId: 'ack-2' });
  assert.equal((await bob.send('blog', own)).status, 202);
  assert.deepEqual(await bob.read('blog', 'ack-bob', { wait: 2.5 }), []);
  for (const { delivery_id: id } of told) await ann.settle('blog', 'ack-ann', id);
  const acks = await ann.read('blog', 'ack-ann', { wait: 5 });
  assert.deepEqual(
    acks.map(one => one.message.id),
    ['ack-own'],
  );
});

test('BLOG-13 a notification is in the log and nobody answers it', async () => {
  const post = await open();
  const ann = await post.register('quiet-ann');
  const sent = await ann.send(
    'blog',
    message('quiet-1', { from: 'quiet-ann', to: 'planner', type: 'notification' }),
    '?wait=0.5',
  );
  assert.deepEqual([sent.status, sent.body.reply], [202, undefined]);
  assert.deepEqual(await ann.read('blog', 'quiet-ann'), []);
  const response = await fetch(`${post.url}/protocols/blog/events?types=notification`, {
    headers: { ...post.admin.headers, 'last-event-id': '0' },
  });
  const reader = response.body?.getReader();
  let text = '';
  while (!text.includes('quiet-1')) text += Buffer.from((await reader?.read())?.value ?? []).toString('utf8');
  await reader?.cancel();
});

test('BLOG-97 what the table does not have is refused and has no effect', async () => {
  const post = await open();
  const ann = await post.register('table-ann');
  const bob = await post.register('table-bob', { roles: ['blog:operator'] });
  const plan = { intent: 'chat' };
  for (const to of ['planner', 'coder', 'reviewer', 'table-bob']) {
    const { status, body } = await refused(ann, `table-${to}`, { from: 'table-ann', to, payload: plan });
    assert.deepEqual([status, body.code], [403, 'PRECONDITION_FAILED'], to);
    assert.equal((await post.admin.ask('GET', `/api/v2/task-status/table-${to}`)).status, 404);
  }
  assert.equal(
    (await ask(bob, 'table-1', { from: 'table-bob', to: 'planner', payload: plan })).type,
    'response',
  );
  const foreign = await refused(ann, 'table-2', { from: 'table-bob', to: 'executor', payload: plan });
  assert.equal(foreign.status, 403);
});

test('BLOG-116 what is found wrong after it was accepted reaches its sender as an error that names it', async () => {
  const post = await open();
  const ann = await post.register('late-ann');
  await ann.send(
    'blog',
    message('late-1', { from: 'late-ann', to: 'late-ann', type: 'notification' }, { ttl: 1 }),
  );
  const [told] = await ann.read('blog', 'late-ann', { wait: 10 });
  assert.deepEqual(
    [
      told?.message.type,
      told?.message.payload.code,
      told?.message.payload.details.refused,
      told?.message.correlationId,
    ],
    ['error', 'TIMEOUT', 'late-1', 'late-1'],
  );
});
