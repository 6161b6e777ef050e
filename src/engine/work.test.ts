import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HouseOptions, openHouse, orderOf, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DEFAULT_TENANT, type FencingToken, type TaskId } from '../domain/ids.ts';

const custom = { type: 'custom', typeName: 'work' } as const;
const taskOf = (
  house: { engine: { task(t: typeof DEFAULT_TENANT, id: TaskId): Promise<unknown> } },
  id: string,
) =>
  house.engine.task(DEFAULT_TENANT, id as TaskId) as ReturnType<
    Awaited<ReturnType<typeof openHouse>>['engine']['task']
  >;

async function setup(choice: HouseOptions = {}) {
  const house = await openHouse({ ...choice, options: { slotsPerType: 0, ...choice.options } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  return { house, worker };
}

test('SAM-132 a worker never gets more leases than slots, and two workers never the same task', async () => {
  const { house, worker } = await setup();
  await house.engine.submit(Array.from({ length: 10 }, (_, n) => orderOf(`t${n}`, custom)));
  const other = workAs(house, 'w2', ['custom:work']);
  const [mine, theirs] = await Promise.all([worker.ask(3), other.ask(4)]);
  assert.equal(mine.leases.length, 3);
  assert.equal(theirs.leases.length, 4);
  const ids = [...mine.leases, ...theirs.leases].map(({ task }) => task.id);
  assert.equal(new Set(ids).size, 7);
  await house.stop();
});

test('SAM-131 a long-poll answers as soon as a task comes, and with nothing when its wait ends', async () => {
  const { house, worker } = await setup();
  const polling = worker.exchange({ slots: 1, waitMs: 30_000 });
  await house.engine.submit([orderOf('awaited', custom)]);
  assert.equal((await polling).leases[0]?.task.id, 'awaited');
  assert.deepEqual((await worker.exchange({ slots: 1, waitMs: 20 })).leases, []);
  await house.stop();
});

test('SAM-131 a worker that hangs up leaves its poll without taking a task along', async () => {
  const { house, worker } = await setup();
  const gone = new AbortController();
  const polling = worker.exchange({ slots: 1, waitMs: 30_000, signal: gone.signal });
  gone.abort();
  assert.deepEqual((await polling).leases, []);
  await house.engine.submit([orderOf('kept', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  assert.equal(lease?.task.id, 'kept');
  assert.equal(lease?.task.attempt, 1);
  await house.stop();
});

test('SAM-133 a stale token is rejected and changes nothing, while the other items of the exchange apply', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('a', custom), orderOf('b', custom)]);
  const { leases } = await worker.ask(2);
  const [a, b] = leases;
  const answer = await worker.exchange({
    results: [
      { taskId: 'a' as TaskId, token: 999_999 as FencingToken, status: 'completed', output: 'forged' },
      { taskId: 'b' as TaskId, token: b?.token as FencingToken, status: 'completed', output: 'true' },
    ],
  });
  assert.deepEqual(
    answer.rejected.map(({ taskId, error }) => [taskId, error.code]),
    [['a', 'lease_lost']],
  );
  assert.equal((await taskOf(house, 'a')).state, 'running');
  assert.equal((await taskOf(house, 'b')).outcome, 'completed');
  assert.equal((await worker.complete(a, 'mine')).rejected.length, 0);
  await house.stop();
});

test('SAM-133 repeating a recorded result is confirmed, and recorded once', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('twice', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  await worker.complete(lease, 'once');
  const { version } = await taskOf(house, 'twice');
  assert.deepEqual((await worker.complete(lease, 'once')).rejected, []);
  assert.equal((await taskOf(house, 'twice')).version, version);
  await house.stop();
});

test('SAM-133 a result under the token of a lease that expired is not taken for a repetition', async () => {
  const clock = new VirtualClock();
  const { house, worker } = await setup({ clock });
  await house.engine.submit([orderOf('slow', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  await clock.advance(40_000);
  assert.equal((await worker.complete(lease, 'late')).rejected[0]?.error.code, 'lease_lost');
  assert.equal((await taskOf(house, 'slow')).outcome, null);
  const stopping = house.stop();
  await clock.advance(10_000);
  await stopping;
});

test('SAM-134 a lease not renewed within 30 s goes back to the queue within 5 s, and agent_error is recorded', async () => {
  const clock = new VirtualClock();
  const { house, worker } = await setup({ clock });
  await house.engine.submit([orderOf('dropped', custom), orderOf('held', custom)]);
  const { leases } = await worker.ask(2);
  const held = leases.find(({ task }) => task.id === 'held');
  for (let beat = 0; beat < 3; beat++) {
    await clock.advance(10_000);
    const { extensions } = await worker.beat(held);
    assert.equal(extensions[0]?.taskId, 'held');
  }
  await clock.advance(5_000);
  const dropped = await taskOf(house, 'dropped');
  assert.equal(dropped.state, 'queued');
  assert.equal((await taskOf(house, 'held')).state, 'running');
  const events = await house.store.events({ of: 'task', key: dropped.key, afterSequence: 0, limit: 50 });
  assert.ok(events.some(event => event.kind === 'agent_error' && event.agentId === 'w1'));
  const stopping = house.stop();
  await clock.advance(10_000);
  await stopping;
});

test('SAM-105 a task whose worker died keeps its checkpoint and gets a new attempt', async () => {
  const clock = new VirtualClock();
  const { house, worker } = await setup({ clock });
  await house.engine.submit([orderOf('resumed', custom)]);
  await worker.report((await worker.ask(1)).leases[0], { percentage: 30, checkpoint: 'half' });
  await clock.advance(36_000);
  const [again] = (await worker.ask(1)).leases;
  assert.equal(again?.task.checkpoint, 'half');
  assert.equal(again?.task.attempt, 2);
  const stopping = house.stop();
  await clock.advance(10_000);
  await stopping;
});

test('SAM-125 the percentage never falls within an attempt and stays under 100 until success', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('p', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  await worker.report(lease, { percentage: 60 });
  await worker.report(lease, { percentage: 20, currentStep: 'second' });
  assert.equal((await taskOf(house, 'p')).progress?.percentage, 60);
  await worker.report(lease, { percentage: 100 });
  assert.ok(((await taskOf(house, 'p')).progress?.percentage ?? 100) < 100);
  await house.stop();
});

test('SAM-34 a leased task brings the secrets it names and no others, and its log lines are masked', async () => {
  const { house, worker } = await setup({ secrets: { token: 's3cr3t-value', other: 'x' } });
  await house.engine.submit([orderOf('s', { ...custom, secretNames: ['token'] })]);
  const [lease] = (await worker.ask(1)).leases;
  assert.deepEqual(lease?.secrets, { token: 's3cr3t-value' });
  const ref = { taskId: 's' as TaskId, token: lease?.token as FencingToken };
  await worker.exchange({ logs: [{ ...ref, at: 1, level: 'INFO', message: 'using s3cr3t-value now' }] });
  await house.engine.flushJournal();
  const task = await taskOf(house, 's');
  const [line] = await house.store.logs({ key: task.key, limit: 10 });
  assert.equal(line?.message, 'using *** now');
  await house.stop();
});

test('SAM-133 what is said beside a result in the same exchange is kept', async () => {
  const { house, worker } = await setup();
  await house.engine.submit([orderOf('last-words', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  const ref = { taskId: 'last-words' as TaskId, token: lease?.token as FencingToken };
  const answer = await worker.exchange({
    logs: [{ ...ref, at: 1, level: 'INFO', message: 'almost there' }],
    progress: [{ ...ref, report: { percentage: 99 } }],
    heartbeats: [ref],
    results: [{ ...ref, status: 'completed', output: 'there' }],
  });
  assert.deepEqual([answer.rejected, answer.cancellations], [[], []]);
  await house.engine.flushJournal();
  const task = await taskOf(house, 'last-words');
  assert.equal(task.outcome, 'completed');
  const [line] = await house.store.logs({ key: task.key, limit: 10 });
  assert.equal(line?.message, 'almost there');
  await house.stop();
});

test('SAM-45 an unknown secret rejects the task and leaves a rejected outcome', async () => {
  const { house } = await setup();
  const [admission] = await house.engine.submit([orderOf('u', { ...custom, secretNames: ['nope'] })]);
  assert.equal(admission?.kind, 'rejected');
  assert.equal((await taskOf(house, 'u')).outcome, 'rejected');
  await house.stop();
});

test('SAM-174 a task goes only to a worker that has its type name and every capability it requires', async () => {
  const { house, worker } = await setup();
  const able = workAs(house, 'gpu', ['custom:work'], { capabilities: ['gpu', 'cuda12'] });
  await able.hello();
  await house.engine.submit([orderOf('g', { ...custom, requiredCapabilities: ['gpu'] })]);
  assert.deepEqual((await worker.ask(1)).leases, []);
  assert.equal((await able.ask(1)).leases[0]?.task.id, 'g');
  await house.stop();
});

test('SAM-175 an unknown type name is rejected; one whose workers are all offline is queued', async () => {
  const clock = new VirtualClock();
  const { house } = await setup({ clock });
  const [unknown] = await house.engine.submit([
    orderOf('n', { type: 'custom', typeName: 'nobody-does-this' }),
  ]);
  assert.equal(unknown?.kind, 'rejected');
  await clock.advance(120_000);
  const [queued] = await house.engine.submit([orderOf('o', custom)]);
  assert.equal(queued?.kind === 'admitted' ? queued.status : null, 'queued');
  const forecast = await house.engine.forecast(await taskOf(house, 'o'));
  assert.equal(forecast.waiting?.because, 'no_agent_online');
  const stopping = house.stop();
  await clock.advance(10_000);
  await stopping;
});

test('SAM-136 an agent unheard for 90 s is offline and a draining one gets no work', async () => {
  const clock = new VirtualClock();
  const { house, worker } = await setup({ clock });
  const healthOf = async () =>
    (await house.engine.agents(DEFAULT_TENANT)).find(({ agent }) => agent.id === 'w1')?.health;
  assert.equal(await healthOf(), 'healthy');
  await clock.advance(91_000);
  assert.equal(await healthOf(), 'offline');
  await worker.hello();
  assert.equal(await healthOf(), 'healthy');
  await house.engine.drainAgent(DEFAULT_TENANT, 'w1' as never);
  await house.engine.submit([orderOf('d', custom)]);
  assert.equal(await healthOf(), 'draining');
  assert.deepEqual((await worker.ask(1)).leases, []);
  const stopping = house.stop();
  await clock.advance(10_000);
  await stopping;
});

test('SAM-135 an agent registers by its first exchange and can be listed and removed', async () => {
  const { house, worker } = await setup();
  const names = async () => (await house.engine.agents(DEFAULT_TENANT)).map(({ agent }) => agent.id);
  assert.ok((await names()).includes('w1' as never));
  await house.engine.removeAgent(DEFAULT_TENANT, 'w1' as never);
  assert.ok(!(await names()).includes('w1' as never));
  await worker.hello();
  assert.ok((await names()).includes('w1' as never));
  await house.stop();
});
