// Which URLs are taken apart at all, and into what.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readTarget } from './permission.ts';

test('SAM-108 a URL that is none is an invalid request', () => {
  const malformed = [
    '',
    'hooks',
    '//a.test/',
    '/path',
    'https://',
    'https:///a.test',
    'https:a.test',
    'https:\\\\a.test',
  ];
  const unparsable = [
    'https://a.test:99999/',
    'https://[::1/',
    'https://1.2.3.256/',
    'https://a b/',
    'https://./',
  ];
  for (const url of [
    ...malformed,
    ...unparsable,
    ' https://a.test',
    'https://a.\ntest/',
    'https://a.test/\t',
  ])
    assert.throws(() => readTarget(url), { code: 'invalid_request' }, JSON.stringify(url));
});

test('SAM-108 a scheme but HTTP, and credentials, are unprocessable', () => {
  const schemes = [
    'file:///etc/passwd',
    'ftp://a.test/',
    'gopher://a.test/',
    'data:,x',
    'javascript:1',
    'ws://a.test/',
  ];
  for (const url of [...schemes, 'https://user:word@a.test/', 'https://user@a.test/', 'http://:word@a.test/'])
    assert.throws(() => readTarget(url), { code: 'unprocessable' }, url);
});

test('a target is read as the URL standard reads it: host, port as given, path and query without the fragment', () => {
  assert.deepEqual(readTarget('HTTPS://Bücher.Example.:8443/a/../b?c=d#e'), {
    hostname: 'xn--bcher-kva.example',
    plainHttp: false,
    origin: 'https://xn--bcher-kva.example.:8443',
    path: '/b?c=d',
  });
  assert.deepEqual(readTarget('http://[::FFFF:127.1.0.1]:80'), {
    hostname: '::ffff:7f01:1',
    plainHttp: true,
    origin: 'http://[::ffff:7f01:1]',
    path: '/',
  });
  assert.equal(readTarget('https://evil.test#@good.test/').hostname, 'evil.test');
  assert.equal(readTarget('https://evil.test\\.good.test/').hostname, 'evil.test');
});
