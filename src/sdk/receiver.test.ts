import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ReceiverOptions,
  type WebhookBody,
  type WebhookCallbacks,
  webhookReceiver,
} from './receiver.ts';
import { signWebhook } from './webhooks.ts';

const NOW = 1_767_225_600_000;
const clock = { now: () => NOW, monotonic: () => 0, after: () => () => undefined };

function bodyOf(event: WebhookBody['event_type'], taskId = 't1'): WebhookBody {
  return {
    event_type: event,
    task_id: taskId,
    execution_id: 'e1',
    agent_id: 'sam',
    timestamp: '2026-01-01T00:00:00.000Z',
    sequence: 4,
    status: { current_state: 'completed' },
  };
}

function setup(callbacks: WebhookCallbacks, options: ReceiverOptions = {}) {
  const receive = webhookReceiver('secret', callbacks, { clock, ...options });
  const deliver = async (
    payload: WebhookBody | readonly WebhookBody[],
    { deliveryId = 'd1', secret = 'secret', now = NOW } = {},
  ) => {
    const body = JSON.stringify(payload);
    const last = Array.isArray(payload) ? payload.at(-1) : payload;
    const headers = await signWebhook({
      body,
      secret,
      event: last.event_type,
      deliveryId,
      notificationId: 'n1',
      agentId: 'sam',
      now: () => now,
    });
    const response = await receive(
      new Request('https://me/hook', {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      }),
    );
    return { status: response.status, body: (await response.json()) as object };
  };
  return { receive, deliver };
}

test('SAM-95 a genuine webhook reaches the callback of its event and is acknowledged with its instructions', async () => {
  const heard: string[] = [];
  const { deliver } = setup({
    task_completed: body => {
      heard.push(body.task_id);
      return { next_instructions: { action: 'cancel' } };
    },
    any: body => void heard.push(`any ${body.event_type}`),
  });
  assert.deepEqual(await deliver(bodyOf('task_completed')), {
    status: 200,
    body: { acknowledged: true, next_instructions: { action: 'cancel' } },
  });
  await deliver(bodyOf('task_failed'), { deliveryId: 'd2' });
  assert.deepEqual(heard, ['t1', 'any task_failed']);
});

test('SAM-95 a forged or stale webhook reaches nobody', async () => {
  const { deliver, receive } = setup({ any: () => assert.fail('a forged webhook was believed') });
  assert.equal((await deliver(bodyOf('task_completed'), { secret: 'wrong' })).status, 401);
  assert.equal((await deliver(bodyOf('task_completed'), { now: NOW - 301_000 })).status, 400);
  assert.equal((await receive(new Request('https://me/hook', { method: 'POST', body: '{}' }))).status, 400);
  assert.equal((await receive(new Request('https://me/hook'))).status, 405);
});

test('SAM-96 a repeated delivery is acknowledged as a duplicate and calls nobody, even while the first is under way', async () => {
  let calls = 0;
  const gate = Promise.withResolvers<void>();
  const { deliver } = setup({
    any: async () => {
      calls += 1;
      await gate.promise;
    },
  });
  const both = [deliver(bodyOf('task_completed')), deliver(bodyOf('task_completed'))];
  gate.resolve();
  // Signatures are checked side by side, so either may be the one that comes first.
  const bodies = (await Promise.all(both)).map(({ body }) => JSON.stringify(body)).sort();
  const expected = [{ acknowledged: true, duplicate: true }, { acknowledged: true }];
  assert.deepEqual(bodies, expected.map(body => JSON.stringify(body)).sort());
  assert.deepEqual((await deliver(bodyOf('task_completed'))).body, { acknowledged: true, duplicate: true });
  assert.equal(calls, 1);
});

test('a webhook whose callback threw is refused, told of, and welcome again', async () => {
  const errors: unknown[] = [];
  let broken = true;
  const { deliver } = setup(
    {
      any: () => {
        if (broken) throw new Error('database away');
        return undefined;
      },
    },
    { onError: error => errors.push(error) },
  );
  assert.deepEqual(await deliver(bodyOf('task_completed')), { status: 500, body: { acknowledged: false } });
  broken = false;
  assert.deepEqual((await deliver(bodyOf('task_completed'))).body, { acknowledged: true });
  assert.match(String(errors), /database away/);
});

test('SAM-84 a batch calls back for each of its events, in order', async () => {
  const heard: string[] = [];
  const { deliver } = setup({ any: body => void heard.push(body.task_id) });
  await deliver([bodyOf('task_progress', 'a'), bodyOf('task_completed', 'b')]);
  assert.deepEqual(heard, ['a', 'b']);
});

test('only so many deliveries are remembered, the oldest forgotten first', async () => {
  const heard: string[] = [];
  const { deliver } = setup({ any: body => void heard.push(body.task_id) }, { rememberMax: 2 });
  for (const deliveryId of ['d1', 'd2', 'd3', 'd3', 'd1'])
    await deliver(bodyOf('task_completed'), { deliveryId });
  assert.equal(heard.length, 4);
});
