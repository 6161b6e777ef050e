// Canaries on real nodes over one store: what they get, what becomes of their share when they are worse, and who is told.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type House, openHouse, orderOf, workAs } from '../../test/harness.ts';
import { type Handle, share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import type { AgentId, TaskId, TenantId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import type { AttemptContext, AttemptResult } from './ports/executor.ts';

const ACME = 'acme' as TenantId;

interface Node extends House {
  readonly handle: Handle;
  readonly id: AgentId;
}

function setup(t: TestContext) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  const open = share(truth);
  t.after(() => truth.stop());
  let submitted = 0;
  return {
    clock,
    /** A node of that name; a canary where it is named so. Its tasks give its name unless told otherwise. */
    async node(
      id: 'canary' | 'rest' | 'third',
      run: (context: AttemptContext) => Promise<AttemptResult> = completes(id),
      extra: { readonly labels?: readonly string[] } = id === 'canary' ? { labels: ['canary'] } : {},
    ): Promise<Node> {
      const handle = open();
      const options = { serverId: id as AgentId, slotsPerType: 50, ...extra };
      const house = await openHouse({ clock, store: handle.store, run, options });
      return { ...house, handle, id: id as AgentId };
    },
    /** Hands in so many tasks, waits until they ended, and answers how many each node ran. */
    async run(house: House, count: number, tenant = DEFAULT_TENANT): Promise<Record<string, number>> {
      const ids: TaskId[] = [];
      for (let rest = count; rest > 0; rest -= 25) {
        const orders = Array.from({ length: Math.min(25, rest) }, () =>
          orderOf(`t${submitted++}`, { retry: { ...orderOf('').spec.retry, attemptsMax: 1 } }, tenant),
        );
        ids.push(...orders.map(order => order.id));
        await house.engine.submit(orders);
        await clock.advance(300);
      }
      await clock.advance(5_000);
      const by: Record<string, number> = {};
      for (const id of ids) {
        const { agentId, outcome } = await house.engine.task(tenant, id);
        const who = outcome === null ? 'nobody' : String(agentId);
        by[who] = (by[who] ?? 0) + 1;
      }
      return by;
    },
  };
}

const completes = (output: string) => async (): Promise<AttemptResult> => ({ status: 'completed', output });
const fails = async (): Promise<AttemptResult> => ({
  status: 'failed',
  error: { code: 'task_failed', message: 'as the test asked', recoverable: false },
});

test('SAM-228 of two nodes the one labelled canary gets its share of the tasks and the other the rest', async t => {
  const { clock, node, run } = setup(t);
  const [rest, canary] = [await node('rest'), await node('canary')];
  await clock.advance(3_000);
  assert.deepEqual(await run(rest, 50), { rest: 50 });
  await rest.engine.setCanaries({ share: 0.2, tenants: [] }, 'admin');
  await clock.advance(3_000);
  assert.equal(canary.engine.canaries().share, 0.2);
  for (const at of [rest, canary]) {
    const by = await run(at, 500);
    assert.equal((by.rest ?? 0) + (by.canary ?? 0), 500);
    // Of 500 draws at a fifth: four standard deviations either way.
    assert.ok((by.canary ?? 0) > 64 && (by.canary ?? 0) < 136, JSON.stringify(by));
  }
});

test('SAM-228 a named tenant’s tasks go to the canaries and no other tenant’s do', async t => {
  const { clock, node, run } = setup(t);
  const [rest] = [await node('rest'), await node('canary')];
  await clock.advance(3_000);
  await rest.engine.setCanaries({ share: 0, tenants: [ACME] }, 'admin');
  await clock.advance(3_000);
  assert.deepEqual(await run(rest, 50, ACME), { canary: 50 });
  assert.deepEqual(await run(rest, 50), { rest: 50 });
});

test('SAM-228 a canary that fails more often than the rest loses its share on all nodes, one alert says so, and its tasks run elsewhere', async t => {
  const { clock, node, run } = setup(t);
  const [rest, canary] = [await node('rest'), await node('canary', fails)];
  await clock.advance(3_000);
  await canary.engine.setCanaries({ share: 0.3, tenants: [ACME] }, 'admin');
  await clock.advance(3_000);
  const before = await run(rest, 300);
  assert.ok((before.canary ?? 0) >= 20, JSON.stringify(before));
  await clock.advance(6_000);
  for (const one of [rest, canary]) {
    const { share, tenants, stopped } = one.engine.canaries();
    assert.deepEqual([share, tenants, stopped?.because], [0, [], 'error_rate']);
    assert.deepEqual([stopped?.share, stopped?.tenants, stopped?.canary.errorRate], [0.3, [ACME], 1]);
    assert.equal(stopped?.rest.errorRate, 0);
  }
  await clock.advance(60_000);
  const told = [...rest.alerts, ...canary.alerts];
  assert.deepEqual(
    told.map(({ name, detail }) => [name, detail.because]),
    [['canary_stopped', 'error_rate']],
  );
  assert.deepEqual([await run(canary, 100), await run(canary, 20, ACME)], [{ rest: 100 }, { rest: 20 }]);
  await rest.engine.setCanaries({ share: 1, tenants: [] }, 'admin');
  await clock.advance(3_000);
  assert.deepEqual(await run(rest, 10), { canary: 10 });
});

test('SAM-228 a canary that takes longer than the rest loses its share', async t => {
  const { clock, node, run } = setup(t);
  const takes = (ms: number) => async (): Promise<AttemptResult> => {
    await new Promise<void>(resolve => clock.after(ms, resolve));
    return { status: 'completed', output: null };
  };
  const [rest] = [await node('rest', takes(100)), await node('canary', takes(400))];
  await clock.advance(3_000);
  await rest.engine.setCanaries({ share: 0.3, tenants: [] }, 'admin');
  await clock.advance(3_000);
  await run(rest, 300);
  await clock.advance(6_000);
  const { share, stopped } = rest.engine.canaries();
  assert.deepEqual([share, stopped?.because], [0, 'latency']);
  assert.ok(
    (stopped?.canary.p95Ms ?? 0) >= 400 && (stopped?.rest.p95Ms ?? 999) < 130,
    JSON.stringify(stopped),
  );
});

test('SAM-228 a canary that is no worse keeps its share', async t => {
  const { clock, node, run } = setup(t);
  const [rest] = [await node('rest'), await node('canary')];
  await clock.advance(3_000);
  await rest.engine.setCanaries({ share: 0.5, tenants: [] }, 'admin');
  await clock.advance(3_000);
  await run(rest, 300);
  await clock.advance(6_000);
  assert.deepEqual([rest.engine.canaries().share, rest.alerts], [0.5, []]);
});

test('SAM-228 what a canary ran when it died counts against it, and the judge may die between verdict and alert', async t => {
  const { clock, node } = setup(t);
  const forever = ({ signal }: AttemptContext): Promise<AttemptResult> =>
    new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
  const [rest, canary] = [await node('rest'), await node('canary', forever)];
  await clock.advance(3_000);
  await rest.engine.setCanaries({ share: 0.5, tenants: [] }, 'admin');
  await clock.advance(3_000);
  await rest.engine.submit(Array.from({ length: 80 }, (_, at) => orderOf(`t${at}`)));
  await clock.advance(2_000);
  canary.handle.cut();
  const third = await node('third');
  await clock.advance(20_000);
  assert.equal(rest.engine.canaries().stopped?.because, 'error_rate');
  const view = rest.engine.canaries();
  // As it would stand had whoever took the share away died before it could say so.
  const stopped = view.stopped === null ? null : { ...view.stopped, told: false };
  const body = JSON.parse(JSON.stringify({ ...view, stopped }));
  await third.handle.store.putDocuments([{ tenant: DEFAULT_TENANT, kind: 'canary', id: 'settings', body }]);
  rest.handle.cut();
  await clock.advance(15_000);
  assert.deepEqual(
    third.alerts.map(({ name }) => name),
    ['canary_stopped'],
  );
});

test('SAM-228 tasks drawn for canaries run elsewhere where no canary has room, and nobody’s wait for want of others', async t => {
  const { clock, node, run } = setup(t);
  const rest = await node('rest');
  await rest.engine.setCanaries({ share: 1, tenants: [] }, 'admin');
  await clock.advance(3_000);
  assert.deepEqual(await run(rest, 10), { rest: 10 });
  await rest.engine.setCanaries({ share: 0, tenants: [] }, 'admin');
  await rest.engine.stop();
  const canary = await node('canary');
  await clock.advance(10_000);
  assert.deepEqual(await run(canary, 10), { canary: 10 });
});

test('SAM-228 a worker labelled canary, alone with its store, gets its share and loses it', async t => {
  const clock = new VirtualClock();
  const house = await openHouse({ clock });
  t.after(() => house.stop());
  const types = ['custom:x'];
  const [tried, other] = [workAs(house, 'new', types, { labels: ['canary'] }), workAs(house, 'old', types)];
  await tried.hello();
  await other.hello();
  await house.engine.setCanaries({ share: 0.5, tenants: [] }, 'admin');
  const order = (at: number) =>
    orderOf(`t${at}`, {
      type: 'custom',
      typeName: 'x',
      retry: { ...orderOf('').spec.retry, attemptsMax: 1 },
    });
  await house.engine.submit(Array.from({ length: 100 }, (_, at) => order(at)));
  const mine = (await tried.ask(100)).leases;
  assert.ok(mine.length > 25 && mine.length < 75, String(mine.length));
  for (const lease of mine) await tried.fail(lease, {});
  for (const lease of (await other.ask(100)).leases) await other.complete(lease, null);
  await clock.advance(3_000);
  assert.equal(house.engine.canaries().stopped?.because, 'error_rate');
  assert.deepEqual(house.alerts.length, 1);
  await house.engine.submit(Array.from({ length: 20 }, (_, at) => order(1_000 + at)));
  assert.equal((await tried.ask(100)).leases.length, 0);
  assert.equal((await other.ask(100)).leases.length, 20);
});
