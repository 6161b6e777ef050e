import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHouse, orderOf, workAs } from '../../test/harness.ts';
import { share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';

test('SAM-113 SAM-105 an agent is not barred for leases it may never have got, since the server died over them', async t => {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  t.after(() => truth.stop());
  const open = share(truth);
  const custom = { type: 'custom', typeName: 'work' } as const;
  const options = { slotsPerType: 0, leaseMs: 2_000 };
  const handle = open();
  const alone = { ...handle.store, capabilities: { shared: false } };
  const house = await openHouse({ clock, store: Object.setPrototypeOf(alone, handle.store), options });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  await house.engine.submit(Array.from({ length: 10 }, (_, at) => orderOf(`t${at}`, custom)));
  assert.equal((await worker.ask(10)).leases.length, 10);
  // Killed before its answer was on its way: the worker knows of nothing.
  handle.cut();

  const again = await openHouse({ clock, store: truth, options });
  const same = workAs(again, 'w1', ['custom:work']);
  await same.hello();
  await clock.advance(6_000);
  assert.equal((await same.ask(10)).leases.length, 10);
});
