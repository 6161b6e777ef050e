// Reads JSON that a model or a tool wrote: what nests too deep would overflow whoever walks it next, so it counts as no JSON at all.

import type { Json } from '../../domain/json.ts';

const DEPTH_MAX = 64;

/** The value, or why the text is none. */
export function readForeign(text: string): { readonly value: Json } | { readonly wrong: string } {
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch (error) {
    return { wrong: `is not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  return isDeep(value) ? { wrong: `is not JSON of at most ${DEPTH_MAX} levels` } : { value };
}

/** Level by level, without recursion. */
function isDeep(value: Json): boolean {
  let level: readonly Json[] = [value];
  for (let depth = 0; depth <= DEPTH_MAX; depth++) {
    level = level.flatMap(one =>
      typeof one === 'object' && one !== null ? (Object.values(one) as Json[]) : [],
    );
    if (level.length === 0) return false;
  }
  return true;
}
