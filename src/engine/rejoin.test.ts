// Workers that move between nodes of one store: each node knows at once who registered with another, and one that leaves lets go of
// whoever waits there.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type House, openHouse, orderOf, workAs } from '../../test/harness.ts';
import { type Handle, share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import type { AgentId } from '../domain/ids.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';

async function setup(t: TestContext) {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  const open = share(truth);
  t.after(() => truth.stop());
  const node = async (id: string): Promise<House & { readonly handle: Handle }> => {
    const handle = open();
    const options = { serverId: id as AgentId, slotsPerType: 0 };
    return { ...(await openHouse({ clock, store: handle.store, options })), handle };
  };
  return { clock, a: await node('a'), b: await node('b') };
}

test('SAM-45 a task is accepted wherever it comes in as soon as a worker has registered with any node, hint or no hint', async t => {
  const { a, b } = await setup(t);
  b.handle.deaf = true;
  await workAs(a, 'w', ['custom:work']).hello();
  const [admission] = await b.engine.submit([orderOf('x', { type: 'custom', typeName: 'work' })]);
  assert.equal(admission?.kind, 'admitted');
  const [refused] = await b.engine.submit([orderOf('y', { type: 'custom', typeName: 'nobody' })]);
  assert.equal(refused?.kind, 'rejected');
});

test('SAM-226 a node that drains lets go of the workers that wait there, and they find work at another', async t => {
  const { clock, a, b } = await setup(t);
  const worker = workAs(a, 'w', ['custom:work']);
  await worker.hello();
  const waiting = worker.exchange({ slots: 1, waitMs: 60_000 });
  await clock.advance(1_000);
  const draining = a.engine.drain(60_000);
  await clock.advance(10);
  assert.deepEqual((await waiting).leases, []);
  await draining;
  assert.equal(a.engine.draining, true);
  await a.engine.submit([orderOf('x', { type: 'custom', typeName: 'work' })]);
  assert.deepEqual((await worker.exchange({ slots: 1, waitMs: 60_000 })).leases, []);
  const { leases } = await workAs(b, 'w', ['custom:work']).exchange({ slots: 1 });
  assert.deepEqual(
    leases.map(({ task }) => task.id),
    ['x'],
  );
});
