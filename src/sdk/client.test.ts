import assert from 'node:assert/strict';
import { createHmac, hash } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { stringToSign } from '../guards/hmac.ts';
import { BatutaClient } from './client.ts';
import { type Clock, systemClock } from './clock.ts';
import {
  BatutaError,
  ConflictError,
  ConnectionError,
  ForbiddenError,
  InvalidStateError,
  LeaseLostError,
  NotFoundError,
  RateLimitedError,
  RejectedError,
  ServerError,
  UnauthorizedError,
  UnavailableError,
  ValidationError,
} from './errors.ts';
import { type Answer, type Asked, farEnd, wireError } from './far-end.test.ts';
import type { ClientOptions } from './transport.ts';

const order = {
  task_type: 'custom',
  description: 'resize a picture',
  task_data: { type_name: 'resize' },
} as const;

/** A clock whose waits are over at once, and remembered. */
function impatient(): { readonly clock: Clock; readonly waits: number[] } {
  const waits: number[] = [];
  const clock: Clock = {
    ...systemClock,
    after(ms, callback) {
      if (ms >= 30_000) return systemClock.after(ms, callback);
      waits.push(ms);
      return systemClock.after(0, callback);
    },
  };
  return { clock, waits };
}

async function setup(
  context: TestContext,
  answer: (asked: Asked, earlier: number) => Answer | Promise<Answer>,
  options: Partial<ClientOptions> = {},
) {
  const end = await farEnd(context, answer);
  const { clock, waits } = impatient();
  const client = new BatutaClient({
    url: end.url,
    credentials: { apiKey: 'key', apiSecret: 'secret' },
    clock,
    ...options,
  });
  return { end, client, waits };
}

test('an order gets an id, its orchestrator, the time, the credential and an idempotency key', async context => {
  const { end, client } = await setup(context, () => ({ json: { status: 'accepted', task_id: 't' } }));
  await client.execute(order);
  const [asked] = end.asked;
  assert.equal(asked?.path, '/api/v2/execute-task');
  assert.match(String(asked?.json.task_id), /^[0-9a-f-]{36}$/);
  const info = asked?.json.orchestrator_info as { agent_id: string; timestamp: string };
  assert.equal(info.agent_id, 'batuta-sdk');
  assert.equal(new Date(info.timestamp).toISOString(), info.timestamp);
  assert.equal(asked?.headers['x-api-key'], 'key');
  assert.equal(asked?.headers['x-api-secret'], 'secret');
  assert.ok(asked?.headers['idempotency-key']);
});

test('SAM-47 a lost answer is asked for again under the same idempotency key and body', async context => {
  const { end, client } = await setup(context, (_, earlier) =>
    earlier < 2 ? { drop: true } : { json: { status: 'accepted' } },
  );
  assert.equal((await client.execute(order)).status, 'accepted');
  assert.equal(end.asked.length, 3);
  assert.equal(new Set(end.asked.map(asked => asked.headers['idempotency-key'])).size, 1);
  assert.equal(new Set(end.asked.map(asked => asked.text)).size, 1);
});

test('SAM-52 a rate limit is waited out as long as the server says', async context => {
  const { client, waits } = await setup(context, (_, earlier) =>
    earlier === 0 ? { ...wireError(429, 'RATE_LIMITED'), headers: { 'retry-after': '7' } } : { json: {} },
  );
  await client.status('t');
  assert.deepEqual(waits, [7_000]);
});

test('a wait longer than the caller allows is thrown at once, with its length', async context => {
  const { end, client } = await setup(context, () => wireError(429, 'RATE_LIMITED', { retry_after: 1_800 }));
  await assert.rejects(
    client.status('t'),
    (error: unknown) => error instanceof RateLimitedError && error.retryAfterMs === 1_800_000,
  );
  assert.equal(end.asked.length, 1);
});

test('what cannot be mended by repeating is not repeated', async context => {
  const { end, client } = await setup(context, () => wireError(500, 'INTERNAL_ERROR'));
  await assert.rejects(client.execute(order), ServerError);
  assert.equal(end.asked.length, 1);
});

