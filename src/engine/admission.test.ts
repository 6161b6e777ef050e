import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HouseOptions, openHouse, orderOf, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import type { AgentId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { TaskSpec } from '../domain/task.ts';
import type { Admission } from './api.ts';

const custom = { type: 'custom', typeName: 'work' } as const;

async function setup(options: HouseOptions['options'] = { slotsPerType: 0 }) {
  const clock = new VirtualClock();
  const house = await openHouse({ clock, options });
  let count = 0;
  return {
    clock,
    house,
    /** How an order is admitted: its status and its place in the queue. */
    async admit(spec: Partial<TaskSpec> = {}): Promise<readonly [string, number] | Admission> {
      const [admission] = await house.engine.submit([orderOf(`t${count++}`, { ...custom, ...spec })]);
      if (admission?.kind !== 'admitted') throw new Error('the order was not admitted');
      return [admission.status, admission.queuePosition];
    },
    async close() {
      const stopping = house.stop();
      await clock.advance(10_000);
      await stopping;
    },
  };
}

test('SAM-40 a task is accepted while a worker is online with a slot free, though it polls just now or not', async () => {
  const { clock, house, admit, close } = await setup();
  const worker = workAs(house, 'w', ['custom:work']);
  await worker.ask(2);
  assert.deepEqual(await admit(), ['accepted', 0]);
  assert.deepEqual(await admit(), ['accepted', 0]);
  assert.deepEqual(await admit(), ['queued', 3]);
  const leases = (await worker.ask(2)).leases;
  assert.equal(leases.length, 2);
  assert.deepEqual(await admit(), ['queued', 2]);
  for (const lease of [...leases, ...(await worker.ask(2)).leases]) await worker.complete(lease, 1);
  for (const lease of (await worker.ask(2)).leases) await worker.complete(lease, 1);
  assert.deepEqual(await admit(), ['accepted', 0]);
  await clock.advance(91_000);
  assert.deepEqual(await admit(), ['queued', 2], 'an agent unheard for 90 s is not online');
  await close();
});

test('SAM-40 an agent registered with slots counts by them, and not once it drains or cannot run the task', async () => {
  const { house, admit, close } = await setup();
  await house.engine.registerAgent({
    tenant: DEFAULT_TENANT,
    id: 'big' as AgentId,
    kind: 'worker',
    types: ['custom:work'],
    capabilities: ['gpu'],
    slots: 2,
    capacity: { memoryMb: 1_000 },
  });
  assert.deepEqual(await admit({ requiredCapabilities: ['gpu'], resources: { memoryMb: 900 } }), [
    'accepted',
    0,
  ]);
  assert.deepEqual(await admit(), ['accepted', 0]);
  assert.deepEqual(await admit(), ['queued', 3]);
  const worker = workAs(house, 'big', ['custom:work'], { capabilities: ['gpu'] });
  const { leases } = await worker.ask(3);
  assert.equal(leases.length, 2, 'what an agent was registered with holds however much it asks for');
  for (const lease of leases) await worker.complete(lease, 1);
  await house.engine.drainAgent(DEFAULT_TENANT, 'big' as AgentId);
  assert.deepEqual(await admit(), ['queued', 2]);
  await close();
});

test('SAM-40 what waits of another kind does not make a task wait', async () => {
  const { house, admit, close } = await setup({ slotsPerType: 4 });
  const worker = workAs(house, 'w', ['custom:work']);
  await worker.hello();
  assert.deepEqual(await admit(), ['queued', 1]);
  const [other] = await house.engine.submit([orderOf('code')]);
  assert.equal(other?.kind === 'admitted' && other.status, 'accepted');
  await close();
});
