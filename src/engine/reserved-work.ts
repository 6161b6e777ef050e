// Custom types of work kept for participants of this server: what they change was checked by whoever orders it there, a permission, a table of
// who may say what, a person's approval. Nobody orders them from outside, and no agent elsewhere does them.

import { INSIDE_PREFIX } from '../domain/agent.ts';
import { DomainError } from '../domain/errors.ts';
import type { TaskSpec } from '../domain/task.ts';

/** Names of such types. */
export type ReservedWork = ReadonlySet<string>;

/** Throws `forbidden` where a task, or what it is in the absence of others, is work that no participant entrusted it with. */
export function refuseUnentrusted(spec: TaskSpec, reserved: ReservedWork): void {
  const { fallback, entrusted = [] } = spec;
  for (const { type, typeName } of fallback === undefined ? [spec] : [spec, fallback]) {
    if (type !== 'custom' || typeName === undefined) continue;
    if (!reserved.has(typeName) || entrusted.includes(typeName)) continue;
    throw new DomainError(
      'forbidden',
      `${typeName} is work of this server's own: it is asked for by message`,
      {
        details: { work_type: `custom:${typeName}` },
      },
    );
  }
}

/** Throws `forbidden` where an agent that is none of this server's offers to do reserved work. */
export function refuseUntrusted(
  agent: { readonly id: string; readonly kind: string; readonly types: readonly string[] },
  reserved: ReservedWork,
): void {
  if (agent.kind === 'local' || agent.id.startsWith(INSIDE_PREFIX)) return;
  const type = agent.types.find(one => one.startsWith(CUSTOM) && reserved.has(one.slice(CUSTOM.length)));
  if (type === undefined) return;
  throw new DomainError('forbidden', `${type} is work of this server's own: no agent elsewhere does it`, {
    details: { work_type: type },
  });
}

const CUSTOM = 'custom:';
