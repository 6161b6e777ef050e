import assert from 'node:assert/strict';
import { test } from 'node:test';
import { versionHeaders } from './versions.ts';

test('BLOG-120 who speaks a deprecated version is told with Deprecation and Sunset, in whichever message of a batch; nobody else is', () => {
  const versions = [
    { version: '1.0.0', deprecatedAt: '2026-01-01T00:00:00Z', sunsetAt: '2027-01-01T00:00:00Z' },
    { version: '1.1.0', deprecatedAt: '2026-01-01T00:00:00Z' },
    { version: '2.0.0' },
  ];
  const told = (...spoken: readonly (string | null)[]) => versionHeaders({ versions }, spoken);
  const old = { deprecation: '@1767225600', sunset: 'Fri, 01 Jan 2027 00:00:00 GMT' };
  assert.deepEqual(told('1.0.0'), old);
  assert.deepEqual(told('2.0.0', '1.0.0', null), old);
  assert.deepEqual(told('1.1.0'), { deprecation: old.deprecation });
  for (const none of [told('2.0.0'), told(null), told(), told('9')]) assert.deepEqual(none, {});
});
