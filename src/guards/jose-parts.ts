// The parts of compact JOSE texts, read as strictly as can be.

import { isJsonObject, type JsonObject } from '../domain/json.ts';
import { Refusal } from './refusal.ts';

/** The bytes of a part. Only the canonical spelling counts: a lenient decoder would read one token from many texts. */
export function readBytes(part: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) throw new Refusal('malformed');
  return bytes;
}

/** The JSON object in a part; throws a `Refusal` where there is none. */
export function readJson(part: string): JsonObject {
  try {
    const value: unknown = JSON.parse(readBytes(part).toString('utf8'));
    if (isJsonObject(value)) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new Refusal('malformed');
}
