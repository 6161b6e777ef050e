// How bodies are written: JSON or MessagePack, plain or packed with gzip, each bounded before it is unpacked (`TASK-8`).

import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { C1, Packr, Unpackr } from 'msgpackr';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { NESTING_MAX, parseJson } from '../json.ts';
import type { Reply } from '../protocol.ts';

/** A message at most, unpacked, in bytes. */
export const MESSAGE_BYTES_MAX = 1_048_576;
/** Items of a batch at most. */
export const BATCH_MAX = 1_000;
/** A body at most, unpacked, in bytes: a batch of large messages. */
export const BODY_BYTES_MAX = 16 * MESSAGE_BYTES_MAX;

const MSGPACK = /^application\/(?:x-|vnd\.)?msgpack\s*(?:;|$)/i;
const JSON_TYPE = /^application\/json\s*(?:;\s*charset="?utf-?8"?\s*)?;?$/i;

/** JSON escapes no other surrogates; a text that only looks like one goes as JSON too, which is no harm. */
const LONE_SURROGATE = /\\ud[89a-f]/;

const unpack = promisify(gunzip);
const unpackr = new Unpackr({ mapsAsObjects: true, useRecords: false, int64AsType: 'number' });
const packr = new Packr({ useRecords: false, variableMapSize: true });

/** The value a body stands for; throws `unserializable` naming the media types that are taken, `payload_too_large`. */
export async function readBody(
  bytes: Uint8Array,
  headers: Readonly<Record<string, string | undefined>>,
): Promise<unknown> {
  const body = await unpacked(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength),
    headers['content-encoding'],
  );
  if (body.length > BODY_BYTES_MAX) throw tooLarge();
  const type = headers['content-type'] ?? 'application/json';
  if (MSGPACK.test(type)) return readMsgpack(body);
  if (!JSON_TYPE.test(type)) throw unreadable(`${type} is not taken`);
  return readJson(body);
}

/** A JSON answer, in MessagePack where the caller would rather have that and MessagePack can say it (`TASK-56`). */
export function answer(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string | undefined>>,
  more: Readonly<Record<string, string>> = {},
): Reply {
  return answerIn(status, () => body, headers, more);
}

/** The same for a body that names the media type it is written in. */
export function answerIn(
  status: number,
  bodyIn: (mediaType: string) => unknown,
  headers: Readonly<Record<string, string | undefined>>,
  more: Readonly<Record<string, string>> = {},
): Reply {
  const bytes = MSGPACK.test(headers.accept ?? '') ? packed(bodyIn('application/msgpack')) : null;
  if (bytes === null) return { kind: 'json', status, body: bodyIn('application/json'), headers: more };
  return {
    kind: 'stream',
    status,
    body: Readable.from([bytes]),
    headers: { ...more, 'content-type': 'application/msgpack', 'content-length': String(bytes.length) },
  };
}

/** Bytes of a value as JSON. */
export function sizeOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

/**
 * The value in MessagePack; null where that fails. Half a surrogate pair, which JSON escapes and UTF-8 has no bytes for, would read back as
 * another text.
 */
function packed(body: unknown): Buffer | null {
  const text = JSON.stringify(body);
  if (LONE_SURROGATE.test(text)) return null;
  try {
    return packr.pack(JSON.parse(text));
  } catch {
    return null;
  }
}

async function unpacked(bytes: Buffer, encoding: string | undefined): Promise<Buffer> {
  if (encoding === undefined || encoding.toLowerCase() === 'identity') return bytes;
  if (encoding.toLowerCase() !== 'gzip') throw unreadable(`the encoding ${encoding} is not taken`);
  try {
    return await unpack(bytes, { maxOutputLength: BODY_BYTES_MAX });
  } catch (error) {
    if ((error as { readonly code?: unknown }).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw unreadable('the body is not what gzip makes', error);
  }
}

function readJson(bytes: Buffer): unknown {
  try {
    return parseJson(bytes);
  } catch (error) {
    if (!(error instanceof DomainError) || error.code !== 'unserializable') throw error;
    throw unreadable(error.message, error, error.details);
  }
}

function readMsgpack(bytes: Buffer): unknown {
  let value: unknown;
  try {
    value = unpackr.unpack(bytes);
  } catch (error) {
    throw unreadable('the body is not MessagePack', error);
  }
  return plain(value, 1);
}

/** Only what JSON can say passes; keys that reach a prototype do not. */
function plain(value: unknown, depth: number): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) throw unreadable('a number is not finite');
  if (value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return value;
  // What stands for the one byte that MessagePack never uses.
  if (value === C1) throw unreadable('the body is not MessagePack');
  if (typeof value !== 'object' || ArrayBuffer.isView(value) || value instanceof Date)
    throw unreadable('the body has a value that JSON has no word for');
  if (depth > NESTING_MAX)
    throw new DomainError('invalid_request', `the body nests deeper than ${NESTING_MAX} levels`);
  if (Array.isArray(value)) return value.map(one => plain(one, depth + 1));
  const members: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (key === '__proto__' || key === 'constructor')
      throw unreadable(`the body has the forbidden key ${key}`);
    members[key] = plain(inner, depth + 1);
  }
  return members;
}

function unreadable(message: string, cause?: unknown, details: JsonObject = {}): DomainError {
  return new DomainError('unserializable', message, {
    details: {
      ...details,
      accepted: ['application/json', 'application/msgpack'],
      encodings: ['identity', 'gzip'],
    },
    ...(cause === undefined ? {} : { cause }),
  });
}

function tooLarge(): DomainError {
  return new DomainError(
    'payload_too_large',
    `a body is at most ${BODY_BYTES_MAX} bytes, a message ${MESSAGE_BYTES_MAX}`,
  );
}
