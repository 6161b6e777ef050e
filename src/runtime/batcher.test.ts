import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Batcher } from './batcher.ts';

/** A far end whose batches come back when the test says so. */
function setup(options: { readonly batchMax?: number; readonly underWayMax?: number } = {}) {
  const sent: {
    readonly items: readonly number[];
    readonly answer: () => void;
    readonly fail: () => void;
  }[] = [];
  const batcher = new Batcher<number, number>(items => {
    const { promise, resolve, reject } = Promise.withResolvers<readonly number[]>();
    sent.push({
      items,
      answer: () => resolve(items.map(item => item * 10)),
      fail: () => reject(new Error('the far end failed')),
    });
    return promise;
  }, options);
  return { sent, batcher, turn: () => new Promise(resolve => setImmediate(resolve)) };
}

test('a lone caller waits for nobody, and those who come meanwhile go together', async () => {
  const { sent, batcher, turn } = setup();
  const first = batcher.add(1);
  await turn();
  const others = [batcher.add(2), batcher.add(3)];
  await turn();
  assert.deepEqual(
    sent.map(({ items }) => items),
    [[1]],
  );
  sent[0]?.answer();
  assert.equal(await first, 10);
  await turn();
  sent[1]?.answer();
  assert.deepEqual(
    [sent[1]?.items, await Promise.all(others)],
    [
      [2, 3],
      [20, 30],
    ],
  );
});

test('a batch is never larger than it may be', async () => {
  const { sent, batcher, turn } = setup({ batchMax: 2 });
  const answers = [1, 2, 3].map(item => batcher.add(item));
  await turn();
  sent[0]?.answer();
  await turn();
  sent[1]?.answer();
  assert.deepEqual(
    sent.map(({ items }) => items),
    [[1, 2], [3]],
  );
  assert.deepEqual(await Promise.all(answers), [10, 20, 30]);
});

test('further batches set out before the first is back, as many as are allowed', async () => {
  const { sent, batcher, turn } = setup({ underWayMax: 2 });
  for (const item of [1, 2, 3]) {
    void batcher.add(item);
    await turn();
  }
  assert.deepEqual(
    sent.map(({ items }) => items),
    [[1], [2]],
  );
});

test('a batch that fails fails its own callers alone', async () => {
  const { sent, batcher, turn } = setup();
  const first = batcher.add(1);
  await turn();
  const second = batcher.add(2);
  sent[0]?.fail();
  await assert.rejects(first, /the far end failed/);
  await turn();
  sent[1]?.answer();
  assert.equal(await second, 20);
});
