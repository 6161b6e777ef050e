import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DomainError } from '../domain/errors.ts';
import { NESTING_MAX, parseJson } from './json.ts';

const read = (text: string): unknown => parseJson(Buffer.from(text));
const refused = (code: string, message: RegExp) => (error: unknown) =>
  error instanceof DomainError && error.code === code && message.test(error.message);

test('a JSON text without repeated or forbidden keys is read as JSON.parse reads it', () => {
  fc.assert(
    fc.property(
      fc.jsonValue({ noUnicodeString: false }),
      fc.constantFrom(undefined, 1, '\t'),
      (value, space) => {
        fc.pre(!JSON.stringify(value).includes('__proto__'));
        const text = JSON.stringify(value, null, space);
        assert.deepEqual(read(text), JSON.parse(text));
      },
    ),
  );
});

test('SAM-202 a key repeated anywhere is refused, however it is spelled, and one repeated in another object is not', () => {
  assert.throws(() => read('{"a":1,"a":2}'), refused('unserializable', /repeats a key/));
  assert.throws(() => read('{"a":1,"\\u0061":2}'), refused('unserializable', /repeats a key/));
  assert.throws(() => read('[{"x":{"q\\"":1,"q\\"":1}}]'), refused('unserializable', /repeats a key/));
  assert.deepEqual(read('[{"a":"b\\\\"},{"a":":\\":"}]'), [{ a: 'b\\' }, { a: ':":' }]);
});

test('SAM-202 keys that would reach a prototype are refused', () => {
  assert.throws(() => read('{"a":{"__proto__":{"admin":true}}}'), refused('unserializable', /__proto__/));
  assert.throws(() => read('{"constructor":{"prototype":{}}}'), refused('unserializable', /constructor/));
  assert.deepEqual(read('{"constructor":"Bovis"}'), { constructor: 'Bovis' });
});

test('SAM-202 a body may nest 64 levels and no more', () => {
  const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
  assert.ok(Array.isArray(read(nested(NESTING_MAX))));
  assert.throws(() => read(nested(NESTING_MAX + 1)), refused('invalid_request', /64 levels/));
  assert.throws(() => read(nested(200_000)), refused('invalid_request', /64 levels/));
});

test('SAM-1 bytes that are not UTF-8, and text that is not JSON, are refused', () => {
  assert.throws(() => parseJson(Buffer.from([0x22, 0xff, 0x22])), refused('unserializable', /UTF-8/));
  assert.throws(() => read('{"a":'), refused('unserializable', /not valid JSON/));
});
