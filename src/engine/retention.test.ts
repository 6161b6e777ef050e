import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHouse, orderOf, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { DEFAULT_TENANT, type TaskId } from '../domain/ids.ts';

test('SAM-181 SAM-183 a day after its year is over a task has lost its content, and keeps its id and outcome', async () => {
  const clock = new VirtualClock();
  const house = await openHouse({ clock, options: { slotsPerType: 0, archiveDelayMs: 0 } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  await house.engine.submit([orderOf('old', { type: 'custom', typeName: 'work' })]);
  await worker.complete((await worker.ask(1)).leases[0], { kept: 'for a year' });
  const taskNow = () => house.engine.task(DEFAULT_TENANT, 'old' as TaskId);
  const daysMs = (days: number): number => days * 24 * 3_600_000;
  await clock.advance(2_000);
  clock.leap(daysMs(364));
  await clock.advance(daysMs(1) / 24 + 2_000);
  assert.deepEqual((await taskNow()).result?.output, { kept: 'for a year' });
  clock.leap(daysMs(2));
  await clock.advance(daysMs(1) / 24 + 2_000);
  const purged = await taskNow();
  assert.deepEqual([purged.purged, purged.outcome, purged.result?.output], [true, 'completed', undefined]);
  const audited = await house.store.audit({ tenant: DEFAULT_TENANT, action: 'retention.purged', limit: 10 });
  assert.deepEqual(
    audited.map(({ principal, detail }) => [principal, detail.tasks]),
    [['system', 1]],
  );
  const stopping = house.stop();
  await clock.advance(10_000);
  await stopping;
});
