// Rank: urgency orders tasks of one time, and waiting outgrows it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_PRIORITY, isPriority, PRIORITY_STEP_MS, type Priority, rankOf } from './priority.ts';

const priorities = fc.integer({ min: 0, max: 9 }).map(level => level as Priority);
const instants = fc.integer({ min: 0, max: 2 ** 42 });

test('SAM-110 of two tasks the one whose arrival plus five minutes a level is less goes first', () => {
  fc.assert(
    fc.property(instants, priorities, instants, priorities, (at, level, otherAt, otherLevel) => {
      const lead = otherAt + otherLevel * 300_000 - (at + level * 300_000);
      assert.equal(rankOf(otherAt, otherLevel) - rankOf(at, level), lead);
    }),
  );
  assert.equal(PRIORITY_STEP_MS, 300_000);
});

test('SAM-110 whatever the priorities, nothing arriving 45 minutes later overtakes', () => {
  fc.assert(
    fc.property(instants, priorities, priorities, (at, level, otherLevel) => {
      assert.ok(rankOf(at + 45 * 60_000, otherLevel) >= rankOf(at, level));
    }),
  );
});

test('a priority is an integer from 0 to 9, the default among them', () => {
  fc.assert(
    fc.property(fc.double(), value => isPriority(value) === [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].includes(value)),
  );
  for (const value of [-1, 10, 1.5, Number.NaN]) assert.equal(isPriority(value), false);
  assert.ok(isPriority(DEFAULT_PRIORITY));
});
