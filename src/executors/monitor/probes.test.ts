import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { type TestContext, test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { selfSigned } from './certificate.test.ts';
import { type Loose, setup } from './fixture.test.ts';
import type { HostFigures } from './host-probes.ts';

const DAY_MS = 86_400_000;

async function listening(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A port that was somebody's a moment ago. */
async function closedPort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1');
  await new Promise(resolve => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise(resolve => server.close(resolve));
  return port;
}

async function site(
  t: TestContext,
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(answer);
  t.after(() => server.closeAllConnections());
  return `http://127.0.0.1:${await listening(t, server)}`;
}

test('SAM-170 an HTTP check compares status, headers, text, pattern and JSON, and says which is not as it must be', async t => {
  const house = await setup(t);
  const url = await site(t, (_, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'x-version': 'v2.1' });
    response.end(JSON.stringify({ status: 'up', queue: { length: 7 }, nodes: [{ id: 'a' }] }));
  });
  const said = async (expect: Loose): Promise<unknown> => {
    const { level, message, code, status } = await house.look({ type: 'http', url, expect });
    assert.equal(status, 200);
    assert.equal(level, message === null ? 'ok' : 'critical');
    assert.equal(code, message === null ? undefined : 'dependency_failed');
    return message;
  };
  const json = (one: object): object => ({ json: [one] });
  const fine = [
    {
      status: [200],
      contains: '"up"',
      excludes: 'down',
      matches: '"length":\\s*[0-9]+',
      headers: { 'X-Version': 'v2' },
    },
    json({ path: 'queue', equals: { length: 7 } }),
    json({ path: 'nodes.0.id', equals: 'a' }),
    json({ path: 'queue.length', minimum: 1, maximum: 7 }),
  ];
  for (const expect of fine) assert.equal(await said(expect), null, JSON.stringify(expect));
  assert.equal(await said({ status: ['3xx', 204] }), 'the status is 200');
  assert.equal(await said({ contains: 'down' }), 'the body does not contain what it must');
  assert.equal(await said({ excludes: 'queue' }), 'the body contains what it must not');
  assert.equal(await said({ matches: '^up$' }), 'the body does not match the expression');
  assert.equal(await said({ headers: { 'x-version': 'v3' } }), 'the header x-version is not as expected');
  assert.equal(await said({ headers: { 'x-absent': '' } }), 'there is no header x-absent');
  assert.equal(await said(json({ path: 'nodes.1.id' })), 'nodes.1.id is not there');
  assert.equal(await said(json({ path: 'constructor.name' })), 'constructor.name is not there');
  assert.equal(await said(json({ path: 'status', equals: 'down' })), 'status is not as expected');
  assert.equal(await said(json({ path: 'queue.length', maximum: 6 })), 'queue.length is above 6');
  assert.equal(await said(json({ path: 'status', minimum: 1 })), 'status is not a number');
});

test('SAM-170 a server that fails by turns is available by half, and one that is slow passes its threshold', async t => {
  const house = await setup(t);
  let asked = 0;
  const url = await site(t, (_, response) => {
    asked++;
    response.writeHead(asked % 2 === 1 ? 200 : 503).end();
  });
  const both = { checks: [1, 2].map(n => ({ type: 'http', name: `turn ${n}`, url })) };
  const { output } = await house.run(both);
  assert.deepEqual(
    (output as Loose).checks.map(({ availability_percent: share }: Loose) => share).sort(),
    [0, 100],
  );
  const slow = await house.look({
    type: 'http',
    url,
    expect: { status: [200, 503] },
    thresholds: { warning: 0.001 },
  });
  assert.deepEqual([slow.level, slow.limit, slow.unit], ['warning', 0.001, 'ms']);
  assert.equal(house.alerts.at(-1)?.kind, 'resource_warning');
});

test('SAM-170 an answer that does not come in time is what was found, and no other check waits for it', async t => {
  const house = await setup(t);
  const url = await site(t, () => {});
  const checks = [{ type: 'http', url, timeout: 0.2 }, { type: 'memory' }];
  const { output } = await house.run({ checks });
  const [late, memory] = (output as Loose).checks;
  assert.deepEqual(
    [late.last.level, late.last.code, late.latency_ms],
    ['critical', 'upstream_timeout', null],
  );
  assert.equal(memory.state, 'ok');
});

