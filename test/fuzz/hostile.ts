// What to send where a schema expects something else: for each field of a schema its dotted path, and values that no field should
// stumble over.

import type { Schema } from '../e2e/contract.ts';

/** A place in a body that the schema describes. */
export interface Field {
  /** Keys from the root; an array's first item is `0`, a record's any entry `k`. */
  readonly path: readonly string[];
  readonly schema: Schema;
  readonly required: boolean;
}

/** Stands for a field left out. */
export const ABSENT = Symbol('absent');

const nested = (levels: number): unknown => (levels === 0 ? 'bottom' : { a: [nested(levels - 1)] });

/** Texts that somebody, somewhere, would take for more than text. */
export const TEXTS: readonly string[] = [
  '',
  ' ',
  '0',
  'null',
  "'; DROP TABLE task; --",
  "x' OR '1'='1",
  '"><script>alert(1)</script>',
  '#{7*7}{{7*7}}<%=7*7%>',
  '$(touch /tmp/evil); `id` | cat',
  '=HYPERLINK("http://evil.example")',
  '../../../../etc/passwd',
  'line\r\nSet-Cookie: evil=1',
  'nul\u0000byte',
  '\u202egnp.exe',
  '😀👩‍👩‍👧‍👦 zalgơ̶̧ ﷽',
  '\ufeffbom\ufffe',
  '__proto__',
  'constructor',
  'toString',
  '%00%0a%s%n',
  'x'.repeat(20_000),
];

/** Values of every kind JSON has, at and beyond the edges of each. */
export const VALUES: readonly unknown[] = [
  ABSENT,
  null,
  true,
  false,
  0,
  -1,
  1.5,
  -0.000_001,
  1e308,
  -1e308,
  9_007_199_254_740_992,
  [],
  {},
  [null],
  [[], [[]], {}],
  ['', '', ''],
  Array.from({ length: 1_500 }, (_, n) => `item-${n}`),
  { '': '' },
  { toString: 1, valueOf: null, hasOwnProperty: false },
  { length: 1, 0: 'x' },
  { toJSON: 'x', constructor: 'y' },
  nested(28),
  ...TEXTS,
];

/** Every field of an object's schema, however deep. */
export function fieldsOf(schema: Schema, path: readonly string[] = []): readonly Field[] {
  const required: readonly string[] = schema.required ?? [];
  const own = Object.entries<Schema>(schema.properties ?? {}).map(
    ([name, inner]): Field => ({ path: [...path, name], schema: inner, required: required.includes(name) }),
  );
  const items: readonly Field[] =
    schema.type === 'array' && typeof schema.items === 'object'
      ? [{ path: [...path, '0'], schema: schema.items, required: true }]
      : [];
  const [record] = Object.values<Schema>(schema.patternProperties ?? {});
  const entries: readonly Field[] =
    record === undefined ? [] : [{ path: [...path, 'k'], schema: record, required: false }];
  return [...own, ...items, ...entries].flatMap(field => [field, ...fieldsOf(field.schema, field.path)]);
}

/** The least value the schema admits. */
export function sampleOf(schema: Schema): unknown {
  if (schema.enum !== undefined) return schema.enum[0];
  if (schema.const !== undefined) return schema.const;
  if (schema.anyOf !== undefined) return sampleOf(schema.anyOf[0]);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  switch (type) {
    case 'string':
      return textOf(schema);
    case 'integer':
    case 'number':
      return schema.minimum ?? (schema.exclusiveMinimum === undefined ? 0 : schema.exclusiveMinimum + 1);
    case 'boolean':
      return false;
    case 'array':
      return Array.from({ length: schema.minItems ?? 0 }, () => sampleOf(schema.items));
    case 'null':
      return null;
    default: {
      const required: readonly string[] = schema.required ?? [];
      return Object.fromEntries(required.map(name => [name, sampleOf(schema.properties[name])]));
    }
  }
}

/** The body with the value at the path; what lies on the way is made as small as the schema allows. */
export function withValue(body: unknown, root: Schema, path: readonly string[], value: unknown): unknown {
  const [name, ...rest] = path;
  if (name === undefined) return value;
  const inner: Schema =
    root.properties?.[name] ?? root.items ?? Object.values(root.patternProperties ?? {})[0] ?? {};
  const copy: Record<string, unknown> | unknown[] = Array.isArray(body) ? [...body] : { ...(body as object) };
  const old: unknown = Reflect.get(copy, name) ?? sampleOf(inner);
  const fresh = withValue(old, inner, rest, value);
  if (fresh === ABSENT) Reflect.deleteProperty(copy, name);
  else Reflect.set(copy, name, fresh);
  return copy;
}

const CANDIDATES = [
  'sample',
  '1',
  'https://127.0.0.1:1/x',
  '00000000-0000-7000-8000-000000000000',
  'sample '.repeat(2),
  'en',
  '/sample',
  '1024x1024',
  '512x512',
];

function textOf({ format, pattern, minLength = 0 }: Schema): string {
  if (format === 'date-time') return '2026-01-01T00:00:00Z';
  if (format === 'uri') return 'https://127.0.0.1:1/x';
  if (pattern === undefined) return 'sample'.padEnd(minLength, '-');
  const found = CANDIDATES.find(one => new RegExp(pattern, 'u').test(one));
  if (found === undefined) throw new Error(`nothing is known that matches ${pattern}`);
  return found;
}
