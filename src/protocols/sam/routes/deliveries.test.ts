import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Loose, type Served, type ServeOptions, serve, taskBody } from '../../../../test/serve.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  const plan = { webhook_url: 'https://example.org/hook', notification_events: ['task_completed'] };
  await served.ask('POST', '/api/v2/execute-task', { body: taskBody('one', { notification_config: plan }) });
  return served;
};

async function settled({ ask }: Served, query = ''): Promise<Loose> {
  for (;;) {
    const { body } = await ask('GET', `/api/v2/deliveries${query}`);
    if (body.total > 0 && body.deliveries.every((one: Loose) => ['delivered', 'failed'].includes(one.status)))
      return body;
  }
}

test('SAM-92 deliveries are listed with every try, by task, endpoint, status and time', async t => {
  const served = await setup(t);
  const body = await settled(served);
  const [delivery] = body.deliveries;
  assert.deepEqual(
    [delivery.task_id, delivery.event_type, delivery.status],
    ['one', 'task_completed', 'delivered'],
  );
  assert.equal(delivery.attempts.length, 1);
  assert.equal(delivery.attempts[0].attempt, 1);
  const total = async (query: string) => (await served.ask('GET', `/api/v2/deliveries?${query}`)).body.total;
  assert.equal(await total('task_id=one&status=delivered&endpoint=https://example.org/hook'), 1);
  assert.equal(await total('task_id=two'), 0);
  assert.equal(await total('status=failed'), 0);
  assert.equal(await total('until=2000-01-01T00:00:00Z'), 0);
  const one = await served.ask('GET', `/api/v2/deliveries/${delivery.delivery_id}`);
  assert.deepEqual(one.body, delivery);
});

test('SAM-92 a delivery is sent again under an id of its own', async t => {
  const served = await setup(t);
  const [first] = (await settled(served)).deliveries;
  const again = await served.ask('POST', `/api/v2/deliveries/${first.delivery_id}/redeliver`);
  assert.equal(again.status, 200);
  assert.notEqual(again.body.delivery_id, first.delivery_id);
  assert.equal(again.body.redelivery_of, first.delivery_id);
  const all = await settled(served);
  assert.equal(all.total, 2);
  assert.deepEqual(
    served.house.sent.map(one => one.deliveryId),
    [first.delivery_id, again.body.delivery_id],
  );
  const missing = await served.ask(
    'POST',
    '/api/v2/deliveries/00000000-0000-7000-8000-000000000000/redeliver',
  );
  assert.equal(missing.status, 404);
});

test('SAM-90 SAM-91 an endpoint shows its breaker, times and success', async t => {
  const served = await setup(t);
  await settled(served);
  const { body } = await served.ask('GET', '/api/v2/deliveries/endpoints');
  const [endpoint] = body.endpoints;
  assert.deepEqual(
    [endpoint.endpoint, endpoint.breaker, endpoint.success_rate],
    ['https://example.org/hook', 'closed', 1],
  );
  assert.equal(typeof endpoint.timeout_ms, 'number');
  assert.equal(endpoint.availability[0].share, 1);
});

test('SAM-92 deliveries need the permission to manage them', async t => {
  const served = await setup(t);
  for (const path of ['/api/v2/deliveries', '/api/v2/deliveries/endpoints'])
    assert.equal((await served.ask('GET', path, { as: 'reader' })).status, 403);
});
