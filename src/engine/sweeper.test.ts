import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HouseOptions, openHouse, orderOf, planOf, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DEFAULT_TENANT, type TaskId } from '../domain/ids.ts';
import { RETRY_POLICIES } from '../domain/retry.ts';

const custom = { type: 'custom', typeName: 'work' } as const;

async function setup(choice: HouseOptions = {}) {
  const clock = new VirtualClock();
  const house = await openHouse({ ...choice, clock, options: { slotsPerType: 0, ...choice.options } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  return {
    clock,
    house,
    worker,
    task: (id: string) => house.engine.task(DEFAULT_TENANT, id as TaskId),
    async close() {
      const stopping = house.stop();
      await clock.advance(10_000);
      await stopping;
    },
  };
}

test('SAM-129 a task that runs past its timeout ends as timeout within a second, and is not tried again', async () => {
  const { clock, house, worker, task, close } = await setup();
  await house.engine.submit([orderOf('t', { ...custom, timeoutMs: 5_000 })]);
  await worker.ask(1);
  await clock.advance(4_900);
  assert.equal((await task('t')).outcome, null);
  await clock.advance(1_100);
  const ended = await task('t');
  assert.equal(ended.outcome, 'timeout');
  assert.equal(ended.result?.error?.code, 'task_timeout');
  await close();
});

test('SAM-129 an attempt past its own timeout fails and another begins; both count against the whole', async () => {
  const { clock, house, worker, task, close } = await setup();
  const retry = { ...RETRY_POLICIES.fixed, firstDelayMs: 1_000, attemptsMax: 10 };
  await house.engine.submit([orderOf('a', { ...custom, timeoutMs: 8_000, attemptTimeoutMs: 3_000, retry })]);
  await worker.ask(1);
  await clock.advance(4_000);
  assert.equal((await task('a')).outcome, null);
  for (let round = 0; round < 8; round++) {
    await worker.ask(1);
    await clock.advance(4_000);
  }
  const ended = await task('a');
  assert.equal(ended.outcome, 'timeout');
  assert.ok(ended.attempt >= 2);
  await close();
});

test('SAM-69 time spent paused does not count against the timeout', async () => {
  const { clock, house, worker, task, close } = await setup();
  await house.engine.submit([orderOf('p', { ...custom, timeoutMs: 10_000 })]);
  await worker.ask(1);
  await clock.advance(2_000);
  const call = { tenant: DEFAULT_TENANT, id: 'p' as TaskId, actor: 'tester' };
  await house.engine.pause({ ...call, force: true });
  await clock.advance(60_000);
  await house.engine.resume(call);
  await worker.ask(1);
  await clock.advance(5_000);
  assert.equal((await task('p')).state, 'running');
  await clock.advance(5_000);
  assert.equal((await task('p')).outcome, 'timeout');
  await close();
});

test('SAM-130 a task no agent took within its queue timeout ends as timeout', async () => {
  const { clock, house, task, close } = await setup();
  await house.engine.submit([orderOf('q', { ...custom, queueTimeoutMs: 3_000 })]);
  await clock.advance(2_500);
  assert.equal((await task('q')).state, 'queued');
  await clock.advance(1_000);
  assert.equal((await task('q')).outcome, 'timeout');
  await close();
});

test('SAM-35 a task with not_before is handed out when its date has come, and says so until then', async () => {
  const { clock, house, worker, task, close } = await setup();
  const notBefore = clock.now() + 60_000;
  await house.engine.submit([orderOf('later', { ...custom, notBefore })]);
  assert.deepEqual((await worker.ask(1)).leases, []);
  const { waiting } = await house.engine.forecast(await task('later'));
  assert.deepEqual(waiting, { because: 'not_before', until: notBefore });
  await clock.advance(60_500);
  assert.equal((await worker.ask(1)).leases[0]?.task.id, 'later');
  await close();
});

test('SAM-35 a task waits for all it depends on, telling for which', async () => {
  const { clock, house, worker, task, close } = await setup();
  await house.engine.submit([orderOf('a', custom), orderOf('b', custom)]);
  await house.engine.submit([orderOf('c', { ...custom, dependsOn: ['a', 'b'] as TaskId[] })]);
  await clock.advance(1_000);
  const { leases } = await worker.ask(5);
  assert.deepEqual(leases.map(({ task }) => task.id).sort(), ['a', 'b']);
  await worker.complete(leases[0], 1);
  await clock.advance(1_000);
  const { waiting } = await house.engine.forecast(await task('c'));
  assert.deepEqual(waiting, { because: 'dependencies', waitingFor: [leases[1]?.task.id] });
  assert.deepEqual((await worker.ask(5)).leases, []);
  await worker.complete(leases[1], 2);
  await clock.advance(1_000);
  assert.equal((await worker.ask(5)).leases[0]?.task.id, 'c');
  await close();
});

test('SAM-35 a task fails when one it depends on ends otherwise than completed', async () => {
  const { clock, house, worker, task, close } = await setup();
  await house.engine.submit([orderOf('a', custom)]);
  await house.engine.submit([orderOf('b', { ...custom, dependsOn: ['a'] as TaskId[] })]);
  await worker.fail((await worker.ask(1)).leases[0], { recoverable: false });
  await clock.advance(1_000);
  const ended = await task('b');
  assert.equal(ended.outcome, 'failed');
  assert.equal(ended.result?.error?.code, 'dependency_failed');
  await close();
});

test('SAM-35 a cycle in a batch is rejected by name and none of it will run', async () => {
  const { house, close } = await setup();
  const [a, b] = await house.engine.submit([
    orderOf('a', { ...custom, dependsOn: ['b'] as TaskId[] }),
    orderOf('b', { ...custom, dependsOn: ['a'] as TaskId[] }),
  ]);
  for (const admission of [a, b]) {
    assert.ok(admission !== undefined && admission.kind !== 'admitted');
    assert.match(admission.error.message, /a -> b -> a/);
  }
  await close();
});

test('SAM-127 the delay before another attempt follows the policy', async () => {
  const { clock, house, worker, close } = await setup();
  await house.engine.submit([
    orderOf('r', { ...custom, retry: { ...RETRY_POLICIES.exponential, attemptsMax: 4 } }),
  ]);
  let [lease] = (await worker.ask(1)).leases;
  for (const delayMs of [1_000, 2_000, 4_000]) {
    await worker.fail(lease, {});
    await clock.advance(delayMs * 0.79);
    assert.deepEqual((await worker.ask(1)).leases, [], `an attempt came before ${delayMs} ms`);
    await clock.advance(delayMs * 0.42 + 600);
    [lease] = (await worker.ask(1)).leases;
    assert.ok(lease !== undefined, `no attempt came after ${delayMs} ms`);
  }
  await close();
});

test('SAM-128 a task that has used up its attempts ends failed with the last error', async () => {
  const { clock, house, worker, task, close } = await setup();
  await house.engine.submit([
    orderOf('x', { ...custom, retry: { ...RETRY_POLICIES.fixed, attemptsMax: 2 } }),
  ]);
  await worker.fail((await worker.ask(1)).leases[0], { message: 'first' });
  await clock.advance(7_000);
  await worker.fail((await worker.ask(1)).leases[0], { message: 'second' });
  const ended = await task('x');
  assert.equal(ended.outcome, 'failed');
  assert.equal(ended.result?.error?.message, 'second');
  await close();
});

test('a poison task that kills its workers is parked as failed after its attempts', async () => {
  const { clock, house, worker, task, close } = await setup();
  await house.engine.submit([
    orderOf('poison', { ...custom, retry: { ...RETRY_POLICIES.fixed, attemptsMax: 3 } }),
  ]);
  for (let death = 0; death < 3; death++) {
    assert.equal((await worker.ask(1)).leases.length, 1);
    await clock.advance(36_000);
  }
  assert.equal((await task('poison')).outcome, 'failed');
  await close();
});

test('SAM-102 after the end a task nobody wants notified goes to archived; one with subscribers by way of notified', async () => {
  const { clock, house, worker, task, close } = await setup();
  await house.engine.submit([
    orderOf('quiet', custom),
    orderOf('loud', { ...custom, notification: planOf(['task_completed']) }),
  ]);
  for (const lease of (await worker.ask(2)).leases) await worker.complete(lease, 1);
  await clock.advance(120_000);
  for (const [id, path] of [
    ['quiet', ['completed', 'archiving', 'archived']],
    ['loud', ['completed', 'notifying', 'notified', 'archiving', 'archived']],
  ] as const) {
    const { key, state, outcome } = await task(id);
    assert.deepEqual([state, outcome], ['archived', 'completed']);
    const events = await house.store.events({ of: 'task', key, afterSequence: 0, limit: 50 });
    assert.deepEqual(
      events.flatMap(event => (event.kind === 'state' ? [event.to] : [])).slice(-path.length),
      path,
    );
  }
  await close();
});

test('SAM-178 the steps of archiving are recorded in order', async () => {
  const { clock, house, worker, task, close } = await setup();
  await house.engine.submit([orderOf('z', custom)]);
  await worker.complete((await worker.ask(1)).leases[0], 1);
  await clock.advance(120_000);
  const events = await house.store.events({
    of: 'task',
    key: (await task('z')).key,
    afterSequence: 0,
    limit: 50,
  });
  const note = events.find(event => event.kind === 'note' && event.name === 'archive');
  assert.deepEqual(note?.kind === 'note' ? (note.detail.steps as string[])[0] : null, 'clean_up');
  await close();
});
