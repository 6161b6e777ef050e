// Errors of the wire: every canonical code, every severity, every strategy.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { delayAfter, retries } from '../../domain/retry.ts';
import type { TaskSpec } from '../../domain/task.ts';
import { bodyCheck } from '../validation.ts';
import {
  BLOG_CODES,
  CODES,
  codeOf,
  ERROR_PAGES,
  errorBody,
  errorPayload,
  faultOf,
  knownCode,
  policyOf,
  SEVERITIES,
  systemErrorOf,
} from './errors.ts';
import { toldError } from './news.ts';
import { systemError } from './schemas.ts';

const SCENE = { about: 'm1', traceId: 't', requestId: 'r', now: 0, origin: 'http://here' };
/** HTTP status and code by canonical code, as the requirements have them. */
const EXPECTED: Readonly<Record<ErrorCode, readonly [number | null, string]>> = {
  invalid_request: [400, 'VALIDATION_ERROR'],
  unserializable: [400, 'VALIDATION_ERROR'],
  unauthenticated: [401, 'PRECONDITION_FAILED'],
  forbidden: [403, 'PRECONDITION_FAILED'],
  not_found: [404, 'VALIDATION_ERROR'],
  conflict: [409, 'INVARIANT_VIOLATION'],
  lease_lost: [409, 'INVARIANT_VIOLATION'],
  invalid_transition: [409, 'INVARIANT_VIOLATION'],
  payload_too_large: [413, 'VALIDATION_ERROR'],
  unprocessable: [422, 'PRECONDITION_FAILED'],
  policy_violation: [422, 'PRECONDITION_FAILED'],
  rate_limited: [429, 'RATE_LIMIT_EXCEEDED'],
  task_failed: [null, 'SKILL_EXECUTION_FAILED'],
  task_timeout: [null, 'TIMEOUT'],
  resource_exhausted: [503, 'RATE_LIMIT_EXCEEDED'],
  dependency_failed: [502, 'NETWORK_ERROR'],
  circuit_open: [503, 'NETWORK_ERROR'],
  unavailable: [503, 'NETWORK_ERROR'],
  upstream_timeout: [504, 'TIMEOUT'],
  internal: [500, 'UNKNOWN_ERROR'],
};

test('BLOG-105 BLOG-107 BLOG-108 BLOG-109 BLOG-110 BLOG-111 BLOG-112 BLOG-113 BLOG-114 every canonical code has its status and code', () => {
  assert.deepEqual(Object.keys(EXPECTED).sort(), Object.keys(ERROR_CODES).sort());
  for (const [code, [status, word]] of Object.entries(EXPECTED))
    assert.deepEqual(CODES[code as ErrorCode], { code: word, status }, code);
  const after = { code: 'policy_violation', message: '', details: { phase: 'after' } } as const;
  assert.equal(codeOf(after), 'POSTCONDITION_FAILED');
});

test('BLOG-67 every refusal is a SystemError, with a page behind it', () => {
  const check = bodyCheck(systemError);
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    const body = errorBody(new DomainError(code, 'why', { details: { errors: [] } }), SCENE);
    assert.equal(check(body), null, JSON.stringify([code, check(body)]));
    assert.equal(body.messageId, 'm1');
    assert.ok(Object.hasOwn(ERROR_PAGES, String(body.code)));
    assert.equal(body.documentation_url, `http://here/docs/errors/${body.code}`);
  }
});

test('BLOG-68 the codes are nine, and another one received is kept and treated as unknown', () => {
  assert.equal(BLOG_CODES.length, 9);
  const fault = faultOf({ code: 'MY_OWN', message: 'm', details: { a: 1 }, recoverable: true });
  assert.deepEqual([fault.code, fault.wireCode, fault.recoverable], ['internal', 'MY_OWN', true]);
  assert.equal(knownCode('MY_OWN'), 'UNKNOWN_ERROR');
  assert.equal(SEVERITIES[knownCode('MY_OWN')], 'critical');
  const kept = { code: fault.code, message: 'm', details: { wire_code: 'MY_OWN', a: 1 } };
  assert.deepEqual(errorPayload(kept), {
    code: 'MY_OWN',
    message: 'm',
    details: { a: 1 },
    recoverable: false,
  });
});

test('BLOG-69 each code has its severity', () => {
  const by = (wanted: string): string[] =>
    Object.entries(SEVERITIES)
      .flatMap(([code, severity]) => (severity === wanted ? [code] : []))
      .sort();
  assert.deepEqual(by('low'), ['PRECONDITION_FAILED', 'VALIDATION_ERROR']);
  assert.deepEqual(by('medium'), ['POSTCONDITION_FAILED', 'SKILL_EXECUTION_FAILED', 'TIMEOUT']);
  assert.deepEqual(by('high'), ['NETWORK_ERROR', 'RATE_LIMIT_EXCEEDED']);
  assert.deepEqual(by('critical'), ['INVARIANT_VIOLATION', 'UNKNOWN_ERROR']);
});

