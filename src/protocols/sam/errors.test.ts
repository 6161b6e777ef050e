import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import { canonicalCode, errorPages, renderError, SAM_CODES, WORDINGS } from './errors.ts';

const scene = { requestId: 'r', traceId: 't', now: 0, origin: 'https://x' };
const codes = Object.keys(ERROR_CODES) as ErrorCode[];

test('SAM-49 every canonical code has a code of its own, one of the statuses of the document, and a page', () => {
  const statuses = new Set([400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504]);
  const seen = new Set<string>();
  for (const canonical of codes) {
    const { status, body } = renderError(new DomainError(canonical, 'no'), scene);
    const { code } = body.error as { code: string };
    assert.ok(statuses.has(status), `${canonical} answers ${status}`);
    assert.ok(!seen.has(code), `${code} stands for two`);
    assert.ok(SAM_CODES.includes(code));
    assert.ok(errorPages[code] !== undefined, `${code} has no page`);
    assert.equal(canonicalCode(code), canonical);
    seen.add(code);
  }
});

test('SAM-48 when to try again is told in whole seconds, and not at all where it is useless', () => {
  const retryAfter = (error: DomainError) => {
    const { body, headers } = renderError(error, scene);
    return [(body.error as { retry_after: number | null }).retry_after, headers['retry-after']];
  };
  assert.deepEqual(retryAfter(new DomainError('rate_limited', 'no', { retryAfterMs: 1_200 })), [2, '2']);
  assert.deepEqual(retryAfter(new DomainError('resource_exhausted', 'full')), [60, '60']);
  assert.deepEqual(retryAfter(new DomainError('invalid_request', 'no')), [null, undefined]);
});

test('SAM-50 TASK_EXECUTION_FAILED is read as a failed task, and a code nobody knows as none', () => {
  assert.equal(canonicalCode('TASK_EXECUTION_FAILED'), 'task_failed');
  assert.equal(canonicalCode('constructor'), null);
  assert.equal(canonicalCode('PRINTER_ON_FIRE'), null);
});

test('SAM-48 categories are the four of the document', () => {
  const categories = new Set(Object.values(WORDINGS).map(one => one.category));
  assert.deepEqual([...categories].sort(), [
    'authentication_error',
    'client_error',
    'server_error',
    'task_execution_error',
  ]);
});
