import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { type Operation, type Schema, toldIn } from '../e2e/contract.ts';
import { dialectsOf } from '../e2e/letters.ts';
import type { Asking } from '../e2e/wire.ts';
import type { Loose } from '../serve.ts';
import { bodySchema, forAll, isRight, openScene, rightBody, rightPath, rightQuery } from './scene.ts';

const scene = await openScene();
after(() => scene.stop());
const { admin } = scene;
const { operations } = admin.contract;
const nameOf = ({ method, path }: Operation): string => `${method} ${path}`;
const withBodies = operations.filter(one => bodySchema(one) !== undefined);
const bytes = (...parts: readonly (string | readonly number[])[]): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Buffer.concat(parts.map(part => Buffer.from(part as string))));

/** What an error says of a body that cannot be read or is not valid, on any wire. */
const FAULTY = new Set(['MALFORMED_BODY', 'INVALID_REQUEST']);
for (const dialect of dialectsOf(admin.contract)) {
  const { body } = await admin.get(`/protocols/${dialect}`);
  for (const code of ['unserializable', 'invalid_request']) FAULTY.add(body.error_codes[code]);
}

/** Values that are no object, which the operation's body may yet be. */
const OTHERS: Readonly<Record<string, unknown>> = {
  'a list': [{}],
  'a text': 'text',
  null: null,
  'a number': 0,
};
const isTaken = (operation: Operation, what: string): boolean =>
  what in OTHERS && isRight(bodySchema(operation), OTHERS[what]);

/** A right body spoilt as a text, in ways a lenient reader would let pass. */
function spoilt(right: string): Readonly<Record<string, Asking>> {
  const inside = right.slice(1, -1);
  const more = inside === '' ? '' : `,${inside}`;
  const typed = (type: string): Asking => ({ raw: right, headers: { 'content-type': type } });
  return {
    'cut short': { raw: right.slice(0, -1) },
    'cut in the middle': { raw: `{"a":"${'b'.repeat(20)}` },
    'something behind it': { raw: `${right}{}` },
    'a comma too many': { raw: `{"a":1,${more === '' ? '' : inside}}`.replace('}', ',}') },
    'single quotes': { raw: "{'a':1}" },
    'a comment': { raw: `/* */${right}` },
    'not a number': { raw: `{"a":NaN${more}}` },
    'bytes that are no UTF-8': { raw: bytes('{"a":"', [0xff, 0xfe, 0xc0, 0x80], `"${more}}`) },
    'a surrogate in UTF-8': { raw: bytes('{"a":"', [0xed, 0xa0, 0x80], `"${more}}`) },
    'a NUL in the text': { raw: `{"a":"\u0000"${more}}` },
    'UTF-16': { raw: new Uint8Array(Buffer.from(right, 'utf16le')) },
    'a key twice': { raw: `{"a":1,"a":2${more}}` },
    'a key twice, spelled otherwise': { raw: `{"a":1,"\\u0061":2${more}}` },
    'a prototype': { raw: `{"__proto__":{"admin":true}${more}}` },
    'a prototype, spelled otherwise': { raw: `{"\\u005f_proto__":{}${more}}` },
    'a constructor’s prototype': { raw: `{"constructor":{"prototype":{"admin":true}}${more}}` },
    'sixty-five levels': { raw: `{"deep":${'['.repeat(65)}${']'.repeat(65)}${more}}` },
    'a list': { raw: `[${right}]` },
    'a text': { raw: '"text"' },
    null: { raw: 'null' },
    'a number': { raw: '0' },
    'no type': typed(''),
    'plain text': typed('text/plain'),
    XML: typed('application/xml'),
    'a form': typed('application/x-www-form-urlencoded'),
    'almost JSON': typed('application/jsonx'),
    'JSON in Latin-1': typed('application/json; charset=iso-8859-1'),
    'JSON and more': typed('application/json, text/plain'),
  };
}

suite('bodies as texts', () => {
  test('SAM-1 SAM-202 spoilt in any way, a body is 400 on every route, and nothing is kept', async () => {
    assert.ok(withBodies.length > 15);
    const before = scene.stored();
    const all = withBodies.flatMap(operation =>
      Object.entries(spoilt(JSON.stringify(rightBody(operation))))
        .filter(([what]) => !isTaken(operation, what))
        .map(([what, asking]) => ({ operation, what, asking })),
    );
    await forAll(all, async ({ operation, what, asking }) => {
      const { status, body } = await admin.ask(operation.method, rightPath(operation), {
        ...asking,
        expect: null,
      });
      assert.equal(
        status,
        400,
        `${nameOf(operation)} with ${what} answered ${status} ${JSON.stringify(body)}`,
      );
      const code = toldIn(body, 'error_code') ?? toldIn(body, 'code');
      assert.ok(FAULTY.has(code), `${nameOf(operation)} ${what}: ${code}`);
    });
    assert.deepEqual(scene.stored(), before);
    assert.equal(Reflect.get({}, 'admin'), undefined);
  });

  test('SAM-202 a body nobody asked for breaks nothing', async () => {
    const others = operations.filter(
      one => bodySchema(one) === undefined && !['GET', 'HEAD'].includes(one.method),
    );
    await forAll(others, async operation => {
      for (const raw of ['{"a":', '\u0000', '[]', 'x'.repeat(100_000)]) {
        const { status } = await admin.ask(operation.method, rightPath(operation), { raw, expect: null });
        assert.ok(status < 500, `${nameOf(operation)} answered ${status}`);
      }
    });
  });
});

/** Values the parameter's schema cannot mean. */
function wrongValues({
  type,
  enum: choices,
  format,
  pattern,
  minimum,
  maximum,
  maxLength,
}: Schema): readonly string[] {
  if (choices !== undefined) return ['nonsense', '', `${choices[0]}x`];
  if (type === 'boolean') return ['maybe', '2', 'TRUE', ''];
  if (type === 'integer')
    return [
      'x',
      '',
      '1.5',
      '1e400',
      ...(minimum === undefined ? [] : [String(minimum - 1)]),
      ...(maximum === undefined ? [] : [String(maximum + 1)]),
    ];
  if (format === 'date-time') return ['yesterday', '2026-13-01T00:00:00Z', '', '1'];
  if (pattern !== undefined) return ['%', '', 'a b', '😀'];
  return maxLength === undefined ? [] : ['x'.repeat(maxLength + 1)];
}

suite('parameters', () => {
  const asked = operations.filter(one => one.method === 'GET');

  test('SAM-3 SAM-44 a wrong value of any query parameter is 400 naming it', async () => {
    const cases = asked.flatMap(operation =>
      operation.spec.parameters
        .filter((one: Schema) => one.in === 'query')
        .flatMap(({ name, schema }: Schema) =>
          wrongValues(schema).map(value => ({ operation, name, value })),
        ),
    );
    assert.ok(cases.length > 60);
    await forAll(cases, async ({ operation, name, value }) => {
      const query = `${name}=${encodeURIComponent(value)}${rightQuery(operation, name)}`;
      const path = `${rightPath(operation)}?${query}`;
      const { status, body } = await admin.get(path, { expect: null, beginning: true });
      assert.equal(status, 400, `${path} answered ${status}`);
      assert.ok(
        toldIn(body, 'errors')?.some((fault: Loose) => fault.field === name),
        `${path} ${JSON.stringify(body)}`,
      );
    });
  });
});
