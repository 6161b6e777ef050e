import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { hire, statusOf, submit, taskOf, until } from './crew.ts';
import { running } from './running.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;
const steer = (id: string, verb: string, body: object = {}, expect?: number) =>
  admin.post(`/api/v2/tasks/${id}/${verb}`, body, expect === undefined ? {} : { expect });

suite('cancel', () => {
  test('SAM-66 a queued task never starts, repeating the order is harmless, and another end is a conflict', async () => {
    const worker = await hire(admin, 'early');
    await submit(admin, taskOf('early', 'early'));
    const { body } = await steer('early', 'cancel', { reason: 'changed our mind' });
    assert.deepEqual([body.state, body.outcome], ['cancelled', 'cancelled']);
    assert.equal((await steer('early', 'cancel')).body.execution_id, body.execution_id);
    assert.deepEqual((await worker.exchange({ slots: 1 })).leases, []);
    await submit(admin, taskOf('early-done', 'early'));
    await worker.complete(await worker.lease(), null);
    const refused = await steer('early-done', 'cancel', {}, 409);
    assert.equal(refused.body.error.code, 'INVALID_STATE');
    assert.equal((await statusOf(admin, 'early-done')).current_status.outcome, 'completed');
  });

  test('SAM-67 SAM-104 SAM-133 reaches the worker at its next exchange, whose late result changes nothing', async () => {
    const worker = await hire(admin, 'late');
    await submit(admin, taskOf('late', 'late'));
    const lease = await worker.lease();
    const poll = worker.exchange({ wait_seconds: 10 });
    await steer('late', 'cancel', { reason: 'enough', grace_seconds: 0 });
    const { cancellations } = await poll;
    const { task_id, fencing_token } = lease;
    assert.deepEqual(cancellations, [{ task_id, fencing_token, reason: 'enough' }]);
    const { rejected } = await worker.complete(lease, 'too late');
    assert.equal(rejected.length, 1);
    assert.ok(['LEASE_LOST', 'INVALID_STATE'].includes(rejected[0].error.code));
    const end = await until(admin, 'late', ({ current_status: { outcome } }) => outcome !== null);
    assert.equal(end.current_status.outcome, 'cancelled');
    assert.ok(!('output' in end.execution_details));
  });

  test('SAM-104 raced by its worker’s result, the task has one end', async () => {
    const worker = await hire(admin, 'race');
    for (let round = 0; round < 10; round++) {
      const id = `race-${round}`;
      await submit(admin, taskOf(id, 'race'));
      const lease = await worker.lease();
      const [cancelled, told] = await Promise.all([
        admin.post(`/api/v2/tasks/${id}/cancel`, {}, { expect: null }),
        worker.complete(lease, 'mine'),
      ]);
      const won = told.rejected.length === 0;
      const { outcome } = (await until(admin, id, one => one.current_status.outcome !== null)).current_status;
      assert.equal(outcome, won ? 'completed' : 'cancelled');
      assert.equal(cancelled.status, won ? 409 : 200);
    }
  });
});

suite('pause, resume, retry', () => {
  test('SAM-69 a running task without a checkpoint is paused by force alone, and begins anew', async () => {
    const worker = await hire(admin, 'hold');
    await submit(admin, taskOf('hold', 'hold'));
    await worker.lease();
    const refused = await steer('hold', 'pause', {}, 409);
    assert.equal(refused.body.error.code, 'INVALID_STATE');
    assert.equal((await steer('hold', 'pause', { force: true })).body.paused, true);
    assert.deepEqual((await worker.exchange({ slots: 1 })).leases, []);
    await steer('hold', 'resume');
    const second = await worker.lease();
    assert.equal(second.checkpoint, null);
    await worker.complete(second, null);
    await steer('hold', 'resume', {}, 409);
  });

  test('SAM-70 a failed task is retried as a new one that names it, and its own end stays', async () => {
    const worker = await hire(admin, 'again');
    await submit(admin, taskOf('again', 'again', {}, { n: 5 }));
    await worker.fail(await worker.lease());
    const { body } = await steer('again', 'retry');
    assert.deepEqual([body.task_id, body.retry_of], ['again.r1', 'again']);
    const lease = await worker.lease();
    assert.equal(lease.task.task_data.n, 5);
    await worker.complete(lease, 'better');
    const { body: named } = await steer('again', 'retry', { new_task_id: 'again-named' });
    assert.equal(named.task_id, 'again-named');
    assert.equal((await statusOf(admin, 'again')).current_status.outcome, 'failed');
    await steer('again.r1', 'retry', {}, 409);
  });

  test('SAM-66 SAM-70 what is not there cannot be steered', async () => {
    for (const verb of ['cancel', 'pause', 'resume', 'retry']) {
      const { body } = await steer('nowhere', verb, {}, 404);
      assert.equal(body.error.code, 'TASK_NOT_FOUND');
    }
  });
});
