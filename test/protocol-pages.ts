#!/usr/bin/env node
// npm run protocols: writes docs/protocols/<wire>.md from the schemas of the wires, a page each: every message type with an example and its
// fields. A test holds that the pages are what this writes.

import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dialectsAtRest } from '../src/app/offline.ts';
import type { Dialect } from '../src/protocols/dialect/dialect.ts';
import { ROOT } from './tree.ts';

/** Where the pages are, from the root. */
export const PAGES = 'docs/protocols';

/** A JSON Schema as far as it is read here. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly minItems?: number;
  readonly minProperties?: number;
  readonly pattern?: string;
  readonly format?: string;
  readonly description?: string;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
}

/** Texts that patterns are tried on, in this order. */
const TEXTS = [
  ...['write', 'order-1', 'P7D', 'PT5M', '1.0.0', '1.1', 'writer', 'https://example.com/x', 'fail'],
  ...['550e8400-e29b-41d4-a716-446655440000', '0'],
];
/** What a reader expects under a name, where the schema leaves it open. */
const KNOWN: Readonly<Record<string, string>> = {
  id: '550e8400-e29b-41d4-a716-446655440000',
  message_id: '550e8400-e29b-41d4-a716-446655440000',
  correlation_id: 'order-1',
  correlationId: 'order-1',
  reply_to: '550e8400-e29b-41d4-a716-446655440001',
  task_id: 'task-1',
  tenant_id: 'default',
  description: 'Write a page on tides',
  protocolVersion: '1.0.0',
  from: 'coordinator',
  from_agent: 'ana',
  to_agent: 'bob',
  protocol_version: '1.0.0',
  schema_version: '1.1',
};
/** Of several words the one most messages have. */
const ORDINARY: ReadonlySet<unknown> = new Set(['normal', 'medium', 'pending']);
const KNOWN_NUMBERS: Readonly<Record<string, number>> = { retry_count: 0, retryCount: 0, ttl: 60_000 };
const INSTANT = '2026-02-24T10:00:00.000Z';
const DEPTH_MAX = 5;
/** Signatures and encryption are for those who ask for them. */
const LEFT_OUT = new Set(['signature', 'encryption', 'encrypted']);

/** A value that meets the schema. */
export function sampleOf(schema: Schema, name = '', depth = 0): unknown {
  if (schema.const !== undefined) return schema.const;
  if (schema.enum !== undefined) return schema.enum.find(one => ORDINARY.has(one)) ?? schema.enum[0];
  const [first] = schema.anyOf ?? [];
  if (first !== undefined) return sampleOf(first, name, depth);
  switch (schema.type) {
    case 'string':
      return textFor(schema, name);
    case 'integer':
    case 'number':
      return KNOWN_NUMBERS[name] ?? numberFor(schema);
    case 'boolean':
      return true;
    case 'null':
      return null;
    case 'array':
      return schema.items === undefined || depth > DEPTH_MAX ? [] : [sampleOf(schema.items, name, depth + 1)];
    case 'object':
      return objectFor(schema, depth);
    default:
      return { text: 'anything' };
  }
}

/** An example of a message type. */
export function exampleOf(dialect: Dialect, type: string): unknown {
  const schema = dialect.types[type] as Schema;
  const sample = sampleOf(schema) as Record<string, unknown>;
  // One schema may be that of several types.
  return schema.properties?.type?.enum?.includes(type) === true ? { ...sample, type } : sample;
}

function textFor({ pattern, format, minLength = 0, maxLength = 1_000 }: Schema, name: string): string {
  if (format === 'date-time') return INSTANT;
  if (format === 'uri') return 'https://example.com/x';
  const known = KNOWN[name];
  const candidates = [...(known === undefined ? [] : [known]), ...TEXTS];
  const found = candidates.find(
    text =>
      (pattern === undefined || new RegExp(pattern, 'u').test(text)) &&
      text.length >= minLength &&
      text.length <= maxLength,
  );
  if (found === undefined)
    throw new Error(`no text is known that matches ${pattern ?? 'the length'} of ${name}`);
  return found;
}

function numberFor({ minimum, exclusiveMinimum, maximum = 5, type }: Schema): number {
  const least = minimum ?? (exclusiveMinimum === undefined ? 0 : exclusiveMinimum + 1);
  const wished = type === 'integer' ? 5 : 0.5;
  return Math.max(least, Math.min(wished, maximum));
}

/** What is required, and of what is optional as much as shows what the message is for. */
function objectFor({ properties = {}, required = [], minProperties = 0 }: Schema, depth: number): object {
  const shown = Object.entries(properties).filter(
    ([name, schema]) =>
      required.includes(name) || (!LEFT_OUT.has(name) && depth <= 2 && schema.type !== 'object'),
  );
  const members = Object.fromEntries(
    shown.map(([name, schema]) => [name, sampleOf(schema, name, depth + 1)]),
  );
  if (Object.keys(members).length >= minProperties) return members;
  const [first] = Object.entries(properties);
  if (first === undefined) return { text: 'anything' };
  return { [first[0]]: sampleOf(first[1], first[0], depth + 1) };
}

