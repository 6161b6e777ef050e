import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request } from 'node:http';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { AttemptTraffic } from '../../engine/traffic.ts';
import { parsePrivateTargets } from '../../guards/outbound.ts';
import { createTunnels } from '../../guards/tunnels.ts';
import { systemClock } from '../../runtime/clock.ts';
import { silentLog } from '../../runtime/log.ts';
import { systemRandom } from '../../runtime/random.ts';
import { FilteringProxy, type ProxyPass } from './proxy.ts';
import { startSite } from './site.test.ts';

async function setup(t: TestContext, bytesMax = 1_048_576) {
  const site = await startSite();
  const allowed = parsePrivateTargets('127.0.0.1');
  const proxy = new FilteringProxy(
    silentLog,
    systemRandom,
    createTunnels({ clock: systemClock, log: silentLog, allowed, resolve: async () => [] }),
  );
  t.after(async () => {
    await proxy.stop();
    await site.stop();
  });
  const traffic = new AttemptTraffic(systemClock, undefined);
  return { site, proxy, pass: await proxy.admit(bytesMax, traffic), traffic };
}

function credentials({ access }: ProxyPass): string {
  return `Basic ${Buffer.from(`${access.username}:${access.password}`).toString('base64')}`;
}

/** The status of a plain request, or null where the proxy hung up. */
async function get(pass: ProxyPass, url: string, authorization = credentials(pass)): Promise<number | null> {
  const { port } = new URL(pass.access.server);
  const sent = request({
    port,
    host: '127.0.0.1',
    path: url,
    headers: { 'proxy-authorization': authorization },
  }).end();
  try {
    const [answer] = await once(sent, 'response');
    for await (const _ of answer);
    return answer.statusCode;
  } catch {
    return null;
  }
}

/** What the proxy answers to CONNECT and to a request through it, until it hangs up. */
async function tunnel(pass: ProxyPass, target: string, authorization = credentials(pass)): Promise<string> {
  const socket = connect(Number(new URL(pass.access.server).port), '127.0.0.1');
  socket.write(
    `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\nProxy-Authorization: ${authorization}\r\n\r\n`,
  );
  let text = '';
  socket.on('data', chunk => {
    if (text === '' && String(chunk).startsWith('HTTP/1.1 200'))
      socket.write('GET /late HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    text += chunk;
  });
  socket.on('error', () => {});
  await once(socket, 'close');
  return text;
}

test('SAM-122 the proxy lets a job through to permitted hosts, plainly and by tunnel, and nobody without its credentials', async t => {
  const { pass, site, proxy, traffic } = await setup(t);
  const host = new URL(site.url).host;
  assert.equal(await get(pass, `${site.url}/late`), 200);
  assert.match(await tunnel(pass, host), /^HTTP\/1\.1 200[\s\S]*<h1>late<\/h1>/);
  const other = await proxy.admit(1_048_576, new AttemptTraffic(systemClock, undefined));
  const wrong = `Basic ${Buffer.from(`${pass.access.username}:${other.access.password}`).toString('base64')}`;
  for (const authorization of ['', 'Basic eDp5', wrong]) {
    assert.equal(await get(pass, `${site.url}/late`, authorization), 407);
    assert.match(await tunnel(pass, host, authorization), /^HTTP\/1\.1 407/);
  }
  assert.equal(site.seen.filter(path => path === '/late').length, 2);
  assert.ok(traffic.counts.bytesReceived > 0 && traffic.counts.bytesSent > 0);
});

test('SAM-122 the proxy hangs up on what the guard refuses, and can say why', async t => {
  const { pass, site } = await setup(t);
  const { port } = new URL(site.url);
  assert.equal(await get(pass, `http://127.0.0.2:${port}/late`), null);
  assert.equal(await tunnel(pass, `127.0.0.2:${port}`), '');
  assert.equal(await tunnel(pass, '169.254.169.254:443'), '');
  assert.equal(pass.refusal(`http://127.0.0.2:${port}/x`)?.code, 'policy_violation');
  assert.equal(pass.refusal('https://169.254.169.254/')?.code, 'policy_violation');
  assert.equal(pass.refusal(`${site.url}/late`), null);
  assert.equal(pass.refused, 3);
  assert.equal(await get(pass, 'ftp://127.0.0.1/x'), 400);
  assert.deepEqual(site.seen, []);
});

test('SAM-148 a job that received more than its share gets nothing more, and an ended one nothing at all', async t => {
  const { pass, site } = await setup(t, 100_000);
  assert.equal(await get(pass, `${site.url}/huge`), null);
  assert.equal(pass.refusal(site.url)?.code, 'payload_too_large');
  assert.equal(await get(pass, `${site.url}/late`), null);
  assert.equal(site.seen.includes('/late'), false);
  pass.close();
  assert.equal(await get(pass, `${site.url}/late`), 407);
});
