// The task type as its users meet it: through the served API, with secrets kept by the server.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { logged, submit, until } from '../../../test/e2e/crew.ts';
import { running } from '../../../test/e2e/running.ts';
import type { Loose } from '../../../test/serve.ts';
import { farEnd, type Seen } from './fixture.test.ts';

const house = await running();
const { admin } = house;
after(() => house.stop());

const SECRET = 'client-secret-0815';

function order(task_id: string, task_data: object, more: object = {}): object {
  return {
    task_id,
    task_type: 'api_integration',
    description: 'bring two systems together',
    orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
    task_data,
    ...more,
  };
}

const ended = (id: string): Promise<Loose> => until(admin, id, one => one.current_status.outcome !== null);

/** A shop: a token server, a list in pages behind it that fails once, and a ledger that takes entries. */
function shop({ path, query, headers }: Seen, count: number) {
  if (path === '/token') return { json: { access_token: 'access-token-4711', expires_in: 60 } };
  if (headers.authorization !== 'Bearer access-token-4711') return { status: 401 };
  if (count === 3) return { status: 503, headers: { 'retry-after': '0' } };
  if (path === '/ledger') return { status: 201, json: { entry: 9, seen: headers.authorization } };
  const page = Number(query.get('page'));
  return { json: { orders: page > 2 ? [] : [{ shop: 'north', amount: 10 * page }] } };
}

test('SAM-157 SAM-158 SAM-34 a task fetches a list behind OAuth2, posts its sum, and another task reads what it answered', async t => {
  const far = await farEnd(t, shop);
  await admin.ask('PUT', '/api/v2/secrets/shop-client', { body: { value: SECRET } });
  const task_data = {
    auth: {
      type: 'oauth2_client_credentials',
      token_url: `${far.url}/token`,
      client_id: 'batuta',
      secret: 'shop-client',
    },
    inputs: { base: far.url },
    requests: [
      {
        save_as: 'orders',
        url: '{{ inputs.base }}/orders',
        pagination: { type: 'page', items: 'body.orders' },
        retry: { delay: 0.01 },
        extract: { total: 'sum(body[].amount)' },
      },
      {
        save_as: 'entry',
        method: 'POST',
        url: '{{ inputs.base }}/ledger',
        body: { total: '{{ responses.orders.extracted.total }}' },
        idempotency_key: true,
        expect: { status: [201] },
      },
    ],
    result: '{entry: responses.entry.body.entry, total: responses.orders.extracted.total}',
  };
  await submit(
    admin,
    order('sync', task_data, { execution_config: { environment: { secrets: ['shop-client'] } } }),
  );
  const { current_status: now, execution_details: details } = await ended('sync');
  assert.equal(now.outcome, 'completed', JSON.stringify(details.error_details));
  assert.deepEqual(details.output.result, { entry: 9, total: 30 });
  assert.equal(far.seen.at(-1)?.body, '{"total":30}');
  assert.match(String(far.seen.at(-1)?.headers['idempotency-key']), /-2$/);

  const log = await logged(admin, 'sync', 'external call');
  const { body: events } = await admin.get('/api/v2/task-events/sync');
  const said = JSON.stringify([details, now, log, events]);
  for (const value of [SECRET, 'access-token-4711']) assert.ok(!said.includes(value), value);

  const sources = { orders: { task_id: 'sync', path: 'responses.0.body' } };
  const sum = {
    ...order('sum', { sources, sql: 'SELECT sum(amount)::INTEGER AS total FROM orders' }),
    task_type: 'data_processing',
  };
  await submit(admin, sum);
  assert.deepEqual((await ended('sum')).execution_details.output.rows, [{ total: 30 }]);
});

test('SAM-161 SAM-107 a forbidden host is 422, and a bad method, URL or template 400 of which nothing is kept', async () => {
  const refused = async (request: object, expect: number): Promise<Loose> =>
    (await submit(admin, order(`refused-${expect}`, { request }), { expect })).body.error;
  await refused({ url: 'https://10.0.0.1/internal' }, 422);
  const url = 'https://api.example.com/';
  for (const [request, field] of [
    [{ url, method: 'BREW' }, 'task_data.request.method'],
    [{ url: 'api.example.com' }, 'task_data.request.url'],
    [{ url: `${url}{{ ( }}` }, 'task_data.request.url'],
  ] as const) {
    const { details } = await refused(request, 400);
    assert.equal(details.errors[0].field, field);
  }
  await admin.get('/api/v2/task-status/refused-400', { expect: 404 });
});

test('SAM-66 SAM-160 cancelling ends the request under way, and a large answer is an artifact to be fetched', async t => {
  const large = Buffer.alloc(5_000_000, '0123456789');
  const closed = Promise.withResolvers<void>();
  const far = await farEnd(t, ({ path }, _, response) => {
    if (path === '/large') return { body: large, headers: { 'content-type': 'text/plain' } };
    response.on('close', () => closed.resolve());
    return undefined;
  });
  await submit(admin, order('hanging', { request: { url: far.url, timeout: 600 } }));
  await until(admin, 'hanging', one => one.current_status.state === 'running');
  await admin.post('/api/v2/tasks/hanging/cancel', { grace_seconds: 0 });
  assert.equal((await ended('hanging')).current_status.outcome, 'cancelled');
  await closed.promise;
  await submit(admin, order('large', { request: { url: `${far.url}/large` } }));
  const { execution_details: details } = await ended('large');
  const [{ artifact }] = details.output.responses;
  const { bytes } = await admin.get(`/api/v2/artifacts/${artifact.artifact_id}`);
  assert.ok(large.equals(bytes));
});

test('SAM-128 SAM-159 a task whose host is down is tried again as a whole, and goes on where it was', async t => {
  let down = true;
  const far = await farEnd(t, ({ path }) => {
    if (path !== '/second') return { json: { id: 1 } };
    const answer = down ? { status: 503 } : { json: { id: 2 } };
    down = false;
    return answer;
  });
  const requests = [
    { method: 'POST', url: `${far.url}/first`, body: {} },
    { url: `${far.url}/second`, retry: { max_attempts: 1 } },
  ];
  const execution_config = { max_retries: 1, retry_strategy: 'fixed', retry_delay: 0 };
  await submit(admin, order('again', { requests }, { execution_config }));
  const { current_status: now, execution_details: details } = await ended('again');
  assert.deepEqual([now.outcome, now.attempt], ['completed', 2], JSON.stringify(details.error_details));
  assert.deepEqual(
    far.seen.map(({ path }) => path),
    ['/first', '/second', '/second'],
  );
  assert.deepEqual(
    details.output.responses.map(({ body }: Loose) => body.id),
    [1, 2],
  );
});