/** The page of a wire. */
export function pageOf(dialect: Dialect): string {
  const { name, title, versions, types, codes } = dialect;
  const spoken = versions.map(({ version }) => version).join(', ');
  const words = Object.entries(codes).map(
    ([code, { code: word, status }]) => `| \`${code}\` | \`${word}\` | ${status ?? 'in messages only'} |`,
  );
  return [
    `# ${title}: the \`${name}\` wire`,
    '',
    `Versions: ${spoken}. Made by \`npm run protocols\` from the schemas the server checks messages with, which it serves at`,
    `\`GET /protocols/${name}/schemas/<type>\`. Inboxes, acknowledgement and dead letters are the same on every wire: [messages](../guides/messages.md).`,
    '',
    `Messages go to \`POST /protocols/${name}/messages\`; \`batuta validate FILE --protocol ${name}\` checks them without a server.`,
    '',
    '## Message types',
    '',
    Object.keys(types)
      .map(type => `[\`${type}\`](#${anchorOf(type)})`)
      .join(', '),
    ...sectionsOf(dialect),
    '',
    '## Errors',
    '',
    'What the rest of Batuta calls an error, and what this wire does.',
    '',
    '| canonical | here | HTTP |',
    '|---|---|---|',
    ...words,
    '',
  ].join('\n');
}

/** Types of one schema share their table of fields. */
function sectionsOf(dialect: Dialect): readonly string[] {
  const told = new Map<unknown, string>();
  return Object.entries(dialect.types).flatMap(([type, schema]) => {
    const same = told.get(schema);
    if (same === undefined) told.set(schema, type);
    const fields =
      same === undefined
        ? ['| field | what it is | required |', '|---|---|---|', ...rowsOf(schema as Schema, '', 0)]
        : [`Its fields are those of [\`${same}\`](#${anchorOf(same)}).`];
    const example = JSON.stringify(exampleOf(dialect, type), null, 2);
    return ['', `### ${type}`, '', '```json', ...example.split('\n'), '```', '', ...fields];
  });
}

function rowsOf(schema: Schema, path: string, depth: number): readonly string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => {
    const here = path === '' ? name : `${path}.${name}`;
    const isRequired = schema.required?.includes(name) === true ? 'yes' : '';
    const deeper = inner.type === 'array' && inner.items !== undefined ? inner.items : inner;
    const below = depth < DEPTH_MAX ? rowsOf(deeper, inner === deeper ? here : `${here}[]`, depth + 1) : [];
    return [`| \`${here}\` | ${kindOf(inner)} | ${isRequired} |`, ...below];
  });
}

function kindOf(schema: Schema): string {
  const limits = [
    ...(schema.minimum === undefined ? [] : [`from ${schema.minimum}`]),
    ...(schema.exclusiveMinimum === undefined ? [] : [`above ${schema.exclusiveMinimum}`]),
    ...(schema.maximum === undefined ? [] : [`to ${schema.maximum}`]),
    ...(schema.maxLength === undefined ? [] : [`at most ${schema.maxLength} characters`]),
    ...(schema.format === undefined ? [] : [schema.format]),
    ...(schema.pattern === undefined || schema.description !== undefined
      ? []
      : [`\`${schema.pattern.replaceAll('|', '\\|')}\``]),
  ].join(', ');
  const base = wordOf(schema);
  const told = limits === '' ? base : `${base} (${limits})`;
  return schema.description === undefined ? told : `${told}: ${schema.description.replaceAll('|', '\\|')}`;
}

function wordOf({ const: only, enum: values, anyOf, type, items }: Schema): string {
  if (only !== undefined) return `\`${JSON.stringify(only)}\``;
  if (values !== undefined) return values.map(value => `\`${String(value)}\``).join(', ');
  if (anyOf !== undefined) return anyOf.map(kindOf).join(' or ');
  if (type === 'array') return items === undefined ? 'array' : `array of ${kindOf(items)}`;
  return type ?? 'anything';
}

function anchorOf(type: string): string {
  return type.toLowerCase().replaceAll(/[^a-z0-9_-]/g, '');
}

/** Every page by its path from the root. */
export function pages(): ReadonlyMap<string, string> {
  return new Map(dialectsAtRest().map(dialect => [`${PAGES}/${dialect.name}.md`, pageOf(dialect)]));
}

if (import.meta.main) {
  const all = pages();
  mkdirSync(join(ROOT, PAGES), { recursive: true });
  for (const name of readdirSync(join(ROOT, PAGES)))
    if (!all.has(`${PAGES}/${name}`)) rmSync(join(ROOT, PAGES, name));
  for (const [path, page] of all) writeFileSync(join(ROOT, path), page);
  console.log([...all.keys()].join('\n'));
}
