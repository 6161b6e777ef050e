// What each answer of a receiver amounts to.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { judgeAnswer } from './answer.ts';

const NOW = Date.parse('2026-01-01T00:00:00Z');

function judge(status: number, body: string | Uint8Array = '', headers: Record<string, string> = {}) {
  return judgeAnswer({ status, headers, body: Buffer.from(body), durationMs: 7 }, NOW);
}

test('SAM-89 the verdict follows the status: 2xx is delivered, what passes is retried, the rest fails', () => {
  const statuses = {
    delivered: [200, 201, 202, 204, 299],
    retry: [408, 425, 429, 500, 502, 503, 504, 599],
    fail: [300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 410, 413, 422, 499],
  };
  for (const [verdict, those] of Object.entries(statuses))
    for (const status of those) assert.equal(judge(status).verdict, verdict, String(status));
});

test('SAM-87 a 2xx acknowledges with or without a body, unless its JSON says acknowledged: false', () => {
  for (const body of [
    '',
    'ok',
    '{}',
    '{"acknowledged":true}',
    '{"acknowledged":"false"}',
    'false',
    '{"acknowl',
  ])
    assert.equal(judge(200, body).verdict, 'delivered', body);
  assert.equal(judge(200, ' {"acknowledged": false}\n').verdict, 'retry');
  assert.equal(judge(404, '{"acknowledged": false}').verdict, 'fail');
});

test('SAM-88 the JSON object of an answer is its acknowledgement, whatever its content type', () => {
  const instructions = { acknowledged: true, next_instructions: { action: 'cancel' } };
  assert.deepEqual(judge(200, JSON.stringify(instructions)).acknowledgement, instructions);
  assert.deepEqual(judge(503, '{"a":1}', { 'content-type': 'text/html' }).acknowledgement, { a: 1 });
  for (const body of ['[{"a":1}]', '"text"', '7', 'null', '', '{"a":1', '<p>{}</p>'])
    assert.equal('acknowledgement' in judge(200, body), false, body);
});

test('an answer nested too deeply for what comes after is no acknowledgement', () => {
  const nested = (levels: number): string => `{"a":${'['.repeat(levels - 1)}${']'.repeat(levels - 1)}}`;
  assert.ok(judge(200, nested(64)).acknowledgement);
  for (const levels of [65, 30_000]) assert.equal('acknowledgement' in judge(200, nested(levels)), false);
});

test('SAM-89 Retry-After is read in seconds or as an HTTP date, up to an hour', () => {
  const cases: Record<string, number | undefined> = {
    '0': 0,
    '120': 120_000,
    ' 5 ': 5_000,
    '86400': 3_600_000,
    '99999999999999999999': 3_600_000,
    'Thu, 01 Jan 2026 00:00:30 GMT': 30_000,
    'Thursday, 01-Jan-26 00:01:00 GMT': 60_000,
    'Wed, 31 Dec 2025 23:00:00 GMT': 0,
    'Fri, 01 Jan 2027 00:00:00 GMT': 3_600_000,
    '-1': undefined,
    '1.5': undefined,
    '2026-01-02': undefined,
    'Soon, very GMT': undefined,
    '': undefined,
  };
  for (const [text, expected] of Object.entries(cases))
    assert.equal(judge(503, '', { 'retry-after': text }).retryAfterMs, expected, text);
  assert.equal('retryAfterMs' in judge(503), false);
});

test('the first KiB of an answer is kept, with nothing in it that a terminal or a page would obey', () => {
  assert.equal(judge(500, 'x'.repeat(5_000)).answer.length, 1_024);
  assert.equal(judge(500, `${'x'.repeat(1_023)}ü`).answer, 'x'.repeat(1_023));
  assert.equal(judge(500, 'one\r\ntwo\tthree\rfour').answer, 'one\ntwo\tthree\nfour');
  assert.equal(
    judge(500, '\x1b[2J\0\x07\x7f\u009b\u202eevil\u2028').answer,
    '\ufffd[2J\ufffd\ufffd\ufffd\ufffd\ufffdevil\ufffd',
  );
  assert.equal(judge(500, Uint8Array.of(0x61, 0xff, 0x62)).answer, 'a\ufffdb');
});

test('status and duration are told as they were', () => {
  assert.deepEqual(judge(204), { status: 204, durationMs: 7, answer: '', verdict: 'delivered' });
});
