// What names grant: canonical permissions, the aliases met in the wild, and nothing else.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_TENANT } from './ids.ts';
import {
  allows,
  isPermission,
  PERMISSIONS,
  type Permission,
  type Principal,
  permissionsOf,
} from './principal.ts';

function holding(...permissions: readonly Permission[]): Principal {
  return { tenant: DEFAULT_TENANT, id: 'key:1', method: 'api_key', permissions: new Set(permissions) };
}

function granted(...names: readonly string[]): readonly string[] {
  return [...permissionsOf(names)].sort();
}

test('SAM-13 the aliases grant what they stand for, and task_monitoring nothing but reading', () => {
  assert.deepEqual(granted('task_execution'), ['task:control', 'task:execute', 'task:read']);
  assert.deepEqual(granted('task_monitoring'), ['task:read']);
  assert.deepEqual(granted('agent:execute'), ['task:execute']);
  const monitor = { ...holding(), permissions: permissionsOf(['task_monitoring']) };
  assert.equal(allows(monitor, 'task:read'), true);
  assert.equal(allows(monitor, 'task:execute'), false);
});

test('SAM-13 canonical names grant themselves, and unknown names nothing, whatever they are', () => {
  assert.deepEqual(granted(...PERMISSIONS), [...PERMISSIONS].sort());
  const names = fc.array(fc.oneof(fc.string(), fc.constantFrom('__proto__', 'toString', 'ADMIN', 'task:*')));
  fc.assert(fc.property(names, given => granted(...given.filter(name => !isPermission(name))).length === 0));
});

test('admin allows everything, any other permission only itself', () => {
  for (const wanted of PERMISSIONS) {
    assert.equal(allows(holding('admin'), wanted), true);
    assert.equal(allows(holding(), wanted), false);
    const others = PERMISSIONS.filter(one => one !== wanted && one !== 'admin');
    assert.equal(allows(holding(...others), wanted), false);
  }
});
