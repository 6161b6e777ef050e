import assert from 'node:assert/strict';
import { test } from 'node:test';
import { serve, taskBody } from '../../test/serve.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }) => {
  const served = await serve({ badges: { other: { permissions: ['admin'] } } });
  t.after(() => served.stop());
  const keyed = (path: string, body: object, key = 'key-1', as = 'admin') =>
    served.ask('POST', path, { body, as, headers: { 'idempotency-key': key } });
  const submit = (id: string) =>
    served.ask('POST', '/api/v2/execute-task', {
      body: taskBody(id, { execution_config: { not_before: '2100-01-01T00:00:00Z' } }),
    });
  return { ...served, keyed, submit };
};

test('SAM-47 a retry sent twice under one key makes one task, under another key a second', async t => {
  const { keyed, submit, ask } = await setup(t);
  await submit('one');
  await ask('POST', '/api/v2/tasks/one/cancel', { body: {} });
  const path = '/api/v2/tasks/one/retry';
  const [first, again] = [await keyed(path, {}), await keyed(path, {})];
  assert.equal(first.body.task_id, 'one.r1');
  assert.deepEqual([again.status, again.body], [first.status, first.body]);
  assert.deepEqual(
    [first.headers.get('idempotency-replayed'), again.headers.get('idempotency-replayed')],
    [null, 'true'],
  );
  assert.notEqual(first.headers.get('x-request-id'), again.headers.get('x-request-id'));
  assert.equal((await ask('GET', '/api/v2/task-status?task_ids=one.r2')).body.total, 0);
  assert.equal((await keyed(path, {}, 'key-2')).body.task_id, 'one.r2');
});

test('SAM-47 a late repeat of an order does not undo what came after it', async t => {
  const { keyed, submit, ask } = await setup(t);
  await submit('one');
  await keyed('/api/v2/tasks/one/pause', {});
  await ask('POST', '/api/v2/tasks/one/resume', { body: {} });
  assert.equal((await keyed('/api/v2/tasks/one/pause', {})).body.paused, true);
  assert.equal((await ask('GET', '/api/v2/task-status/one')).body.current_status.paused, false);
});

test('SAM-47 another body under the key is 409 CONFLICT and changes nothing; another caller’s key is its own', async t => {
  const { keyed, submit, ask } = await setup(t);
  await submit('one');
  const path = '/api/v2/tasks/one/pause';
  await keyed(path, { reason: 'first' });
  await ask('POST', '/api/v2/tasks/one/resume', { body: {} });
  const other = await keyed(path, { reason: 'second' });
  assert.deepEqual([other.status, other.body.error.code], [409, 'CONFLICT']);
  assert.equal(other.body.error.details.idempotency_key, 'key-1');
  assert.equal((await ask('GET', '/api/v2/task-status/one')).body.current_status.paused, false);
  assert.equal((await keyed(path, { reason: 'second' }, 'key-1', 'other')).status, 200);
});

test('SAM-47 a refusal uses up no key, and a key of no form is 400', async t => {
  const { keyed, submit } = await setup(t);
  const path = '/api/v2/tasks/one/pause';
  assert.equal((await keyed(path, {})).status, 404);
  await submit('one');
  assert.equal((await keyed(path, {})).body.paused, true);
  for (const key of ['k'.repeat(256), ' ', 'ü']) {
    const { status, body } = await keyed(path, {}, key);
    assert.deepEqual([status, body.error.code], [400, 'INVALID_REQUEST'], key);
  }
});

test('SAM-18 a key made twice under one idempotency key is made once, and its secret is not shown again', async t => {
  const { keyed, ask } = await setup(t);
  const body = { name: 'mine', permissions: ['task:read'] };
  const first = await keyed('/api/v2/api-keys', body);
  assert.equal(first.status, 201);
  const again = await keyed('/api/v2/api-keys', body);
  assert.deepEqual([again.status, again.body.error.code], [409, 'CONFLICT']);
  assert.ok(!JSON.stringify(again.body).includes(first.body.api_secret));
  assert.equal((await ask('GET', '/api/v2/api-keys')).body.total, 1);
});

test('SAM-4 every route that changes something, but public ones and streams, describes the key it takes', async t => {
  const { ask } = await setup(t);
  const { paths } = (await ask('GET', '/api/v2/openapi.json')).body;
  const takes = (path: string, method: string) =>
    paths[path][method].parameters.some((one: { name: string }) => /^idempotency-key$/i.test(one.name));
  assert.ok(takes('/api/v2/tasks/{task_id}/retry', 'post'));
  assert.ok(takes('/api/v2/agents', 'post'));
  assert.ok(takes('/api/v2/execute-task', 'post'));
  assert.ok(takes('/api/v2/secrets/{name}', 'put'));
  assert.ok(!takes('/api/v2/work', 'post'));
  assert.ok(!takes('/api/v2/auth/token', 'post'));
  assert.ok(!takes('/api/v2/artifacts', 'post'));
  assert.ok(!takes('/api/v2/task-status', 'get'));
});
