// Which messages a subscriber wants: by type, with `*` for anything, and by what stands in them.

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';

/** The patterns of a comma-separated list; none for everything. */
export function patternsIn(list: string | undefined): readonly string[] {
  return (list ?? '')
    .split(',')
    .map(one => one.trim())
    .filter(one => one !== '');
}

/** Whether a type is one of the patterns, in which `*` stands for any run of characters; no pattern takes all. */
export function matchesType(type: string, patterns: readonly string[]): boolean {
  return patterns.length === 0 || patterns.some(pattern => matches(type, pattern.split('*')));
}

/** Whether what stands at each path (`metadata.userId`) equals what is wanted there. */
export function matchesFilter(envelope: JsonObject, filter: JsonObject): boolean {
  return Object.entries(filter).every(([path, wanted]) => sameJson(at(envelope, path), wanted ?? null));
}

/** Plain search from left to right: no pattern can make it slow. */
function matches(type: string, parts: readonly string[]): boolean {
  const [first = '', ...rest] = parts;
  if (rest.length === 0) return type === first;
  if (!type.startsWith(first)) return false;
  const last = rest.pop() ?? '';
  let from = first.length;
  for (const part of rest) {
    const found = type.indexOf(part, from);
    if (found < 0) return false;
    from = found + part.length;
  }
  return type.length - last.length >= from && type.endsWith(last);
}

function at(value: Json | undefined, path: string): Json | undefined {
  let here = value;
  for (const step of path.split('.')) {
    if (!isJsonObject(here) || !Object.hasOwn(here, step)) return undefined;
    here = here[step];
  }
  return here;
}

function sameJson(one: Json | undefined, other: Json): boolean {
  return one !== undefined && JSON.stringify(one) === JSON.stringify(other);
}
