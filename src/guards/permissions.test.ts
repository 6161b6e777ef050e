import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { PERMISSIONS, type Permission, type Principal } from '../domain/principal.ts';
import { permissionsOfBoth, requireGrantable, requirePermission } from './permissions.ts';

function holding(...permissions: readonly Permission[]): Principal {
  return { tenant: DEFAULT_TENANT, id: 'x', method: 'jwt', permissions: new Set(permissions) };
}

test('SAM-6 a missing permission is forbidden and named, and admin holds them all', () => {
  requirePermission(holding('task:read'), 'task:read');
  for (const permission of PERMISSIONS) requirePermission(holding('admin'), permission);
  assert.throws(() => requirePermission(holding('task:read'), 'task:control'), {
    code: 'forbidden',
    details: { required: 'task:control' },
  });
});

test('SAM-7 two principals hold together what each of them holds, admin standing for the other’s', () => {
  const both = (one: Principal, other: Principal): readonly Permission[] => [
    ...permissionsOfBoth(one, other),
  ];
  assert.deepEqual(both(holding('task:read', 'task:execute'), holding('task:read', 'memory:read')), [
    'task:read',
  ]);
  assert.deepEqual(both(holding('admin'), holding('task:read')), ['task:read']);
  assert.deepEqual(both(holding('task:read'), holding('admin')), ['task:read']);
  assert.ok(both(holding('admin'), holding('admin')).includes('admin'));
  assert.deepEqual(both(holding('task:read'), holding()), []);
});

test('nobody grants what they lack', () => {
  requireGrantable(holding('admin'), ['admin', 'task:read']);
  requireGrantable(holding('task:read'), ['task:read']);
  assert.throws(() => requireGrantable(holding('task:read'), ['task:read', 'admin']), { code: 'forbidden' });
});
