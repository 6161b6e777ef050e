// JSON in one spelling (RFC 8785): the bytes that signatures and encryption are bound to, the same in every language. It keeps no
// value and changes none.

import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';

const DEPTH_MAX = 128;

/** The canonical bytes; throws `invalid_request` for what has none: a lone surrogate, a number past a double, nesting past 128. */
export function canonicalBytes(value: Json): Buffer {
  return Buffer.from(canonicalJson(value), 'utf8');
}

/** The same as text. */
export function canonicalJson(value: Json): string {
  return written(value, DEPTH_MAX);
}

function written(value: Json, depth: number): string {
  if (depth === 0) throw unwritable('is nested too deeply');
  if (typeof value === 'string') return writtenText(value);
  // ECMAScript's own spelling of strings and numbers is the one the RFC prescribes.
  if (typeof value === 'number' && !Number.isFinite(value))
    throw unwritable('has a number beyond all doubles');
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (isList(value)) return `[${value.map(one => written(one, depth - 1)).join(',')}]`;
  const members: string[] = [];
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member !== undefined) members.push(`${writtenText(name)}:${written(member, depth - 1)}`);
  }
  return `{${members.join(',')}}`;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

function writtenText(text: string): string {
  if (!text.isWellFormed()) throw unwritable('has a text with half a surrogate pair');
  return JSON.stringify(text);
}

function unwritable(fault: string): DomainError {
  return new DomainError('invalid_request', `the message ${fault}`);
}