test('BLOG-70 a strategy retries only its codes, waits its delays, the last again and again, and stops', () => {
  const policy = policyOf({
    maxRetries: 4,
    backoffMs: [100, 200],
    retryableErrors: ['TIMEOUT', 'NETWORK_ERROR'],
  });
  assert.deepEqual(
    [1, 2, 3, 4].map(attempt => delayAfter(policy, attempt)),
    [100, 200, 200, 200],
  );
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    const error = { code, message: '', recoverable: true };
    const expected = ['TIMEOUT', 'NETWORK_ERROR'].includes(CODES[code].code);
    assert.equal(retries(policy, 1, error), expected, code);
    assert.equal(retries(policy, 5, error), false);
  }
  const after = {
    code: 'policy_violation',
    message: '',
    recoverable: false,
    details: { phase: 'after' },
  } as const;
  const before = { ...after, details: { phase: 'before' } };
  const told = (code: string) => {
    const { wireCode = '', details, ...fault } = faultOf({ code, message: '', recoverable: true });
    return { ...fault, details: { ...details, wire_code: wireCode } };
  };
  const errors = [after, before, ...['POSTCONDITION_FAILED', 'PRECONDITION_FAILED', 'OWN'].map(told)];
  for (const [code, expected] of [
    ['POSTCONDITION_FAILED', [true, false, true, false, false]],
    ['PRECONDITION_FAILED', [false, true, false, true, false]],
    ['OWN', [false, false, false, false, true]],
  ] as const) {
    const only = policyOf({ maxRetries: 1, backoffMs: [], retryableErrors: [code] });
    assert.deepEqual(
      errors.map(error => retries(only, 1, error)),
      expected,
      code,
    );
  }
});

test('BLOG-71 what passes by itself is told as recoverable with three retries, a failed skill by its cause, all else not', () => {
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    const body = errorBody(new DomainError(code, 'why'), SCENE);
    const passes = ['RATE_LIMIT_EXCEEDED', 'TIMEOUT', 'NETWORK_ERROR'].includes(String(body.code));
    assert.equal(body.recoverable, passes, code);
    assert.deepEqual(
      (body.retryStrategy as JsonObject | undefined)?.backoffMs,
      passes ? [1_000, 2_000, 4_000] : undefined,
    );
  }
  for (const recoverable of [true, false])
    assert.equal(errorPayload({ code: 'task_failed', message: '', recoverable }).recoverable, recoverable);
});

test('BLOG-72 the payload of an error has code, message, details and recoverable, and is read back', () => {
  const told = errorPayload({ code: 'task_timeout', message: 'late', details: { after: 5 } });
  assert.deepEqual(told, { code: 'TIMEOUT', message: 'late', details: { after: 5 }, recoverable: true });
  assert.deepEqual(faultOf(told), {
    ...{
      code: 'task_timeout',
      message: 'late',
      recoverable: true,
      details: { after: 5 },
      wireCode: 'TIMEOUT',
    },
  });
  for (const nothing of [null, 'x', [], {}]) assert.equal(faultOf(nothing).code, 'internal');
});

test('BLOG-18 a skill that failed is told as SKILL_EXECUTION_FAILED with its name and the reason', () => {
  const error = { code: 'task_failed', message: 'OpenAI rate limit exceeded', recoverable: true } as const;
  const task = { agentId: null, outcome: 'failed', result: { error, metrics: {} } } as const;
  const told = (typeName: string, terms: JsonObject = {}) => {
    const spec = { type: 'custom', typeName, payload: {}, origin: { terms } } as unknown as TaskSpec;
    return errorPayload(toldError({ ...task, spec }));
  };
  const details = { skill: 'generate_content', reason: 'OpenAI rate limit exceeded' };
  assert.deepEqual(told('generate_content'), {
    ...{ code: 'SKILL_EXECUTION_FAILED', message: details.reason, details, recoverable: true },
  });
  assert.deepEqual(told('translate', { execution: {} }).details, { ...details, skill: 'translate' });
  assert.deepEqual(told('plan_content').details, {});
});

test('BLOG-73 what is told of an input bears neither secrets nor personal data, and a stack only where there is one to tell', () => {
  const scene = { component: 'c', operation: 'o', now: 0, traceId: 't' };
  const input = {
    api_key: 'very-secret',
    mail: 'write to ann@example.com',
    deep: [{ password: 'hunter22' }],
  };
  const told = JSON.stringify(systemErrorOf({ code: 'task_failed', message: 'm' }, { ...scene, input }));
  assert.doesNotMatch(told, /very-secret|ann@example\.com|hunter22|stackTrace/);
  const { context } = systemErrorOf(
    { code: 'task_failed', message: 'm', details: { stack: 'at here' } },
    scene,
  );
  assert.equal((context as JsonObject).stackTrace, 'at here');
});
