// The words of the task wire: its errors, and what becomes of what it says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { bodyCheck } from '../validation.ts';
import { CODES, ERROR_PAGES, errorBody, PROTOCOL_ERRORS } from './errors.ts';
import { EMITTED, type TaskMessageType } from './schemas.ts';
import { mergePatch } from './shared-state.ts';
import { emitted, idFor } from './utterance.ts';

const NOW = Date.parse('2026-03-01T12:00:00.000Z');
const AT = new Date(NOW).toISOString();

test('TASK-49 TASK-50 TASK-51 TASK-52 TASK-53 the five protocol errors have their kind, severity and recovery, and a page', () => {
  const table = [
    ['MSG001', 'validation_error', 'error', 'retry_with_validation'],
    ['MSG002', 'serialization_error', 'error', 'retry_with_new_serializer'],
    ['COM001', 'timeout_error', 'warning', 'retry_with_backoff'],
    ['COM002', 'connection_error', 'critical', 'failover_to_backup'],
    ['COM-AUTH', 'authentication_error', 'error', 'reauthenticate'],
  ] as const;
  for (const [code, error, severity, recovery] of table) {
    const found = PROTOCOL_ERRORS[code];
    assert.deepEqual([found.error, found.severity, found.recovery], [error, severity, recovery]);
    assert.ok((ERROR_PAGES[code]?.meaning.length ?? 0) > 20, code);
  }
});

test('TASK-33 TASK-54 TASK-91 TASK-92 TASK-93 TASK-94 TASK-95 TASK-96 TASK-97 TASK-98 TASK-99 TASK-100 TASK-101 every canonical code is answered as the table says', () => {
  const table: Readonly<Record<ErrorCode, readonly [string, number | null]>> = {
    ...{
      unserializable: ['MSG002', 400],
      invalid_request: ['MSG001', 400],
      payload_too_large: ['MSG001', 413],
    },
    ...{ unprocessable: ['MSG001', 422], unauthenticated: ['COM-AUTH', 401], forbidden: ['reject', 403] },
    ...{ not_found: ['reject', 404], conflict: ['reject', 409], invalid_transition: ['reject', 409] },
    ...{ lease_lost: ['reject', 409], policy_violation: ['reject', 422], rate_limited: ['reject', 429] },
    ...{ resource_exhausted: ['resource.denied', 503], dependency_failed: ['COM002', 502] },
    ...{ circuit_open: ['COM002', 503], unavailable: ['COM002', 503], internal: ['COM002', 500] },
    ...{ upstream_timeout: ['COM001', 504], task_timeout: ['COM001', 504], task_failed: ['reject', null] },
  };
  const about = {
    about: 'm1',
    traceId: 'f'.repeat(32),
    requestId: 'r1',
    now: NOW,
    origin: 'https://b.example',
  };
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    const [word, status] = table[code];
    assert.deepEqual([CODES[code].code, CODES[code].status], [word, status], code);
    const details = {
      task_id: 't',
      errors: [{ field: 'a.b/c.0', message: 'is wrong' }],
      lifecycle_state: 'paused',
    };
    const body = errorBody(new DomainError(code, 'why', { details }), about);
    assert.deepEqual(bodyCheck(EMITTED[body.type as TaskMessageType])(body), null, code);
    assert.deepEqual([body.reply_to, body.task_id], ['m1', 't']);
    if (word === 'reject') {
      assert.ok(String(body.reason).startsWith(`${code}: `), code);
      assert.equal(body.command_id, 'm1');
      if (code === 'invalid_transition') assert.match(String(body.reason), /paused/);
    } else if (word !== 'resource.denied') {
      assert.deepEqual([body.code, body.trace_id, body.message], [word, about.traceId, 'why']);
      assert.equal(body.documentation_url, `https://b.example/docs/errors/${word}`);
      assert.equal(((body.details as JsonObject).errors as JsonObject[])[0]?.path, '/a/b~1c/0');
    }
  }
});

test('TASK-55 what is about to be said is coerced once where nothing is lost, and what stays invalid is not said', () => {
  const status = {
    type: 'task.status',
    message_id: 'x',
    timestamp: AT,
    protocol_version: '1.0.0',
    task_id: 't',
    status: 'running',
    progress: '1',
    metrics: {},
  };
  assert.equal(emitted(status).progress, 1);
  assert.throws(() => emitted({ ...status, progress: '1.0' }), /progress/);
  assert.throws(() => emitted({ ...status, progress: 'x' }), /progress/);
});

test('TASK-46 a merge patch is RFC 7396', () => {
  const cases: readonly (readonly [JsonObject, JsonObject, JsonObject])[] = [
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of cases) assert.deepEqual(mergePatch(target, patch), result);
});

test('what is said because of something has the same id every time, however long its cause is', () => {
  assert.equal(idFor('reply', 'm1'), 'reply.m1');
  const long = 'x'.repeat(200);
  assert.equal(idFor('reply', long), idFor('reply', long));
  assert.match(idFor('reply', long), /^[A-Za-z0-9._:-]{1,200}$/);
});