test('SAM-34 SAM-122 secrets go in headers to their own origin only, redirects are followed as far as the task says', async t => {
  const house = await setup(t);
  const seen: (string | undefined)[] = [];
  const far = await site(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.end('there');
  });
  const near = await site(t, (request, response) => {
    seen.push(request.headers.authorization);
    response.writeHead(302, { location: request.url === '/out' ? `${far}/` : '/out' }).end();
  });
  const check = { type: 'http', url: `${near}/`, headers: { authorization: 'Bearer {{ secrets.token }}' } };
  const secrets = { token: 'abc' };
  const followed = await house.look({ ...check, redirects: 2, expect: { contains: 'there' } }, { secrets });
  assert.equal(followed.level, 'ok');
  assert.deepEqual(seen, ['Bearer abc', 'Bearer abc', undefined]);
  assert.equal((await house.look(check, { secrets })).message, 'the status is 302');
  assert.equal((await house.look({ ...check, redirects: 1 }, { secrets })).message, 'more than 1 redirects');
  assert.deepEqual(await house.faults({ checks: [check] }), [
    'task_data.checks.0.headers.authorization names the secret token, which execution_config.environment.secrets does not list',
  ]);
});

test('SAM-170 a TCP check connects, and hears what the other side says first', async t => {
  const house = await setup(t);
  const server = createTcpServer(socket => {
    socket.on('error', () => {});
    socket.write('220 mail.exa');
    setImmediate(() => socket.write('mple ready\r\n'));
  });
  const port = await listening(t, server);
  const tcp = (more: object): Promise<Loose> => house.look({ type: 'tcp', host: '127.0.0.1', port, ...more });
  assert.equal((await tcp({ banner: 'mail.example' })).level, 'ok');
  assert.equal((await tcp({})).level, 'ok');
  assert.equal((await tcp({ banner: 'SSH', timeout: 0.2 })).code, 'upstream_timeout');
  const closed = await tcp({ port: await closedPort() });
  assert.deepEqual([closed.level, closed.code], ['critical', 'dependency_failed']);
  assert.match(closed.message, /ECONNREFUSED/);
});

test('SAM-170 a host that refuses a connection is there all the same', async t => {
  const house = await setup(t);
  const found = await house.look({ type: 'reachable', host: '127.0.0.1', ports: [await closedPort()] });
  assert.deepEqual([found.level, found.answer], ['ok', 'refused']);
});

test('SAM-170 a certificate that is about to expire, has expired, or that nobody vouches for is told apart', async t => {
  const house = await setup(t);
  const now = Date.now();
  const look = async (days: number, more: object = {}): Promise<Loose> => {
    const server = createTlsServer(selfSigned(now - 30 * DAY_MS, now + days * DAY_MS), socket => {
      socket.on('error', () => {});
    });
    const port = await listening(t, server);
    return house.look({ type: 'tls_expiry', host: '127.0.0.1', port, ...more });
  };
  const untrusted = await look(60);
  assert.deepEqual([untrusted.level, untrusted.trusted], ['critical', false]);
  assert.match(untrusted.message, /not to be trusted: DEPTH_ZERO_SELF_SIGNED_CERT/);
  const levels = await Promise.all([60, 20, 5].map(days => look(days, { validate: false })));
  assert.deepEqual(
    levels.map(({ level, value }) => [level, Math.round(value)]),
    [
      ['ok', 60],
      ['warning', 20],
      ['critical', 5],
    ],
  );
  const expired = await look(-1, { validate: false });
  assert.match(expired.message, /^the certificate expired on /);
  const plain = createTcpServer(socket => socket.end('no TLS here'));
  const port = await listening(t, plain);
  const none = await house.look({ type: 'tls_expiry', host: '127.0.0.1', port });
  assert.match(none.message, /^there is no TLS/);
});

test('SAM-122 SAM-170 a name is looked up past the cache, and one with a private address is not told of', async t => {
  const records: Record<string, readonly string[]> = {
    'A shop.example.com': ['93.184.216.34'],
    'TXT shop.example.com': ['v=spf1 -all'],
    'A inside.example.com': ['93.184.216.34', '10.1.2.3'],
    'A local.example.com': ['127.0.0.1'],
  };
  const house = await setup(t, {
    lookUp: async (host, record) => {
      const found = records[`${record} ${host}`];
      if (found === undefined) throw Object.assign(new Error(`query ${host}`), { code: 'ENOTFOUND' });
      return found;
    },
  });
  const dns = (host: string, more: object = {}): Promise<Loose> => house.look({ type: 'dns', host, ...more });
  assert.deepEqual((await dns('shop.example.com')).records, ['93.184.216.34']);
  assert.equal((await dns('shop.example.com', { record: 'TXT', expected: ['v=spf1 -all'] })).level, 'ok');
  assert.equal(
    (await dns('shop.example.com', { expected: ['1.2.3.4'] })).message,
    'the answer lacks 1.2.3.4',
  );
  assert.match((await dns('gone.example.com')).message, /has no such record: ENOTFOUND/);
  const inside = await dns('inside.example.com');
  assert.equal(inside.code, 'policy_violation');
  assert.ok(!JSON.stringify([inside, house.reports]).includes('10.1.2.3'));
  assert.deepEqual((await dns('local.example.com')).records, ['127.0.0.1']);
});

