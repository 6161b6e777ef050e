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
  const { body } = await admin.ask('GET', `/protocols/blog/exchanges/${SOURCE[0].id}`);
  const ids = body.messages.map((one: Loose) => one.message_id);
  for (const { id } of SOURCE) assert.ok(ids.includes(id), `${id} is no part of ${ids}`);
});

test('BLOG-6 waiting messages are delivered critical first, then high, medium and low', async () => {
  const post = await open();
  const ann = await post.register('rank-ann');
  const names = ['low', 'medium', 'critical', 'high'];
  for (const priority of names) {
    const asked = message(
      `rank-${priority}`,
      { from: 'rank-ann', to: 'rank-ann', type: 'notification' },
      { priority },
    );
    assert.equal((await ann.send('blog', asked)).status, 202);
  }
  assert.deepEqual(
    (await ann.read('blog', 'rank-ann', { wait: 5 })).map(one => one.message.metadata.priority),
    ['critical', 'high', 'medium', 'low'],
  );
});

test('BLOG-8 BLOG-7 several receivers get one delivery each, and none gets any where one of them is unknown', async () => {
  const post = await open();
  const [ann, bob] = [await post.register('many-ann'), await post.register('many-bob')];
  const send = (id: string, to: readonly string[]) =>
    ann.send('blog', message(id, { from: 'many-ann', to, type: 'notification' }));
  const unknown = await send('many-0', ['many-ann', 'many-bob', 'nobody']);
  assert.deepEqual([unknown.status, unknown.body.code], [404, 'VALIDATION_ERROR']);
  const none = await send('many-1', []);
  assert.deepEqual([none.status, none.body.code], [400, 'VALIDATION_ERROR']);
  assert.equal((await send('many-2', ['many-ann', 'many-bob', 'many-ann'])).status, 202);
  for (const [who, inbox] of [
    [ann, 'many-ann'],
    [bob, 'many-bob'],
  ] as const)
    assert.deepEqual(
      (await who.read('blog', inbox, { wait: 5 })).map(one => one.message.id),
      ['many-2'],
    );
});

test('BLOG-119 BLOG-118 a reply is written in the version of who asked', async () => {
  const { admin } = await open();
  const payload = { intent: 'chat' };
  const versionOf = async (id: string, metadata: object): Promise<string> =>
    (await ask(admin, id, { to: 'planner', payload }, metadata)).metadata.protocolVersion;
  assert.equal(await versionOf('version-1', { protocolVersion: '1.4.2' }), '1.4.2');
  assert.equal(await versionOf('version-2', {}), '1.0.0');
});

test('BLOG-110 who sends too much is told RATE_LIMIT_EXCEEDED and when to come again', async t => {
  const post = await open();
  const ann = await post.register('haste-ann');
  const setRails = (guardrails: object) =>
    post.admin.ask('PATCH', '/api/v2/tenants/default', { options: { guardrails } });
  t.after(() => setRails({}));
  await setRails({ messages_per_minute: 6, messages_burst: 1 });
  const send = (id: string) =>
    ann.send('blog', message(id, { from: 'haste-ann', to: 'haste-ann', type: 'notification' }));
  assert.equal((await send('haste-1')).status, 202);
  const { status, headers, body } = await send('haste-2');
  assert.deepEqual([status, body.code, body.recoverable], [429, 'RATE_LIMIT_EXCEEDED', true]);
  assert.ok(Number(headers.get('retry-after')) >= 1);
  assert.deepEqual(
    (await ann.read('blog', 'haste-ann', { wait: 2 })).map(one => one.message.id),
    ['haste-1'],
  );
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

test('BLOG-116 no error is ever sent about an error', async () => {
  const post = await open();
  const [ann, bob] = [await post.register('mum-ann'), await post.register('mum-bob')];
  await ann.send('blog', message('mum-1', { from: 'mum-ann', to: 'mum-bob', type: 'notification' }));
  const said = {
    from: 'mum-bob',
    to: 'mum-ann',
    correlationId: 'mum-1',
    payload: { code: 'X', message: 'x' },
  };
  assert.equal(
    (await bob.send('blog', message('mum-2', { ...said, type: 'error' }, { ttl: 1 }))).status,
    202,
  );
  const expired = async (): Promise<readonly Loose[]> =>
    (await post.admin.ask('GET', '/protocols/blog/dead-letters?reason=expired&inbox=mum-ann')).body
      .dead_letters;
  const until = Date.now() + 10_000;
  while ((await expired()).length === 0) assert.ok(Date.now() < until, 'it never died');
  const got = await bob.read('blog', 'mum-bob', { wait: 0.5 });
  assert.deepEqual(
    got.map(one => one.message.id),
    ['mum-1'],
  );
});
