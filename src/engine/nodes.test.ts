// Several engines on one store: they know each other, one does the chores, what one does reaches the others, and what a dead one ran
// is run again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHouse, orderOf, planOf, workAs } from '../../test/harness.ts';
import { type Node, setupNodes as setup } from '../../test/nodes.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import type { AgentId, TaskId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { AttemptContext, AttemptResult } from './ports/executor.ts';

const forever = ({ signal }: AttemptContext): Promise<AttemptResult> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

const idsOf = (node: Node): readonly string[] => node.engine.nodes().map(({ id }) => id);
const leadersOf = (node: Node): readonly string[] =>
  node.engine
    .nodes()
    .filter(({ leads }) => leads)
    .map(({ id }) => id);

test('nodes know each other, exactly one leads, and another does once it is gone', async t => {
  const { clock, node } = setup(t);
  const [a, b, c] = [await node('a'), await node('b'), await node('c')];
  await clock.advance(5_000);
  for (const one of [a, b, c]) assert.deepEqual([idsOf(one), leadersOf(one)], [['a', 'b', 'c'], ['a']]);
  a.handle.cut();
  await clock.advance(15_000);
  assert.deepEqual(idsOf(b), ['b', 'c']);
  assert.equal(leadersOf(b).length, 1);
  assert.deepEqual(leadersOf(b), leadersOf(c));
});

test('a node that leaves says so, and hands its duty over at once', async t => {
  const { clock, node } = setup(t);
  const [a, b] = [await node('a'), await node('b')];
  await clock.advance(3_000);
  const leaving = a.engine.stop();
  await clock.advance(2_500);
  await leaving;
  assert.deepEqual([idsOf(b), leadersOf(b)], [['b'], ['b']]);
});

test('what a killed node ran is run again by another within ten seconds', async t => {
  const { clock, node, stateOf } = setup(t);
  const [a, b] = [await node('a', forever), await node('b')];
  await a.engine.submit([orderOf('x')]);
  await clock.advance(5_000);
  assert.equal(await stateOf(b, 'x'), 'running');
  a.handle.cut();
  const c = await node('c', async () => ({ status: 'completed', output: 'by c' }));
  await clock.advance(10_000);
  const task = await c.engine.task(DEFAULT_TENANT, 'x' as TaskId);
  assert.deepEqual([task.outcome, task.result?.output, task.attempt], ['completed', 'by c', 2]);
});

test('a node that comes back under its name takes back what it ran before', async t => {
  const { clock, node, stateOf } = setup(t);
  const first = await node('a', forever);
  await first.engine.submit([orderOf('x')]);
  await clock.advance(1_000);
  first.handle.cut();
  const second = await node('a', async () => ({ status: 'completed', output: 'again' }));
  await clock.advance(3_000);
  assert.equal((await second.engine.task(DEFAULT_TENANT, 'x' as TaskId)).outcome, 'completed');
  assert.notEqual(await stateOf(second, 'x'), 'running');
});

test('a paused node that comes to life again finds itself fenced', async t => {
  const { clock, node } = setup(t);
  let finish: (result: AttemptResult) => void = () => {};
  const a = await node('a', () => new Promise(resolve => (finish = resolve)));
  await a.engine.submit([orderOf('x')]);
  await clock.advance(3_000);
  const b = await node('b', async () => ({ status: 'completed', output: 'by b' }));
  a.handle.freeze();
  await clock.advance(12_000);
  const done = { outcome: 'completed', output: 'by b' };
  const asItStands = async () => {
    const { outcome, result } = await b.engine.task(DEFAULT_TENANT, 'x' as TaskId);
    return { outcome, output: result?.output };
  };
  assert.deepEqual(await asItStands(), done);
  finish({ status: 'completed', output: 'by a, too late' });
  a.handle.thaw();
  await clock.advance(5_000);
  assert.deepEqual(await asItStands(), done);
  assert.deepEqual([idsOf(a), leadersOf(a)], [['a', 'b'], ['b']]);
});

