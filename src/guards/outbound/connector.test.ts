// TLS to a pinned address, and the last look at the far end of a socket.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { type TestContext, test } from 'node:test';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import type { DomainError } from '../../domain/errors.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { createOutbound, parsePrivateTargets } from '../outbound.ts';
import { assertPeer, createConnector } from './connector.ts';

// For hooks.test alone, valid until 2120, of no use anywhere else.
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+duEFFQ7JPxeYPs0
Ye0yqsTuysJpMZXZIn7F/kKwqxKhRANCAAQ6fn3XbUKfLLepNIfSM4kHQCL/U6Lh
0sD+uQKYq4ix75G0dAShdpoRazRqlN3ODdnOFkVwZm9JQU46ju7FqndW
-----END PRIVATE KEY-----`;
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBZDCCAQqgAwIBAgIBATAKBggqhkjOPQQDAjAVMRMwEQYDVQQDDApob29rcy50
ZXN0MCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAVMRMwEQYDVQQD
DApob29rcy50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEOn59121Cnyy3
qTSH0jOJB0Ai/1Oi4dLA/rkCmKuIse+RtHQEoXaaEWs0apTdzg3ZzhZFcGZvSUFO
Oo7uxap3VqNJMEcwFQYDVR0RBA4wDIIKaG9va3MudGVzdDAPBgNVHRMBAf8EBTAD
AQH/MB0GA1UdDgQWBBSsg2qC8YTabWnZ00z7R1OScATV2jAKBggqhkjOPQQDAgNI
ADBFAiEAmz7ZQPGrD8soNBwk/e+4oMnjNA0aITWparA7jTJ48z0CIAFGzr9Omc43
pzomMick1hQNquGbO7utx4EZutdV3Yap
-----END CERTIFICATE-----`;

async function setup(t: TestContext) {
  const served: (string | undefined)[] = [];
  const server = createServer({ key: KEY, cert: CERTIFICATE }, (request, response) => {
    served.push(request.headers.host);
    response.end();
  });
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  const outbound = createOutbound({
    clock: systemClock,
    log: silentLog,
    allowed: parsePrivateTargets('127.0.0.0/8'),
    resolve: async () => ['127.0.0.1'],
  });
  t.after(async () => {
    await outbound.stop();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const send = (host: string) =>
    outbound.send({
      url: `https://${host}:${port}/`,
      method: 'GET',
      headers: {},
      timeoutMs: 5_000,
      answerBytesMax: 10,
    });
  return { send, served, port };
}

test('SAM-201 a certificate nobody vouches for is refused, even where the environment waives validation', async t => {
  const { send, served } = await setup(t);
  process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
  t.after(() => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  });
  await assert.rejects(send('hooks.test'), { code: 'dependency_failed', message: /SELF_SIGNED/ });
  assert.deepEqual(served, []);
});

test('SAM-201 a valid certificate is accepted for its own host alone, although both names lead to one address', async t => {
  const usual = getCACertificates('default');
  setDefaultCACertificates([...usual, CERTIFICATE]);
  t.after(() => setDefaultCACertificates(usual));
  const { send, served, port } = await setup(t);
  assert.equal((await send('hooks.test')).status, 200);
  assert.equal((await send('hooks.test.')).status, 200);
  for (const host of ['other.test', '127.0.0.1'])
    await assert.rejects(send(host), { code: 'dependency_failed', message: /ALTNAME_INVALID/ }, host);
  assert.deepEqual(served, [`hooks.test:${port}`, `hooks.test.:${port}`]);
});

test('SAM-122 a socket whose far end is not among the checked addresses is refused', () => {
  assertPeer(['93.184.216.34', '2001:4860::1'], '2001:4860:0::1');
  assertPeer(['93.184.216.34'], '::ffff:93.184.216.34');
  for (const peer of ['127.0.0.1', '93.184.216.35', '::1', '', undefined])
    assert.throws(() => assertPeer(['93.184.216.34'], peer), { code: 'policy_violation' });
});

test('a handshake that never comes ends with the time for connecting, and the socket with it', async t => {
  const server = createTcpServer();
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  const accepted = once(server, 'connection');
  const { promise: timer, resolve: setTimer } = Promise.withResolvers<() => void>();
  const connect = createConnector({
    clock: {
      ...systemClock,
      after(ms, callback) {
        assert.equal(ms, 700);
        setTimer(callback);
        return () => {};
      },
    },
    resolve: async () => ['127.0.0.1'],
    assertPermitted: () => {},
    connectTimeoutMs: 700,
  });
  const { port } = server.address() as AddressInfo;
  const failed = new Promise(resolve => {
    connect({ hostname: 'hooks.test', protocol: 'https:', port: String(port) }, (...[error]) =>
      resolve(error),
    );
  });
  const [socket] = (await accepted) as [Socket];
  const closed = once(socket.resume(), 'close');
  (await timer)();
  assert.equal(((await failed) as DomainError).code, 'upstream_timeout');
  await closed;
});
