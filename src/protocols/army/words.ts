// The words of the army wire: its roles, types, priorities and versions, and which of them mean what elsewhere.

import type { Priority } from '../../domain/priority.ts';

/** The wire's name. */
export const ARMY = 'army';

/** Who there is (`ARMY-11`). */
export const ROLES = [
  'coordinator',
  'specialist',
  'researcher',
  'writer',
  'analyst',
  'validator',
  'memory',
  'tool',
  'supervisor',
] as const;
/** A part somebody plays. */
export type Role = (typeof ROLES)[number];

/** The roles that do what coordinators ask for; `specialist` is any of them (`ARMY-14`). */
export const SPECIALISTS = [
  'specialist',
  'researcher',
  'writer',
  'analyst',
] as const satisfies readonly Role[];

/** The roles this server plays where no agent does (`ARMY-15`). */
export const BUILT_IN = ['coordinator', 'validator', 'memory'] as const satisfies readonly Role[];

/** What a message may be (`ARMY-9`). */
export const TYPES = [
  'task_request',
  'task_response',
  'task_update',
  'error',
  'status_query',
  'status_response',
  'coordination',
  'validation_request',
  'validation_response',
  'memory_store',
  'memory_query',
  'memory_response',
  'heartbeat',
  'shutdown',
  'config_update',
] as const;
/** A message's type. */
export type Type = (typeof TYPES)[number];

/** Stands among the roles of an agent that takes more memory than it may, and so no new work (`ARMY-72`). */
export const OVERWEIGHT = `${ARMY}:overweight`;

/** What a remote coordinator may call its last `task_response` (`ARMY-64`). */
export const FINAL_RESPONSE = 'final_response';

/** The priorities, each with its canonical number. */
export const PRIORITIES = { critical: 0, high: 2, normal: 5, low: 8 } as const satisfies Record<
  string,
  Priority
>;
/** A priority's name. */
export type PriorityWord = keyof typeof PRIORITIES;

/** What may be checked of a result (`ARMY-28`). */
export const RULES = ['format_check', 'quality_check', 'policy_check'] as const;
/** How a memory may be searched (`ARMY-39`). */
export const QUERY_TYPES = ['semantic_search', 'full_text', 'hybrid', 'key', 'tags'] as const;

/** The version this server speaks; others of its major are understood. */
export const VERSION = '1.0.0';

/** The nearest named priority that is not more urgent. */
export function priorityWord(priority: Priority): PriorityWord {
  if (priority === 0) return 'critical';
  if (priority <= PRIORITIES.high) return 'high';
  return priority <= PRIORITIES.normal ? 'normal' : 'low';
}

/** True for a role's name. */
export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}

/** True for a role this server plays where no agent does. */
export function isBuiltIn(role: Role): role is (typeof BUILT_IN)[number] {
  return (BUILT_IN as readonly Role[]).includes(role);
}
