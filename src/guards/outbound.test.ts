// The guard against real sockets on loopback: what it refuses, and that nothing refused is ever contacted.

import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { DomainError } from '../domain/errors.ts';
import type { OutboundAnswer, OutboundRequest } from '../engine/ports/outbound.ts';
import { type Clock, systemClock } from '../runtime/clock.ts';
import { type Log, silentLog } from '../runtime/log.ts';
import { createOutbound, type OutboundOptions, parsePrivateTargets } from './outbound.ts';

interface Bundle {
  readonly port: number;
  readonly requests: string[];
  readonly connections: () => number;
  send(url: string, more?: Partial<OutboundRequest>): Promise<OutboundAnswer>;
  check(url: string): Promise<void>;
  stop(): Promise<void>;
}

async function setup(
  t: TestContext,
  options: Partial<OutboundOptions> & { readonly allow?: string; readonly answer?: RequestListener } = {},
): Promise<Bundle> {
  const requests: string[] = [];
  let connections = 0;
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.headers.host} ${request.url}`);
    if (options.answer === undefined) response.end('hello');
    else options.answer(request, response);
  }).on('connection', () => {
    connections += 1;
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const outbound = createOutbound({
    clock: systemClock,
    log: silentLog,
    allowed: parsePrivateTargets(options.allow ?? ''),
    ...options,
  });
  t.after(async () => {
    await outbound.stop();
    server.closeAllConnections();
    server.close();
  });
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    connections: () => connections,
    send: (url, more) =>
      outbound.send({ url, method: 'GET', headers: {}, timeoutMs: 5_000, answerBytesMax: 1_024, ...more }),
    check: url => outbound.check(url),
    stop: () => outbound.stop(),
  };
}

const LOOPBACK_SPELLINGS = [
  '127.0.0.1',
  '127.1',
  '127.0.1',
  '0x7f.1',
  '0x7f000001',
  '2130706433',
  '017700000001',
  '0177.0.0.1',
  '127.0.0.1.',
  '①②⑦.0.0.1',
  '１２７。０。０。１',
  '%31%32%37.0.0.1',
  '[::1]',
  '[::ffff:7f00:1]',
  '[::ffff:127.0.0.1]',
  '[::7f00:1]',
  '[0:0:0:0:0:ffff:127.0.0.1]',
];

const PRIVATE_ADDRESSES = [
  '0.0.0.0',
  '0.1.2.3',
  '10.0.0.1',
  '100.64.0.1',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '192.0.0.1',
  '192.0.2.1',
  '198.18.0.1',
  '224.0.0.1',
  '239.255.255.250',
  '240.0.0.1',
  '255.255.255.255',
  '::',
  '::7f00:1',
  'fe80::1',
  'fec0::1',
  'fc00::1',
  'fd00:ec2::254',
  'ff02::1',
  '::ffff:a9fe:a9fe',
  '::ffff:0:7f00:1',
  '64:ff9b::7f00:1',
  '64:ff9b::a9fe:a9fe',
  '64:ff9b:1::7f00:1',
  '2002:7f00:1::',
  '2002:a9fe:a9fe::1',
  '2001::1',
  '2001:db8::1',
  '100::1',
  '4000::1',
];

test('SAM-122 no spelling of loopback is contacted, over https or http', async t => {
  const { port, send, connections } = await setup(t);
  for (const host of LOOPBACK_SPELLINGS)
    for (const scheme of ['http', 'https'])
      await assert.rejects(send(`${scheme}://${host}:${port}/`), { code: 'policy_violation' }, host);
  assert.equal(connections(), 0);
});

test('SAM-122 private, link-local, metadata, carrier, multicast, tunnelled and unallocated addresses are refused', async t => {
  const { send } = await setup(t);
  for (const address of PRIVATE_ADDRESSES) {
    const host = address.includes(':') ? `[${address}]` : address;
    await assert.rejects(send(`https://${host}/`), { code: 'policy_violation' }, address);
  }
});

test('public addresses pass, also behind the NAT64 of a network without IPv4', async t => {
  const { check } = await setup(t);
  for (const host of ['1.1.1.1', '93.184.216.34', '[2001:4860:4860::8888]', '[64:ff9b::5db8:d822]'])
    await check(`https://${host}/`);
});

test('SAM-122 a name is refused when any of its addresses is private, whatever the others are', async t => {
  for (const address of PRIVATE_ADDRESSES) {
    const { send } = await setup(t, { resolve: async () => ['93.184.216.34', address] });
    await assert.rejects(send('https://hooks.test/'), { code: 'policy_violation' }, address);
  }
});

test('SAM-122 a refusal names the host but not the private address behind it', async t => {
  const { send } = await setup(t, { resolve: async () => ['10.20.30.40'] });
  await assert.rejects(send('https://hooks.test/'), (error: Error) => {
    assert.match(error.message, /hooks\.test/);
    assert.doesNotMatch(error.message, /10\.20/);
    return true;
  });
});