test('SAM-67 a cancel on one node stops what another runs, told or not', async t => {
  for (const deaf of [false, true]) {
    const { clock, node } = setup(t);
    let stopped = false;
    const a = await node('a', async context => {
      context.signal.addEventListener('abort', () => {
        stopped = true;
      });
      return forever(context);
    });
    const b = await node('b');
    a.handle.deaf = deaf;
    await a.engine.submit([orderOf('x')]);
    await clock.advance(2_000);
    const cancelled = b.engine.cancel({ tenant: DEFAULT_TENANT, id: 'x' as TaskId, actor: 'test' });
    await clock.advance(deaf ? 11_000 : 500);
    assert.equal((await cancelled).outcome, 'cancelled');
    assert.equal(stopped, true, `deaf: ${deaf}`);
  }
});

test('a long poll at one node is woken by a submit at another, told or not', async t => {
  for (const deaf of [false, true]) {
    const { clock, node } = setup(t);
    const [a, b] = [await node('a'), await node('b')];
    b.handle.deaf = deaf;
    const worker = workAs(b, 'w', ['custom:x']);
    await worker.hello();
    await clock.advance(6_000);
    const polling = worker.exchange({ slots: 1, waitMs: 20_000 });
    await clock.advance(3_000);
    const order = orderOf('job', { type: 'custom', typeName: 'x' });
    const [admission] = await a.engine.submit([order]);
    assert.equal(admission?.kind, 'admitted');
    await clock.advance(deaf ? 1_500 : 50);
    assert.equal((await polling).leases[0]?.task.id, 'job');
  }
});

test('SAM-65 who watches a task at one node sees what another does to it, told or not', async t => {
  for (const deaf of [false, true]) {
    const { clock, node } = setup(t);
    const [a, b] = [await node('a'), await node('b')];
    b.handle.deaf = deaf;
    await a.engine.submit([orderOf('x')]);
    const { key } = await b.engine.task(DEFAULT_TENANT, 'x' as TaskId);
    const changes = b.engine
      .changes(DEFAULT_TENANT, key, new AbortController().signal)
      [Symbol.asyncIterator]();
    await changes.next();
    let seen = false;
    void changes.next().then(() => {
      seen = true;
    });
    await a.engine.cancel({ tenant: DEFAULT_TENANT, id: 'x' as TaskId, actor: 'test' });
    await clock.advance(deaf ? 6_000 : 50);
    assert.equal(seen, true);
    await changes.return?.();
  }
});

test('alone on its store a node needs nobody to tell it so', async t => {
  const clock = new VirtualClock();
  const house = await openHouse({ clock });
  t.after(() => house.stop());
  assert.deepEqual(
    house.engine.nodes().map(({ id, leads, state }) => ({ id, leads, state })),
    [{ id: 'house', leads: true, state: 'active' }],
  );
  assert.deepEqual(await house.store.documents({ kind: 'node' }), []);
});

test('SAM-88 a receiver that answers one node changes what the node of the attempt tells it', async t => {
  const { clock, node } = setup(t);
  const [holder, other] = [await node('holder'), await node('other')];
  const worker = workAs(holder, 'w', ['custom:work']);
  await worker.hello();
  const notification = planOf(['task_completed']);
  await holder.engine.submit([orderOf('a', { type: 'custom', typeName: 'work', notification })]);
  const [lease] = (await worker.ask(1)).leases;
  await worker.report(lease, { percentage: 10 });
  const task = await other.engine.task(DEFAULT_TENANT, 'a' as TaskId);
  const moved = { ...notification, url: 'https://elsewhere.test/hook' };
  const guard = { by: 'lease', token: lease?.token ?? assert.fail() } as const;
  const note = { kind: 'note', name: 'notification_plan', detail: {} } as const;
  await other.handle.store.commit([{ key: task.key, guard, events: [note], notification: moved }]);
  await clock.advance(1_000);
  await worker.complete(lease, 1);
  await clock.advance(1_000);
  const sent = [...holder.sent, ...other.sent];
  assert.deepEqual(
    sent.map(({ event, endpoint }) => [event, endpoint]),
    [['task_completed', moved.url]],
  );
});

