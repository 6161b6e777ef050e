import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isCard, isIban, isLuhn, isSpanishId } from './check-digits.ts';
import { maskPersonalData, maskPersonalJson, personalDataIn } from './personal-data.ts';

const found = (text: string): readonly string[] =>
  personalDataIn(text).map(({ kind, start, end }) => `${kind}:${text.slice(start, end)}`);
const kinds = (text: string): readonly string[] => personalDataIn(text).map(({ kind }) => kind);

const TELLING: Readonly<Record<string, readonly string[]>> = {
  email: [
    'ana@example.com',
    'ana.lopez+x@mail.example.co.uk',
    'josé@correo.españa.es',
    "o'neill@example.org",
  ],
  telephone: [
    '+34 612 345 678',
    '+1 (415) 555-2671',
    '+442071838750',
    '0034 612345678',
    '612345678',
    '612 34 56 78',
    '91 123 45 67',
    '934 567 890',
    '(415) 555-2671',
    '415-555-2671',
    '+52 55 1234 5678',
  ],
  spanish_id: ['12345678Z', '12345678-z', '12.345.678-Z', 'X1234567L', 'y-7654321-g', 'Z1234567R'],
  us_ssn: ['123-45-6789', '123 45 6789'],
  card: [
    '4111 1111 1111 1111',
    '4111111111111111',
    '5500-0000-0000-0004',
    '378282246310005',
    '6011000990139424',
  ],
  iban: [
    'ES91 2100 0418 4502 0005 1332',
    'es9121000418450200051332',
    'DE89370400440532013000',
    'GB29 NWBK 6016 1331 9268 19',
  ],
  ip_address: [
    '192.168.1.10',
    '8.8.8.8',
    '2001:db8::1',
    'fe80::1ff:fe23:4567:890a',
    '::ffff:192.0.2.1',
    '2001:0db8:85a3:0000:0000:8a2e:0370:7334',
  ],
};

test('ARMY-75 each kind of personal data is found, in whole and where it stands, alone and inside Spanish and English sentences', () => {
  for (const [kind, examples] of Object.entries(TELLING))
    for (const example of examples) {
      for (const text of [
        example,
        `Es ${example}, gracias.`,
        `It is ${example}.`,
        `(${example}) y más`,
        `a: ${example}\nb`,
      ])
        assert.deepEqual(found(text), [`${kind}:${example}`], text);
    }
  const all = Object.entries(TELLING).flatMap(([kind, [first]]) => [`${kind}:${first}`]);
  assert.deepEqual(
    found(
      Object.values(TELLING)
        .map(([first]) => first)
        .join('; '),
    ),
    all,
  );
});

test('ARMY-75 what only looks like personal data is none: wrong check digits, decimals, dates, versions, code', () => {
  const innocent: readonly string[] = [
    '4111 1111 1111 1112',
    '12345678A',
    'X1234567A',
    'ES92 2100 0418 4502 0005 1332',
    'XX89370400440532013000',
    '000-12-3456 666-12-3456 900-12-3456 123-00-4567 123-45-0000',
    '3.612345678 and 0.6123456789',
    '2026-01-15 and 2026-01-15T12:30:45.123Z',
    'version 1.2.3, v10.0.0.1, 1.2.3.4.5 and 256.1.1.1',
    'at 12:30:45, std::vector<a::b>, x::y, ::1',
    'order 123456789, 20,000,000 people, 987654321 units',
    '550e8400-e29b-41d4-a716-446655440000',
    '1760000000000 and 1760000000',
    'user@localhost, @handle, a @ b, mail@, @example.com, C:\\x@y',
    'ISBN 978-3-16-148410-0 and 1,234,567.89',
    'sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
    '',
  ];
  for (const text of innocent) assert.deepEqual(found(text), [], text);
});

test('ARMY-75 nine digits that could be an order’s number are a telephone when the text says so', () => {
  assert.deepEqual(found('pedido 912345678'), []);
  for (const text of [
    'Tel. 912345678',
    'mi teléfono es el 912345678',
    'llámame al 912345678',
    'call 4155552671',
    'phone: 4155552671',
  ])
    assert.deepEqual(kinds(text), ['telephone'], text);
});

test('ARMY-75 a check digit tells every single mistake', () => {
  const digits = fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 11, maxLength: 17 });
  fc.assert(
    fc.property(digits, fc.nat(), fc.integer({ min: 1, max: 9 }), (body, place, shift) => {
      const check = [...'0123456789'].filter(one => isLuhn(body.join('') + one));
      assert.equal(check.length, 1);
      const right = body.join('') + check[0];
      const at = place % right.length;
      const wrong = right.slice(0, at) + ((Number(right[at]) + shift) % 10) + right.slice(at + 1);
      assert.equal(isLuhn(wrong), false);
    }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 99_999_999 }), number => {
      const dni = String(number).padStart(8, '0');
      const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'].filter(letter => isSpanishId(dni + letter));
      assert.equal(letters.length, 1);
      assert.deepEqual(kinds(`DNI ${dni}${letters[0]}`), ['spanish_id']);
    }),
  );
  assert.ok(isIban('ES9121000418450200051332') && !isIban('ES9121000418450200051323') && !isIban('ES91'));
  assert.ok(isCard('4111111111111111') && !isCard('9111111111111110') && !isCard('0000000000000000'));
});

test('ARMY-75 BLOG-73 masking leaves nothing of what was found, and all else as it was', () => {
  const sentence = 'Ana (ana@example.com, 612 345 678) pagó con 4111 1111 1111 1111 desde 10.1.2.3.';
  assert.equal(maskPersonalData(sentence), 'Ana (***, ***) pagó con *** desde ***.');
  assert.equal(maskPersonalData('nothing here, 1 + 1 = 2'), 'nothing here, 1 + 1 = 2');
  assert.deepEqual(
    maskPersonalJson({
      user: ['ana@example.com', 7, true, null],
      card: 4_111_111_111_111_111,
      'ana@example.com': { n: 2 },
    }),
    { user: ['***', 7, true, null], card: '***', '***': { n: 2 } },
  );
  const pieces = fc.constantFrom(
    ...Object.values(TELLING).flat(),
    'hola',
    ', ',
    '\n',
    ' y ',
    '12',
    '@',
    '+',
    '(',
    ')',
  );
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), list => {
      const text = list.join(' ');
      const spans = personalDataIn(text);
      for (const [at, { start, end }] of spans.entries())
        assert.ok(start < end && end <= text.length && start >= (spans[at - 1]?.end ?? 0));
      for (const { start, end } of spans)
        if (end - start > 14) assert.ok(!maskPersonalData(text).includes(text.slice(start, end)));
    }),
  );
});
