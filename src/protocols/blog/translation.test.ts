// What other wires say, read by agents of this one, and the other way round.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPost } from '../../../test/post.ts';
import { createToyDialect } from '../../../test/toy-dialect.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Meaning, Message } from '../../domain/message.ts';
import { message } from './bench.test.ts';
import { encode } from './encode.ts';

const NOW = Date.parse('2026-02-24T10:00:00.000Z');
const FROM_TOY: Omit<Message, 'meaning'> = {
  ...{ tenant: 'default' as TenantId, id: 'x1' as Message['id'], dialect: 'toy', type: 'note' },
  ...{ from: 'ann', to: ['bob'], correlationId: 'x0', replyTo: null, taskId: null, priority: 2 },
  ...{ sentAt: 0, expiresAt: null, traceId: '0'.repeat(32), actor: 'key:a', agentId: 'ann' },
  ...{ envelope: null, position: '1', acceptedAt: NOW },
};
const taskId = 't1' as never;
const fault = { code: 'rate_limited', message: 'slow down', recoverable: true, details: {} } as const;
const CASES: readonly [Meaning, string, (payload: JsonObject) => unknown, unknown][] = [
  [
    {
      act: 'request_task',
      task: { taskId, taskType: 'research', description: 'd', input: { q: 1 }, terms: {}, retryCount: 0 },
    },
    ...(['request', ({ skill, params }: JsonObject) => [skill, params], ['research', { q: 1 }]] as const),
  ],
  [
    { act: 'report_outcome', taskId, status: 'completed', result: { r: 1 }, error: null },
    'response',
    p => p,
    { r: 1 },
  ],
  [
    { act: 'report_outcome', taskId, status: 'failed', result: null, error: fault },
    'error',
    p => p.code,
    'RATE_LIMIT_EXCEEDED',
  ],
  [
    { act: 'report_outcome', taskId, status: 'cancelled', result: null, error: null },
    'error',
    p => p.recoverable,
    false,
  ],
  [
    { act: 'refuse', taskId: null, fault },
    'error',
    p => [p.code, p.recoverable],
    ['RATE_LIMIT_EXCEEDED', true],
  ],
  [{ act: 'accept', status: 'accepted', taskId, detail: {} }, 'ack', p => p.taskId, 't1'],
  [
    { act: 'notify', topic: 'weather', data: 'rain' },
    'notification',
    p => p,
    { topic: 'weather', data: 'rain' },
  ],
  [{ act: 'beat', condition: { load: 1 } }, 'notification', p => p.topic, 'heartbeat'],
  [
    {
      act: 'report_progress',
      taskId,
      status: 'running',
      percentage: 5,
      note: null,
      metrics: {},
      checkpoint: null,
    },
    ...(['notification', ({ data }: JsonObject) => (data as JsonObject).percentage, 5] as const),
  ],
  [{ act: 'ask_status', taskId }, 'request', p => p.action, 'ask_status'],
  [
    { act: 'remember', key: 'k', value: 1, ttlMs: null, tags: [] },
    'request',
    p => [p.action, p.key],
    ['remember', 'k'],
  ],
  [{ act: 'tell_memory', memory: { m: 1 } }, 'response', p => p, { m: 1 }],
  [{ act: 'tell_validation', verdict: { v: 1 } }, 'response', p => p, { v: 1 }],
  [{ act: 'say', body: { any: 1 } }, 'notification', p => p, { any: 1 }],
];

test('what another wire says reads sensibly here: requests, answers, refusals, news', () => {
  for (const [meaning, type, look, expected] of CASES) {
    const said = encode({ ...FROM_TOY, meaning });
    assert.equal(said.type, type, meaning.act);
    assert.deepEqual(look(said.payload as JsonObject), expected, meaning.act);
    assert.deepEqual([said.correlationId, (said.metadata as JsonObject).priority], ['x0', 'high']);
  }
});

test('agents of two wires write to each other, each reading its own, and answers find their way back', async t => {
  const post = await openPost({}, { dialects: [createToyDialect] });
  t.after(() => post.stop());
  const [ann, bob] = [await post.register('ann'), await post.register('bob')];
  await ann.send('toy', { id: 'hello', type: 'note', from: 'ann', to: 'bob', text: { greeting: 'hi' } });
  const [read] = await bob.read('blog', 'bob', { wait: 5 });
  assert.deepEqual(
    [read?.message.type, read?.message.from, read?.message.payload],
    ['notification', 'ann', { greeting: 'hi' }],
  );
  const answer = message('back', {
    from: 'bob',
    to: 'ann',
    type: 'response',
    correlationId: 'hello',
    payload: 7,
  });
  assert.equal((await bob.send('blog', answer)).status, 202);
  const [back] = await ann.read('toy', 'ann', { wait: 5 });
  assert.deepEqual([back?.message.from, back?.message.answers], ['bob', 'hello']);
});