test('SAM-122 no IPv4 address outside the public internet passes, even embedded in IPv6', async t => {
  const { check } = await setup(t);
  const octet = fc.integer({ min: 0, max: 255 });
  const network = fc.constantFrom(
    [10],
    [127],
    [0],
    [169, 254],
    [192, 168],
    [100, 64],
    [172, 20],
    [224],
    [255],
  );
  await fc.assert(
    fc.asyncProperty(network, fc.tuple(octet, octet, octet, octet), async (prefix, rest) => {
      const octets = [...prefix, ...rest].slice(0, 4);
      const hex = octets.map(part => part.toString(16).padStart(2, '0')).join('');
      const [high, low] = [hex.slice(0, 4), hex.slice(4)];
      const hosts = [octets.join('.'), `0x${hex}`, `[::ffff:${high}:${low}]`, `[::${high}:${low}]`];
      for (const host of [...hosts, `[64:ff9b::${high}:${low}]`, `[2002:${high}:${low}::1]`])
        await assert.rejects(check(`https://${host}/`), { code: 'unprocessable' }, host);
    }),
    { numRuns: 60 },
  );
});

test('SAM-122 a name that turns private after its check is not contacted', async t => {
  const answers = [['93.184.216.34'], ['127.0.0.1']];
  const { port, send, check, connections } = await setup(t, { resolve: async () => answers.shift() ?? [] });
  await check(`https://rebinding.test:${port}/`);
  await assert.rejects(send(`https://rebinding.test:${port}/`), { code: 'policy_violation' });
  assert.equal(connections(), 0);
});

test('SAM-122 a connection goes to the address that was checked, whose name is resolved once', async t => {
  const asked: string[] = [];
  const resolve = async (host: string) => {
    asked.push(host);
    return asked.length === 1 ? ['127.0.0.1'] : ['127.0.0.9'];
  };
  const { port, send, requests } = await setup(t, { allow: '127.0.0.1', resolve });
  const answer = await send(`http://pinned.test:${port}/a?b=c#d`);
  assert.equal(answer.status, 200);
  assert.deepEqual(requests, [`GET pinned.test:${port} /a?b=c`]);
  assert.deepEqual(asked, ['pinned.test']);
});

test('where one checked address does not answer, the next is tried', async t => {
  const resolve = async () => ['127.0.0.77', '127.0.0.1'];
  const { port, send } = await setup(t, { allow: '127.0.0.0/8', resolve });
  assert.equal((await send(`http://two.test:${port}/`)).status, 200);
});

