import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BoundedMap } from './bounded-map.ts';

test('a map holds what was put in, replaced and deleted', () => {
  const map = new BoundedMap<string, number>(10);
  map.set('a', 1);
  map.set('b', 2);
  map.set('a', 3);
  map.delete('b');
  assert.deepEqual([map.get('a'), map.get('b'), map.size], [3, undefined, 1]);
});

test('a map never holds more than its bound, and what is used stays through any flood', () => {
  const map = new BoundedMap<string, number>(10);
  map.set('used', -1);
  for (let count = 0; count < 1_000; count += 1) {
    map.set(String(count), count);
    assert.ok(map.size <= 10);
    assert.equal(map.get('used'), -1);
  }
  assert.equal(map.get('999'), 999);
  assert.equal(map.get('1'), undefined);
});

test('a deleted entry does not come back from the old half', () => {
  const map = new BoundedMap<string, number>(4);
  for (const name of ['a', 'b', 'c']) map.set(name, 1);
  map.delete('a');
  assert.equal(map.get('a'), undefined);
});
