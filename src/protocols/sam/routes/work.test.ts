import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Loose, type ServeOptions, serve, taskBody } from '../../../../test/serve.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve({
    badges: {
      worker: { permissions: ['task:write-result'] },
      bound: { permissions: ['task:write-result'], agentId: 'other' },
    },
    ...options,
  });
  t.after(() => served.stop());
  const work = (body: object, as = 'worker') =>
    served.ask('POST', '/api/v2/work', { as, body: { agent_id: 'w', types: ['custom:echo'], ...body } });
  const submit = (id: string, more: object = {}) =>
    served.ask('POST', '/api/v2/execute-task', {
      body: taskBody(id, { task_type: 'custom', task_data: { type_name: 'echo', say: 'hi' }, ...more }),
    });
  await work({});
  return { ...served, work, submit };
};

test('SAM-131 SAM-132 a worker leases a task with all its requester wrote, reports on it, and completes it', async t => {
  const { ask, work, submit } = await setup(t);
  await submit('one', {
    context: { metadata: { m: 1 } },
    colour: 'red',
    notification_config: { webhook_url: 'https://example.org/', webhook_secret: 'hush' },
  });
  const { status, body } = await work({ slots: 1, wait_seconds: 5 });
  assert.equal(status, 200);
  const [lease] = body.leases;
  const { task } = lease;
  assert.deepEqual([lease.task_id, lease.attempt, lease.checkpoint], ['one', 1, null]);
  assert.match(lease.lease_expires_at, /Z$/);
  assert.deepEqual([task.task_id, task.task_type, task.colour], ['one', 'custom', 'red']);
  assert.deepEqual(task.task_data, { type_name: 'echo', say: 'hi' });
  assert.deepEqual(task.orchestrator_info, { timestamp: '2026-01-01T00:00:00Z', agent_id: 'manus' });
  assert.deepEqual(task.context, { metadata: { m: 1 } });
  assert.ok(!JSON.stringify(body).includes('notification'));
  const held = { task_id: 'one', fencing_token: lease.fencing_token };
  const told = await work({
    progress: [{ ...held, percentage: 30, current_step: 'thinking', intermediate_result: { draft: 1 } }],
    logs: [{ ...held, level: 'warn', message: 'hm' }],
    heartbeats: [held],
  });
  assert.deepEqual(told.body.rejected, []);
  assert.equal(told.body.extensions[0].task_id, 'one');
  const running = (await ask('GET', '/api/v2/task-status/one')).body;
  assert.deepEqual([running.current_status.state, running.agent_id], ['running', 'w']);
  assert.deepEqual(
    [running.current_status.progress.percentage, running.current_status.progress.current_step],
    [30, 'thinking'],
  );
  assert.equal(running.execution_details.intermediate_results[0].draft, 1);
  const metrics = { execution_time: 1.5, memory_used: 20, api_calls: 2 };
  await work({ results: [{ ...held, status: 'completed', output: { said: 'hi' }, metrics }] });
  const done = (await ask('GET', '/api/v2/task-status/one')).body;
  assert.deepEqual([done.current_status.state, done.execution_details.output], ['completed', { said: 'hi' }]);
  assert.equal(done.metrics.memory_used, 20);
  assert.equal(done.metrics.api_calls, 2);
});

test('SAM-131 a poll without work answers at once, and one that waits answers when work comes', async t => {
  const { work, submit } = await setup(t);
  assert.deepEqual((await work({ slots: 1 })).body, {
    leases: [],
    cancellations: [],
    extensions: [],
    rejected: [],
  });
  const waiting = work({ slots: 1, wait_seconds: 30 });
  await submit('one');
  assert.equal((await waiting).body.leases[0].task_id, 'one');
  assert.equal((await work({ wait_seconds: 61 })).status, 400);
});

test('SAM-133 a stale token is rejected as LEASE_LOST while the other items apply, and a repeated result is confirmed', async t => {
  const { ask, work, submit } = await setup(t);
  await submit('one');
  const { fencing_token: token } = (await work({ slots: 1, wait_seconds: 5 })).body.leases[0];
  const result = { task_id: 'one', fencing_token: token, status: 'completed', output: 1 };
  const stale = {
    task_id: 'one',
    fencing_token: token + 1_000,
    status: 'failed',
    error: { message: 'lies' },
  };
  const { body } = await work({ results: [stale, result] });
  assert.deepEqual(
    body.rejected.map((one: Loose) => [one.item, one.fencing_token, one.error.code]),
    [['result', token + 1_000, 'LEASE_LOST']],
  );
  assert.deepEqual((await work({ results: [result] })).body.rejected, []);
  assert.equal((await ask('GET', '/api/v2/task-status/one')).body.execution_details.output, 1);
});

test('SAM-50 a worker’s TASK_EXECUTION_FAILED is EXECUTION_ERROR, and a code of its own stays in the details', async t => {
  const { ask, work, submit } = await setup(t);
  for (const [id, code] of [
    ['known', 'TASK_EXECUTION_FAILED'],
    ['own', 'PRINTER_ON_FIRE'],
  ] as const) {
    await submit(id);
    const { fencing_token: token } = (await work({ slots: 1, wait_seconds: 5 })).body.leases[0];
    const error = { code, message: 'no', recoverable: false };
    await work({ results: [{ task_id: id, fencing_token: token, status: 'failed', error }] });
    const { error_details: details } = (await ask('GET', `/api/v2/task-status/${id}`)).body.execution_details;
    assert.equal(details.code, 'EXECUTION_ERROR');
    assert.equal(details.details.worker_code, id === 'own' ? 'PRINTER_ON_FIRE' : undefined);
  }
});

test('SAM-67 a cancelled task is taken from its worker at the next exchange', async t => {
  const { ask, work, submit } = await setup(t);
  await submit('one');
  const { fencing_token: token } = (await work({ slots: 1, wait_seconds: 5 })).body.leases[0];
  await ask('POST', '/api/v2/tasks/one/cancel', { body: {} });
  const { body } = await work({ heartbeats: [{ task_id: 'one', fencing_token: token }] });
  assert.ok(body.cancellations.length > 0);
  for (const order of body.cancellations)
    assert.deepEqual([order.task_id, order.fencing_token], ['one', token]);
});

test('SAM-131 polling needs the permission to write results, and a bound credential polls for its own agent only', async t => {
  const { work } = await setup(t);
  assert.equal((await work({}, 'reader')).status, 403);
  const { status, body } = await work({}, 'bound');
  assert.deepEqual([status, body.error.details.rule], [403, 'agent_binding']);
});
