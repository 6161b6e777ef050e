import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { correctedClock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import type { StoreMeasure } from '../store/rows.ts';
import { keepTime } from './time.ts';

test('SAM-134 SAM-224 nodes go by the clock of the store they share, now and as it drifts', async () => {
  const base = new VirtualClock();
  const clock = correctedClock(base);
  let clockAheadMs = 3_600_000;
  const database = { oldestXminAgeS: 0, deadTuples: 0 };
  const store = {
    capabilities: { shared: true },
    measure: async () => ({ database: { ...database, clockAheadMs } }) as StoreMeasure,
  };
  const stop = await keepTime(silentLog, base, clock, store);
  assert.equal(clock.now() - base.now(), 3_600_000);
  assert.equal(clock.monotonic(), base.monotonic());
  clockAheadMs = -7_000;
  await base.advance(31_000);
  assert.equal(clock.now() - base.now(), -7_000);
  // A difference as small as the way to the database says nothing of the clock.
  clockAheadMs = 40;
  await base.advance(31_000);
  assert.equal(clock.now(), base.now());
  await stop();
  clockAheadMs = 99_000;
  await base.advance(61_000);
  assert.equal(clock.now(), base.now());
});

test('whoever has a store alone keeps its own time', async () => {
  const base = new VirtualClock();
  const clock = correctedClock(base);
  const measure = () => Promise.reject(new Error('nobody should ask'));
  await keepTime(silentLog, base, clock, { capabilities: { shared: false }, measure });
  assert.equal(clock.now(), base.now());
});
