// The errors of this wire: every canonical code, there and back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import { bodyCheck } from '../validation.ts';
import { errorBody, errorPayload, faultIn, WORDINGS } from './errors.ts';
import { errorPayload as errorSchema } from './schemas.ts';

const TABLE: Readonly<Record<ErrorCode, readonly [string, number | null]>> = {
  unserializable: ['MALFORMED_MESSAGE', 400],
  invalid_request: ['VALIDATION_ERROR', 400],
  payload_too_large: ['PAYLOAD_TOO_LARGE', 413],
  unauthenticated: ['UNAUTHENTICATED', 401],
  forbidden: ['FORBIDDEN', 403],
  not_found: ['NOT_FOUND', 404],
  conflict: ['CONFLICT', 409],
  invalid_transition: ['INVALID_STATE', 409],
  lease_lost: ['LEASE_LOST', 409],
  unprocessable: ['VALIDATION_ERROR', 422],
  policy_violation: ['POLICY_VIOLATION', 422],
  rate_limited: ['RATE_LIMITED', 429],
  resource_exhausted: ['RESOURCE_EXHAUSTED', 503],
  task_failed: ['EXECUTION_ERROR', null],
  task_timeout: ['TASK_TIMEOUT', null],
  dependency_failed: ['DEPENDENCY_FAILURE', 502],
  circuit_open: ['CIRCUIT_OPEN', 503],
  unavailable: ['UNAVAILABLE', 503],
  upstream_timeout: ['API_TIMEOUT', 504],
  internal: ['INTERNAL_ERROR', 500],
};

test('ARMY-116 ARMY-118 ARMY-120 ARMY-121 ARMY-122 ARMY-123 ARMY-124 every canonical code has its word and status', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[])
    assert.deepEqual([WORDINGS[code].code, WORDINGS[code].status], TABLE[code], code);
});

test('ARMY-51 ARMY-52 ARMY-53 an emitted error carries all six members, its type and action of those there are, whatever it is made from', () => {
  const check = bodyCheck(errorSchema);
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    for (const recoverable of [true, false]) {
      const details = { task_id: 't', error_type: 'made_up', suggested_action: 'dance' };
      const payload = errorPayload({ code, message: 'm', recoverable, details, retryAfterMs: 1_500 });
      assert.equal(check(payload), null, JSON.stringify(payload));
      assert.equal(payload.suggested_action === 'retry_with_backoff', recoverable);
      assert.deepEqual(payload.context, { task_id: 't', retry_after: 1.5 });
    }
    const scene = { about: 'msg', traceId: 't', requestId: 'r', now: 0, origin: 'http://here' };
    const body = errorBody(new DomainError(code, 'm'), scene);
    assert.equal(check(body), null);
    assert.equal(body.reply_to, 'msg');
  }
});

test('ARMY-55 codes of the table mean what they say, others EXECUTION_ERROR, and each is kept as it was given', () => {
  for (const [code, [word]] of Object.entries(TABLE)) {
    const fault = faultIn({ error_code: word, message: 'm', recoverable: true });
    assert.equal(fault.code, code === 'unprocessable' ? 'invalid_request' : code);
  }
  const odd = faultIn({
    error_code: 'PRINTER_ON_FIRE',
    message: 'm',
    error_type: 'x',
    suggested_action: 'run',
  });
  assert.deepEqual([odd.code, odd.recoverable], ['task_failed', false]);
  assert.equal(errorPayload(odd).error_code, 'PRINTER_ON_FIRE');
});
