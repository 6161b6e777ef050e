// Which endpoint of a subscriber is called while others cannot be reached.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lines } from './lines.ts';

test('TASK-58 ARMY-83 after five failures on end an endpoint is left alone for 30 s and calls go to the next; then one call tries it, and its outcome decides', () => {
  let now = 0;
  const lines = new Lines({ monotonic: () => now });
  const urls = ['https://first', 'https://second'];
  lines.note('https://first', false);
  lines.note('https://first', true);
  for (let failed = 0; failed < 5; failed++) {
    assert.equal(lines.pick(urls), 'https://first');
    lines.note('https://first', false);
  }
  assert.equal(lines.pick(urls), 'https://second');
  now = 29_999;
  assert.equal(lines.pick(urls), 'https://second');
  now = 30_000;
  assert.equal(lines.pick(urls), 'https://first');
  // While that one is under way nobody else tries.
  assert.equal(lines.pick(urls), 'https://second');
  lines.note('https://first', false);
  assert.equal(lines.pick(urls), 'https://second');
  now = 60_000;
  lines.note('https://first', true);
  assert.equal(lines.pick(urls), 'https://first');
});

test('where every endpoint rests, the one that has done so longest is called', () => {
  let now = 0;
  const lines = new Lines({ monotonic: () => now });
  for (const url of ['a', 'b']) {
    for (let failed = 0; failed < 5; failed++) lines.note(url, false);
    now += 1_000;
  }
  assert.equal(lines.pick(['b', 'a']), 'a');
});
