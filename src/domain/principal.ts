// Principals: who is calling and what they may do. Roles include the one before; wire aliases resolve to canonical permissions.

import type { AgentId, TenantId } from './ids.ts';
import type { TaskType } from './task.ts';

/** Every permission (`canonical.md`, permissions). */
export const PERMISSIONS = [
  'task:execute',
  'task:read',
  'task:control',
  'task:write-result',
  'message:send',
  'message:receive',
  'memory:read',
  'memory:write',
  'workflow:manage',
  'knowledge:read',
  'agent:manage',
  'delivery:manage',
  'approval:decide',
  'audit:read',
  'admin',
] as const;

/** A canonical permission; `admin` implies all others. */
export type Permission = (typeof PERMISSIONS)[number];

const ALIASES: Readonly<Record<string, readonly Permission[]>> = {
  task_execution: ['task:execute', 'task:read', 'task:control'],
  task_monitoring: ['task:read'],
  'agent:execute': ['task:execute'],
};

/** Who is calling, after authentication. */
export interface Principal {
  readonly tenant: TenantId;
  /** Stable name for limits and audit: `key:<id>`, `jwt:<agent>`, `system`. */
  readonly id: string;
  readonly method: 'jwt' | 'api_key' | 'hmac' | 'system';
  /** Set where the credential is bound to one agent (`SAM-32`). */
  readonly agentId?: AgentId;
  readonly userId?: string;
  readonly permissions: ReadonlySet<Permission>;
  /** Task types it may submit; absent means all (`SAM-12`). */
  readonly taskTypes?: ReadonlySet<TaskType>;
  /** Requests an hour, where its key sets its own (`SAM-53`). */
  readonly rateLimit?: number;
}

/** The canonical permissions a list of names grants; unknown names grant nothing (`SAM-13`). */
export function permissionsOf(names: readonly string[]): ReadonlySet<Permission> {
  const granted = new Set<Permission>();
  for (const name of names) {
    const alias = Object.hasOwn(ALIASES, name) ? ALIASES[name] : undefined;
    if (alias !== undefined) for (const permission of alias) granted.add(permission);
    else if (isPermission(name)) granted.add(name);
  }
  return granted;
}

/** Whether the principal holds the permission, directly or as `admin`. */
export function allows(principal: Principal, permission: Permission): boolean {
  return principal.permissions.has(permission) || principal.permissions.has('admin');
}

/** True for a canonical permission's name. */
export function isPermission(name: string): name is Permission {
  return (PERMISSIONS as readonly string[]).includes(name);
}