test('waits between tries grow and give up after the last', async context => {
  const { end, client, waits } = await setup(context, () => wireError(503, 'SERVICE_UNAVAILABLE'), {
    retry: { attemptsMax: 4, firstDelayMs: 100, delayMaxMs: 300 },
  });
  await assert.rejects(client.status('t'), UnavailableError);
  assert.equal(end.asked.length, 4);
  [100, 200, 300].forEach((delay, index) => {
    const waited = waits[index] ?? 0;
    assert.ok(waited >= delay * 0.8 && waited <= delay * 1.2, `${waited} is not ${delay} ± 20 %`);
  });
});

test('SAM-48 each wire code becomes its own class of error, with all the server said of it', async context => {
  const cases = [
    [400, 'INVALID_REQUEST', ValidationError],
    [400, 'MALFORMED_BODY', ValidationError],
    [401, 'UNAUTHORIZED', UnauthorizedError],
    [403, 'FORBIDDEN', ForbiddenError],
    [404, 'TASK_NOT_FOUND', NotFoundError],
    [404, 'NOT_FOUND', NotFoundError],
    [409, 'CONFLICT', ConflictError],
    [409, 'LEASE_LOST', LeaseLostError],
    [409, 'INVALID_STATE', InvalidStateError],
    [413, 'PAYLOAD_TOO_LARGE', ValidationError],
    [422, 'UNPROCESSABLE', RejectedError],
    [422, 'POLICY_VIOLATION', RejectedError],
    [429, 'RATE_LIMITED', RateLimitedError],
    [500, 'INTERNAL_ERROR', ServerError],
    [502, 'DEPENDENCY_FAILURE', UnavailableError],
    [503, 'RESOURCE_EXHAUSTED', UnavailableError],
    [503, 'CIRCUIT_OPEN', UnavailableError],
    [503, 'SERVICE_UNAVAILABLE', UnavailableError],
    [504, 'GATEWAY_TIMEOUT', UnavailableError],
  ] as const;
  let current: Answer = {};
  const { client } = await setup(context, () => current, { retry: { attemptsMax: 1 } });
  for (const [status, code, Class] of cases) {
    current = wireError(status, code, { documentation_url: `https://x/docs/errors/${code}`, retry_after: 3 });
    await assert.rejects(client.status('t'), (error: unknown) => {
      assert.ok(error instanceof Class, `${code} became ${String(error)}`);
      assert.equal(error.code, code);
      assert.equal(error.status, status);
      assert.equal(error.requestId, 'req-1');
      assert.equal(error.traceId, 'trace-1');
      assert.equal(error.retryAfterMs, 3_000);
      assert.equal(error.documentationUrl, `https://x/docs/errors/${code}`);
      return true;
    });
  }
});

test('SAM-44 a refused request lists every fault by field', async context => {
  const errors = [
    { field: 'task_data.url', message: 'is required' },
    { field: 'timeout', message: 'must be at least 1' },
  ];
  const { client } = await setup(context, () => wireError(400, 'INVALID_REQUEST', { details: { errors } }));
  await assert.rejects(client.execute(order), (error: unknown) => {
    assert.ok(error instanceof ValidationError);
    assert.deepEqual(error.fields, errors);
    return true;
  });
});

test('an answer that is no error body still tells its status', async context => {
  const { client } = await setup(context, () => ({ status: 418, text: '<h1>teapot</h1>' }));
  await assert.rejects(
    client.status('t'),
    (error: unknown) => error instanceof BatutaError && error.code === 'HTTP_418' && error.status === 418,
  );
});

test('an answer that is not JSON is called that, not parsed halfway', async context => {
  const { client } = await setup(context, () => ({ text: '<html>' }));
  await assert.rejects(
    client.status('t'),
    (error: unknown) => error instanceof ServerError && error.code === 'INVALID_ANSWER',
  );
});

test('a server that is not there is a connection error that names it', async () => {
  const { clock } = impatient();
  const client = new BatutaClient({ url: 'http://127.0.0.1:1', clock });
  await assert.rejects(
    client.health(),
    (error: unknown) => error instanceof ConnectionError && /http:\/\/127\.0\.0\.1:1/.test(error.message),
  );
});

