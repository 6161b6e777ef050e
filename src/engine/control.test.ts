import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHouse, orderOf, workAs } from '../../test/harness.ts';
import { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT, type TaskId } from '../domain/ids.ts';

const call = (id: string) => ({ tenant: DEFAULT_TENANT, id: id as TaskId, actor: 'tester' });
const custom = { type: 'custom', typeName: 'work' } as const;

async function setup() {
  const house = await openHouse({ options: { slotsPerType: 0 } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  return { house, worker };
}

test('SAM-66 a queued task that is cancelled never starts, and cancelling it again is harmless', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('q', custom)]);
  const cancelled = await house.engine.cancel({ ...call('q'), reason: 'not needed' });
  assert.equal(cancelled.outcome, 'cancelled');
  assert.equal((await house.engine.cancel(call('q'))).version, cancelled.version);
  assert.deepEqual((await worker.ask(1)).leases, []);
  const events = await house.store.events({ of: 'task', key: cancelled.key, afterSequence: 0, limit: 50 });
  const last = events.at(-1);
  assert.equal(last?.kind === 'state' ? last.reason : null, 'not needed');
  await house.stop();
});

test('SAM-66 cancelling a task that ended otherwise is refused and changes nothing', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('done', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  await worker.complete(lease, 'fine');
  const before = await house.engine.task(DEFAULT_TENANT, 'done' as TaskId);
  await assert.rejects(house.engine.cancel(call('done')), code('invalid_transition'));
  assert.equal((await house.engine.task(DEFAULT_TENANT, 'done' as TaskId)).version, before.version);
  await house.stop();
});

test('SAM-67 a cancel reaches a worker that only polls, at once', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('held', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  const polling = worker.exchange({ slots: 1, waitMs: 30_000 });
  await house.engine.cancel(call('held'));
  const answer = await polling;
  assert.deepEqual(
    answer.cancellations.map(({ taskId, token }) => [taskId, token]),
    [['held', lease?.token]],
  );
  await house.stop();
});

test('SAM-104 a result that comes after a cancel is refused and the cancel stays the only end', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('raced', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  await house.engine.cancel(call('raced'));
  const answer = await worker.complete(lease, 'too late');
  assert.equal(answer.rejected[0]?.error.code, 'lease_lost');
  const task = await house.engine.task(DEFAULT_TENANT, 'raced' as TaskId);
  assert.equal(task.outcome, 'cancelled');
  assert.equal(task.result?.output, undefined);
  await house.stop();
});

test('SAM-104 of a cancel and a completion at the same instant exactly one is recorded', async () => {
  const { house, worker } = await setup();
  for (let round = 0; round < 20; round++) {
    await house.engine.submit([orderOf(`r${round}`, custom)]);
    const [lease] = (await worker.ask(1)).leases;
    await Promise.allSettled([worker.complete(lease, 'x'), house.engine.cancel(call(`r${round}`))]);
    const task = await house.engine.task(DEFAULT_TENANT, `r${round}` as TaskId);
    const events = await house.store.events({ of: 'task', key: task.key, afterSequence: 0, limit: 50 });
    const ends = events.filter(
      event => event.kind === 'state' && (event.to === 'completed' || event.to === 'cancelled'),
    );
    assert.equal(ends.length, 1);
  }
  await house.stop();
});

test('SAM-69 a paused queued task is not handed out until it is resumed', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('p', custom)]);
  assert.equal((await house.engine.pause(call('p'))).state, 'paused');
  assert.deepEqual((await worker.ask(1)).leases, []);
  assert.equal((await house.engine.resume(call('p'))).state, 'queued');
  assert.equal((await worker.ask(1)).leases[0]?.task.id, 'p');
  await house.stop();
});

test('SAM-69 pausing a running task without a checkpoint needs force, and then starts it over', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('r', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  await assert.rejects(house.engine.pause(call('r')), code('invalid_transition'));
  assert.equal((await house.engine.task(DEFAULT_TENANT, 'r' as TaskId)).state, 'running');
  assert.equal((await house.engine.pause({ ...call('r'), force: true })).state, 'paused');
  await house.engine.resume(call('r'));
  const [again] = (await worker.ask(1)).leases;
  assert.equal(again?.task.checkpoint, null);
  assert.ok((again?.token ?? 0) > (lease?.token ?? 0));
  await house.stop();
});

test('SAM-69 a running task with a checkpoint pauses and continues from there', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('c', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  await worker.report(lease, { percentage: 40, checkpoint: { row: 7 } });
  await house.engine.pause(call('c'));
  await house.engine.resume(call('c'));
  const [again] = (await worker.ask(1)).leases;
  assert.deepEqual(again?.task.checkpoint, { row: 7 });
  await house.stop();
});

test('SAM-70 retrying a failed task makes a new one of the same specification and leaves the old outcome', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('f', { ...custom, payload: { n: 1 } })]);
  await worker.fail((await worker.ask(1)).leases[0], { recoverable: false });
  const retried = await house.engine.retry(call('f'));
  assert.equal(retried.task, 'f.r1');
  const fresh = await house.engine.task(DEFAULT_TENANT, 'f.r1' as TaskId);
  assert.equal(fresh.spec.retryOf, 'f');
  assert.deepEqual(fresh.spec.payload, { n: 1 });
  assert.equal((await house.engine.task(DEFAULT_TENANT, 'f' as TaskId)).outcome, 'failed');
  await assert.rejects(house.engine.retry(call('f.r1')), code('invalid_transition'));
  await house.stop();
});

function code(expected: DomainError['code']) {
  return (error: unknown) => error instanceof DomainError && error.code === expected;
}
