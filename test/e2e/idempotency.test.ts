import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { Loose } from '../serve.ts';
import { hire, submit, taskOf } from './crew.ts';
import { running } from './running.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;

const heldBy = async (kind: string): Promise<Loose[]> => {
  const worker = await hire(admin, kind, `collector-of-${kind}`);
  return (await worker.exchange({ slots: 100, wait_seconds: 0.2 })).leases;
};

suite('the same request again', () => {
  test('SAM-47 answers with the first execution id, whatever the order of its keys, and starts nothing', async () => {
    await hire(admin, 'once');
    const body = taskOf('once', 'once', {}, { b: 1, a: [{ y: 1, x: 2 }] });
    const { body: first } = await submit(admin, body);
    const shuffled = Object.fromEntries(Object.entries(body).reverse());
    for (const again of [body, shuffled]) {
      const { body: answer } = await submit(admin, again);
      assert.equal(answer.execution_id, first.execution_id);
    }
    assert.equal((await heldBy('once')).length, 1);
  });

  test('SAM-47 a different body under the same id is a conflict, and the first task stays as it is', async () => {
    await hire(admin, 'taken');
    await submit(admin, taskOf('taken', 'taken', {}, { n: 1 }));
    const { body } = await submit(admin, taskOf('taken', 'taken', {}, { n: 2 }), { expect: 409 });
    assert.equal(body.error.code, 'CONFLICT');
    const [lease, ...more] = await heldBy('taken');
    assert.deepEqual([lease.task.task_data.n, more.length], [1, 0]);
  });

  test('SAM-47 an Idempotency-Key names the request: another id under it starts nothing', async () => {
    await hire(admin, 'keyed');
    const headers = { 'idempotency-key': 'the-key' };
    const { body: first } = await submit(admin, taskOf('keyed', 'keyed'), { headers });
    const { body: again } = await submit(admin, taskOf('keyed', 'keyed'), { headers });
    assert.equal(again.execution_id, first.execution_id);
    const other = await submit(admin, taskOf('keyed-other', 'keyed'), { headers, expect: null });
    assert.ok(
      other.status === 409 || other.body.execution_id === first.execution_id,
      JSON.stringify(other.body),
    );
    assert.equal((await heldBy('keyed')).length, 1);
    await admin.get('/api/v2/task-status/keyed-other', { expect: 404 });
  });

  test('SAM-47 fifty simultaneous duplicates make one task and hear of one execution', async () => {
    await hire(admin, 'rush');
    const body = taskOf('rush', 'rush');
    const answers = await Promise.all(Array.from({ length: 50 }, () => submit(admin, body)));
    assert.equal(new Set(answers.map(one => one.body.execution_id)).size, 1);
    assert.equal((await heldBy('rush')).length, 1);
    assert.equal((await admin.get('/api/v2/task-status?task_ids=rush')).body.total, 1);
  });

  test('SAM-47 of twenty simultaneous rivals for one id, one is taken and the others are in conflict', async () => {
    await hire(admin, 'rivals');
    const rivals = Array.from({ length: 20 }, (_, n) => taskOf('rivals', 'rivals', {}, { n }));
    const answers = await Promise.all(rivals.map(body => submit(admin, body, { expect: null })));
    assert.equal(answers.filter(one => one.status === 200).length, 1);
    assert.equal(answers.filter(one => one.status === 409).length, 19);
    assert.equal((await heldBy('rivals')).length, 1);
  });

  test('SAM-39 SAM-47 a batch answers each of its bodies in order, its duplicates as duplicates', async () => {
    await hire(admin, 'batch');
    const tasks = [
      taskOf('batch-1', 'batch'),
      taskOf('batch-1', 'batch'),
      taskOf('batch-1', 'batch', {}, { n: 2 }),
      { ...taskOf('batch-2', 'batch'), description: '' },
      taskOf('batch-3', 'batch'),
    ];
    const { body } = await admin.post('/api/v2/execute-task/batch', { tasks });
    assert.deepEqual(
      body.results.map((one: Loose) => [one.task_id, one.http_status]),
      [
        ['batch-1', 200],
        ['batch-1', 200],
        ['batch-1', 409],
        ['batch-2', 400],
        ['batch-3', 200],
      ],
    );
    assert.equal(body.results[0].body.execution_id, body.results[1].body.execution_id);
    assert.deepEqual(body.results[3].body.error.details.errors[0].field, 'description');
    assert.equal((await heldBy('batch')).length, 2);
  });

  test('SAM-39 an atomic batch with one fault admits none', async () => {
    await hire(admin, 'atomic');
    const tasks = [taskOf('atomic-1', 'atomic'), { ...taskOf('atomic-2', 'atomic'), timeout: 0 }];
    const { body } = await admin.post('/api/v2/execute-task/batch', { tasks, atomic: true });
    assert.deepEqual(
      body.results.map((one: Loose) => one.http_status),
      [409, 400],
    );
    await admin.get('/api/v2/task-status/atomic-1', { expect: 404 });
  });
});
