// What texts are cleaned of before use (`ARMY-81`): composed alike, without control characters or marks that make text read otherwise
// than it is. A signed message cannot be cleaned, so it is told where it is unclean.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';

/** Control characters but tab and line ends; embeddings, overrides and isolates of direction. */
const UNCLEAN = /[^\P{Cc}\t\n\r]|[\u202a-\u202e\u2066-\u2069]/u;
const ALL_UNCLEAN = new RegExp(UNCLEAN, 'gu');
const FIELDS_MAX = 100;

/** The text in NFC, without control characters (tab and line ends stay) and without bidirectional overrides. */
export function sanitizedText(text: string): string {
  return (UNCLEAN.test(text) ? text.replace(ALL_UNCLEAN, '') : text).normalize('NFC');
}

/** The same for every string and name of a JSON value; throws `invalid_request` where two names become one. */
export function sanitizedJson(value: Json): Json {
  if (typeof value === 'string') return sanitizedText(value);
  if (Array.isArray(value)) return value.map(sanitizedJson);
  if (!isJsonObject(value)) return value;
  const members = new Map<string, Json>();
  for (const [name, member] of Object.entries(value)) {
    const clean = sanitizedText(name);
    if (members.has(clean))
      throw new DomainError(
        'invalid_request',
        'two members of an object differ in invisible characters alone',
      );
    if (member !== undefined) members.set(clean, sanitizedJson(member));
  }
  return Object.fromEntries(members) as JsonObject;
}

/** The dotted paths of strings and names with characters that would be stripped, at most 100. */
export function uncleanFields(value: Json): readonly string[] {
  const found: string[] = [];
  collect(value, '', found);
  return found;
}

function collect(value: Json, path: string, found: string[]): void {
  if (found.length >= FIELDS_MAX) return;
  if (typeof value === 'string') {
    if (UNCLEAN.test(value)) found.push(path);
  } else if (typeof value === 'object' && value !== null) {
    for (const [name, member] of Object.entries(value)) {
      const inner = `${path}${path === '' ? '' : '.'}${name.replace(ALL_UNCLEAN, '')}`;
      if (UNCLEAN.test(name) && found.length < FIELDS_MAX) found.push(inner);
      else if (member !== undefined) collect(member, inner, found);
    }
  }
}
