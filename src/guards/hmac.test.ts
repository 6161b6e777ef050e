import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bodySha256,
  canonicalHeaders,
  canonicalQuery,
  EMPTY_BODY_SHA256,
  parseSignatureHeader,
  type SigningScheme,
  sign,
  stringToSign,
} from './hmac.ts';

interface Vector {
  readonly name: string;
  readonly scheme: SigningScheme;
  readonly key_id: string;
  readonly secret: string;
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: string;
  readonly string_to_sign: string;
  readonly signature: string;
  readonly authorization: string;
}

function publishedVectors(): readonly Vector[] {
  const page = readFileSync(new URL('../../docs/hmac-signing.md', import.meta.url), 'utf8');
  const [, json] = /```json\n([\s\S]+?)\n```/.exec(page) ?? [];
  return JSON.parse(json ?? '') as readonly Vector[];
}

const A_SIGNATURE = 'a'.repeat(64);

test('SAM-28 at least six vectors are published, and each signs to exactly what the page says', () => {
  const vectors = publishedVectors();
  assert.ok(vectors.length >= 6);
  for (const { name, secret, string_to_sign, signature, authorization, ...vector } of vectors) {
    const parsed = parseSignatureHeader(authorization);
    assert.ok(parsed !== null, name);
    assert.equal(parsed.keyId, vector.key_id, name);
    assert.equal(parsed.signature, signature, name);
    const text = stringToSign({
      ...vector,
      signedHeaders: parsed.signedHeaders,
      bodySha256: bodySha256(Buffer.from(vector.body)),
    });
    assert.equal(text, string_to_sign, name);
    assert.equal(sign(vector.scheme, secret, text), signature, name);
  }
  const schemes = new Set(vectors.map(({ scheme }) => scheme));
  assert.deepEqual(schemes, new Set(['HMAC-SHA256', 'HMAC-SHA384', 'HMAC-SHA512']));
});

test('SAM-22 the header is read in its one spelling, for each scheme with its length of signature', () => {
  const header = (scheme: string, digits: number): string =>
    `${scheme} Credential=bk_1, SignedHeaders=host;x-timestamp, Signature=${'0a'.repeat(digits / 2)}`;
  assert.deepEqual(parseSignatureHeader(header('HMAC-SHA256', 64)), {
    scheme: 'HMAC-SHA256',
    keyId: 'bk_1',
    signedHeaders: ['host', 'x-timestamp'],
    signature: '0a'.repeat(32),
  });
  assert.ok(parseSignatureHeader(header('HMAC-SHA384', 96)) !== null);
  assert.ok(parseSignatureHeader(header('HMAC-SHA512', 128)) !== null);
  assert.equal(parseSignatureHeader(header('HMAC-SHA384', 64)), null);
  assert.equal(parseSignatureHeader(header('HMAC-SHA1', 40)), null);
});

test('SAM-22 unsorted, repeated, upper-case or empty header names and other spellings of a signature are none', () => {
  const good = `HMAC-SHA256 Credential=k, SignedHeaders=a;b, Signature=${A_SIGNATURE}`;
  assert.ok(parseSignatureHeader(good) !== null);
  const bad = [
    good.replace('a;b', 'b;a'),
    good.replace('a;b', 'a;a'),
    good.replace('a;b', 'a;B'),
    good.replace('a;b', 'a;;b'),
    good.replace('a;b', ';a'),
    good.replace(A_SIGNATURE, A_SIGNATURE.toUpperCase()),
    good.replace(A_SIGNATURE, `${A_SIGNATURE} `),
    good.replace(A_SIGNATURE, A_SIGNATURE.slice(1)),
    good.replace('Credential=k, ', ''),
    `${good}, Credential=other`,
    good.replace('HMAC-SHA256', 'hmac-sha256'),
  ];
  for (const header of bad) assert.equal(parseSignatureHeader(header), null, header);
});

test('SAM-23 the signed text has eight parts in their order, the body’s digest last', () => {
  const text = stringToSign({
    scheme: 'HMAC-SHA256',
    method: 'post',
    path: '/a%20b',
    query: 'z=1&a=2',
    headers: { host: 'h', 'x-timestamp': '17', ignored: 'x' },
    signedHeaders: ['host', 'x-timestamp'],
    bodySha256: EMPTY_BODY_SHA256,
  });
  assert.deepEqual(text.split('\n'), [
    'HMAC-SHA256',
    '17',
    'POST',
    '/a%20b',
    'a=2&z=1',
    'host:h',
    'x-timestamp:17',
    'host;x-timestamp',
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  ]);
});

test('SAM-24 parameters are decoded, encoded anew and sorted by name, then value', () => {
  assert.equal(canonicalQuery(''), '');
  assert.equal(canonicalQuery('b=2&a=2&a=1&&c'), 'a=1&a=2&b=2&c=');
  assert.equal(canonicalQuery('a+b=c+d%2be'), 'a%20b=c%20d%2Be');
  assert.equal(canonicalQuery("q=%7E~!'()*%2f%c3%b1ñ"), 'q=~~%21%27%28%29%2A%2F%C3%B1%C3%B1');
  assert.equal(canonicalQuery('a=b=c'), 'a=b%3Dc');
});

test('SAM-24 bytes that are no UTF-8 keep their difference, and a broken escape is refused', () => {
  assert.equal(canonicalQuery('a=%ff'), 'a=%FF');
  assert.notEqual(canonicalQuery('a=%ff'), canonicalQuery('a=%fe'));
  for (const query of ['a=%', 'a=%4', 'a=%zz', '%=1', 'a=100%&b=1'])
    assert.throws(() => canonicalQuery(query), { code: 'invalid_request' }, query);
});

test('SAM-24 two queries have one canonical form exactly if they have the same parameters', () => {
  const text = fc.string({
    unit: fc.constantFrom('a', 'B', ' ', '+', '&', '=', '%', '~', '/', 'ñ'),
    maxLength: 2,
  });
  const pairs = fc.array(
    fc.tuple(
      text.filter(name => name !== ''),
      text,
    ),
    { maxLength: 3 },
  );
  const percent = (part: string, upper: boolean): string => {
    const escaped = encodeURIComponent(part).replaceAll('%20', upper ? '+' : '%20');
    return upper ? escaped : escaped.replace(/%../g, digits => digits.toLowerCase());
  };
  const spelt = (list: readonly [string, string][], upper: boolean): string =>
    list.map(pair => pair.map(part => percent(part, upper)).join('=')).join('&');
  const meaning = (list: readonly [string, string][]): string =>
    JSON.stringify(list.map(pair => JSON.stringify(pair)).sort());
  fc.assert(
    fc.property(pairs, pairs, fc.boolean(), (one, other, same) => {
      const second = same ? [...one].reverse() : other;
      const isOneForm = canonicalQuery(spelt(one, true)) === canonicalQuery(spelt(second, false));
      assert.equal(isOneForm, meaning(one) === meaning(second));
    }),
    { numRuns: 300 },
  );
});

test('SAM-25 header values are trimmed, blanks collapsed and repeats joined by a comma', () => {
  const headers = { a: '  x \t y ', b: ['1 ', ' 2'], c: '' };
  assert.equal(canonicalHeaders(headers, ['a', 'b', 'c']), 'a:x y\nb:1,2\nc:');
  assert.throws(() => canonicalHeaders(headers, ['absent']), { code: 'invalid_request' });
});
