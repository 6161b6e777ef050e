import assert from 'node:assert/strict';
import { test } from 'node:test';
import { callerNetworkOf, isWithin, networkOf, parseRange } from './network.ts';

const within = (address: string, ...ranges: string[]): boolean =>
  isWithin(
    address,
    ranges.map(parseRange).filter(range => range !== null),
  );

test('an address lies in a range whatever way it is spelt', () => {
  assert.ok(within('10.1.2.3', '10.0.0.0/8'));
  assert.ok(within('::ffff:10.1.2.3', '10.0.0.0/8'));
  assert.ok(within('2001:db8:0:0::1', '2001:db8::/32'));
  assert.ok(within('fe80::1%eth0', 'fe80::/10'));
  assert.ok(within('192.0.2.1', '2001:db8::/32', '192.0.2.1'));
  assert.ok(!within('11.0.0.1', '10.0.0.0/8'));
  assert.ok(!within('192.0.2.2', '192.0.2.1'));
  assert.ok(!within('nonsense', '0.0.0.0/0'));
});

test('a range is dotted decimal or IPv6: octal, hexadecimal and short forms are none', () => {
  for (const text of [
    '0x7f.1',
    '127.1',
    '2130706433',
    '10.0.0.0/33',
    '::/129',
    '10.0.0.0/8/8',
    '',
    '/8',
    '10.0.0.0/',
  ])
    assert.equal(parseRange(text), null, text);
});

test('the network of an address is its /24 or /48, and a caller’s its address or /64', () => {
  assert.equal(networkOf('203.0.113.77'), '203.0.113.0/24');
  assert.equal(networkOf('::ffff:203.0.113.77'), '203.0.113.0/24');
  assert.equal(networkOf('2001:db8:1:2:3::4'), '2001:db8:1::/48');
  assert.equal(callerNetworkOf('203.0.113.77'), '203.0.113.77/32');
  assert.equal(callerNetworkOf('2001:db8:1:2:3::4'), '2001:db8:1:2::/64');
  assert.equal(networkOf('?'), 'unknown');
});
