// Custom types of work kept for participants of this server: what they change was checked by whoever orders it there, a permission, a table of
// who may say what, a person's approval. Nobody orders them from outside, and no agent elsewhere does them.

import { DomainError } from './errors.ts';

/** The types: what changes or approves contents of a blog, and what the built-in services of Nooble do but for looking things up. */
export const RESERVED_WORK = [
  'change_content',
  'validate_content',
  'agent_task',
  'auth_task',
  'conversation_task',
  'knowledge_update',
  'system_task',
  'tool_registration',
  'tool_task',
  'workflow_step',
  'workflow_task',
] as const;

/** One of them. */
export type ReservedWork = (typeof RESERVED_WORK)[number];

interface Work {
  readonly type: string;
  readonly typeName?: string;
}

/** The type that an order may not be of, for no participant entrusted it with that; null where it may be what it is. */
export function unentrustedWork({
  type,
  typeName,
  fallback,
  entrusted = [],
}: Work & { readonly fallback?: Work; readonly entrusted?: readonly ReservedWork[] }): string | null {
  const names = [{ type, typeName }, ...(fallback === undefined ? [] : [fallback])].flatMap(one =>
    one.type === 'custom' && one.typeName !== undefined ? [one.typeName] : [],
  );
  const isReserved = (name: string): boolean => (RESERVED_WORK as readonly string[]).includes(name);
  return names.find(name => isReserved(name) && !(entrusted as readonly string[]).includes(name)) ?? null;
}

/** How the ids of agents inside this server begin that do such work as any worker does; nobody outside bears one. */
export const INSIDE_PREFIX = 'nooble.';

/** Throws `forbidden` where an agent that is none of this server's offers to do reserved work. */
export function refuseReservedWork({
  id,
  kind,
  types,
}: {
  readonly id: string;
  readonly kind: string;
  readonly types: readonly string[];
}): void {
  if (kind === 'local' || id.startsWith(INSIDE_PREFIX)) return;
  const name = RESERVED_WORK.find(one => types.includes(`custom:${one}`));
  if (name === undefined) return;
  throw new DomainError('forbidden', `${name} is work of this server's own: no agent elsewhere does it`, {
    details: { work_type: `custom:${name}` },
  });
}
