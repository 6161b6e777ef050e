// Quotas of what is held at once, over several nodes on one store.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type House, openHouse, orderOf, workAs } from '../../test/harness.ts';
import { type Handle, share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { type AgentId, DEFAULT_TENANT } from '../domain/ids.ts';
import type { TaskSpec } from '../domain/task.ts';
import { silentLog } from '../runtime/log.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import { MASTER_KEY } from './fixture.test.ts';
import { createGuards, type Guards } from './guards.ts';
import type { QuotaPlan } from './quota-plan.ts';

const work = { type: 'custom', typeName: 'work' } as const;

interface Node {
  readonly house: House;
  readonly guards: Guards;
  readonly handle: Handle;
  readonly worker: ReturnType<typeof workAs>;
  submit(id: string, spec?: Partial<TaskSpec>): Promise<string | undefined>;
  used(): number | undefined;
}

function setup(t: TestContext, plan: QuotaPlan) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  const open = share(truth);
  t.after(() => truth.stop());
  const node = async (id: string): Promise<Node> => {
    const handle = open();
    const guards = createGuards(silentLog, clock, systemRandom, handle.store, { masterKey: MASTER_KEY });
    await guards.tenants.start();
    await guards.tenants.update(DEFAULT_TENANT, { options: { quotas: plan } });
    await guards.quotas.start();
    const house = await openHouse({
      clock,
      store: handle.store,
      quotas: guards.quotas,
      options: { serverId: id as AgentId, slotsPerType: 0 },
    });
    const worker = workAs(house, `worker of ${id}`, ['custom:work']);
    await worker.hello();
    return {
      ...{ house, guards, handle, worker },
      async submit(task, spec = {}) {
        const [admission] = await house.engine.submit([orderOf(task, { ...work, ...spec })]);
        return admission?.kind === 'refused' ? admission.error.code : admission?.kind;
      },
      used: () => guards.quotas.standing(DEFAULT_TENANT, { credential: 'key:one' })[0]?.used.concurrent_tasks,
    };
  };
  return { clock, node };
}

test('SAM-119 a tenant that queues runs no more at once than its quota over all nodes, within 2 s', async t => {
  const { clock, node } = setup(t, { tenant: { policy: 'queue', limits: { concurrent_tasks: 2 } } });
  const [a, b] = [await node('a'), await node('b')];
  for (const id of ['1', '2', '3', '4']) await a.submit(id);
  const [lease] = (await a.worker.ask(1)).leases;
  await clock.advance(2_000);
  assert.equal((await b.worker.ask(5)).leases.length, 1);
  await clock.advance(2_000);
  assert.deepEqual([(await a.worker.ask(5)).leases.length, (await b.worker.ask(5)).leases.length], [0, 0]);
  assert.deepEqual([a.used(), b.used()], [2, 2]);
  // Begun at one node, ended at another: there is room again at both.
  await workAs(b.house, 'worker of a', ['custom:work']).complete(lease, null);
  await clock.advance(2_000);
  assert.deepEqual([a.used(), b.used()], [1, 1]);
  assert.equal((await a.worker.ask(5)).leases.length, 1);
});

test('SAM-119 a tenant’s memory counts over all nodes', async t => {
  const { clock, node } = setup(t, { tenant: { policy: 'queue', limits: { memory_mb: 1_000 } } });
  const [a, b] = [await node('a'), await node('b')];
  for (const id of ['1', '2', '3']) await a.submit(id, { resources: { memoryMb: 400 } });
  await a.worker.ask(1);
  await clock.advance(2_000);
  assert.equal((await b.worker.ask(5)).leases.length, 1);
});

test('SAM-119 a tenant that refuses admits no more than its quota over all nodes, wherever its tasks end', async t => {
  const { clock, node } = setup(t, { tenant: { policy: 'refuse', limits: { concurrent_tasks: 3 } } });
  const [a, b] = [await node('a'), await node('b')];
  assert.deepEqual(
    [await a.submit('1'), await a.submit('2'), await b.submit('3')],
    Array(3).fill('admitted'),
  );
  await clock.advance(2_000);
  assert.deepEqual([await a.submit('4'), await b.submit('5')], ['rate_limited', 'rate_limited']);
  assert.equal(await b.submit('1'), 'admitted', 'the same order again');
  const [lease] = (await b.worker.ask(1)).leases;
  await b.worker.complete(lease, null);
  await clock.advance(2_000);
  assert.deepEqual([a.used(), b.used()], [2, 2]);
  assert.equal(await a.submit('6'), 'admitted');
  await clock.advance(2_000);
  assert.equal(await b.submit('7'), 'rate_limited');
});

test('SAM-119 what a node that died or left had admitted still counts, until it ends', async t => {
  for (const how of ['dies', 'leaves', 'is replaced']) {
    const { clock, node } = setup(t, { tenant: { policy: 'refuse', limits: { concurrent_tasks: 2 } } });
    const [a, b] = [await node('a'), await node('b')];
    await a.submit('1');
    await a.submit('2');
    await clock.advance(2_000);
    if (how === 'leaves') await a.guards.quotas.stop();
    a.handle.cut();
    if (how === 'is replaced') await node('c');
    await clock.advance(60_000);
    assert.deepEqual([b.used(), await b.submit('3')], [2, 'rate_limited'], how);
    for (const lease of (await b.worker.ask(2)).leases) await b.worker.complete(lease, null);
    await clock.advance(60_000);
    assert.deepEqual([b.used(), await b.submit('4')], [0, 'admitted'], how);
  }
});

test('SAM-119 a node that was paused counts what happened meanwhile', async t => {
  const { clock, node } = setup(t, { tenant: { policy: 'refuse', limits: { concurrent_tasks: 2 } } });
  const [a, b] = [await node('a'), await node('b')];
  await a.submit('1');
  await a.submit('2');
  await clock.advance(2_000);
  a.handle.freeze();
  await clock.advance(60_000);
  for (const lease of (await b.worker.ask(2)).leases) await b.worker.complete(lease, null);
  await clock.advance(60_000);
  a.handle.thaw();
  await clock.advance(3_000);
  assert.deepEqual([a.used(), b.used()], [0, 0]);
});

test('SAM-119 what tasks used up at one node is used up at all, within 10 s', async t => {
  const { clock, node } = setup(t, { tenant: { policy: 'refuse', limits: { cpu_seconds_per_day: 5 } } });
  const [a, b] = [await node('a'), await node('b')];
  assert.deepEqual([await b.submit('1'), await a.submit('2')], ['admitted', 'admitted']);
  const [lease] = (await a.worker.ask(1)).leases;
  await clock.advance(6_000);
  await a.worker.complete(lease, null);
  assert.deepEqual([await a.submit('3'), await b.submit('4')], ['rate_limited', 'admitted']);
  await clock.advance(10_000);
  assert.equal(await b.submit('5'), 'rate_limited');
});

test('nodes without such quotas tell each other nothing', async t => {
  const { clock, node } = setup(t, { tenant: { policy: 'refuse', limits: { cost_per_day: 5 } } });
  const a = await node('a');
  await a.submit('1');
  await clock.advance(5_000);
  assert.deepEqual(await a.handle.store.documents({ kind: 'quota_admitted' }), []);
});
