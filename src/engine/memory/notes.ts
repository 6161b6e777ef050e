// What a record may be: its shape and its size. Throws `invalid_request` or `payload_too_large`, naming the field.

import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';

const KEY_LENGTH_MAX = 512;
const COLLECTION_LENGTH_MAX = 128;
const USER_LENGTH_MAX = 200;
const TAGS_MAX = 64;
const TAG_LENGTH_MAX = 128;
const METADATA_BYTES_MAX = 65_536;
const VALUE_BYTES_MAX = 1_048_576;
const CONTENT_BYTES_MAX = 4_194_304;
/** A hundred years: beyond, for ever is meant. */
const TTL_MS_MAX = 3_155_760_000_000;

interface Common {
  readonly collection?: string;
  readonly userId?: string;
  readonly tags?: readonly string[];
  readonly metadata?: JsonObject;
  readonly ttlMs?: number;
}

/** Checks something to remember. */
export function checkNote(note: Common & { readonly key: string; readonly value: unknown }): void {
  requireLength('key', note.key, KEY_LENGTH_MAX);
  const text = JSON.stringify(note.value) as string | undefined;
  if (text === undefined) throw invalid('value', 'value must be JSON');
  requireBytes('value', text, VALUE_BYTES_MAX);
  checkCommon(note);
}

/** Checks a document. */
export function checkDocument(
  document: Common & { readonly id: string; readonly content: string; readonly about?: JsonObject },
): void {
  requireLength('id', document.id, KEY_LENGTH_MAX);
  if (document.content.trim() === '') throw invalid('content', 'content must say something');
  requireBytes('content', document.content, CONTENT_BYTES_MAX);
  requireBytes('about', JSON.stringify(document.about ?? {}), METADATA_BYTES_MAX);
  checkCommon(document);
}

function checkCommon({ collection, userId, tags = [], metadata = {}, ttlMs }: Common): void {
  if (collection !== undefined) requireLength('collection', collection, COLLECTION_LENGTH_MAX);
  if (userId !== undefined) requireLength('user_id', userId, USER_LENGTH_MAX);
  if (tags.length > TAGS_MAX) throw invalid('tags', `there may be ${TAGS_MAX} tags at most`);
  for (const tag of tags) requireLength('tags', tag, TAG_LENGTH_MAX);
  requireBytes('metadata', JSON.stringify(metadata), METADATA_BYTES_MAX);
  if (ttlMs !== undefined && !(Number.isInteger(ttlMs) && ttlMs > 0 && ttlMs <= TTL_MS_MAX))
    throw invalid('ttl', 'ttl must be longer than nothing and no longer than a hundred years');
}

function requireLength(field: string, text: string, most: number): void {
  if (text.length < 1 || text.length > most) throw invalid(field, `${field} must have 1–${most} characters`);
}

function requireBytes(field: string, text: string, most: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes <= most) return;
  throw new DomainError('payload_too_large', `${field} has ${bytes} bytes, ${most} at most are kept`, {
    details: { field, bytes, bytes_max: most },
  });
}

function invalid(field: string, message: string): DomainError {
  return new DomainError('invalid_request', message, { details: { field } });
}
