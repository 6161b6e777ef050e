// What the operator's list may say, and what it then covers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAddress } from './addresses.ts';
import { isListedAddress, isListedHost, parsePrivateTargets } from './targets.ts';

function covers(text: string, address: string): boolean {
  const parsed = readAddress(address);
  assert.ok(parsed);
  return isListedAddress(parsePrivateTargets(text), parsed);
}

test('a list without entries, and false, permit nothing', () => {
  for (const text of ['', ' , ', 'false']) {
    assert.equal(covers(text, '127.0.0.1'), false);
    assert.equal(isListedHost(parsePrivateTargets(text), 'false'), false);
  }
});

test('true covers every private address and no public one', () => {
  for (const address of ['127.0.0.1', '10.1.2.3', '169.254.169.254', '::1', 'fd00::1', '0.0.0.0'])
    assert.equal(covers('true', address), true, address);
  assert.equal(covers('true', '93.184.216.34'), false);
});

test('addresses, networks of both families and mapped spellings are covered, their neighbours are not', () => {
  const text = '127.0.0.1, 10.0.0.0/8,[::1],fd00::/8';
  for (const address of ['127.0.0.1', '::ffff:127.0.0.1', '10.255.0.1', '::1', 'fd12::1'])
    assert.equal(covers(text, address), true, address);
  for (const address of ['127.0.0.2', '11.0.0.1', '::2', 'fe80::1', '64:ff9b::7f00:1'])
    assert.equal(covers(text, address), false, address);
});

test('hosts are read as a URL spells them', () => {
  const targets = parsePrivateTargets('LocalHost, hooks.internal., bücher.example');
  assert.deepEqual([...targets.hosts], ['localhost', 'hooks.internal', 'xn--bcher-kva.example']);
  assert.equal(isListedHost(targets, 'evil.hooks.internal'), false);
});

test('an entry that is no host, address or CIDR is refused by name', () => {
  for (const entry of [
    '10.0.0.0/33',
    '10.0.0.0/8/8',
    '::1/129',
    '*.internal',
    'host:80',
    'http://host',
    '0x7f.1',
    'a b',
  ])
    assert.throws(() => parsePrivateTargets(`localhost,${entry}`), {
      code: 'invalid_request',
      message: new RegExp(entry.replace(/[.*]/g, '\\$&')),
    });
});
