// Conditions before and after skills.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError } from '../domain/errors.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { type Condition, Conditions } from './conditions.ts';

const SCENE = { tenant: 'default', input: { topic: 'tea' }, context: {} };
const HOLDS: Condition = { id: 'own', description: 'is tea', check: "input.topic == 'tea'" };

function failureOf(conditions: Conditions, list: readonly Condition[]): DomainError | null {
  try {
    conditions.require(list, 'before', SCENE);
    return null;
  } catch (error) {
    assert.ok(error instanceof DomainError);
    return error;
  }
}

test('BLOG-41 what fails, or took over 5 s to judge, counts as false with its reason', () => {
  assert.equal(failureOf(new Conditions(systemClock), [HOLDS]), null);
  let now = 0;
  const slow: Clock = { ...systemClock, monotonic: () => (now += 5_001) };
  assert.match(String(failureOf(new Conditions(slow), [HOLDS])?.details.reason), /5000 ms/);
  const odd = { ...HOLDS, check: 'input.topic' };
  const error = failureOf(new Conditions(systemClock), [HOLDS, odd]);
  assert.equal(error?.code, 'policy_violation');
  assert.match(String(error?.details.reason), /neither true nor false/);
});

test('BLOG-39 conditions are judged in order, and none after the first that does not hold', () => {
  const first = { id: 'first', description: 'never', check: '`false`' };
  const error = failureOf(new Conditions(systemClock), [HOLDS, first, { ...first, id: 'second' }]);
  assert.deepEqual(error?.details.condition, { id: 'first', description: 'never' });
  assert.equal(error?.details.phase, 'before');
});
