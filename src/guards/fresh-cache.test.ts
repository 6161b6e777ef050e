import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SECOND, StillClock } from './fixture.test.ts';
import { FreshCache } from './fresh-cache.ts';

function setup(entriesMax?: number) {
  const clock = new StillClock();
  const values = new Map([['a', 1]]);
  const reads: string[][] = [];
  let gate = Promise.resolve();
  const cache = new FreshCache<number>(
    clock,
    async ids => {
      reads.push([...ids]);
      const seen = new Map(values);
      await gate;
      return seen;
    },
    entriesMax,
  );
  const hold = (): (() => void) => {
    let open: () => void = () => undefined;
    gate = new Promise(resolve => (open = resolve));
    return open;
  };
  return { clock, values, reads, cache, hold };
}

const settled = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

test('a value is read once for all who ask, and so is its absence', async () => {
  const { cache, reads } = setup();
  assert.deepEqual(await Promise.all([cache.get('a'), cache.get('a'), cache.get('b')]), [1, 1, null]);
  assert.deepEqual(await Promise.all([cache.get('a'), cache.get('b')]), [1, null]);
  assert.deepEqual(reads, [['a', 'b']]);
});

test('SAM-233 a value 0.9 s old is read again before it is answered; younger, it is refreshed without a wait', async () => {
  const { cache, values, clock } = setup();
  await cache.get('a');
  values.set('a', 2);
  clock.pass(0.3 * SECOND);
  assert.equal(await cache.get('a'), 1);
  clock.pass(0.1 * SECOND);
  assert.equal(await cache.get('a'), 1);
  await settled();
  assert.equal(await cache.get('a'), 2);
  values.set('a', 3);
  clock.pass(0.9 * SECOND);
  assert.equal(await cache.get('a'), 3);
});

test('a forgotten value is read anew even while a read from before is under way', async () => {
  const { cache, values, hold } = setup();
  const open = hold();
  const before = cache.get('a');
  await settled();
  values.set('a', 2);
  cache.forget('a');
  const after = cache.get('a');
  open();
  assert.deepEqual([await before, await after], [1, 2]);
  assert.equal(await cache.get('a'), 2);
});

test('a store that cannot be read fails only who must wait for it', async () => {
  const clock = new StillClock();
  let broken = false;
  const cache = new FreshCache<number>(clock, async () => {
    if (broken) throw new Error('down');
    return new Map([['a', 1]]);
  });
  await cache.get('a');
  broken = true;
  clock.pass(0.5 * SECOND);
  assert.equal(await cache.get('a'), 1);
  clock.pass(0.4 * SECOND);
  await assert.rejects(cache.get('a'), /down/);
  broken = false;
  assert.equal(await cache.get('a'), 1);
});

test('memory is bounded: what was not asked for in a while is read again', async () => {
  const { cache, reads } = setup(4);
  for (const id of ['a', 'b', 'c', 'd', 'e', 'a']) await cache.get(id);
  assert.deepEqual(reads, [['a'], ['b'], ['c'], ['d'], ['e'], ['a']]);
});
