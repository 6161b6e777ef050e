import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ServeOptions, serve, taskBody } from '../../../../test/serve.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  const later = { execution_config: { not_before: '2100-01-01T00:00:00Z' } };
  const submit = (id: string, more: object = later) =>
    served.ask('POST', '/api/v2/execute-task', { body: taskBody(id, more) });
  const order = (id: string, verb: string, body: object = {}, as = 'admin') =>
    served.ask('POST', `/api/v2/tasks/${id}/${verb}`, { body, as });
  return { ...served, submit, order };
};

test('SAM-66 a queued task is cancelled, repeating that is harmless, and another end is INVALID_STATE', async t => {
  const { submit, order, ask } = await setup(t);
  await submit('one');
  const first = await order('one', 'cancel', { reason: 'changed my mind', grace_seconds: 1 });
  assert.equal(first.status, 200);
  assert.deepEqual(
    [first.body.state, first.body.outcome, first.body.paused],
    ['cancelled', 'cancelled', false],
  );
  assert.equal((await order('one', 'cancel')).status, 200);
  await submit('two', {});
  while ((await ask('GET', '/api/v2/task-status/two')).body.current_status.outcome === null);
  const late = await order('two', 'cancel');
  assert.deepEqual([late.status, late.body.error.code], [409, 'INVALID_STATE']);
});

test('SAM-66 an order without a body is an order, and an unknown task is TASK_NOT_FOUND', async t => {
  const { submit, ask, order } = await setup(t);
  await submit('one');
  assert.equal((await ask('POST', '/api/v2/tasks/one/cancel')).status, 200);
  for (const verb of ['cancel', 'pause', 'resume', 'retry']) {
    const { status, body } = await order('none', verb);
    assert.deepEqual([status, body.error.code], [404, 'TASK_NOT_FOUND'], verb);
  }
});

test('SAM-69 a queued task is paused and resumed', async t => {
  const { submit, order } = await setup(t);
  await submit('one');
  const paused = await order('one', 'pause');
  assert.deepEqual(
    [paused.body.state, paused.body.paused, paused.body.lifecycle_state],
    ['queued', true, 'paused'],
  );
  const resumed = await order('one', 'resume');
  assert.deepEqual([resumed.body.state, resumed.body.paused], ['queued', false]);
});

test('SAM-69 a running task without a checkpoint is paused by force only', async t => {
  const started = Promise.withResolvers<void>();
  const { submit, order } = await setup(t, {
    run: context => {
      started.resolve();
      return new Promise((_, reject) =>
        context.signal.addEventListener('abort', () => reject(context.signal.reason)),
      );
    },
  });
  await submit('one', {});
  await started.promise;
  const refused = await order('one', 'pause');
  assert.deepEqual([refused.status, refused.body.error.code], [409, 'INVALID_STATE']);
  assert.equal((await order('one', 'pause', { force: true })).body.paused, true);
});

test('SAM-70 retrying a cancelled task starts another under a name of its own, linked to the first', async t => {
  const { submit, order, ask } = await setup(t);
  await submit('one');
  await order('one', 'cancel');
  const again = await order('one', 'retry');
  assert.equal(again.status, 200);
  assert.deepEqual([again.body.task_id, again.body.retry_of], ['one.r1', 'one']);
  const named = await order('one', 'retry', { new_task_id: 'second' });
  assert.equal(named.body.task_id, 'second');
  const { body } = await ask('GET', '/api/v2/task-status/second');
  assert.equal(body.retry_of, 'one');
  assert.equal((await ask('GET', '/api/v2/task-status/one')).body.current_status.outcome, 'cancelled');
});

test('SAM-66 steering needs the permission to', async t => {
  const { submit, order } = await setup(t);
  await submit('one');
  assert.equal((await order('one', 'cancel', {}, 'reader')).status, 403);
});
