import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HouseOptions, openHouse, orderOf, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { type AgentId, DEFAULT_TENANT, type TaskId, type TenantId } from '../domain/ids.ts';
import { RETRY_POLICIES, type RetryPolicy } from '../domain/retry.ts';
import type { TaskSpec } from '../domain/task.ts';

const custom = { type: 'custom', typeName: 'work' } as const;

async function setup(choice: HouseOptions = {}) {
  const house = await openHouse({ ...choice, options: { slotsPerType: 0, ...choice.options } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  const submit = (id: string, spec: Partial<TaskSpec> = {}) =>
    house.engine.submit([orderOf(id, { ...custom, ...spec })]);
  const next = async () => {
    const [lease] = (await worker.ask(1)).leases;
    if (lease !== undefined) await worker.complete(lease, null);
    return lease?.task.id;
  };
  return { house, worker, submit, next };
}

test('SAM-110 in a tenant a more urgent task goes first, equals by arrival', async () => {
  const { house, submit, next } = await setup();
  await submit('normal-1');
  await submit('low', { priority: 8 });
  await submit('normal-2');
  await submit('critical', { priority: 0 });
  assert.deepEqual(
    [await next(), await next(), await next(), await next()],
    ['critical', 'normal-1', 'normal-2', 'low'],
  );
  await house.stop();
});

test('who waits for a task asks for it before it is stored, so that one wait for the disk serves both; of a store elsewhere after it', async t => {
  const { house, worker, submit } = await setup();
  const { store } = house;
  const [keep, claim] = [store.submit.bind(store), store.claim.bind(store)];
  await submit('first');
  const [first] = (await worker.ask(1)).leases;
  const asked: string[] = [];
  t.mock.method(store, 'submit', async (...given: Parameters<typeof keep>) => {
    asked.push('submit');
    const answer = await keep(...given);
    await new Promise(setImmediate);
    asked.push('stored');
    return answer;
  });
  t.mock.method(store, 'claim', (...picks: Parameters<typeof claim>) => {
    asked.push('claim');
    return claim(...picks);
  });
  const waiting = worker.exchange({ slots: 1, waitMs: 10_000 });
  const admitted = await submit('second');
  assert.equal((await waiting).leases[0]?.task.id, 'second');
  assert.equal(admitted[0]?.kind === 'admitted' && admitted[0].status, 'accepted');
  const order = store.capabilities.shared ? ['submit', 'stored', 'claim'] : ['submit', 'claim', 'stored'];
  assert.deepEqual(asked.slice(asked.indexOf('submit')).slice(0, 3), order);
  await worker.complete(first, null);
  await house.stop();
});

test('SAM-54 an agent runs at most 100 tasks at once and the 101st waits', async () => {
  const { house, worker } = await setup();
  await house.engine.submit(Array.from({ length: 101 }, (_, n) => orderOf(`t${n}`, custom)));
  const { leases } = await worker.ask(500);
  assert.equal(leases.length, 100);
  assert.deepEqual((await worker.ask(500)).leases, []);
  await worker.complete(leases[0], null);
  assert.equal((await worker.ask(500)).leases.length, 1);
  await house.stop();
});

test('SAM-111 tenants share a pool of workers by weight within 5 %, whatever their priorities', async () => {
  const taken: string[] = [];
  const gate = Promise.withResolvers<void>();
  const house = await openHouse({
    weights: { gold: 3, plain: 1 },
    options: { slotsPerType: 4 },
    async run(context) {
      await gate.promise;
      taken.push(context.task.tenant);
      return { status: 'completed', output: null };
    },
  });
  const orders = (tenant: string, priority: 0 | 9) =>
    Array.from({ length: 400 }, (_, n) => orderOf(`${tenant}-${n}`, { priority }, tenant));
  await house.engine.submit([...orders('plain', 0), ...orders('gold', 9)]);
  gate.resolve();
  while (taken.length < 400) await new Promise(resolve => setImmediate(resolve));
  const gold = taken.slice(0, 400).filter(tenant => tenant === 'gold').length;
  assert.ok(Math.abs(gold / 400 - 0.75) < 0.05, `gold got ${gold} of 400`);
  await house.stop();
});

test('SAM-111 a busy pool of workers does not starve a tenant of a slow one', async () => {
  const slow: string[] = [];
  const house = await openHouse({
    types: ['code_execution', 'data_processing'],
    options: { slotsPerType: 1 },
    async run({ task }) {
      if (task.spec.type === 'data_processing') slow.push(task.tenant);
      return { status: 'completed', output: null };
    },
  });
  const orders = (tenant: string, type: 'code_execution' | 'data_processing', count: number) =>
    Array.from({ length: count }, (_, n) => orderOf(`${tenant}-${n}`, { type }, tenant));
  await house.engine.submit([...orders('a', 'code_execution', 300), ...orders('b', 'code_execution', 300)]);
  await house.engine.submit([...orders('c', 'data_processing', 40), ...orders('d', 'data_processing', 40)]);
  while (slow.length < 40) await new Promise(resolve => setImmediate(resolve));
  const c = slow.slice(0, 40).filter(tenant => tenant === 'c').length;
  assert.ok(Math.abs(c - 20) <= 1, `c got ${c} of 40`);
  await house.stop();
});

test('SAM-111 an orchestrator holding over half of the busy slots is passed over while another waits', async () => {
  const { house, worker, submit } = await setup();
  for (let n = 0; n < 10; n++)
    await submit(`greedy-${n}`, { requester: { agentId: 'greedy' as AgentId }, priority: 0 });
  for (let n = 0; n < 4; n++)
    await submit(`modest-${n}`, { requester: { agentId: 'modest' as AgentId }, priority: 9 });
  const { leases } = await worker.ask(8);
  const modest = leases.filter(({ task }) => task.spec.requester.agentId === 'modest').length;
  assert.ok(modest >= 3, `modest got ${modest} of 8`);
  await house.stop();
});

test('SAM-112 a task that fits passes a bigger one that does not fit now', async () => {
  const { house, submit } = await setup();
  const small = workAs(house, 'small', ['custom:work'], { capacity: { memoryMb: 1_000 } });
  await small.hello();
  await submit('first', { resources: { memoryMb: 600 } });
  assert.equal((await small.ask(1)).leases[0]?.task.id, 'first');
  await submit('big', { resources: { memoryMb: 600 } });
  await submit('fits', { resources: { memoryMb: 300 } });
  assert.equal((await small.ask(1)).leases[0]?.task.id, 'fits');
  await house.stop();
});

test('SAM-116 reservations never exceed what an agent has, and end with the attempt', async () => {
  const { house, submit } = await setup();
  const small = workAs(house, 'small', ['custom:work'], { capacity: { memoryMb: 1_000, cpuCores: 2 } });
  await small.hello();
  for (let n = 0; n < 5; n++) await submit(`m${n}`, { resources: { memoryMb: 400, cpuCores: 0.5 } });
  const { leases } = await small.ask(5);
  assert.equal(leases.length, 2);
  const view = (await house.engine.agents(DEFAULT_TENANT)).find(({ agent }) => agent.id === 'small');
  assert.equal(view?.free.memoryMb, 200);
  await small.complete(leases[0], null);
  const after = (await house.engine.agents(DEFAULT_TENANT)).find(({ agent }) => agent.id === 'small');
  assert.equal(after?.free.memoryMb, 600);
  await house.stop();
});

test('SAM-115 a task larger than any agent in all is rejected; one that fits later is queued', async () => {
  const { house, submit } = await setup();
  await house.engine.removeAgent(DEFAULT_TENANT, 'w1' as AgentId);
  const small = workAs(house, 'small', ['custom:work'], { capacity: { memoryMb: 1_000 } });
  await small.hello();
  const [never] = await submit('never', { resources: { memoryMb: 2_000 } });
  assert.equal(never?.kind, 'rejected');
  const [later] = await submit('later', { resources: { memoryMb: 900 } });
  assert.equal(later?.kind, 'admitted');
  await house.stop();
});

test('SAM-113 of two asking agents the less loaded is served first', async () => {
  const { house, worker, submit } = await setup();
  const idle = workAs(house, 'idle', ['custom:work']);
  await idle.hello();
  await submit('a');
  await worker.ask(1);
  const busyAsk = worker.exchange({ slots: 1, waitMs: 200 });
  const idleAsk = idle.exchange({ slots: 1, waitMs: 200 });
  await submit('b');
  assert.deepEqual((await busyAsk).leases, []);
  assert.equal((await idleAsk).leases[0]?.task.id, 'b');
  await house.stop();
});

test('SAM-114 the position and the reason follow the live queue', async () => {
  const { house, worker, submit } = await setup();
  for (const id of ['a', 'b', 'c']) await submit(id);
  const forecastOf = async (id: string) =>
    house.engine.forecast(await house.engine.task(DEFAULT_TENANT, id as TaskId));
  assert.equal((await forecastOf('c')).queuePosition, 3);
  await submit('urgent', { priority: 0 });
  assert.equal((await forecastOf('c')).queuePosition, 4);
  await worker.ask(2);
  const { queuePosition, waiting } = await forecastOf('c');
  assert.equal(queuePosition, 2);
  assert.equal(waiting?.because, 'no_free_slot');
  await house.stop();
});

test('SAM-5 a worker never gets another tenant’s task', async () => {
  const { house, worker } = await setup();
  const theirs = workAs(house, 'x1', ['custom:work'], { tenant: 'other' as TenantId });
  await theirs.hello();
  await house.engine.submit([orderOf('secret', custom, 'other')]);
  assert.deepEqual((await worker.ask(5)).leases, []);
  assert.equal((await theirs.ask(5)).leases[0]?.task.id, 'secret');
  await house.stop();
});

test('SAM-113 of two equally loaded agents the one that ran such a task lately goes first, before the one that fails less', async () => {
  const clock = new VirtualClock();
  const house = await openHouse({ clock, options: { slotsPerType: 0 } });
  const [cold, warm] = ['cold', 'warm'].map(name => workAs(house, name, ['custom:work', 'custom:other']));
  if (cold === undefined || warm === undefined) throw new Error('there are two workers');
  const submit = (id: string, typeName: string, retry?: RetryPolicy) =>
    house.engine.submit([
      orderOf(id, { type: 'custom', typeName, ...(retry === undefined ? {} : { retry }) }),
    ]);
  for (const worker of [cold, warm]) await worker.hello();
  await submit('a', 'work', { ...RETRY_POLICIES.fixed, attemptsMax: 1 });
  await warm.fail((await warm.ask(1)).leases[0], { recoverable: false });
  await submit('b', 'other');
  await cold.complete((await cold.ask(1)).leases[0], 1);
  const race = async (id: string, typeName: string) => {
    const asks = [cold, warm].map(worker => worker.exchange({ slots: 1, waitMs: 200 }));
    await submit(id, typeName);
    await clock.advance(1_000);
    const answers = await Promise.all(asks);
    for (const [index, { leases }] of answers.entries())
      if (leases[0] !== undefined) await [cold, warm][index]?.complete(leases[0], 1);
    return answers.map(({ leases }) => leases.length);
  };
  assert.deepEqual(await race('c', 'work'), [0, 1]);
  assert.deepEqual(await race('d', 'other'), [1, 0]);
  await clock.advance(11 * 60_000);
  for (const worker of [cold, warm]) await worker.hello();
  assert.deepEqual(await race('e', 'work'), [1, 0], 'neither is warm any more');
  const stopping = house.stop();
  await clock.advance(10_000);
  await stopping;
});