test('SAM-173 SAM-122 a target at a private address is not connected to, whatever kind of check asks', async t => {
  const house = await setup(t);
  for (const check of [
    { type: 'http', url: 'https://10.0.0.1/' },
    { type: 'tcp', host: '169.254.169.254', port: 80 },
    { type: 'reachable', host: '192.168.1.1' },
    { type: 'tls_expiry', host: '::1' },
  ]) {
    assert.match(
      (await house.faults({ checks: [check] }))[0] ?? '',
      /^unprocessable: .* private or reserved/,
    );
    assert.equal((await house.look(check)).code, 'policy_violation', check.type);
  }
});

test('SAM-170 SAM-173 the node itself is looked at: disks, memory, load and processes, for its administrators alone', async t => {
  const figures: HostFigures = {
    disk: async () => ({ totalBytes: 1_000, freeBytes: 50 }),
    memory: () => ({ totalBytes: 1_000, freeBytes: 120 }),
    load: () => ({ lastMinute: 1, processors: 2 }),
    processes: async () => [
      { name: 'postgres', command: 'postgres -D /data --password=hush' },
      { name: 'node', command: 'node server.js' },
    ],
  };
  const house = await setup(t, { figures });
  const levels = async (check: object): Promise<Loose> => {
    const { value, level } = await house.look({ ...check });
    return [value, level];
  };
  assert.deepEqual(await levels({ type: 'disk', path: '/' }), [95, 'critical']);
  assert.deepEqual(await levels({ type: 'memory' }), [88, 'warning']);
  assert.deepEqual(await levels({ type: 'cpu' }), [50, 'ok']);
  assert.deepEqual(await levels({ type: 'process', process: 'postgres' }), [1, 'ok']);
  assert.deepEqual(await levels({ type: 'process', process: 'server.js', minimum: 2 }), [1, 'critical']);
  assert.deepEqual(await levels({ type: 'process', process: 'nginx' }), [0, 'critical']);
  assert.ok(!JSON.stringify(house.reports).includes('hush'));
  const payload = { checks: [{ type: 'memory' }] };
  assert.match((await house.faults(payload, { tenant: 'other' }))[0] ?? '', /^policy_violation/);
  await assert.rejects(house.run(payload, { tenant: 'other' }), { code: 'policy_violation' });
});

test('SAM-170 the figures of this very node are what a system tells of itself', async t => {
  const house = await setup(t);
  const disk = await house.look({ type: 'disk' });
  assert.ok(disk.value > 0 && disk.value <= 100 && disk.total_mb > 0);
  assert.equal(
    (await house.look({ type: 'disk', path: '/nowhere' })).message,
    '/nowhere cannot be looked at: ENOENT',
  );
  const memory = await house.look({ type: 'memory' });
  assert.ok(memory.value > 0 && memory.value < 100);
  assert.ok((await house.look({ type: 'cpu' })).value >= 0);
  if (process.platform !== 'linux') return;
  assert.ok((await house.look({ type: 'process', process: process.title.split(' ')[0] ?? '' })).value >= 1);
});

test('SAM-202 a hostile pattern over a hostile body keeps nobody waiting', async t => {
  const house = await setup(t);
  const url = await site(t, (_, response) => response.end('a'.repeat(2_000_000)));
  const look = (matches: string): Promise<Loose> => house.look({ type: 'http', url, expect: { matches } });
  for (const matches of ['(a+)+$b', '(a|aa)+c', '(.*a){9}b']) {
    const startedAt = performance.now();
    const { message, bytes } = await look(matches);
    assert.ok(performance.now() - startedAt < 2_000, matches);
    assert.deepEqual([message, bytes], ['the body does not match the expression', 1_048_576]);
  }
});
