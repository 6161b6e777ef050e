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

test('BLOG-38 the conditions known by name look at the topic, the content and the form of the result', () => {
  const known = new Conditions(systemClock);
  const holds = (id: string, more: object): boolean => {
    try {
      known.require([{ id, description: '' }], 'after', { ...SCENE, ...more });
      return true;
    } catch {
      return false;
    }
  };
  for (const topic of ['', ' \n ', 7, null]) assert.equal(holds('valid-topic', { input: { topic } }), false);
  assert.equal(holds('valid-topic', {}), true);
  for (const result of [{}, { content: '' }, { content: 1 }, null, 'text'])
    assert.equal(holds('content-generated', { result }), false, JSON.stringify(result));
  assert.equal(holds('content-generated', { result: { content: 'x' } }), true);
  assert.equal(holds('content-valid', { result: {}, isResultValid: false }), false);
  assert.equal(holds('content-valid', { result: {} }), false);
  assert.equal(holds('content-valid', { result: {}, isResultValid: true }), true);
});
