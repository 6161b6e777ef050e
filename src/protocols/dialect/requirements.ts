// Which requirement a field of a message answers to, for whoever checks a message and wants to read the rule.

import { isJsonObject, type Json } from '../../domain/json.ts';

/**
 * Requirement ids by the path of what they are about, of any message (`metadata.priority`) or of those of a type
 * (`task_request payload.constraints`); the longest path that holds the field counts, and the empty one is the whole message.
 */
export type FieldRequirements = Readonly<Record<string, string>>;

/** The requirement that a fault in a field breaks; null where the wire names none. */
export function requirementOf(rules: FieldRequirements, envelope: Json, field: string): string | null {
  const type = typeOf(envelope);
  for (let path = field; ; path = parentOf(path)) {
    const found = rules[`${type} ${path}`] ?? rules[path];
    if (found !== undefined) return found;
    if (path === '') return null;
  }
}

function typeOf(envelope: Json): string {
  const type = isJsonObject(envelope) ? envelope.type : null;
  if (isJsonObject(type)) return `${String(type.domain)}.${String(type.action)}`;
  return typeof type === 'string' ? type : '';
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('.'), path.lastIndexOf('['), 0));
}
