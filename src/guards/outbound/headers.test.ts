// Which headers may go out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { assertHeaders } from './headers.ts';

test('names and values that would split a request are refused', () => {
  for (const value of ['b\r\nx-evil: 1', 'b\nc', 'b\rc', 'b\0', '\x7f', '→'])
    assert.throws(() => assertHeaders({ 'x-a': value }), { code: 'invalid_request' }, JSON.stringify(value));
  for (const name of ['', 'x a', 'x\r\nx-evil', 'x:', 'ü', 'x\0'])
    assert.throws(() => assertHeaders({ [name]: 'a' }), { code: 'invalid_request' }, JSON.stringify(name));
});

test('names that steer the connection are refused in any case', () => {
  const reserved = [
    'Host',
    'Content-Length',
    'transfer-encoding',
    'TE',
    'Trailer',
    'Connection',
    'Keep-Alive',
  ];
  for (const name of [
    ...reserved,
    'upgrade',
    'expect',
    'HTTP2-Settings',
    'Proxy-Authorization',
    'proxy-connection',
  ])
    assert.throws(() => assertHeaders({ 'x-a': 'b', [name]: 'x' }), { code: 'invalid_request' }, name);
});

test('everything else goes', () => {
  assertHeaders({});
  assertHeaders({ Authorization: 'Bearer x', 'X-Host': 'a', cookie: 'a="b"', accept: '', 'x-latin': 'é\t~' });
});
