import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import { Recent } from './recent.ts';

function setup({ tookMs, fails = () => false }: { readonly tookMs: number; readonly fails?: () => boolean }) {
  const clock = new VirtualClock();
  let taken = 0;
  const recent = new Recent(clock, async () => {
    taken += 1;
    const figure = taken;
    clock.leap(tookMs);
    if (fails()) throw new Error('away');
    return figure;
  });
  return { clock, recent };
}

test('a dear figure is a second old at most, however often it is asked', async () => {
  const { clock, recent } = setup({ tookMs: 50 });
  assert.equal(await recent.get(), 1);
  assert.equal(await recent.get(), 1);
  clock.leap(1_000);
  assert.equal(await recent.get(), 2);
  clock.leap(1_000);
  assert.equal(await recent.get(), 3);
});

test('a dear figure that could not be taken once is taken again', async () => {
  let away = false;
  const { clock, recent } = setup({ tookMs: 50, fails: () => away });
  assert.equal(await recent.get(), 1);
  clock.leap(1_000);
  away = true;
  await assert.rejects(recent.get(), /away/);
  away = false;
  assert.equal(await recent.get(), 3);
});

test('a cheap figure is exact each time', async () => {
  const { recent } = setup({ tookMs: 1 });
  assert.deepEqual([await recent.get(), await recent.get()], [1, 2]);
});