test('SAM-54 SAM-113 a worker that polls several nodes gets no more than it declared, slots and memory, within 2 s', async t => {
  const { clock, node } = setup(t);
  const [a, b] = [await node('a'), await node('b')];
  const self = { tenant: DEFAULT_TENANT, id: 'w' as AgentId, kind: 'worker', types: ['custom:x'] } as const;
  await a.engine.registerAgent({ ...self, capabilities: [], slots: 3, capacity: { memoryMb: 1_000 } });
  await clock.advance(500);
  const capacity = { memoryMb: 1_000 };
  const [atA, atB] = [workAs(a, 'w', ['custom:x'], { capacity }), workAs(b, 'w', ['custom:x'], { capacity })];
  for (const id of ['1', '2', '3', '4', '5'])
    await a.engine.submit([orderOf(id, { type: 'custom', typeName: 'x', resources: { memoryMb: 400 } })]);
  const first = (await atA.ask(1)).leases;
  await clock.advance(2_000);
  const second = (await atB.ask(5)).leases;
  assert.deepEqual([first.length, second.length], [1, 1]);
  await clock.advance(2_000);
  for (const one of [a, b]) {
    const [view] = await one.engine
      .agents(DEFAULT_TENANT)
      .then(list => list.filter(({ agent }) => agent.id === 'w'));
    assert.deepEqual([view?.busy, view?.free.memoryMb], [2, 200]);
  }
  // What one node gave may end at another, and is room for more at both.
  await atB.complete(first[0], null);
  await clock.advance(2_000);
  const third = (await atA.ask(5)).leases;
  assert.equal(third.length, 1);
  const busy = async (one: Node) =>
    (await one.engine.agents(DEFAULT_TENANT)).find(({ agent }) => agent.id === 'w')?.busy;
  await clock.advance(1_000);
  assert.deepEqual([await busy(a), await busy(b)], [2, 2]);
});

test('what a dead node had given a worker counts until the worker is heard of at another or its leases end', async t => {
  const { clock, node } = setup(t);
  const [a, b] = [await node('a'), await node('b')];
  const types = ['custom:x'];
  const [atA, atB] = [workAs(a, 'w', types), workAs(b, 'w', types)];
  await atA.hello();
  for (const id of ['1', '2', '3']) await a.engine.submit([orderOf(id, { type: 'custom', typeName: 'x' })]);
  const [kept] = (await atA.ask(2)).leases;
  a.handle.cut();
  const busy = async () =>
    (await b.engine.agents(DEFAULT_TENANT)).find(({ agent }) => agent.id === 'w')?.busy;
  await clock.advance(2_000);
  assert.equal(await busy(), 2);
  for (let beats = 0; beats < 10; beats++) {
    await clock.advance(4_000);
    await atB.beat(kept);
  }
  assert.equal(await busy(), 1);
});

test('SAM-225 a task that is bound to a region runs on a node of that region alone', async t => {
  const { clock, node } = setup(t);
  const done = (output: string) => async (): Promise<AttemptResult> => ({ status: 'completed', output });
  const east = await node('a', done('east'), 'east');
  const west = await node('b', done('west'), 'west');
  await clock.advance(3_000);
  assert.deepEqual(
    east.engine.nodes().map(one => one.region),
    ['east', 'west'],
  );
  const orders = Array.from({ length: 20 }, (_, at) => orderOf(`t${at}`, { region: 'west' }));
  // Whatever any node can run may be handed in at every node.
  const [first] = await east.engine.submit(orders);
  assert.equal(first?.kind, 'admitted');
  await clock.advance(10_000);
  for (const { id } of orders)
    assert.equal((await east.engine.task(DEFAULT_TENANT, id)).result?.output, 'west');
  const [nowhere] = await east.engine.submit([orderOf('x', { region: 'north' })]);
  assert.equal(nowhere?.kind, 'rejected');
  west.handle.cut();
  await clock.advance(12_000);
  const [late] = await east.engine.submit([orderOf('y', { region: 'west' })]);
  assert.equal(late?.kind, 'rejected');
});
