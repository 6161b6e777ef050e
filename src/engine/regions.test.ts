// Where tasks run when they may run in several regions: where they prefer to be, where there is room, and nowhere that is forbidden.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type House, openHouse, orderOf, workAs } from '../../test/harness.ts';
import { share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import type { AgentId, TaskId, TenantId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import type { AttemptContext, AttemptResult } from './ports/executor.ts';

const X = { type: 'custom', typeName: 'x' } as const;

function setup(t: TestContext) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  const open = share(truth);
  t.after(() => truth.stop());
  /** The regions that tenants' tasks may run in. */
  const residency = new Map<string, readonly string[]>();
  return {
    clock,
    residency,
    /** A node of a region, which its tasks give as their output; four slots. */
    node(region: string | null, run?: (context: AttemptContext) => Promise<AttemptResult>): Promise<House> {
      return openHouse({
        clock,
        store: open().store,
        run: run ?? (async () => ({ status: 'completed', output: region })),
        regions: tenant => residency.get(tenant),
        options: {
          serverId: `node-${region ?? 'nowhere'}` as AgentId,
          ...(region === null ? {} : { region }),
        },
      });
    },
  };
}

const forever = ({ signal }: AttemptContext): Promise<AttemptResult> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

async function outputOf(house: House, id: string, tenant: string = DEFAULT_TENANT): Promise<unknown> {
  const task = await house.engine.task(tenant as TenantId, id as TaskId);
  return task.result?.output ?? task.state;
}

function register(house: House, id: string, region: string | undefined, slots = 10) {
  return house.engine.registerAgent({
    ...{ tenant: DEFAULT_TENANT, id: id as AgentId, kind: 'worker', types: ['custom:x'], capabilities: [] },
    ...{ slots, capacity: {}, ...(region === undefined ? {} : { region }) },
  });
}

test('SAM-225 a task that names no region runs where it was handed in, one that prefers a region runs there, of two nodes with room', async t => {
  const { clock, node } = setup(t);
  const [east, west] = [await node('east'), await node('west')];
  await clock.advance(3_000);
  for (let number = 0; number < 10; number++) {
    await east.engine.submit([orderOf(`e${number}`), orderOf(`ew${number}`, { preferredRegion: 'west' })]);
    await west.engine.submit([orderOf(`w${number}`)]);
    await clock.advance(500);
  }
  for (let number = 0; number < 10; number++) {
    const outputs = [`e${number}`, `ew${number}`, `w${number}`].map(id => outputOf(east, id));
    assert.deepEqual(await Promise.all(outputs), ['east', 'west', 'west'], `of round ${number}`);
  }
});

test('SAM-225 what the preferred region has no room for, or no agent, runs elsewhere', async t => {
  const { clock, node } = setup(t);
  const [east, west] = [await node('east', forever), await node('west')];
  await clock.advance(3_000);
  await east.engine.submit(Array.from({ length: 10 }, (_, at) => orderOf(`t${at}`)));
  await west.engine.submit([orderOf('north', { preferredRegion: 'north' })]);
  await clock.advance(50);
  assert.equal(await outputOf(east, 'north'), 'west');
  await clock.advance(6_000);
  const outputs = await Promise.all(Array.from({ length: 10 }, (_, at) => outputOf(east, `t${at}`)));
  assert.deepEqual(outputs.toSorted(), [...Array(4).fill('running'), ...Array(6).fill('west')]);
});

test('SAM-225 what many requesters want of a region with room for few runs elsewhere at once', async t => {
  const { clock, node } = setup(t);
  const house = await node('east');
  await register(house, 'near', 'east', 2);
  await register(house, 'far', 'west');
  const ids = ['1', '2', '3', '4', '5'];
  await house.engine.submit(
    ids.map(id => orderOf(id, { ...X, requester: { agentId: `requester-${id}` as AgentId } })),
  );
  const far = workAs(house, 'far', ['custom:x'], { region: 'west' });
  assert.ok((await far.ask(3)).leases.length > 0);
  await clock.advance(100);
  const rest = await workAs(house, 'near', ['custom:x'], { region: 'east' }).ask(2);
  assert.equal(rest.leases.length, 2);
});

test('SAM-225 an agent of the preferred region that has room but takes nothing holds up one task for seconds, not all', async t => {
  const { clock, node } = setup(t);
  const house = await node('east');
  await register(house, 'idler', 'east');
  await register(house, 'other', 'west');
  const other = workAs(house, 'other', ['custom:x'], { region: 'west' });
  for (const id of ['1', '2', '3']) await house.engine.submit([orderOf(id, X)]);
  const polling = other.exchange({ slots: 1, waitMs: 20_000 });
  let got: readonly string[] = [];
  void polling.then(({ leases }) => {
    got = leases.map(({ task }) => task.id);
  });
  await clock.advance(2_500);
  assert.deepEqual(got, []);
  await clock.advance(2_500);
  assert.deepEqual(got, ['1']);
  assert.equal((await other.ask(5)).leases.length, 2);
});

test('SAM-225 the agent of the preferred region gets the task though another asked first', async t => {
  const { clock, node } = setup(t);
  const house = await node('east');
  await register(house, 'near', 'east');
  await register(house, 'far', 'west');
  const ask = (id: string, region: string) =>
    workAs(house, id, ['custom:x'], { region }).exchange({ slots: 1, waitMs: 2_000 });
  const [far, near] = [ask('far', 'west'), ask('near', 'east')];
  await clock.advance(100);
  await house.engine.submit([orderOf('x', X)]);
  await clock.advance(2_500);
  assert.deepEqual([(await far).leases.length, (await near).leases[0]?.task.id], [0, 'x']);
});

test('SAM-225 a tenant’s residency refuses a task bound elsewhere, and lets its tasks run in its regions alone', async t => {
  const { clock, node, residency } = setup(t);
  residency.set('acme', ['west']);
  const [east, west, nowhere] = [await node('east'), await node('west'), await node(null)];
  await clock.advance(3_000);
  const [bound] = await west.engine.submit([orderOf('bound', { region: 'east' }, 'acme')]);
  assert.ok(bound?.kind === 'rejected');
  assert.equal(bound.error.code, 'policy_violation');
  assert.deepEqual(bound.error.details, { rule: 'residency', region: 'east', allowed_regions: ['west'] });
  for (const [at, house] of [east, west, nowhere].entries())
    await house.engine.submit([orderOf(`t${at}`, { preferredRegion: 'east' }, 'acme'), orderOf(`free${at}`)]);
  await clock.advance(3_000);
  for (const at of [0, 1, 2]) assert.equal(await outputOf(east, `t${at}`, 'acme'), 'west');
  assert.equal(await outputOf(east, 'free0'), 'east');
  await west.engine.stop();
  await clock.advance(10_000);
  const [late] = await east.engine.submit([orderOf('late', {}, 'acme')]);
  assert.ok(late?.kind === 'rejected');
  assert.deepEqual(late.error.details?.allowed_regions, ['west']);
});

test('SAM-225 a residency that is set while tasks wait holds for them: who is outside gets none, whatever it asks', async t => {
  const { clock, node, residency } = setup(t);
  const house = await node('east');
  await register(house, 'outside', 'west');
  await register(house, 'without', undefined);
  await house.engine.submit([orderOf('x', X), orderOf('y', { ...X, region: 'west' })]);
  residency.set(DEFAULT_TENANT, ['east']);
  const west = workAs(house, 'outside', ['custom:x'], { region: 'west' }).exchange({
    slots: 5,
    waitMs: 15_000,
  });
  const without = workAs(house, 'without', ['custom:x']).exchange({ slots: 5, waitMs: 15_000 });
  await clock.advance(20_000);
  assert.deepEqual([(await west).leases, (await without).leases], [[], []]);
  const bound = await house.engine.task(DEFAULT_TENANT, 'y' as TaskId);
  assert.equal((await house.engine.forecast(bound)).waiting?.because, 'no_agent_online');
  const inside = workAs(house, 'inside', ['custom:x'], { region: 'east' });
  await inside.hello();
  assert.deepEqual(
    (await inside.ask(5)).leases.map(({ task }) => task.id),
    ['x'],
  );
});
