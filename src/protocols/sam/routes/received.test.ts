import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '../../../domain/errors.ts';
import type { Call } from '../../protocol.ts';
import { bodyCheck } from '../../validation.ts';
import { type ReceivedDeps, receivedRoutes } from './received.ts';

function setup(receive: ReceivedDeps['receive']) {
  const [only] = receivedRoutes({ receive });
  assert.ok(only !== undefined);
  return only;
}

test('SAM-96 the receiver gets the bytes as they were signed, beside what they say, and its word is the answer', async () => {
  const received: Parameters<ReceivedDeps['receive']>[0][] = [];
  const route = setup(async webhook => {
    received.push(webhook);
    return { acknowledged: true, next_instructions: { action: 'cancel' } };
  });
  const rawBody = Buffer.from('{ "event_type": "task_started" }');
  const body = { event_type: 'task_started' };
  const call = { headers: { 'x-delivery-id': 'one' }, rawBody, body } as unknown as Call<never, never, never>;
  const reply = await route.handle(call);
  assert.deepEqual(received, [{ headers: { 'x-delivery-id': 'one' }, body: rawBody, payload: body }]);
  const answer = { acknowledged: true, next_instructions: { action: 'cancel' } };
  assert.deepEqual(reply, { kind: 'json', status: 200, body: answer });
  const [schema] = Object.values(route.answers);
  assert.ok(schema !== undefined);
  assert.equal(bodyCheck(schema)(answer), null);
});

test('SAM-95 the receiver is public, counted in no budget, and judges the body only after its signature', async () => {
  const refusal = new DomainError('unauthenticated', 'no');
  const route = setup(() => Promise.reject(refusal));
  assert.equal(`${route.method} ${route.path}`, 'POST /api/v2/webhooks/task-completed');
  assert.deepEqual([route.access, route.rate, route.rawBody], ['public', 'free', true]);
  assert.equal(route.bodyBytesMax, 4 * 1024 * 1024);
  assert.ok(route.body !== undefined);
  assert.equal(bodyCheck(route.body)({ event_type: 5 }), null);
  const call = { headers: {}, rawBody: Buffer.from('{}'), body: {} } as unknown as Call<never, never, never>;
  await assert.rejects(route.handle(call), refusal);
});
