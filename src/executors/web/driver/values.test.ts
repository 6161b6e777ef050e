import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readNumber, readPrice, readValue } from './values.ts';

test('a number is found whichever signs part its thousands and decimals', () => {
  const cases: Readonly<Record<string, number | null>> = {
    '$1,234.56': 1_234.56,
    '1.234,56 €': 1_234.56,
    "CHF 1'234.50": 1_234.5,
    '1 234,5': 1_234.5,
    '12,345': 12_345,
    '9,99': 9.99,
    '1.5': 1.5,
    '1,234,567': 1_234_567,
    '1.234.567': 1_234_567,
    '-7 °C': -7,
    'about 12 pieces.': 12,
    none: null,
  };
  for (const [text, value] of Object.entries(cases)) assert.equal(readNumber(text), value, text);
});

test('a price is nothing but a number with its currency', () => {
  for (const text of ['$9.99', '9,99 €', 'USD 12', '£ 1,200', '42'])
    assert.notEqual(readPrice(text), null, text);
  for (const text of ['Lamp 2-1', '2024-12-20', 'In stock', 'model X100 red', ''])
    assert.equal(readPrice(text), null, text);
});

test('SAM-143 a value that is not of its type is null', () => {
  assert.equal(readValue('1.5', 'integer', 'https://a.test/'), null);
  assert.equal(readValue('maybe', 'boolean', 'https://a.test/'), null);
  assert.equal(readValue('http://[', 'url', 'https://a.test/'), null);
  assert.equal(readValue('../b', 'url', 'https://a.test/x/y'), 'https://a.test/b');
  assert.equal(readValue(' sold out ', 'boolean', 'https://a.test/'), false);
});
