import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHouse, orderOf, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import type { TaskId } from '../domain/ids.ts';
import type { NewTask } from '../store/rows.ts';
import { dependedFirst } from './batch-order.ts';

const custom = { type: 'custom', typeName: 'work' } as const;

const named = (id: string, ...dependsOn: string[]) => ({ id, spec: { dependsOn } }) as unknown as NewTask;
const ordered = (...tasks: readonly NewTask[]) => dependedFirst(tasks).map(({ id }) => id);

async function setup() {
  const clock = new VirtualClock();
  const house = await openHouse({ clock, options: { slotsPerType: 0 } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  return {
    house,
    worker,
    async close() {
      const stopping = house.stop();
      await clock.advance(10_000);
      await stopping;
    },
  };
}

test('a batch without dependencies keeps its order; strangers, chains, circles and repeats are taken as they are', () => {
  assert.deepEqual(ordered(named('a'), named('b')), ['a', 'b']);
  assert.deepEqual(ordered(named('a'), named('b', 'stranger')), ['a', 'b']);
  assert.deepEqual(ordered(named('a', 'b', 'c'), named('c'), named('b', 'c')), ['c', 'b', 'a']);
  assert.deepEqual(ordered(named('x'), named('a', 'b'), named('b', 'a')), ['b', 'a', 'x']);
  assert.deepEqual(ordered(named('a'), named('a'), named('b', 'a')).length, 3);
  const chain = Array.from({ length: 20_000 }, (_, n) => named(`t${n}`, `t${n + 1}`));
  assert.equal(dependedFirst(chain)[0]?.id, 't19999');
});

test('SAM-112 among tasks of one batch those that others depend on go first, each after what it needs itself', async () => {
  const { house, worker, close } = await setup();
  const needing = (id: string, ...ids: string[]) =>
    orderOf(id, { ...custom, dependsOn: ids as unknown as TaskId[] });
  const admissions = await house.engine.submit([
    needing('plain'),
    needing('last', 'middle'),
    needing('middle', 'root'),
    needing('other'),
    needing('root'),
  ]);
  assert.deepEqual(
    admissions.map(({ kind, task }) => [kind, task]),
    ['plain', 'last', 'middle', 'other', 'root'].map(id => ['admitted', id]),
  );
  const { leases } = await worker.ask(5);
  assert.deepEqual(
    leases.map(({ task }) => task.id),
    ['root', 'plain', 'other'],
  );
  await close();
});
