import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { systemClock } from '../runtime/clock.ts';
import { silentLog } from '../runtime/log.ts';
import { parsePrivateTargets } from './outbound.ts';
import { createTunnels } from './tunnels.ts';

async function setup(
  t: TestContext,
  allowed: string,
  answers: Readonly<Record<string, readonly string[]>> = {},
) {
  const connected: Socket[] = [];
  const server = createServer(socket => {
    connected.push(socket);
    socket.on('error', () => {});
    socket.end('hello');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of connected) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const tunnels = createTunnels({
    clock: systemClock,
    log: silentLog,
    allowed: parsePrivateTargets(allowed),
    resolve: async name => answers[name] ?? [],
  });
  const open = (
    hostname: string,
    more: { readonly signal?: AbortSignal; readonly plainHttp?: boolean } = {},
  ) => tunnels.open({ hostname, port, plainHttp: false, ...more });
  return { open, connected, port };
}

test('SAM-122 a tunnel leads to a permitted address, by name or as it is', async t => {
  const { open } = await setup(t, '127.0.0.1', { 'inside.test': ['127.0.0.1'] });
  for (const hostname of ['127.0.0.1', 'inside.test', 'inside.test.']) {
    const socket = await open(hostname);
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    assert.equal(String(chunk), 'hello', hostname);
    socket.destroy();
  }
});

test('SAM-122 a tunnel to a private or metadata address is refused, whatever names or accompanies it', async t => {
  const { open, connected } = await setup(t, '', {
    'inside.test': ['127.0.0.1'],
    'mixed.test': ['93.184.216.34', '10.0.0.1'],
    '0x7f.1': ['127.0.0.1'],
  });
  const targets = [
    '127.0.0.1',
    '[::1]',
    '169.254.169.254',
    '::ffff:10.0.0.1',
    'inside.test',
    'mixed.test',
    '0x7f.1',
  ];
  for (const hostname of targets)
    await assert.rejects(open(hostname), { code: 'policy_violation' }, hostname);
  assert.equal(connected.length, 0);
});

test('SAM-122 plain HTTP goes through a tunnel to allow-listed hosts alone', async t => {
  const { open } = await setup(t, '', { 'public.test': ['93.184.216.34'] });
  await assert.rejects(open('public.test', { plainHttp: true }), { code: 'unprocessable' });
});

test('a tunnel to nobody fails saying no more than why, and one that is aborted at once', async t => {
  const { open } = await setup(t, '127.0.0.0/8', { 'nobody.test': [] });
  await assert.rejects(open('nobody.test'), { code: 'dependency_failed', message: /does not resolve/ });
  await assert.rejects(open('127.0.0.99'), {
    code: 'dependency_failed',
    message: 'no connection to 127.0.0.99: ECONNREFUSED',
  });
  await assert.rejects(open('127.0.0.1', { signal: AbortSignal.abort(new Error('enough')) }), /enough/);
});
