// Strings as they are used: normalized to NFC, without control characters (but tab and line ends) and without what turns the direction of
// writing round (`ARMY-81`).

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out.
const UNWANTED = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** The envelope with all its strings, keys included, as they are used; itself where nothing is to be done. */
export function cleansed(envelope: JsonObject): JsonObject {
  return cleansedJson(envelope) as JsonObject;
}

function cleansedJson(value: Json): Json {
  if (typeof value === 'string') return value.normalize('NFC').replace(UNWANTED, '');
  if (Array.isArray(value)) {
    const items = value.map(cleansedJson);
    return items.every((item, at) => item === value[at]) ? value : items;
  }
  if (!isJsonObject(value)) return value;
  let isSame = true;
  const entries = Object.entries(value).map(([key, inner]) => {
    const [cleanKey, clean] = [
      cleansedJson(key) as string,
      inner === undefined ? inner : cleansedJson(inner),
    ];
    if (cleanKey !== key || clean !== inner) isSame = false;
    return [cleanKey, clean] as const;
  });
  return isSame ? value : Object.fromEntries(entries);
}
