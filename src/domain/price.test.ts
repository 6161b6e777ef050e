import assert from 'node:assert/strict';
import { test } from 'node:test';
import { estimatedCost } from './price.ts';

const spec = { type: 'code_execution', resources: { cpuCores: 2, memoryMb: 512 } } as const;

test('SAM-42 the estimated cost is what a task reserves for the time it is expected to run, and its type’s own price', () => {
  const prices = { cpuCoreHour: 0.1, memoryGbHour: 0.02, perTask: { code_execution: 0.5, '*': 9 } };
  assert.equal(estimatedCost(prices, spec, 3_600_000), 0.71);
  assert.equal(estimatedCost(prices, spec, 0), 0.5);
  assert.equal(estimatedCost(prices, { type: 'custom', typeName: 'x', resources: {} }, 60_000), 9);
  assert.equal(estimatedCost({ cpuCoreHour: 1 }, { ...spec, resources: {} }, 60_000), 0);
});

test('SAM-42 without a price table a task is estimated to cost nothing', () => {
  assert.equal(estimatedCost(undefined, spec, 3_600_000), 0);
});
