import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import { canonicalBytes, canonicalJson } from './canonical-json.ts';

const nest = (depth: number): Json => (depth === 0 ? 1 : [nest(depth - 1)]);
/** Any JSON, the names `__proto__`, `1` and those of single code units among its members. */
const anyJson = fc.jsonValue({ noUnicodeString: false, maxDepth: 4 }) as fc.Arbitrary<Json>;
const names = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.constantFrom('__proto__', '1', '10', '9', 'é', '😀'),
);
const anyObject = fc.dictionary(names, anyJson) as fc.Arbitrary<JsonObject>;

test('TASK-86 ARMY-109 BLOG-99 NOOB-139 the examples of RFC 8785 come out byte for byte', () => {
  const example = JSON.parse(
    String.raw`{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001,-0],"string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}`,
  );
  assert.equal(
    canonicalJson(example),
    String.raw`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27,0],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
  );
  const sorted = JSON.parse(
    String.raw`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
  );
  assert.deepEqual(
    [...canonicalJson(sorted).matchAll(/":"([A-Z]\w+)/g)].map(found => found[1]),
    ['Carriage', 'One', 'Control', 'Latin', 'Euro', 'Emoji', 'Hebrew'],
  );
});

test('TASK-86 ARMY-109 BLOG-99 NOOB-139 canonical JSON means the same, whatever order its members came in', () => {
  fc.assert(
    fc.property(anyObject, value => {
      const reversed = Object.fromEntries(Object.entries(value).reverse());
      const text = canonicalJson(value);
      assert.equal(canonicalJson(reversed), text);
      assert.equal(canonicalJson(JSON.parse(text)), text);
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
      assert.equal(canonicalBytes(value).toString('utf8'), text);
    }),
  );
});

test('TASK-86 ARMY-109 BLOG-99 NOOB-139 two values of one canonical spelling are the same value', () => {
  fc.assert(
    fc.property(anyJson, anyJson, (one, other) => {
      if (canonicalJson(one) === canonicalJson(other))
        assert.deepEqual(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(other)));
    }),
  );
});

test('TASK-104 ARMY-127 BLOG-117 NOOB-156 what has no canonical spelling is refused, and named', () => {
  const hostile: readonly Json[] = [
    { a: '\ud800' },
    { '\udc00': 1 },
    JSON.parse('[1e400]'),
    JSON.parse('-1e999'),
    nest(200),
  ];
  for (const value of hostile)
    assert.throws(
      () => canonicalJson(value),
      (error: unknown) => error instanceof DomainError && error.code === 'invalid_request',
    );
  assert.equal(canonicalJson(nest(100)), `${'['.repeat(100)}1${']'.repeat(100)}`);
  assert.equal(canonicalJson(JSON.parse('{"__proto__":{"a":1}}')), '{"__proto__":{"a":1}}');
});
