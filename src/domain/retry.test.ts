// Retry policies against the canonical numbers, and the laws every policy keeps.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { delayAfter, jittered, RETRY_POLICIES, type RetryPolicy, retries } from './retry.ts';
import type { TaskError } from './task.ts';

const RECOVERABLE: TaskError = { code: 'dependency_failed', message: 'gone', recoverable: true };
const FINAL: TaskError = { code: 'invalid_request', message: 'wrong', recoverable: false };

function delays(policy: RetryPolicy, attempts: number): readonly number[] {
  return Array.from({ length: attempts }, (_, before) => delayAfter(policy, before + 1));
}

test('SAM-127 exponential waits 1 s, doubling up to 60 s, for 5 attempts in all', () => {
  assert.deepEqual(
    delays(RETRY_POLICIES.exponential, 8),
    [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000],
  );
  assert.equal(RETRY_POLICIES.exponential.attemptsMax, 5);
});

test('SAM-127 linear waits 2 s and 2 s more each time, fixed 5 s always, for 3 attempts each', () => {
  assert.deepEqual(delays(RETRY_POLICIES.linear, 4), [2_000, 4_000, 6_000, 8_000]);
  assert.deepEqual(delays(RETRY_POLICIES.fixed, 3), [5_000, 5_000, 5_000]);
  assert.deepEqual([RETRY_POLICIES.linear.attemptsMax, RETRY_POLICIES.fixed.attemptsMax], [3, 3]);
});

test('SAM-127 a custom policy waits as listed, the last delay repeating', () => {
  const policy: RetryPolicy = { ...RETRY_POLICIES.custom, attemptsMax: 9, delaysMs: [10, 500, 70] };
  assert.deepEqual(delays(policy, 5), [10, 500, 70, 70, 70]);
});

test('SAM-127 jitter moves a delay by at most 20 % either way', () => {
  const delay = fc.integer({ min: 0, max: 3_600_000 });
  const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
  fc.assert(
    fc.property(delay, fraction, (ms, random) => {
      const spread = jittered(ms, random);
      assert.ok(Number.isInteger(spread));
      assert.ok(Math.abs(spread - ms) <= 0.2 * ms + 0.5);
    }),
  );
  assert.notEqual(jittered(10_000, 0), jittered(10_000, 0.99));
});

test('without a list no delay exceeds the longest, nor shrinks from one attempt to the next', () => {
  const policy = fc.record({
    strategy: fc.constantFrom('exponential', 'linear', 'fixed', 'custom'),
    attemptsMax: fc.integer({ min: 1, max: 100 }),
    firstDelayMs: fc.integer({ min: 0, max: 100_000 }),
    stepMs: fc.integer({ min: 0, max: 100_000 }),
    factor: fc.integer({ min: 1, max: 10 }),
    delayMaxMs: fc.integer({ min: 0, max: 3_600_000 }),
  });
  fc.assert(
    fc.property(policy, fc.integer({ min: 1, max: 101 }), (given, attempt) => {
      assert.ok(delayAfter(given, attempt) <= given.delayMaxMs);
      assert.ok(delayAfter(given, attempt + 1) >= delayAfter(given, attempt));
    }),
  );
});

test('SAM-127 there are never more attempts than the policy allows, the first included', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), attemptsMax => {
      const policy = { ...RETRY_POLICIES.fixed, attemptsMax };
      let attempt = 1;
      while (retries(policy, attempt, RECOVERABLE)) attempt++;
      assert.equal(attempt, attemptsMax);
    }),
  );
});

test('SAM-128 an error that is not recoverable is never tried again', () => {
  for (const policy of Object.values(RETRY_POLICIES)) {
    assert.equal(retries(policy, 1, FINAL), false);
    assert.equal(retries(policy, 1, RECOVERABLE), true);
  }
});

test('SAM-128 a custom policy may name the codes that retry; no other does', () => {
  const policy: RetryPolicy = { ...RETRY_POLICIES.custom, retryCodes: ['task_failed'] };
  assert.equal(retries(policy, 1, { ...FINAL, code: 'task_failed' }), true);
  assert.equal(retries(policy, 1, RECOVERABLE), false);
});
