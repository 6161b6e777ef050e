// The canonical table of errors, and what becomes of errors nobody expected.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { asDomainError, DomainError, ERROR_CODES, isErrorCode } from './errors.ts';

test('the codes are the canonical twenty, with whether trying again can help', () => {
  const byRetry = Object.groupBy(Object.entries(ERROR_CODES), ([, { retry }]) => retry);
  const names = (retry: 'no' | 'yes' | 'policy'): string[] =>
    (byRetry[retry] ?? []).map(([code]) => code).sort();
  assert.deepEqual(names('policy'), ['task_failed']);
  assert.deepEqual(names('yes'), [
    'circuit_open',
    'dependency_failed',
    'internal',
    'rate_limited',
    'resource_exhausted',
    'task_timeout',
    'unavailable',
    'upstream_timeout',
  ]);
  assert.equal(names('no').length, 11);
});

test('a domain error keeps its code, details, cause and time to wait', () => {
  const cause = new Error('below');
  const error = new DomainError('rate_limited', 'too many', {
    details: { limit: 5 },
    retryAfterMs: 900,
    cause,
  });
  assert.deepEqual(
    [error.code, error.details, error.retryAfterMs, error.cause],
    ['rate_limited', { limit: 5 }, 900, cause],
  );
  assert.equal(Object.hasOwn(new DomainError('conflict', 'taken'), 'cause'), false);
});

test('an unexpected error becomes internal: its message stays inside, as the cause', () => {
  const secret = new Error('password=hunter2');
  const error = asDomainError(secret);
  assert.equal(error.code, 'internal');
  assert.doesNotMatch(error.message, /hunter2/);
  assert.equal(error.cause, secret);
  const known = new DomainError('conflict', 'taken');
  assert.equal(asDomainError(known), known);
});

test('only own keys of the table are codes', () => {
  assert.ok(isErrorCode('lease_lost'));
  for (const text of ['toString', '__proto__', 'constructor', 'LEASE_LOST', ''])
    assert.equal(isErrorCode(text), false);
});
