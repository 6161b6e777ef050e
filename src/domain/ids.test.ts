// What an id a caller chooses may look like, and what counts as a JSON object.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isCallerId } from './ids.ts';
import { isJsonObject } from './json.ts';

test('a caller’s id is 1 to 200 characters of letters, digits, dot, underscore, colon and dash', () => {
  const letter = fc.constantFrom(...'ABCXYZabcxyz0189._:-');
  const good = fc.array(letter, { minLength: 1, maxLength: 200 }).map(letters => letters.join(''));
  fc.assert(fc.property(good, isCallerId));
  const bad = fc
    .nat(0xffff)
    .map(unit => String.fromCharCode(unit))
    .filter(one => !/[A-Za-z0-9._:-]/.test(one));
  fc.assert(fc.property(good, bad, good, (before, odd, after) => !isCallerId(before + odd + after)));
  assert.equal(isCallerId(''), false);
  assert.equal(isCallerId('a'.repeat(200)), true);
  assert.equal(isCallerId('a'.repeat(201)), false);
});

test('no id carries a line break, not even at its end', () => {
  assert.equal(isCallerId('task-1\n'), false);
});

test('arrays, null and scalars are no JSON objects', () => {
  for (const value of [[], null, 'x', 1, true, undefined]) assert.equal(isJsonObject(value), false);
  assert.equal(isJsonObject({}), true);
});
