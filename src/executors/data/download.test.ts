import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { DomainError } from '../../domain/errors.ts';
import type { Outbound, OutboundAnswer, OutboundRequest } from '../../engine/ports/outbound.ts';
import { download } from './download.ts';

const MIB = 1_048_576;
const signal = new AbortController().signal;

/** A far end that answers by function, and remembers what it was asked. */
function farEnd(answer: (request: OutboundRequest) => Partial<OutboundAnswer>) {
  const asked: OutboundRequest[] = [];
  const outbound: Outbound = {
    send: async request => {
      asked.push(request);
      return { status: 200, headers: {}, body: new Uint8Array(), durationMs: 1, ...answer(request) };
    },
    check: async () => {},
    stop: async () => {},
  };
  return { outbound, asked };
}

/** Serves a file by ranges. */
function ranged(file: Uint8Array, etag = '"v1"') {
  return farEnd(({ headers }) => {
    const [, start = 0, end = 0] = (/bytes=(\d+)-(\d+)/.exec(headers.range ?? '') ?? []).map(Number);
    const body = file.subarray(start, end + 1);
    return {
      status: 206,
      body,
      headers: { etag, 'content-range': `bytes ${start}-${start + body.length - 1}/${file.length}` },
    };
  });
}

async function read(url: string, outbound: Outbound) {
  const { total, chunks } = await download(url, outbound, signal);
  return { total, body: await buffer(chunks) };
}

test('SAM-151 a large URL is read in pieces, so that none of it is held whole', async () => {
  const file = Buffer.alloc(17 * MIB + 5, 'batuta');
  const { outbound, asked } = ranged(file);
  const { total, body } = await read('https://files.example/a.csv', outbound);
  assert.equal(total, file.length);
  assert.ok(body.equals(file));
  assert.deepEqual(
    asked.map(({ headers }) => [headers.range, headers['if-range']]),
    [
      [`bytes=0-${8 * MIB - 1}`, undefined],
      [`bytes=${8 * MIB}-${16 * MIB - 1}`, '"v1"'],
      [`bytes=${16 * MIB}-${24 * MIB - 1}`, '"v1"'],
    ],
  );
});

test('a server without ranges, an empty file and a redirect are read as well', async () => {
  const whole = farEnd(() => ({ body: Buffer.from('a\n1\n') }));
  assert.equal((await read('https://files.example/a', whole.outbound)).body.toString(), 'a\n1\n');
  const empty = farEnd(() => ({ status: 416, body: Buffer.from('no such range') }));
  assert.equal((await read('https://files.example/a', empty.outbound)).total, 0);
  const moved = farEnd(({ url }) =>
    url.endsWith('/old') ? { status: 302, headers: { location: '/new' } } : { body: Buffer.from(url) },
  );
  assert.equal(
    (await read('https://files.example/old', moved.outbound)).body.toString(),
    'https://files.example/new',
  );
  const circle = farEnd(() => ({ status: 307, headers: { location: '/again' } }));
  await assert.rejects(read('https://files.example/a', circle.outbound), { code: 'task_failed' });
  assert.equal(circle.asked.length, 6);
});

test('SAM-152 what may be gone tomorrow is worth another attempt, what will not change is none', async () => {
  for (const status of [408, 429, 500, 503]) {
    const { outbound } = farEnd(() => ({ status }));
    await assert.rejects(
      read('https://files.example/a', outbound),
      { code: 'dependency_failed' },
      `${status}`,
    );
  }
  for (const status of [401, 403, 404, 410]) {
    const { outbound } = farEnd(() => ({ status }));
    await assert.rejects(read('https://files.example/a?token=secret', outbound), error => {
      assert.ok(error instanceof DomainError);
      assert.equal(error.code, 'task_failed');
      assert.deepEqual(error.details, { host: 'files.example', status });
      assert.doesNotMatch(error.message, /secret/);
      return true;
    });
  }
});

test('a file that changes while it is read is not stitched together from two versions', async () => {
  const file = Buffer.alloc(9 * MIB, 'x');
  const first = ranged(file);
  const changed = farEnd(request =>
    request.headers['if-range'] === undefined
      ? {
          status: 206,
          body: file.subarray(0, 8 * MIB),
          headers: { 'content-range': `bytes 0-${8 * MIB - 1}/${file.length}`, etag: '"v1"' },
        }
      : { status: 200, body: Buffer.from('another version') },
  );
  assert.equal((await read('https://files.example/a', first.outbound)).total, file.length);
  await assert.rejects(read('https://files.example/a', changed.outbound), { code: 'dependency_failed' });
  const wrong = farEnd(() => ({
    status: 206,
    body: Buffer.from('abc'),
    headers: { 'content-range': 'bytes 5-7/8' },
  }));
  await assert.rejects(read('https://files.example/a', wrong.outbound), { code: 'dependency_failed' });
});
