// Answers made to hurt: bombs, drips, floods of headers; and that one deadline covers them all.

import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import type { OutboundRequest } from '../../engine/ports/outbound.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { createOutbound, parsePrivateTargets } from '../outbound.ts';

/** A client, and a server whose every connection is in the hands of `speak` once a request has begun to arrive. */
async function setup(t: TestContext, speak: (socket: Socket) => void, connectionsPerOriginMax = 8) {
  const sockets: Socket[] = [];
  const closed: Promise<void>[] = [];
  const server = createServer(socket => {
    sockets.push(socket);
    closed.push(new Promise(resolve => socket.once('close', () => resolve())));
    socket.on('error', () => {}).on('data', () => speak(socket));
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const allowed = parsePrivateTargets('127.0.0.1');
  const outbound = createOutbound({ clock: systemClock, log: silentLog, allowed, connectionsPerOriginMax });
  t.after(async () => {
    await outbound.stop();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const send = (more: Partial<OutboundRequest> = {}) =>
    outbound.send({ url, method: 'GET', headers: {}, timeoutMs: 5_000, answerBytesMax: 64 * 1024, ...more });
  return { send, sockets, closed };
}

function answering(body: Uint8Array, encoding?: string): (socket: Socket) => void {
  const coding = encoding === undefined ? '' : `content-encoding: ${encoding}\r\n`;
  return socket => {
    socket.write(`HTTP/1.1 200 OK\r\n${coding}content-length: ${body.length}\r\n\r\n`);
    socket.write(body);
  };
}

const CODINGS = { gzip: gzipSync, 'x-gzip': gzipSync, deflate: deflateSync, br: brotliCompressSync };

test('compressed answers are decompressed', async t => {
  for (const [coding, compress] of Object.entries(CODINGS)) {
    const { send } = await setup(t, answering(compress(Buffer.from('hello')), coding.toUpperCase()));
    assert.equal(Buffer.from((await send()).body).toString(), 'hello', coding);
  }
});

test('a coding that is unknown or doubled is left as it came', async t => {
  for (const coding of ['zstd', 'gzip, gzip']) {
    const { send } = await setup(t, answering(gzipSync('hello'), coding));
    const { body, headers } = await send();
    assert.deepEqual([Buffer.from(body), headers['content-encoding']], [gzipSync('hello'), coding]);
  }
});

test('an answer that is not what its coding says is a failed dependency', async t => {
  for (const coding of Object.keys(CODINGS)) {
    const { send } = await setup(t, answering(Buffer.from('no compression at all'), coding));
    await assert.rejects(send(), { code: 'dependency_failed' }, coding);
  }
});

test('an answer without a body may claim any coding', async t => {
  for (const coding of Object.keys(CODINGS)) {
    const { send } = await setup(t, answering(new Uint8Array(), coding));
    assert.equal((await send()).body.length, 0, coding);
    assert.equal((await send({ method: 'HEAD' })).body.length, 0, coding);
  }
});

test('a bomb ends the request at the limit of decompressed bytes', async t => {
  const zeros = Buffer.alloc(4 * 1024 * 1024);
  for (const [coding, compress] of Object.entries(CODINGS)) {
    const { send } = await setup(t, answering(compress(zeros), coding));
    await assert.rejects(send(), { code: 'payload_too_large' }, coding);
  }
});

test('an endless body ends the request at the limit, and its connection with it', async t => {
  const chunk = `400\r\n${'.'.repeat(0x400)}\r\n`;
  const { send, closed } = await setup(t, socket => {
    socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n');
    const more = (): void => {
      while (socket.writable && socket.write(chunk));
    };
    socket.on('drain', more);
    more();
  });
  await assert.rejects(send(), { code: 'payload_too_large' });
  assert.equal((await send({ truncate: true })).body.length, 64 * 1024);
  await Promise.all(closed);
});

test('with truncate the first bytes of a longer answer are kept, compressed or not', async t => {
  const text = 'a'.repeat(100_000);
  const whole = await setup(t, answering(Buffer.from(text)));
  const compressed = await setup(t, answering(gzipSync(text), 'gzip'));
  for (const { send } of [whole, compressed]) {
    const { body, status } = await send({ truncate: true, answerBytesMax: 10 });
    assert.deepEqual([status, Buffer.from(body).toString()], [200, 'aaaaaaaaaa']);
  }
});

test('an answer of exactly the limit is whole', async t => {
  const { send } = await setup(t, answering(Buffer.from('0123456789')));
  assert.equal((await send({ answerBytesMax: 10 })).body.length, 10);
  await assert.rejects(send({ answerBytesMax: 9 }), { code: 'payload_too_large' });
});

test('the deadline covers silence, a dripping body and endless informational answers', async t => {
  const drip = (start: string, again: string) => (socket: Socket) => {
    socket.write(start);
    const timer = setInterval(() => socket.write(again), 5);
    socket.once('close', () => clearInterval(timer));
  };
  const tricks = [
    () => {},
    drip('HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n', '.'),
    drip('HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9999\r\n\r\n', '\x1f'.slice(1)),
    drip('', 'HTTP/1.1 103 Early Hints\r\n\r\n'),
    drip('HTTP/1.1 200 OK\r\n', 'x'),
  ];
  for (const trick of tricks) {
    const { send, closed } = await setup(t, trick);
    const startedAt = performance.now();
    await assert.rejects(send({ timeoutMs: 120, truncate: true }), { code: 'upstream_timeout' });
    assert.ok(performance.now() - startedAt >= 119);
    await closed[0];
  }
});

test('a request that waits for a connection is answered at its deadline, and never sent after it', async t => {
  let asked = 0;
  const { send, sockets } = await setup(
    t,
    socket => {
      asked += 1;
      if (asked > 1) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
    },
    1,
  );
  const first = send();
  await assert.rejects(send({ timeoutMs: 50 }), { code: 'upstream_timeout' });
  sockets[0]?.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
  await first;
  await send();
  assert.equal(asked, 2);
});

test('an endless header ends the request', async t => {
  const flood = (socket: Socket): void => {
    socket.write('HTTP/1.1 200 OK\r\n');
    const more = (): void => {
      while (socket.writable && socket.write('x-header: value\r\n'.repeat(100)));
    };
    socket.on('drain', more);
    more();
  };
  const { send, closed } = await setup(t, flood);
  await assert.rejects(send(), { code: 'dependency_failed', message: /HEADERS_OVERFLOW/ });
  await closed[0];
});

test('a connection that breaks inside an answer, and an answer that is not HTTP, are failed dependencies', async t => {
  const broken = (socket: Socket): void => {
    socket.write('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345');
    setImmediate(() => socket.destroy());
  };
  for (const speak of [
    broken,
    (socket: Socket) => socket.end('SSH-2.0-OpenSSH\r\n'),
    (socket: Socket) => socket.end(),
  ]) {
    const { send } = await setup(t, speak);
    await assert.rejects(send({ truncate: true }), { code: 'dependency_failed' });
  }
});

test('a signal ends the request with its own reason, before and while it runs', async t => {
  const abort = new AbortController();
  const { send, closed } = await setup(t, () => abort.abort('changed my mind'));
  await assert.rejects(send({ signal: abort.signal }), (reason: unknown) => reason === 'changed my mind');
  await closed[0];
  await assert.rejects(send({ signal: abort.signal }), (reason: unknown) => reason === 'changed my mind');
});
