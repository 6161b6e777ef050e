import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { hire, statusOf, submit, taskOf, until, type Worker } from './crew.ts';
import { type Running, running } from './running.ts';

/** Two servers: one hands on what it is given, the other has the worker. */
let near: Running;
let far: Running;
let worker: Worker;

suite('one Batuta delegating to another', () => {
  before(async () => {
    [near, far] = await Promise.all([
      running({ BATUTA_SERVER_ID: 'near', BATUTA_SLOTS: '0' }),
      running({ BATUTA_SERVER_ID: 'far', BATUTA_SLOTS: '0' }),
    ]);
    worker = await hire(far.admin, 'echo');
    const { api_key: key, api_secret: secret } = far.server.credentials;
    await near.admin.post('/api/v2/agents', {
      agent_id: 'far',
      kind: 'sam',
      url: far.url,
      types: ['custom:echo'],
      capacity: { slots: 4 },
      credential: { kind: 'api_key', key, secret },
    });
  });

  after(async () => {
    await near.stop();
    await far.stop();
  });

  test('SAM-98 a task is run by the other’s worker and its result comes home', async () => {
    await submit(near.admin, taskOf('there-and-back', 'echo', {}, { text: 'hello' }));
    const lease = await worker.lease();
    assert.equal(lease.task.task_data.text, 'hello');
    await worker.complete(lease, { text: 'HELLO' });
    const status = await until(
      near.admin,
      'there-and-back',
      ({ current_status }) => current_status.outcome !== null,
    );
    assert.equal(status.current_status.outcome, 'completed');
    assert.deepEqual(status.execution_details.output, { text: 'HELLO' });
    const { execution_id } = await statusOf(near.admin, 'there-and-back');
    assert.equal(lease.task.task_id, `${execution_id}.1`);
  });

  test('SAM-99 a failure keeps its code and message on the way home', async () => {
    await submit(near.admin, taskOf('broken-there', 'echo'));
    await worker.fail(await worker.lease(), {
      code: 'EXECUTION_ERROR',
      message: 'no echo here',
      recoverable: false,
    });
    const status = await until(
      near.admin,
      'broken-there',
      ({ current_status }) => current_status.outcome !== null,
    );
    assert.equal(status.current_status.outcome, 'failed');
    assert.match(JSON.stringify(status.execution_details.error_details), /no echo here/);
  });

  test('SAM-68 cancelling here cancels there', async () => {
    await submit(near.admin, taskOf('called-off', 'echo'));
    const lease = await worker.lease();
    await near.admin.post('/api/v2/tasks/called-off/cancel', { reason: 'changed my mind' });
    const { cancellations } = await worker.exchange({ slots: 0, wait_seconds: 20 });
    assert.deepEqual(
      cancellations.map((one: { task_id: string }) => one.task_id),
      [lease.task.task_id],
    );
  });
});
