import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type House, openHouse, orderOf, until, workAs } from '../../test/harness.ts';
import { type Handle, share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { connect } from '../../test/simulation/faults.ts';
import type { AgentId, TaskId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { TaskSpec } from '../domain/task.ts';
import { pause } from '../runtime/clock.ts';
import { type Random, systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';

const custom = { type: 'custom', typeName: 'work' } as const;

function onShared(t: TestContext) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  const open = share(truth);
  t.after(() => truth.stop());
  return {
    clock,
    truth,
    async node(id: string): Promise<House & { readonly handle: Handle }> {
      const handle = open();
      const options = { serverId: id as AgentId, slotsPerType: 0 };
      return { ...(await openHouse({ clock, store: handle.store, options })), handle };
    },
  };
}

async function alone(types = ['custom:work']) {
  const house = await openHouse({ options: { slotsPerType: 0 } });
  const worker = workAs(house, 'w1', types);
  await worker.hello();
  return {
    house,
    worker,
    submit: (id: string, key: string, limit: number, spec: Partial<TaskSpec> = {}) =>
      house.engine.submit([orderOf(id, { ...custom, concurrency: { key, limit }, ...spec })]),
    idsOf: (answer: Awaited<ReturnType<typeof worker.ask>>) => answer.leases.map(({ task }) => task.id),
  };
}

test('concurrency keys: at most `limit` tasks of a key run at once, in order of arrival, and other work passes by', async () => {
  const { house, worker, submit, idsOf } = await alone();
  for (const id of ['a', 'b', 'c']) await submit(id, 'shop', 2);
  await submit('other-key', 'bank', 1);
  await house.engine.submit([orderOf('plain', custom)]);
  const first = await worker.ask(10);
  assert.deepEqual(idsOf(first).sort(), ['a', 'b', 'other-key', 'plain']);
  assert.deepEqual(idsOf(await worker.ask(10)), []);
  await worker.complete(
    first.leases.find(({ task }) => task.id === 'b'),
    null,
  );
  assert.deepEqual(idsOf(await worker.ask(10)), ['c']);
  await house.stop();
});

test('concurrency keys: why a task waits names the key, its limit and the holders', async () => {
  const { house, worker, submit } = await alone();
  for (const id of ['a', 'b']) await submit(id, 'shop', 1);
  await worker.ask(5);
  const task = await house.engine.task(DEFAULT_TENANT, 'b' as TaskId);
  const { waiting } = await house.engine.forecast(task);
  assert.deepEqual(waiting, { because: 'concurrency', position: 1, key: 'shop', limit: 1, heldBy: ['a'] });
  const [admission] = await submit('c', 'shop', 1);
  assert.equal(admission?.kind === 'admitted' && admission.status, 'queued');
  await house.stop();
});

test('concurrency keys: a task that must run alone is not overtaken for ever by those that need not', async () => {
  const { house, worker, submit, idsOf } = await alone();
  await submit('first', 'shop', 2);
  const { leases } = await worker.ask(1);
  await submit('alone', 'shop', 1);
  // Ranks are milliseconds: a lower priority makes sure that it stands behind.
  await submit('late', 'shop', 2, { priority: 6 });
  assert.deepEqual(idsOf(await worker.ask(5)), []);
  await worker.complete(leases[0], null);
  assert.equal(idsOf(await worker.ask(1))[0], 'alone');
  await house.stop();
});

test('concurrency keys: tenants never share one, and every type of work counts', async () => {
  const { house, worker, submit, idsOf } = await alone(['custom:work', 'custom:more']);
  const neighbour = workAs(house, 'w2', ['custom:work'], { tenant: 'other' as typeof DEFAULT_TENANT });
  await neighbour.hello();
  await submit('mine', 'shop', 1);
  await submit('more', 'shop', 1, { typeName: 'more' });
  await house.engine.submit([
    orderOf('theirs', { ...custom, concurrency: { key: 'shop', limit: 1 } }, 'other'),
  ]);
  assert.deepEqual(idsOf(await worker.ask(5)), ['mine']);
  assert.deepEqual(idsOf(await neighbour.ask(5)), ['theirs']);
  await house.stop();
});

test('concurrency keys: a slow retry holds no place, and a failed attempt gives it back', async () => {
  const { house, worker, submit, idsOf } = await alone();
  const later = { ...orderOf('x').spec.retry, firstDelayMs: 3_600_000 };
  await submit('fails', 'shop', 1, { retry: later });
  await submit('next', 'shop', 1);
  const { leases } = await worker.ask(5);
  await worker.fail(leases[0], {});
  assert.deepEqual(idsOf(await worker.ask(5)), ['next']);
  await house.stop();
});

test('concurrency keys: the limit holds over nodes, and over the death of the node that was counting', async t => {
  const { clock, node } = onShared(t);
  const [a, b] = [await node('a'), await node('b')];
  const [w1, w2] = [workAs(a, 'w1', ['custom:work']), workAs(b, 'w2', ['custom:work'])];
  await Promise.all([w1.hello(), w2.hello()]);
  const concurrency = { key: 'shop', limit: 2 };
  await a.engine.submit(['1', '2', '3', '4', '5', '6'].map(id => orderOf(id, { ...custom, concurrency })));
  let running = 0;
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all([w1.ask(5), w2.ask(5)]);
    running += answers.flatMap(({ leases }) => leases).length;
    await clock.advance(1_100);
  }
  assert.equal(running, 2);
  a.handle.cut();
  await clock.advance(20_000);
  await w2.ask(0);
  assert.equal((await w2.ask(5)).leases.length <= 2, true);
  await clock.advance(40_000);
  const leases = await b.store.leases({});
  assert.equal(leases.filter(({ expired }) => !expired).length <= 2, true);
});

test('concurrency keys: whoever was stopped between counting and claiming gives back what it claimed', async t => {
  const { clock, node, truth } = onShared(t);
  const a = await node('a');
  const w1 = workAs(a, 'w1', ['custom:work']);
  await w1.hello();
  await a.engine.submit([orderOf('1', { ...custom, concurrency: { key: 'shop', limit: 1 } })]);
  const claim = truth.claim.bind(truth);
  let stolen = false;
  truth.claim = async picks => {
    const answers = await claim(picks);
    const [held] = await truth.documents({ kind: 'concurrency' });
    if (held !== undefined && !stolen) {
      stolen = true;
      const { tenant, kind, id, body } = held;
      await truth.putDocuments([{ tenant, kind, id, body: { ...body, node: 'b' } }]);
    }
    return answers;
  };
  assert.deepEqual((await w1.ask(1)).leases, []);
  assert.equal(stolen, true);
  await clock.advance(30_000);
  assert.equal((await until(a, '1', task => task.state === 'queued')).lease, null);
  assert.equal((await w1.ask(1)).leases.length, 1);
});

test('concurrency keys: over nodes many keys that are taken do not hide the one that has room', async t => {
  const { node } = onShared(t);
  const a = await node('a');
  const w1 = workAs(a, 'w1', ['custom:work'], { capabilities: [] });
  await w1.hello();
  const keyed = (id: string, key: string) =>
    orderOf(id, { ...custom, concurrency: { key, limit: 1 }, priority: id === 'last' ? 6 : 5 });
  const keys = Array.from({ length: 12 }, (_, n) => `key-${n}`);
  await a.engine.submit(keys.map(key => keyed(`first of ${key}`.replaceAll(' ', '-'), key)));
  assert.equal((await w1.ask(20)).leases.length, 12);
  await a.engine.submit([...keys.map((key, n) => keyed(`second-${n}`, key)), keyed('last', 'free')]);
  const { leases } = await w1.ask(1);
  assert.deepEqual(
    leases.map(({ task }) => task.id),
    ['last'],
  );
});

for (const seed of [1, 2, 3]) {
  test(`concurrency keys: while commits fail, answers are lost and servers die no more run than may, and all end (seed ${seed})`, async t => {
    const clock = new VirtualClock();
    const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
    t.after(() => truth.stop());
    let state = seed;
    const random: Random = {
      ...systemRandom,
      fraction() {
        state = (state * 16_807) % 2_147_483_647;
        return state / 2_147_483_647;
      },
    };
    const limit = 2;
    const ids = Array.from({ length: 12 }, (_, n) => `t${n}`);
    const retry = { ...orderOf('x').spec.retry, attemptsMax: 50 };
    const orders = ids.map(id => orderOf(id, { concurrency: { key: 'shop', limit }, retry }));
    let most = 0;
    for (let life = 0; life < 4; life++) {
      const faults = { refused: 0, lost: 0, delayMsMax: 0, hintsLost: 0 };
      const wire = connect(truth, clock, random, faults);
      const house = await openHouse({
        clock,
        store: wire.store,
        options: { leaseMs: 3_000, slotsPerType: 4 },
        run: async () => {
          await pause(clock, 300);
          return { status: 'completed', output: null };
        },
      });
      if (life === 0) await house.engine.submit(orders);
      const calm = life === 3;
      Object.assign(faults, calm ? {} : { refused: 0.1, lost: 0.1, delayMsMax: 20 });
      for (let step = 0; step < (calm ? 200 : 15); step++) {
        await clock.advance(100);
        most = Math.max(most, (await truth.leases({})).length);
      }
      wire.cut();
    }
    const tasks = await truth.read(ids.map(id => ({ tenant: DEFAULT_TENANT, id: id as TaskId })));
    assert.deepEqual(
      tasks.map(task => task?.outcome),
      ids.map(() => 'completed'),
    );
    assert.equal(most, limit);
  });
}