test('SAM-122 allow-listed hosts, addresses and networks are reached, also over http', async t => {
  for (const [allow, host] of [
    ['127.0.0.1', '127.0.0.1'],
    ['127.0.0.0/8', '0x7f.1'],
    ['127.0.0.1', '[::ffff:7f00:1]'],
    ['hooks.internal', 'HOOKS.internal.'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['true', 'anything.test'],
  ] as const) {
    const { port, send } = await setup(t, { allow, resolve: async () => ['127.0.0.1'] });
    assert.equal((await send(`http://${host}:${port}/`)).status, 200, host);
  }
});

test('SAM-122 a redirect is an answer: its target is never contacted', async t => {
  const answer: RequestListener = (_request, response) =>
    response.writeHead(302, { location: '/elsewhere' }).end();
  const { port, send, requests } = await setup(t, { allow: '127.0.0.1', answer });
  const { status, headers } = await send(`http://127.0.0.1:${port}/`);
  assert.deepEqual([status, headers.location], [302, '/elsewhere']);
  assert.equal(requests.length, 1);
});

test('SAM-108 a check refuses schemes and addresses as unprocessable, and contacts nobody', async t => {
  const names: Record<string, string[]> = { 'public.test': ['93.184.216.34'], 'inside.test': ['10.0.0.1'] };
  const { port, check, connections } = await setup(t, {
    allow: '127.0.0.1,hooks.internal',
    resolve: async host => names[host] ?? [],
  });
  for (const url of [`http://127.0.0.1:${port}/`, 'https://public.test/', 'http://hooks.internal/'])
    await check(url);
  for (const url of [
    'http://public.test/',
    'https://inside.test/',
    'http://inside.test/',
    'https://127.0.0.2/',
  ])
    await assert.rejects(check(url), { code: 'unprocessable' }, url);
  assert.equal(connections(), 0);
});

test('SAM-108 a check resolves a name once in half a minute, and lets one pass that does not resolve', async t => {
  let asked = 0;
  const resolve = async () => {
    asked += 1;
    throw new Error('ENOTFOUND');
  };
  const { check, send } = await setup(t, { resolve });
  await Promise.all([check('https://nowhere.test/'), check('https://nowhere.test/b')]);
  await assert.rejects(check('http://nowhere.test/'), { code: 'unprocessable' });
  assert.equal(asked, 1);
  await assert.rejects(send('https://nowhere.test/'), { code: 'dependency_failed' });
});

test('SAM-108 a check does not wait for a resolver that never answers', async t => {
  const clock: Clock = {
    ...systemClock,
    after(_ms, callback) {
      queueMicrotask(callback);
      return () => {};
    },
  };
  const { check } = await setup(t, { clock, resolve: () => new Promise(() => {}) });
  await check('https://slow.test/');
});

test('the operator, who may know the address, finds it in the log of refusals', async t => {
  const lines: [string, object | undefined][] = [];
  const log: Log = { ...silentLog, warn: (message, fields) => lines.push([message, fields]) };
  const { send } = await setup(t, { log, resolve: async () => ['10.20.30.40'] });
  await assert.rejects(send('https://hooks.test/'));
  const fields = { host: 'hooks.test', addresses: ['10.20.30.40'] };
  assert.deepEqual(lines, [['outbound target refused', fields]]);
});

test('http is spoken to public hosts only where that is asked for, and to private ones not even then', async t => {
  const { check } = await setup(t, { plainHttpEverywhere: true });
  await check('http://93.184.216.34/');
  await assert.rejects(check('http://127.0.0.1/'), { code: 'unprocessable' });
  const usual = await setup(t, { allow: '127.0.0.1' });
  await assert.rejects(usual.check('http://93.184.216.34/'), { code: 'unprocessable' });
  await assert.rejects(usual.send('http://93.184.216.34/'), { code: 'unprocessable' });
});

test('a malformed URL or header ends a request before anything is sent', async t => {
  const { port, send, check, connections } = await setup(t, { allow: '127.0.0.1' });
  for (const url of ['hooks', `http:127.0.0.1:${port}`]) {
    await assert.rejects(send(url), { code: 'invalid_request' });
    await assert.rejects(check(url), { code: 'invalid_request' });
  }
  for (const headers of [{ 'x-a': 'b\r\nx-evil: 1' }, { Host: 'evil.test' }])
    await assert.rejects(send(`http://127.0.0.1:${port}/`, { headers }), { code: 'invalid_request' });
  assert.equal(connections(), 0);
});

test('method, headers and body arrive as given', async t => {
  const seen: unknown[] = [];
  const answer: RequestListener = async (request, response) => {
    const body = await request.toArray();
    seen.push([request.method, request.headers['x-a'], Buffer.concat(body).toString('hex')]);
    response.setHeader('set-cookie', ['a=1', 'b=2']).end();
  };
  const { port, send } = await setup(t, { allow: '127.0.0.1', answer });
  for (const method of ['POST', 'PUT', 'DELETE'] as const) {
    const body = Uint8Array.of(0, 255, 10);
    const sent = await send(`http://127.0.0.1:${port}/`, { method, headers: { 'X-A': 'b' }, body });
    assert.equal(sent.headers['set-cookie'], 'a=1, b=2');
    assert.ok(sent.durationMs >= 0);
  }
  assert.deepEqual(seen, [
    ['POST', 'b', '00ff0a'],
    ['PUT', 'b', '00ff0a'],
    ['DELETE', 'b', '00ff0a'],
  ]);
});

test('connections are kept open between requests, and no more are opened than are permitted', async t => {
  const options = { allow: '127.0.0.1', connectionsPerOriginMax: 3 };
  const { port, send, connections, requests } = await setup(t, options);
  const url = `http://127.0.0.1:${port}/`;
  const post = { method: 'POST', body: Uint8Array.of(1) } as const;
  await Promise.all(Array.from({ length: 30 }, () => send(url, post)));
  for (let count = 0; count < 30; count += 1) await send(url, post);
  assert.equal(requests.length, 60);
  assert.equal(connections(), 3);
});

test('a refused connection is a failed dependency whose message names no address', async t => {
  const { port, send, stop } = await setup(t, { allow: '127.0.0.0/8' });
  await assert.rejects(send(`http://127.0.0.77:${port}/`), (error: DomainError) => {
    assert.equal(error.code, 'dependency_failed');
    assert.match(error.message, /ECONNREFUSED/);
    assert.doesNotMatch(error.message, /127\.0\.0/);
    return true;
  });
  await stop();
  await stop();
  await assert.rejects(send(`http://127.0.0.1:${port}/`), { code: 'dependency_failed' });
});

test('a body taken as it comes is there before its end, and no more of it than was asked for', async t => {
  const { promise: taken, resolve } = Promise.withResolvers<void>();
  const { port, send } = await setup(t, {
    allow: '127.0.0.1',
    answer: (_, response) => {
      response.write('first');
      // The end waits for the taker: had the body been gathered, neither would ever come.
      void taken.then(() => response.end('second'));
    },
  });
  const url = `http://127.0.0.1:${port}/`;
  const pieces: string[] = [];
  const statuses: number[] = [];
  const receive: OutboundRequest['receive'] = async ({ status }, body) => {
    statuses.push(status);
    for await (const piece of body) {
      pieces.push(Buffer.from(piece).toString());
      resolve();
    }
  };
  const answer = await send(url, { receive });
  assert.deepEqual([answer.status, answer.body.length, pieces.join('')], [200, 0, 'firstsecond']);
  await assert.rejects(send(url, { receive, answerBytesMax: 8 }), { code: 'payload_too_large' });
  const refusal = new DomainError('policy_violation', 'not this');
  await assert.rejects(send(url, { receive: () => Promise.reject(refusal) }), refusal);
  assert.deepEqual(statuses, [200, 200]);
});
