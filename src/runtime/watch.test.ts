import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from './clock.ts';
import { Watch } from './watch.ts';

const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

/** A watch whose looks take as long as is said, and what it waits for. */
function setup() {
  let now = 0;
  const state = { looks: 0, tookMs: 0 };
  const waits: number[] = [];
  let due: () => void = () => {};
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    after(ms, callback) {
      waits.push(ms);
      due = callback;
      return () => {
        due = () => {};
      };
    },
  };
  let gate = Promise.resolve();
  const watch = new Watch(clock, 1_000, async () => {
    state.looks += 1;
    now += state.tookMs;
    await gate;
  });
  return {
    watch,
    state,
    waits,
    fire: () => due(),
    hold() {
      const { promise, resolve } = Promise.withResolvers<void>();
      gate = promise;
      return resolve;
    },
  };
}

test('it looks at once, every so often, and whenever it is told to', async () => {
  const { watch, state, waits, fire } = setup();
  await watch.start();
  assert.deepEqual([state.looks, waits], [1, [1_000]]);
  fire();
  await settled();
  watch.tell();
  fire();
  await settled();
  assert.deepEqual([state.looks, waits], [3, [1_000, 1_000, 0, 1_000]]);
  await watch.stop();
  watch.tell();
  fire();
  await settled();
  assert.equal(state.looks, 3);
});

test('told many times while it looks, it looks once more', async () => {
  const { watch, state, waits, fire, hold } = setup();
  const open = hold();
  const started = watch.start();
  for (let times = 0; times < 5; times++) watch.tell();
  open();
  await started;
  await settled();
  assert.deepEqual([state.looks, waits], [1, [0]]);
  fire();
  await settled();
  assert.deepEqual([state.looks, waits], [2, [0, 1_000]]);
});

test('a look that takes long is not had often, whoever tells', async () => {
  const { watch, state, waits, fire } = setup();
  state.tookMs = 100;
  await watch.start();
  assert.deepEqual(waits, [2_000]);
  fire();
  await settled();
  assert.deepEqual(waits, [2_000, 2_000]);
  watch.tell();
  assert.deepEqual([state.looks, waits.at(-1)], [2, 2_000]);
});
