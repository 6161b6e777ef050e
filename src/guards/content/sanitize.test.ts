import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DomainError } from '../../domain/errors.ts';
import type { Json } from '../../domain/json.ts';
import { sanitizedJson, sanitizedText, uncleanFields } from './sanitize.ts';

test('ARMY-81 text is composed, and loses control characters and bidirectional overrides, but no tab and no line end', () => {
  assert.equal(sanitizedText('cafe\u0301'), 'café');
  assert.equal(sanitizedText('a\u0000b\u0007c\u001b[31md\u007fe\u0085f'), 'abc[31mdef');
  assert.equal(sanitizedText('a\tb\nc\r\nd'), 'a\tb\nc\r\nd');
  assert.equal(sanitizedText('user\u202enimda\u202c \u2066x\u2069'), 'usernimda x');
  assert.equal(sanitizedText('año 😀 مرحبا שלום \u200f\u200d'), 'año 😀 مرحبا שלום \u200f\u200d');
  // A mark that comes to stand beside its letter is composed with it.
  assert.equal(sanitizedText('e\u0000\u0301'), 'é');
});

/** Half surrogate pairs among them. */
const anyUnit = fc.integer({ min: 0, max: 0xffff }).map(code => String.fromCharCode(code));

test('ARMY-81 what is clean stays as it is: cleaning twice is cleaning once', () => {
  fc.assert(
    fc.property(fc.string({ unit: anyUnit }), text => {
      const clean = sanitizedText(text);
      assert.equal(sanitizedText(clean), clean);
      assert.deepEqual(uncleanFields(clean), []);
    }),
  );
});

test('ARMY-81 every string and name of a message is cleaned, and two names that become one are refused', () => {
  const message = JSON.parse('{"a\\u0000":["x\\u202e",1,null,{"b":"e\\u0301"}],"__proto__":{"c":"\\u0001"}}');
  assert.equal(JSON.stringify(sanitizedJson(message)), '{"a":["x",1,null,{"b":"é"}],"__proto__":{"c":""}}');
  for (const twins of ['{"a":1,"a\\u0000":2}', '{"\\u00e9":1,"e\\u0301":2}'])
    assert.throws(
      () => sanitizedJson(JSON.parse(twins)),
      (error: unknown) => error instanceof DomainError && error.code === 'invalid_request',
    );
});

test('ARMY-81 a signed message is told every field that would have to be cleaned, up to 100', () => {
  const message: Json = {
    payload: { text: 'a\u202eb', list: ['ok', '\u0000'] },
    'k\u0007': 1,
    fine: 'e\u0301\t',
  };
  assert.deepEqual(uncleanFields(message), ['payload.text', 'payload.list.1', 'k']);
  assert.equal(uncleanFields(Array.from({ length: 500 }, () => '\u0000')).length, 100);
});
