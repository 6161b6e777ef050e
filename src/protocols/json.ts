// Reads a JSON body without letting it surprise anyone: no invalid UTF-8, no repeated keys, no keys that reach a prototype,
// no nesting beyond 64 levels (`SAM-1`, `SAM-202`).

import { isUtf8 } from 'node:buffer';
import { DomainError } from '../domain/errors.ts';

/** How deep arrays and objects may nest (`canonical.md`, limits). */
export const NESTING_MAX = 64;

/** The value of a JSON text in UTF-8; throws `unserializable` saying why it cannot be read. */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw malformed('the body is not valid UTF-8');
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DomainError('unserializable', 'the body is not valid JSON', {
      details: { reason: error instanceof Error ? error.message : 'unreadable' },
    });
  }
  // A repeated key shows as a text with more keys than the value it was read into.
  if (keysOf(value, 1) !== keysIn(text)) throw malformed('the body repeats a key within one object');
  return value;
}

function malformed(message: string): DomainError {
  return new DomainError('unserializable', message);
}

function keysOf(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (depth > NESTING_MAX)
    throw new DomainError('invalid_request', `the body nests deeper than ${NESTING_MAX} levels`);
  let keys = 0;
  if (Array.isArray(value)) {
    for (const inner of value) keys += keysOf(inner, depth + 1);
    return keys;
  }
  const members = value as Readonly<Record<string, unknown>>;
  for (const key in members) {
    const inner = members[key];
    if (key === '__proto__' || (key === 'constructor' && hasPrototypeKey(inner)))
      throw malformed(`the body has the forbidden key ${key}`);
    keys += 1 + keysOf(inner, depth + 1);
  }
  return keys;
}

function hasPrototypeKey(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, 'prototype');
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const SPACE = 0x20;

/** How many strings of a valid JSON text are keys, that is, followed by a colon. */
function keysIn(text: string): number {
  let keys = 0;
  let start = text.indexOf('"');
  while (start !== -1) {
    let after = text.indexOf('"', start + 1);
    while (isEscaped(text, after)) after = text.indexOf('"', after + 1);
    after += 1;
    while (text.charCodeAt(after) <= SPACE) after += 1;
    const next = text.charCodeAt(after);
    if (next === COLON) keys += 1;
    start = next === QUOTE ? after : text.indexOf('"', after);
  }
  return keys;
}

function isEscaped(text: string, quote: number): boolean {
  let before = quote - 1;
  while (text.charCodeAt(before) === BACKSLASH) before -= 1;
  return (quote - 1 - before) % 2 === 1;
}
