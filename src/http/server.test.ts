import assert from 'node:assert/strict';
import { createHash, createHmac } from 'node:crypto';
import { connect } from 'node:net';
import { suite, test } from 'node:test';
import { countedLimits, type ServeOptions, serve, taskBody } from '../../test/serve.ts';

const setup = async (t: { after(fn: () => Promise<void>): void }, options: ServeOptions = {}) => {
  const served = await serve(options);
  t.after(() => served.stop());
  return served;
};

const EXECUTE = '/api/v2/execute-task';

suite('what is asked of every request', () => {
  test('SAM-1 a body of another media type, without JSON or without bytes answers MALFORMED_BODY', async t => {
    const { ask } = await setup(t);
    const spoiled = [
      { raw: '<task/>', headers: { 'content-type': 'application/xml' } },
      { raw: '{"task_id":', headers: {} },
      { raw: new Uint8Array([0x7b, 0xff, 0x7d]), headers: {} },
      { raw: '{}', headers: { 'content-type': 'application/json; charset=latin1' } },
      { raw: '{}', headers: { 'content-type': 'nonsense' } },
      {},
    ];
    for (const one of spoiled) {
      const { status, body } = await ask('POST', EXECUTE, one);
      assert.equal(status, 400, JSON.stringify(one));
      assert.equal(body.error.code, 'MALFORMED_BODY', JSON.stringify(one));
    }
  });

  test('SAM-1 a body that does not say what it is answers MALFORMED_BODY', async t => {
    const { server } = await setup(t);
    const { port } = new URL(server.url());
    const socket = connect(Number(port), '127.0.0.1');
    socket.end(
      `POST ${EXECUTE} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer admin\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}`,
    );
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 400 /);
    assert.match(text, /MALFORMED_BODY/);
  });

  test('SAM-1 a charset parameter that says UTF-8 is welcome', async t => {
    const { ask } = await setup(t);
    const raw = JSON.stringify(taskBody('utf'));
    const { status } = await ask('POST', EXECUTE, {
      raw,
      headers: { 'content-type': 'application/json; charset=UTF-8' },
    });
    assert.equal(status, 200);
  });

  test('SAM-2 the caller’s request id comes back in header and error, and a malformed one is replaced', async t => {
    const { ask } = await setup(t);
    const kept = await ask('GET', '/api/v2/task-status/none', {
      headers: { 'x-request-id': 'req_17:a.b-c' },
    });
    assert.equal(kept.headers.get('x-request-id'), 'req_17:a.b-c');
    assert.equal(kept.body.request_id, 'req_17:a.b-c');
    const replaced = await ask('GET', '/api/v2/task-status/none', {
      headers: { 'x-request-id': 'a b<script>' },
    });
    assert.match(replaced.body.request_id, /^[0-9a-f-]{36}$/);
    assert.equal(replaced.headers.get('x-request-id'), replaced.body.request_id);
  });

  test('SAM-2 an incoming trace is continued into errors and the stored task', async t => {
    const { ask, house } = await setup(t);
    const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
    const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01` };
    const { body } = await ask('GET', '/api/v2/task-status/none', { headers });
    assert.equal(body.trace_id, traceId);
    await ask('POST', EXECUTE, { body: taskBody('traced'), headers });
    const page = await house.store.list({ tenant: 'default' as never, limit: 1, offset: 0 });
    assert.equal(page.items[0]?.spec.traceId, traceId);
  });

  test('SAM-3 unknown query parameters are ignored, a known one with a bad value is named', async t => {
    const { ask } = await setup(t);
    await ask('POST', EXECUTE, { body: taskBody('one') });
    assert.equal((await ask('GET', '/api/v2/task-status/one?colour=red')).status, 200);
    const bad = await ask('GET', '/api/v2/task-status/one?include_logs=perhaps&since=yesterday');
    assert.equal(bad.status, 400);
    assert.deepEqual(bad.body.error.details.errors.map((one: { field: string }) => one.field).sort(), [
      'include_logs',
      'since',
    ]);
  });

  test('SAM-6 checks go in order: who calls, then whether they may, then the body', async t => {
    const { ask } = await setup(t);
    const raw = '{"broken';
    assert.equal((await ask('POST', EXECUTE, { as: null, raw })).status, 401);
    assert.equal((await ask('POST', EXECUTE, { as: 'nobody', raw })).body.error.code, 'UNAUTHORIZED');
    assert.equal((await ask('POST', EXECUTE, { as: 'reader', raw })).body.error.code, 'FORBIDDEN');
    assert.equal((await ask('POST', EXECUTE, { raw })).body.error.code, 'MALFORMED_BODY');
  });

  test('SAM-6 health, live, ready, the OpenAPI document and error pages need no credential', async t => {
    const { ask } = await setup(t);
    const open = [
      '/api/v2/health',
      '/api/v2/health/live',
      '/api/v2/health/ready',
      '/api/v2/openapi.json',
      '/docs/errors/CONFLICT',
    ];
    for (const path of open) assert.equal((await ask('GET', path, { as: null })).status, 200, path);
    assert.equal((await ask('GET', '/api/v2/agents', { as: null })).status, 401);
  });

  test('SAM-9 a refused credential is told to come as a bearer', async t => {
    const { ask } = await setup(t);
    const { headers } = await ask('GET', '/api/v2/agents', { as: 'nobody' });
    assert.equal(headers.get('www-authenticate'), 'Bearer');
  });

  test('SAM-202 a body over 4 MiB answers 413 and is not stored', async t => {
    const { ask, house } = await setup(t);
    const { status, body } = await ask('POST', EXECUTE, {
      body: taskBody('big', { padding: 'x'.repeat(4 * 1024 * 1024) }),
    });
    assert.equal(status, 413);
    assert.equal(body.error.code, 'PAYLOAD_TOO_LARGE');
    assert.equal((await house.store.list({ tenant: 'default' as never, limit: 1, offset: 0 })).total, 0);
  });

  test('SAM-235 an answer over 1 KiB is compressed for whoever accepts that, and says the same', async t => {
    const { ask, url } = await setup(t);
    const path = '/api/v2/openapi.json';
    const compressed = await fetch(`${url}${path}`, { headers: { 'accept-encoding': 'br, gzip' } });
    assert.equal(compressed.headers.get('content-encoding'), 'gzip');
    assert.equal(compressed.headers.get('vary'), 'accept-encoding');
    const plain = await ask('GET', path, { headers: { 'accept-encoding': 'gzip;q=0' } });
    assert.equal(plain.headers.get('content-encoding'), null);
    assert.deepEqual(await compressed.json(), plain.body);
    const short = await fetch(`${url}/api/v2/health/live`, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(short.headers.get('content-encoding'), null);
  });

  test('SAM-203 answers are neither cached, sniffed nor framed, and no other origin may read them', async t => {
    const { ask } = await setup(t);
    const { headers } = await ask('GET', '/api/v2/agents', {
      headers: { origin: 'https://elsewhere.example' },
    });
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'/);
    assert.equal(headers.get('access-control-allow-origin'), null);
  });
});

suite('errors', () => {
  test('SAM-48 an error says what, how bad, when to try again, where to read on, and where it happened', async t => {
    const { ask, url } = await setup(t);
    const { status, body } = await ask('GET', '/api/v2/task-status/none');
    assert.equal(status, 404);
    const { timestamp, request_id: requestId, trace_id: traceId, ...rest } = body;
    assert.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.match(requestId, /^[0-9a-f-]{36}$/);
    assert.match(traceId, /^[0-9a-f]{32}$/);
    assert.deepEqual(rest, {
      error: {
        code: 'TASK_NOT_FOUND',
        message: 'there is no task none',
        category: 'client_error',
        severity: 'low',
        details: { task_id: 'none' },
        retry_after: null,
        documentation_url: `${url}/docs/errors/TASK_NOT_FOUND`,
      },
    });
  });

  test('SAM-49 unknown routes and methods are 404, in the words of the API', async t => {
    const { ask } = await setup(t);
    for (const [method, path] of [
      ['GET', '/api/v2/nothing'],
      ['PUT', EXECUTE],
      ['GET', '/'],
      ['PROPFIND', '/api/v2/agents'],
    ] as const) {
      const { status, body } = await ask(method, path);
      assert.equal(status, 404, `${method} ${path}`);
      assert.equal(body.error.code, 'NOT_FOUND');
    }
  });

  test('SAM-49 a path that cannot be decoded is INVALID_REQUEST, and one with too long a name is not found', async t => {
    const { ask } = await setup(t, { limits: countedLimits(10, () => 0) });
    const undecodable = await ask('GET', '/api/v2/task-status/%E0%A4%A');
    assert.deepEqual([undecodable.status, undecodable.body.error.code], [400, 'INVALID_REQUEST']);
    assert.equal(undecodable.headers.get('x-ratelimit-limit'), '10');
    const long = await ask('GET', `/api/v2/task-status/${'x'.repeat(600)}`);
    assert.deepEqual([long.status, long.body.error.code], [404, 'NOT_FOUND']);
  });

  test('SAM-49 an unforeseen failure is told to the log, and to the caller without its cause', async t => {
    const told: unknown[] = [];
    const log = {
      debug() {},
      info() {},
      warn() {},
      error: (_: string, fields?: object) => void told.push(fields),
      child: () => log,
    };
    const { ask } = await setup(t, {
      log,
      sam: {
        health: () => Promise.reject(new Error('the disk at secret/path is gone')),
      },
    });
    const { status, body } = await ask('GET', '/api/v2/health');
    assert.equal(status, 500);
    assert.equal(body.error.code, 'INTERNAL_ERROR');
    assert.doesNotMatch(JSON.stringify(body), /secret|\.ts|at /);
    assert.equal(told.length, 1);
  });

  test('SAM-50 every code of the wire has a page for people and one for programs', async t => {
    const { ask } = await setup(t);
    const { body: document } = await ask('GET', '/api/v2/openapi.json');
    const codes: string[] = document.components.schemas.sam_error.properties.error.properties.code.enum;
    assert.ok(codes.length > 20);
    for (const code of codes) {
      const page = await ask('GET', `/docs/errors/${code}`, { as: null, headers: { accept: 'text/html' } });
      assert.equal(page.status, 200, code);
      assert.match(page.headers.get('content-type') ?? '', /^text\/html/);
      assert.match(page.body, new RegExp(`<code>${code}</code>`));
      assert.match(page.body, /What to do/);
    }
    const { body } = await ask('GET', '/docs/errors/CONFLICT', { headers: { accept: 'application/json' } });
    assert.equal(body.retry, 'no');
    assert.equal((await ask('GET', '/docs/errors/NONSENSE')).status, 404);
  });

  test('a request that is no HTTP is answered and hung up on', async t => {
    const { server } = await setup(t);
    const { port } = new URL(server.url());
    const socket = connect(Number(port), '127.0.0.1');
    socket.end('NONSENSE\r\n\r\n');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 400 /);
    assert.match(text, /MALFORMED_BODY/);
  });
});

suite('rate limits', () => {
  test('SAM-52 every answer bears the budget, and beyond it comes 429 with the time to wait', async t => {
    const { ask } = await setup(t, { limits: countedLimits(2, () => 1_000_000) });
    const first = await ask('GET', '/api/v2/agents');
    assert.equal(first.headers.get('x-ratelimit-limit'), '2');
    assert.equal(first.headers.get('x-ratelimit-remaining'), '1');
    assert.equal(first.headers.get('x-ratelimit-reset'), '1060');
    assert.equal(first.headers.get('x-ratelimit-window'), '60');
    const failed = await ask('GET', '/api/v2/task-status/none');
    assert.equal(failed.headers.get('x-ratelimit-remaining'), '0');
    const refused = await ask('GET', '/api/v2/agents');
    assert.equal(refused.status, 429);
    assert.equal(refused.body.error.code, 'RATE_LIMITED');
    assert.equal(refused.body.error.retry_after, 60);
    assert.equal(refused.headers.get('retry-after'), '60');
  });

  test('SAM-52 callers who do not say who they are are charged by address, also for paths nobody serves', async t => {
    const { ask } = await setup(t, { limits: countedLimits(1, () => 0) });
    assert.equal((await ask('GET', '/nothing', { as: null })).status, 404);
    assert.equal((await ask('GET', '/nothing', { as: null })).status, 429);
    assert.equal((await ask('GET', '/api/v2/agents', { as: 'nobody' })).status, 429);
  });

  test('SAM-53 status routes, worker polls and streams are charged apart from the rest', async t => {
    const charged: string[] = [];
    const limits = {
      charge: (_: unknown, rate: string) => {
        charged.push(rate);
        return null;
      },
      chargeAddress: () => null,
    };
    const { ask } = await setup(t, { limits });
    await ask('GET', '/api/v2/task-status/none');
    await ask('GET', '/api/v2/task-logs/none');
    await ask('GET', '/api/v2/task-metrics/none');
    await ask('GET', '/api/v2/task-events/none');
    await ask('POST', '/api/v2/work', { body: { agent_id: 'w', types: [] } });
    await ask('GET', '/api/v2/agents');
    assert.deepEqual(charged, ['status', 'status', 'status', 'free', 'free', 'standard']);
  });
});

suite('signatures', () => {
  test('SAM-23 a signed request is judged by its exact bytes, and refused before its body is read into anything', async t => {
    const { ask, guards, url } = await setup(t);
    const issued = await guards.apiKeys.create('default' as never, {
      name: 'signer',
      permissions: ['task:read'],
    });
    const raw = '{ not json';
    const signed = (secret: string) => signedHeaders(url, secret, issued.key.id, raw);
    const wrong = await ask('POST', '/api/v2/tasks/x/cancel', { as: null, raw, headers: signed('wrong') });
    assert.equal(wrong.status, 401);
    const right = await ask('POST', '/api/v2/tasks/x/cancel', {
      as: null,
      raw,
      headers: signed(issued.secret),
    });
    assert.equal(right.status, 403);
  });
});

function signedHeaders(url: string, secret: string, keyId: string, body: string): Record<string, string> {
  const timestamp = String(Math.floor(Date.now() / 1_000));
  const names = 'content-type;host;x-timestamp';
  const canonical = `content-type:application/json\nhost:${new URL(url).host}\nx-timestamp:${timestamp}`;
  const digest = createHash('sha256').update(body).digest('hex');
  const parts = ['HMAC-SHA256', timestamp, 'POST', '/api/v2/tasks/x/cancel', '', canonical, names, digest];
  const signature = createHmac('sha256', secret).update(parts.join('\n')).digest('hex');
  return {
    authorization: `HMAC-SHA256 Credential=${keyId}, SignedHeaders=${names}, Signature=${signature}`,
    'x-timestamp': timestamp,
  };
}

const isWorker = ({ agent_id: id }: { agent_id: string }): boolean => id === 'w';

suite('shutting down', () => {
  test('SAM-226 a server about to stop serves on, and asks whoever keeps a connection to make another elsewhere', async t => {
    const { server, ask } = await setup(t);
    const before = await ask('GET', '/api/v2/health/live');
    server.leave();
    const after = await ask('POST', EXECUTE, { body: taskBody('late') });
    assert.deepEqual([before.status, before.headers.get('connection')], [200, 'keep-alive']);
    assert.deepEqual([after.status, after.headers.get('connection')], [200, 'close']);
  });

  test('SAM-226 a stopping server ends its streams with a retry hint and finishes what is under way', async () => {
    const served = await serve();
    const response = await fetch(`${served.url}/api/v2/task-events`, {
      headers: { authorization: 'Bearer admin' },
    });
    const text = response.text();
    const poll = served.ask('POST', '/api/v2/work', {
      body: { agent_id: 'w', types: ['custom:x'], slots: 1, wait_seconds: 60 },
    });
    const hasArrived = async () => (await served.ask('GET', '/api/v2/agents')).body.agents.some(isWorker);
    while (!(await hasArrived()));
    await served.stop();
    assert.match(await text, /retry: \d+\n\n$/);
    assert.equal((await poll).status, 200);
  });

  test('SAM-226 a connection whose last request ends while the server stops does not hold it up', async () => {
    const served = await serve();
    const { port } = new URL(served.url);
    const socket = connect(Number(port), '127.0.0.1');
    const head = 'POST /api/v2/artifacts?name=slow HTTP/1.1\r\nhost: here\r\nauthorization: Bearer admin\r\n';
    socket.write(`${head}content-type: text/plain\r\ncontent-length: 8\r\n\r\nhalf`);
    await served.ask('GET', '/api/v2/health/live');
    const began = performance.now();
    const stopped = served.stop();
    socket.write('half');
    let text = '';
    for await (const chunk of socket) text += String(chunk);
    assert.match(text, /^HTTP\/1\.1 201 /);
    await stopped;
    assert.ok(performance.now() - began < 5_000);
  });
});
