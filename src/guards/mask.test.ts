import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { CLAIMS, hs256 } from './fixture-tokens.test.ts';
import { mask, maskJson } from './mask.ts';

test('SAM-63 the given values are masked wherever they stand, and nothing else is touched', () => {
  const values = ['s3cret', 'pass (word)*'];
  assert.equal(mask('a s3cret, twice: s3crets3cret', values), 'a ***, twice: ******');
  assert.equal(mask('the pass (word)* in full', values), 'the *** in full');
  assert.equal(mask('nothing of the kind', values), 'nothing of the kind');
});

test('SAM-63 values that overlap or contain one another leave no rest', () => {
  assert.equal(mask('xabcdefx', ['abcd', 'cdef']), 'x***x');
  assert.equal(mask('xabcdefx', ['abcd', 'abcdef']), 'x***x');
  assert.equal(mask('xaaaaax', ['aaaa']), 'x***x');
});

test('SAM-63 a value is masked in JSON, in a URL and in Base64 too', () => {
  const value = 'line 1\nline "2" ñ';
  const spellings = [
    JSON.stringify({ value }),
    `?v=${encodeURIComponent(value)}`,
    Buffer.from(value).toString('base64'),
    Buffer.from(value).toString('base64url'),
  ];
  for (const text of spellings) {
    const masked = mask(text, [value]);
    assert.ok(masked.includes('***') && !masked.includes('line') && masked.length < text.length, masked);
  }
});

test('SAM-34 values under four characters are not masked', () => {
  assert.equal(mask('cat and dog', ['cat', 'a', '']), 'cat and dog');
  assert.equal(mask('cats and dogs', ['cats']), '*** and dogs');
});

test('SAM-63 tokens, Authorization values and secrets by name are masked without being known', () => {
  const token = hs256(CLAIMS);
  const cases: readonly [string, string][] = [
    [`Authorization: Bearer ${token}`, 'Authorization: ***'],
    ['{"authorization":"Basic YWRtaW46MTIz"}', '{"authorization":"***"}'],
    [`got ${token} from it`, 'got *** from it'],
    ['curl -H "bearer abcdef0123456789abcdef"', 'curl -H "bearer ***"'],
    ['X-API-Secret: bs_abc', 'X-API-Secret: ***'],
    [`key bs_${'a'.repeat(43)} shown`, 'key *** shown'],
    [`br_0194-${'a'.repeat(30)}.3.${'b'.repeat(43)}`, '***'],
    [`whsec_${'QUJD'.repeat(10)}=`, '***'],
    ['password=hunter2&x=1', 'password=***&x=1'],
    ['"access_token": "abc"', '"access_token": "***"'],
    ['postgres://batuta:hunter2@db/x', 'postgres://batuta:***@db/x'],
    [`Signature=${'0a'.repeat(32)}`, 'Signature=***'],
  ];
  for (const [text, masked] of cases) assert.equal(mask(text), masked);
});

test('SAM-63 prose about credentials stays readable', () => {
  for (const text of [
    'use basic authentication or a bearer of good news',
    'the key bk_abcdefghijklmnopqrstuv was used',
    'see https://example.org:8400/path@x',
  ])
    assert.equal(mask(text), text);
});

test('SAM-63 configured patterns are masked as well', () => {
  assert.equal(mask('card 4111-1111', [], [/\d{4}-\d{4}/g]), 'card ***');
});

test('SAM-63 in JSON, strings, numbers and names are masked, and what bears a secret’s name is masked whole', () => {
  const value = {
    list: ['has s3cret', 12_345_678, true, null],
    's3cret name': { password: 'x', Client_Secret: 'yy', count: 3 },
  };
  assert.deepEqual(maskJson(value, ['s3cret', '12345678']), {
    list: ['has ***', '***', true, null],
    '*** name': { password: '***', Client_Secret: '***', count: 3 },
  });
  const hostile = JSON.parse('{"__proto__": {"polluted": true}}') as { readonly polluted?: boolean };
  const masked = maskJson(hostile, ['s3cret']);
  assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  assert.equal(JSON.stringify(masked), '{"__proto__":{"polluted":true}}');
});

test('SAM-63 no masked text contains a value, whatever surrounds it', () => {
  const value = fc.string({ minLength: 4, maxLength: 8, unit: fc.constantFrom('a', 'b', '*', '.', '"') });
  fc.assert(
    fc.property(fc.array(value, { minLength: 1, maxLength: 4 }), fc.array(fc.nat()), (values, order) => {
      const text = order.map(at => values[at % values.length]).join('ab');
      // The mask itself may join with what stands beside it into something that looks like a value of asterisks.
      const masked = mask(text, values).replaceAll('***', '\0');
      for (const one of values) assert.ok(!masked.includes(one), `${one} in ${masked}`);
    }),
  );
});

test('SAM-63 masking hostile text takes linear time', () => {
  const hostile = [
    'authorization'.repeat(2_000),
    `authorization${' '.repeat(30_000)}`,
    'bearer '.repeat(5_000),
    `eyJ${'a.'.repeat(15_000)}`,
    'a://'.repeat(8_000),
    `${'a'.repeat(30_000)}:`,
    'password'.repeat(4_000),
  ];
  const started = performance.now();
  for (const text of hostile) mask(text, ['aaaaaaaab']);
  const tookMs = performance.now() - started;
  assert.ok(tookMs < 2_000, `${tookMs} ms`);
});
