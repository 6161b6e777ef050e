// Stride scheduling: shares follow weights exactly, and idling neither earns nor costs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newStrides, nextKey, type StrideState, serve } from './fairness.ts';

const weightsOf = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.integer({ min: 1, max: 20 }), {
  minKeys: 1,
});

function serveNext(
  state: StrideState<string>,
  weights: Readonly<Record<string, number>>,
  waiting: readonly string[],
): string {
  const key = nextKey(state, waiting);
  assert.ok(key !== null);
  serve(state, key, weights[key] ?? 1);
  return key;
}

test('nobody is next when nobody waits', () => {
  assert.equal(nextKey(newStrides<string>(), []), null);
});

test('SAM-111 tenants that all wait are served by weight, never further apart than one turn', () => {
  fc.assert(
    fc.property(weightsOf, fc.integer({ min: 1, max: 500 }), (weights, turns) => {
      const state = newStrides<string>();
      const served: Record<string, number> = {};
      for (let turn = 0; turn < turns; turn++) {
        const key = serveNext(state, weights, Object.keys(weights));
        served[key] = (served[key] ?? 0) + 1;
      }
      const had = Object.entries(weights).map(([key, weight]) => (served[key] ?? 0) / weight);
      const turnMax = 1 / Math.min(...Object.values(weights));
      assert.ok(Math.max(...had) - Math.min(...had) <= turnMax + 1e-9);
    }),
  );
});

test('SAM-111 a tenant that was idle joins at the present: it catches nothing up and waits for nobody twice', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1_000 }), fc.integer({ min: 2, max: 100 }), (alone, together) => {
      const state = newStrides<string>();
      const weights = { busy: 1, idle: 1 };
      for (let turn = 0; turn < alone; turn++) serveNext(state, weights, ['busy']);
      const turns = Array.from({ length: together }, () => serveNext(state, weights, ['busy', 'idle']));
      const idle = turns.filter(key => key === 'idle').length;
      assert.ok(Math.abs(idle - (together - idle)) <= 2);
      assert.ok(turns.slice(0, 2).includes('idle'));
    }),
  );
});

test('a weight may change while tasks wait: shares follow it from then on', () => {
  const state = newStrides<string>();
  const both = ['a', 'b'];
  for (let turn = 0; turn < 100; turn++) serveNext(state, { a: 1, b: 1 }, both);
  const later = Array.from({ length: 400 }, () => serveNext(state, { a: 3, b: 1 }, both));
  assert.ok(Math.abs(later.filter(key => key === 'a').length - 300) <= 3);
});

test('serving several units at once costs as much as serving them one by one', () => {
  const [atOnce, oneByOne] = [newStrides<string>(), newStrides<string>()];
  serve(atOnce, 'a', 4, 8);
  for (let unit = 0; unit < 8; unit++) serve(oneByOne, 'a', 4);
  assert.equal(atOnce.strides.get('a')?.pass, oneByOne.strides.get('a')?.pass);
  assert.equal(nextKey(atOnce, ['a', 'b']), 'b');
});
