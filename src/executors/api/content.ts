// What an answer's bytes mean: JSON, text, or a file to be kept.

import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';

/** How a body is to be read. */
export type ContentForm = 'json' | 'text' | 'artifact';

const NESTING_MAX = 64;
const TEXTUAL =
  /^(?:text\/.+|application\/(?:.+\+)?(?:xml|yaml|x-yaml|javascript|x-www-form-urlencoded|x-ndjson|graphql|toml|sql|csv))$/;
const JSON_TYPE = /^(?:application|text)\/(?:.+\+)?json$/;

/** The media type without parameters, in lower case; empty where there is none. */
export function mediaTypeOf(contentType: string | undefined): string {
  return (contentType ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

/** The form a body has by its content type; without one, text if it is UTF-8. */
export function formOf(contentType: string | undefined, bytes: Uint8Array): ContentForm {
  const type = mediaTypeOf(contentType);
  if (JSON_TYPE.test(type)) return 'json';
  if (TEXTUAL.test(type)) return 'text';
  return type === '' && isUtf8(bytes) ? 'text' : 'artifact';
}

/** The bytes as JSON, null for none; throws `task_failed` for what is not JSON, or nested deeper than 64 levels. */
export function readJson(bytes: Uint8Array, contentType: string | undefined): Json {
  if (bytes.length === 0) return null;
  let value: Json;
  try {
    value = JSON.parse(readText(bytes, contentType)) as Json;
  } catch (error) {
    throw new DomainError('task_failed', 'the answer is not JSON', { cause: error });
  }
  if (!isNestedWithin(value, NESTING_MAX)) {
    throw new DomainError('task_failed', `the answer is JSON nested deeper than ${NESTING_MAX} levels`);
  }
  return value;
}

/** The bytes as text in the encoding the content type names, UTF-8 where it names none that is known. */
export function readText(bytes: Uint8Array, contentType: string | undefined): string {
  const charset = /;\s*charset="?([\w.:-]{1,40})/i.exec(contentType ?? '')?.[1];
  try {
    return new TextDecoder(charset ?? 'utf-8').decode(bytes);
  } catch {
    return new TextDecoder().decode(bytes);
  }
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function isNestedWithin(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return levels > 0 && Object.values(value).every(child => isNestedWithin(child, levels - 1));
}