test('a call that hears nothing in time is a connection error', async context => {
  const { client } = await setup(context, () => new Promise<Answer>(() => undefined), {
    clock: systemClock,
    timeoutMs: 20,
    retry: { attemptsMax: 1 },
  });
  await assert.rejects(
    client.status('t'),
    (error: unknown) => error instanceof ConnectionError && /within 20 ms/.test(error.message),
  );
});

test("an aborted call rejects with the caller's own reason and is not repeated", async context => {
  const abort = new AbortController();
  const reason = new Error('enough');
  const { end, client } = await setup(context, () => {
    abort.abort(reason);
    return new Promise<Answer>(() => undefined);
  });
  await assert.rejects(client.status('t', { signal: abort.signal }), reason);
  assert.equal(end.asked.length, 1);
});

test('a refused token is asked for afresh, once', async context => {
  let made = 0;
  const credentials = {
    jwt: () => {
      made += 1;
      return `token-${made}`;
    },
  };
  const { end, client } = await setup(
    context,
    asked =>
      asked.headers.authorization === 'Bearer token-2' ? { json: {} } : wireError(401, 'UNAUTHORIZED'),
    { credentials },
  );
  await client.status('a');
  await client.status('b');
  assert.deepEqual(
    end.asked.map(asked => asked.headers.authorization),
    ['Bearer token-1', 'Bearer token-2', 'Bearer token-2'],
  );
});

test('a credential that stays refused is thrown', async context => {
  const { end, client } = await setup(context, () => wireError(401, 'UNAUTHORIZED'), {
    credentials: { jwt: () => 'never good' },
  });
  await assert.rejects(client.status('t'), UnauthorizedError);
  assert.equal(end.asked.length, 2);
});

test('SAM-22 SAM-23 SAM-24 SAM-25 a signed request verifies by the server’s own reading of what is signed', async context => {
  const { end, client } = await setup(context, () => ({ json: {} }), {
    credentials: { hmac: { keyId: 'k1', secret: 'ünsafe', scheme: 'HMAC-SHA512' } },
  });
  await client.execute({ ...order, description: 'niño' });
  await client.statuses({ task_ids: ['b c', "a'(!)*~"], limit: 3 });
  for (const asked of end.asked) {
    const header = String(asked.headers.authorization);
    const [, signedHeaders = '', signature] =
      /SignedHeaders=([^,]+), Signature=([0-9a-f]+)$/.exec(header) ?? [];
    const text = stringToSign({
      scheme: 'HMAC-SHA512',
      method: asked.method,
      path: asked.path,
      query: asked.query.toString(),
      headers: asked.headers,
      signedHeaders: signedHeaders.split(';'),
      bodySha256: hash('sha256', asked.text, 'hex'),
    });
    assert.match(header, /^HMAC-SHA512 Credential=k1, /);
    assert.equal(signature, createHmac('sha512', 'ünsafe').update(text).digest('hex'));
  }
  const [first, second] = end.asked.map(asked => String(asked.headers.authorization));
  assert.match(first ?? '', /SignedHeaders=content-type;host;x-nonce;x-timestamp,/);
  assert.match(second ?? '', /SignedHeaders=host;x-nonce;x-timestamp,/);
  assert.notEqual(end.asked[0]?.headers['x-nonce'], end.asked[1]?.headers['x-nonce']);
});

test('SAM-26 a repeated call is signed anew, so the server does not take it for a replay', async context => {
  const { end, client } = await setup(
    context,
    (_, earlier) => (earlier === 0 ? wireError(503, 'SERVICE_UNAVAILABLE') : { json: {} }),
    { credentials: { hmac: { keyId: 'k1', secret: 's' } } },
  );
  await client.execute(order);
  assert.equal(end.asked.length, 2);
  assert.notEqual(end.asked[0]?.headers['x-nonce'], end.asked[1]?.headers['x-nonce']);
  assert.notEqual(end.asked[0]?.headers.authorization, end.asked[1]?.headers.authorization);
});
