// Puts values into texts: `{{name}}` and `{{name.path.0}}`, and nothing that could compute. Values are not looked into again, so a
// value that holds braces stays what it is.

import { isJsonObject, type Json } from '../../domain/json.ts';

/** The values a template may name. */
export type Values = ReadonlyMap<string, Json>;

const PLACE = /\{\{\s*([A-Za-z_][\w-]*(?:\.[\w-]+)*)\s*\}\}/g;

/** The paths a text names, each once. */
export function placesIn(text: string): readonly string[] {
  return [...new Set([...text.matchAll(PLACE)].map(([, path = '']) => path))];
}

/** The first part of a path: which value it is about. */
export function nameIn(path: string): string {
  return path.split('.', 1)[0] ?? path;
}

/** The value at a path; undefined where there is none. */
export function valueAt(values: Values, path: string): Json | undefined {
  const [name = '', ...parts] = path.split('.');
  return parts.reduce<Json | undefined>(within, values.get(name));
}

/** What a template is filled under. */
export interface Filling {
  /** Told a path without a value; throws. */
  readonly missing: (path: string) => never;
  /** Told the characters of each value put in, before the text is made; throws where they come to too many. */
  readonly put: (characters: number) => void;
}

/** The text with its values: texts as they are, others as JSON. */
export function fill(text: string, values: Values, { missing, put }: Filling): string {
  return text.replace(PLACE, (_, path: string) => {
    const value = valueAt(values, path);
    if (value === undefined) return missing(path);
    const words = typeof value === 'string' ? value : JSON.stringify(value);
    put(words.length);
    return words;
  });
}

/** One step into a value. */
export function within(value: Json | undefined, part: string): Json | undefined {
  if (Array.isArray(value)) return /^\d{1,9}$/.test(part) ? value[Number(part)] : undefined;
  return isJsonObject(value ?? null) && Object.hasOwn(value as object, part)
    ? (value as Record<string, Json>)[part]
    : undefined;
}
