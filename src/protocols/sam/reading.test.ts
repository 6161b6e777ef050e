import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { DomainError } from '../../domain/errors.ts';
import { fingerprintOf } from '../fingerprint.ts';
import { instantOf } from '../validation.ts';
import { isCurrent, rangeOf } from './conditional.ts';
import { contradiction, detectedType } from './media.ts';
import { boundaryOf, formFile } from './multipart.ts';
import { priorityName, samState } from './vocabulary.ts';

suite('fingerprints', () => {
  test('SAM-47 key order does not count and everything else does', () => {
    const shuffled = (value: unknown): unknown => {
      if (typeof value !== 'object' || value === null) return value;
      if (Array.isArray(value)) return value.map(shuffled);
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, inner]) => [key, shuffled(inner)]),
      );
    };
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        assert.equal(fingerprintOf(one), fingerprintOf(shuffled(one)));
        const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
        assert.equal(fingerprintOf(one) === fingerprintOf(other), same);
      }),
    );
  });
});

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return { array: value.map(sorted) };
  const members = Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1));
  return { object: members.map(([key, inner]) => [key, sorted(inner)]) };
}

suite('forms', () => {
  const part = (head: string, content: Buffer): Buffer =>
    Buffer.concat([Buffer.from(`${head}\r\n\r\n`), content, Buffer.from('\r\n')]);

  test('SAM-72 a file comes out as it went in, however the body is cut into chunks', async () => {
    const property = fc.asyncProperty(
      fc.uint8Array({ maxLength: 200 }),
      fc.integer({ min: 1, max: 40 }),
      async (content, chunk) => {
        const body = Buffer.concat([
          Buffer.from('preamble\r\n--B\r\n'),
          part('Content-Disposition: form-data; name="type"', Buffer.from('report')),
          Buffer.from('--B\r\n'),
          part(
            'Content-Disposition: form-data; name="f"; filename="a.bin"\r\nContent-Type: a/b',
            Buffer.from(content),
          ),
          Buffer.from('--B--\r\nepilogue'),
        ]);
        const chunks = Array.from({ length: Math.ceil(body.length / chunk) }, (_, at) =>
          body.subarray(at * chunk, (at + 1) * chunk),
        );
        const file = await formFile(Readable.from(chunks, { objectMode: false }), 'B');
        assert.deepEqual(
          [file.name, file.mediaType, { ...file.fields }],
          ['a.bin', 'a/b', { type: 'report' }],
        );
        assert.deepEqual(Buffer.concat(await file.stream.toArray()), Buffer.from(content));
      },
    );
    await fc.assert(property, { numRuns: 50 });
  });

  test('SAM-72 a form without a file, or one that breaks off, is malformed', async () => {
    const refused = (error: unknown) => error instanceof DomainError && error.code === 'unserializable';
    await assert.rejects(formFile(Readable.from([Buffer.from('--B--\r\n')]), 'B'), refused);
    await assert.rejects(formFile(Readable.from([Buffer.from('--B\r\nContent-Dis')]), 'B'), refused);
    const cut = await formFile(
      Readable.from([
        Buffer.from('--B\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\nhalf'),
      ]),
      'B',
    );
    await assert.rejects(cut.stream.toArray(), refused);
  });

  test('a boundary may be quoted, and other types have none', () => {
    assert.equal(boundaryOf('multipart/form-data; boundary="a b"'), 'a b');
    assert.equal(boundaryOf('multipart/form-data; charset=utf-8; boundary=abc'), 'abc');
    assert.equal(boundaryOf('text/plain; boundary=abc'), null);
    assert.equal(boundaryOf(undefined), null);
  });
});

suite('media types', () => {
  const png = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

  test('SAM-74 bytes that are those of another type contradict what is declared', () => {
    assert.equal(detectedType(png), 'image/png');
    assert.equal(contradiction(png, 'image/png'), null);
    assert.match(contradiction(png, 'text/html') ?? '', /image\/png/);
    assert.match(contradiction(png, 'application/json; charset=utf-8') ?? '', /image\/png/);
    assert.match(
      contradiction(Buffer.from('hello'), 'application/pdf') ?? '',
      /not those of application\/pdf/,
    );
  });

  test('SAM-74 what shows no type, or builds on another, contradicts nothing', () => {
    assert.equal(contradiction(Buffer.from('hello'), 'text/plain'), null);
    assert.equal(contradiction(Buffer.from('MZ is how this text begins'), 'text/plain'), null);
    assert.equal(contradiction(png, 'application/octet-stream'), null);
    assert.equal(
      contradiction(Buffer.from('PK\u0003\u0004'), 'application/vnd.oasis.opendocument.text'),
      null,
    );
    assert.equal(contradiction(Buffer.alloc(0), 'image/png'), null);
  });
});

suite('conditions', () => {
  test('SAM-73 a range is read as RFC 9110 says', () => {
    assert.deepEqual(rangeOf('bytes=0-0', 5), { kind: 'part', start: 0, end: 0 });
    assert.deepEqual(rangeOf('bytes=3-', 5), { kind: 'part', start: 3, end: 4 });
    assert.deepEqual(rangeOf('bytes=-9', 5), { kind: 'part', start: 0, end: 4 });
    assert.deepEqual(rangeOf('bytes=5-9', 5), { kind: 'unsatisfiable' });
    assert.deepEqual(rangeOf('bytes=-0', 5), { kind: 'unsatisfiable' });
    for (const odd of [undefined, 'bytes=', 'bytes=-', 'bytes=4-2', 'lines=1-2', 'bytes=0-1,2-3'])
      assert.deepEqual(rangeOf(odd, 5), { kind: 'all' });
  });

  test('SAM-55 a tag matches among several, weak or not, and * matches any', () => {
    assert.equal(isCurrent('W/"a"', '"b", "a"'), true);
    assert.equal(isCurrent('"a"', 'W/"a"'), true);
    assert.equal(isCurrent('"a"', '*'), true);
    assert.equal(isCurrent('"a"', '"ab"'), false);
    assert.equal(isCurrent('"a"', undefined), false);
  });
});

suite('words', () => {
  test('SAM-57 the states before an end show as queued or running, those after it as the outcome', () => {
    assert.deepEqual(
      (['submitted', 'validated', 'queued', 'allocated', 'paused'] as const).map(state =>
        samState(state, null),
      ),
      Array(5).fill('queued'),
    );
    assert.deepEqual(
      (['running', 'completing'] as const).map(state => samState(state, null)),
      ['running', 'running'],
    );
    assert.equal(samState('archived', 'completed'), 'completed');
    assert.equal(samState('notifying', 'timeout'), 'failed');
    assert.equal(samState('rejected', 'rejected'), 'failed');
    assert.equal(samState('archiving', 'cancelled'), 'cancelled');
  });

  test('SAM-29 a priority shows as the nearest name that is not more urgent', () => {
    const names = ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9] as const).map(priorityName);
    assert.deepEqual(names, [
      'critical',
      'urgent',
      'high',
      'normal',
      'normal',
      'normal',
      'low',
      'low',
      'low',
      'low',
    ]);
  });

  test('an instant without a zone is UTC, and what is no instant is none', () => {
    assert.equal(instantOf('2026-01-01T00:00:00.5'), Date.UTC(2026, 0, 1, 0, 0, 0, 500));
    assert.equal(instantOf('2026-01-01T02:00:00+02:00'), Date.UTC(2026, 0, 1));
    for (const odd of ['2026-01-01', 'yesterday', '2026-13-01T00:00:00Z', '1767225600'])
      assert.ok(Number.isNaN(instantOf(odd)), odd);
  });
});
