import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bandwidth } from './bandwidth.ts';
import type { Clock } from './clock.ts';

/** A clock that is at once where a timer wants it to be. */
function leapingClock(): Clock {
  let now = 0;
  return {
    now: () => now,
    monotonic: () => now,
    after(ms, callback) {
      now += ms;
      queueMicrotask(callback);
      return () => {};
    },
  };
}

test('SAM-117 a second of bytes takes a second, however they are cut, but for what a rest has saved', async () => {
  for (const pieces of [1, 10, 250]) {
    const clock = leapingClock();
    const bandwidth = new Bandwidth(clock, 8);
    for (let n = 0; n < pieces; n++) await bandwidth.turn(1_000_000 / pieces);
    assert.ok(Math.abs(clock.monotonic() - 900) < 1, `${pieces} pieces took ${clock.monotonic()} ms`);
  }
});

test('SAM-117 a rest saves no more than a tenth of a second of bytes', async () => {
  const clock = leapingClock();
  const bandwidth = new Bandwidth(clock, 8);
  clock.after(60_000, () => {});
  await bandwidth.turn(1_000_000);
  assert.ok(Math.abs(clock.monotonic() - 60_900) < 1, `${clock.monotonic()} ms`);
});

test('who waits for bandwidth is let go by its signal', async () => {
  const bandwidth = new Bandwidth({ now: () => 0, monotonic: () => 0, after: () => () => {} }, 1);
  const signal = AbortSignal.abort(new Error('enough'));
  await assert.rejects(bandwidth.turn(1_000_000, signal), /enough/);
});
