// Which endpoint of a subscriber is called while others cannot be reached.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Lines } from './lines.ts';

test('TASK-58 after three failures on end calls go to the next endpoint, and return once a try after the rest succeeds', () => {
  let now = 0;
  const lines = new Lines({ monotonic: () => now });
  const urls = ['https://first', 'https://second'];
  lines.note('https://first', false);
  lines.note('https://first', true);
  for (let failed = 0; failed < 3; failed++) {
    assert.equal(lines.pick(urls), 'https://first');
    lines.note('https://first', false);
  }
  assert.equal(lines.pick(urls), 'https://second');
  now = 29_999;
  assert.equal(lines.pick(urls), 'https://second');
  now = 30_000;
  assert.equal(lines.pick(urls), 'https://first');
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
    for (let failed = 0; failed < 3; failed++) lines.note(url, false);
    now += 1_000;
  }
  assert.equal(lines.pick(['b', 'a']), 'a');
});
