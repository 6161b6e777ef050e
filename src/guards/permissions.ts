// What a principal may do, asked at the door of every route; and what two credentials may do together.

import { DomainError } from '../domain/errors.ts';
import { allows, PERMISSIONS, type Permission, type Principal } from '../domain/principal.ts';

/** Throws `forbidden` with `details.required` unless the principal holds the permission. */
export function requirePermission(principal: Principal, permission: Permission): void {
  if (allows(principal, permission)) return;
  throw new DomainError('forbidden', `this needs the permission ${permission}`, {
    details: { required: permission },
  });
}

/** Throws `forbidden` with `details.required` if the permissions to be granted exceed the grantor's own. */
export function requireGrantable(grantor: Principal, permissions: Iterable<Permission>): void {
  for (const permission of permissions) {
    if (allows(grantor, permission)) continue;
    throw new DomainError('forbidden', `nobody grants what they lack: ${permission}`, {
      details: { required: permission },
    });
  }
}

/** The permissions both hold, `admin` of one standing for whatever the other holds. */
export function permissionsOfBoth(one: Principal, other: Principal): ReadonlySet<Permission> {
  return new Set(PERMISSIONS.filter(permission => allows(one, permission) && allows(other, permission)));
}
