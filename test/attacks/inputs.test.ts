import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { basename, dirname, join } from 'node:path';
import { after, suite, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { hire, submit, taskOf } from '../e2e/crew.ts';
import { running } from '../e2e/running.ts';
import type { Loose } from '../serve.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;
const { hostname, port } = new URL(house.url);
const dial = (): Socket => connect(Number(port), hostname);
const KEY = Object.entries(admin.credentials)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join('');

/** What a server says to raw bytes, until it hangs up or three seconds have passed. */
async function told(bytes: string | Buffer): Promise<string> {
  const socket = dial();
  const timer = setTimeout(() => socket.destroy(), 3_000);
  let text = '';
  socket.on('data', chunk => (text += chunk));
  socket.on('error', () => {});
  socket.end(bytes);
  await new Promise<void>(resolve => socket.once('close', () => resolve()));
  clearTimeout(timer);
  return text;
}

suite('names of files', () => {
  test('SAM-75 a name that climbs is kept as a name: nothing is written or read outside, and no header is made of it', async () => {
    const beside = readdirSync(dirname(house.dataDir)).length;
    const names = [
      '../../../../tmp/evil',
      '..\\..\\evil',
      '/etc/passwd',
      'a/../../b',
      '.',
      '..',
      'x\u0000.txt',
      'evil"\r\nX-Evil: 1\r\n\r\n',
      '‮txt.exe',
      'C:\\boot.ini',
      '%2e%2e%2fevil',
      'con',
      '😀'.repeat(100),
    ];
    for (const name of names) {
      const path = `/api/v2/artifacts?name=${encodeURIComponent(name)}`;
      const asking = { raw: 'inert', headers: { 'content-type': 'text/plain' } };
      const { body } = await admin.ask('POST', path, asking);
      assert.equal(body.name, name);
      const { headers, body: bytes } = await admin.get(`/api/v2/artifacts/${body.artifact_id}`);
      assert.equal(bytes, 'inert');
      assert.equal(headers.get('x-evil'), null);
      assert.match(
        headers.get('content-disposition') ?? '',
        /^attachment; filename\*=UTF-8''[\w.%~!$&+-]+$/,
        name,
      );
    }
    assert.equal(readdirSync(dirname(house.dataDir)).filter(one => /evil/.test(one)).length, 0);
    assert.ok(Math.abs(readdirSync(dirname(house.dataDir)).length - beside) < 50);
    const blobs = readdirSync(join(house.dataDir, 'blobs'), { recursive: true, withFileTypes: true });
    for (const one of blobs) if (one.isFile()) assert.match(basename(one.name), /^[\w-]+$/);
  });

  test('SAM-75 paths in the place of ids are ids nobody has', async () => {
    const secret = basename(join(house.dataDir, 'credentials.json'));
    assert.ok(existsSync(join(house.dataDir, secret)));
    for (const id of [
      `../${secret}`,
      `..%2f${secret}`,
      '....//x',
      '%2e%2e',
      `${house.dataDir}/${secret}`,
      '\u0000',
    ])
      for (const place of ['artifacts', 'task-status', 'deliveries', 'api-keys', 'tenants']) {
        const { status } = await admin.get(`/api/v2/${place}/${encodeURIComponent(id)}`, { expect: null });
        assert.ok(status === 404 || status === 400, `${place}/${id} answered ${status}`);
      }
    for (const path of ['/docs/errors/..%2f..%2fpackage.json', '/docs/errors/%00', '/..%2f..%2fetc/passwd'])
      assert.ok([400, 404].includes((await fetch(house.url + path)).status), path);
  });
});

suite('bombs', () => {
  test('SAM-1 SAM-202 compressed bodies are refused, not unfolded', async () => {
    await hire(admin, 'bomb');
    const body = JSON.stringify(taskOf('bomb', 'bomb', { filler: 'x'.repeat(1_000_000) }));
    const packed = new Uint8Array(gzipSync(body));
    const zipped = { 'content-encoding': 'gzip' };
    const { body: told } = await submit(admin, {}, { raw: packed, headers: zipped, expect: 400 });
    assert.equal(told.error.code, 'MALFORMED_BODY');
    // Nor is one believed that says so and is not.
    await submit(admin, {}, { raw: body, headers: zipped, expect: 400 });
    await admin.get('/api/v2/task-status/bomb', { expect: 404 });
  });

  test('SAM-202 bodies made to cost time or memory are answered in a moment', async () => {
    const deep = (open: string, close: string, levels: number): string =>
      open.repeat(levels) + close.repeat(levels);
    const bombs: Readonly<Record<string, string>> = {
      'a million brackets': deep('[', ']', 1_000_000),
      'half a million objects': deep('{"a":', '}', 500_000).replace('{"a":}', '{}'),
      'two hundred thousand keys': `{${Array.from({ length: 200_000 }, (_, n) => `"k${n}":0`).join()}}`,
      'an endless number': `{"task_id":${'9'.repeat(1_000_000)}}`,
      'a million escapes': `{"a":"${'\\u0000'.repeat(500_000)}"}`,
      'a million quotes': `{"a":"${'\\"'.repeat(1_000_000)}"}`,
      'a million faults': `{"task_data":[${'0,'.repeat(1_000_000)}0]}`,
    };
    for (const [what, raw] of Object.entries(bombs)) {
      const before = process.cpuUsage();
      const { body } = await admin.post('/api/v2/execute-task', null, { raw, expect: 400 });
      // Of the processor's time, so that a busy machine does not count; the client's own share is in it.
      const { user, system } = process.cpuUsage(before);
      assert.ok(user + system < 3_000_000, `${what} took ${(user + system) / 1_000} ms`);
      assert.ok(JSON.stringify(body).length < 4_000_000, what);
    }
  });

  test('SAM-202 patterns that never end, asked of logs and schemas, hold nobody up', async () => {
    const hostile = { type: 'object', properties: { a: { type: 'string', pattern: '^(a+)+$' } } };
    const schemas = { evil: { input: hostile } };
    await admin.post('/api/v2/agents', { agent_id: 'evil', types: ['custom:evil'], schemas });
    const slow = submit(admin, taskOf('evil', 'evil', {}, { a: `${'a'.repeat(50)}!` }), { expect: 400 });
    const first = await Promise.race([
      slow.then(() => 'the pattern'),
      admin.get('/api/v2/agents').then(() => 'others'),
    ]);
    assert.equal(first, 'others');
    await slow;
    await admin.get(`/api/v2/task-logs/none?q=${encodeURIComponent('(a+)+$'.repeat(30))}`, { expect: 404 });
  });
});

suite('connections', () => {
  test('SAM-202 two hundred connections that dribble their headers do not keep others from being served', async t => {
    const drips = Array.from({ length: 200 }, dial);
    t.after(() => {
      for (const drip of drips) drip.destroy();
    });
    await Promise.all(drips.map(drip => once(drip, 'connect')));
    for (const drip of drips) {
      drip.on('error', () => {});
      drip.write('POST /api/v2/execute-task HTTP/1.1\r\nhost: x\r\nx-slow: ');
    }
    for (let round = 0; round < 5; round++) {
      for (const drip of drips) drip.write('z');
      await admin.get('/api/v2/agents');
    }
    const promised = Array.from({ length: 20 }, dial);
    t.after(() => {
      for (const socket of promised) socket.destroy();
    });
    for (const socket of promised)
      socket.write(`POST /api/v2/execute-task HTTP/1.1\r\nhost: x\r\n${KEY}content-length: 1000\r\n\r\n{`);
    await admin.get('/api/v2/agents');
  });

  test('SAM-49 requests that two readers would read differently are refused and hung up on', async () => {
    const smuggled = 'GET /api/v2/health/live HTTP/1.1\r\nhost: x\r\n\r\n';
    const post = `POST /api/v2/execute-task HTTP/1.1\r\nhost: x\r\n${KEY}content-type: application/json\r\n`;
    const ambiguous: Readonly<Record<string, string>> = {
      'both lengths': `${post}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      'two lengths': `${post}content-length: 0\r\ncontent-length: ${smuggled.length}\r\n\r\n${smuggled}`,
      'a length of words': `${post}content-length: +4\r\n\r\nabcd${smuggled}`,
      'an unknown coding': `${post}transfer-encoding: x, chunked\r\n\r\nzz\r\n${smuggled}`,
      'a folded header': `GET /api/v2/health/live HTTP/1.1\r\nhost: x\r\nx-a: b\r\n transfer-encoding: chunked\r\n\r\n${smuggled}`,
      'a blank before the colon': `GET /api/v2/health/live HTTP/1.1\r\nhost : x\r\n\r\n${smuggled}`,
      'a NUL in a header': `GET /api/v2/health/live HTTP/1.1\r\nhost: x\r\nx-a: \u0000\r\n\r\n${smuggled}`,
      'no host': 'GET /api/v2/health/live HTTP/1.1\r\n\r\n',
      'a header of a megabyte': `GET / HTTP/1.1\r\nhost: x\r\nx-a: ${'a'.repeat(1_000_000)}\r\n\r\n`,
      'thousands of headers': `GET / HTTP/1.1\r\nhost: x\r\n${'a: b\r\n'.repeat(20_000)}\r\n`,
    };
    for (const [what, bytes] of Object.entries(ambiguous)) {
      const answers = (await told(bytes)).match(/HTTP\/1\.1 \d{3}/g) ?? [];
      assert.ok(answers.length <= 1, `${what}: ${answers.join()}`);
      assert.ok(
        answers.every(one => one === 'HTTP/1.1 400'),
        `${what}: ${answers.join()}`,
      );
    }
    await admin.get('/api/v2/agents');
  });

  test('SAM-49 a hundred requests in one packet are all answered, in order', async () => {
    const many = Array.from({ length: 100 }, (_, n) => {
      const last = n === 99 ? 'connection: close\r\n' : '';
      return `GET /api/v2/health/live HTTP/1.1\r\nhost: x\r\nx-request-id: n${n}\r\n${last}\r\n`;
    });
    const text = await told(many.join(''));
    const names = [...text.matchAll(/x-request-id: (n\d+)/gi)].map(([, name]) => name);
    assert.deepEqual(
      names,
      many.map((_, n) => `n${n}`),
    );
  });

  test('SAM-203 methods that should not exist do not, and nobody’s origin is let in', async () => {
    for (const method of ['TRACE', 'OPTIONS', 'PROPFIND', 'CONNECT', 'PURGE']) {
      const text = await told(
        `${method} /api/v2/agents HTTP/1.1\r\nhost: x\r\n${KEY}connection: close\r\n\r\n`,
      );
      assert.doesNotMatch(text, /^HTTP\/1\.1 2/, method);
      assert.doesNotMatch(text.toLowerCase(), /access-control|x-api-secret/, method);
    }
    const { headers } = await admin.get('/api/v2/agents', { headers: { origin: 'https://evil.example' } });
    assert.deepEqual(
      [...headers.keys()].filter((name: Loose) => /^access-control/.test(name)),
      [],
    );
  });
});
