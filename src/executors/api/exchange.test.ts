import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { farEnd, setup } from './fixture.test.ts';

const QUICK = { delay: 0.001 };

test('SAM-159 429, 502, 503, 504 and a broken connection are tried again, other failures only where the task says so', async t => {
  const house = await setup(t);
  for (const status of [429, 502, 503, 504, 0]) {
    const far = await farEnd(t, (_, count, response) => {
      if (count > 1) return { json: 'at last' };
      if (status > 0) return { status };
      response.destroy();
      return undefined;
    });
    const response = await house.response({ request: { url: far.url, retry: QUICK } });
    assert.deepEqual([response.body, response.attempts], ['at last', 2], `${status}`);
  }
  const broken = await farEnd(t, (_, count) => (count % 2 === 1 ? { status: 500 } : { json: 'at last' }));
  const once = await house.error({ request: { url: broken.url, retry: QUICK } });
  assert.deepEqual([once.code, once.recoverable, broken.seen.length], ['task_failed', false, 1]);
  broken.seen.length = 0;
  const twice = await house.response({ request: { url: broken.url, retry: { ...QUICK, statuses: [500] } } });
  assert.deepEqual([twice.body, twice.attempts], ['at last', 2]);
});

test('SAM-159 tries end at their maximum, and the failure says what came last and that the task may be tried again', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({ status: 503, body: 'down for repair' }));
  const error = await house.error({ request: { url: far.url, retry: { ...QUICK, max_attempts: 4 } } });
  assert.equal(far.seen.length, 4);
  assert.deepEqual([error.code, error.recoverable], ['dependency_failed', true]);
  const { status, attempts, answer } = error.details ?? {};
  assert.deepEqual([status, attempts, answer], [503, 4, 'down for repair']);
});

test('SAM-159 Retry-After is obeyed: waited out where it is short, left to the task where it is long', async t => {
  const house = await setup(t);
  const at: number[] = [];
  const short = await farEnd(t, (_, count) => {
    at.push(performance.now());
    return count === 1 ? { status: 429, headers: { 'retry-after': '1' } } : { json: 1 };
  });
  await house.response({ request: { url: short.url, retry: QUICK } });
  assert.ok((at[1] ?? 0) - (at[0] ?? 0) >= 990);
  const long = await farEnd(t, () => ({ status: 429, headers: { 'retry-after': '3600' } }));
  const error = await house.error({ request: { url: long.url, retry: QUICK } });
  assert.equal(long.seen.length, 1);
  assert.deepEqual(
    [error.code, error.recoverable, error.details?.retry_after_ms],
    ['rate_limited', true, 3_600_000],
  );
});

test('SAM-159 an unsafe request is sent once, unless it bears an idempotency key or the task allows it', async t => {
  const house = await setup(t);
  const far = await farEnd(t, (_, count) => (count % 2 === 1 ? { status: 503 } : { json: {} }));
  const post = (more: object): JsonObject => ({
    request: { method: 'POST', url: far.url, body: {}, retry: QUICK, ...more },
  });
  const error = await house.error(post({}));
  assert.deepEqual([error.code, error.recoverable, far.seen.length], ['dependency_failed', false, 1]);
  far.seen.length = 0;
  await house.output(post({ retry_unsafe: true }));
  await house.output(post({ idempotency_key: true }));
  await house.output({ ...post({ idempotency_key: 'order {{ inputs.id }}' }), inputs: { id: 7 } });
  const keys = far.seen.map(({ headers }) => headers['idempotency-key']);
  assert.deepEqual(keys, [undefined, undefined, 'execution-1', 'execution-1', 'order 7', 'order 7']);
});

test('a task that did something it must not repeat is not tried again, unless a checkpoint says that it is done', async t => {
  const house = await setup(t);
  const far = await farEnd(t, ({ path }) =>
    path === '/down' ? { status: 503 } : { json: { id: 1, password: path } },
  );
  const requests = (path: string): readonly object[] => [
    { method: 'POST', url: `${far.url}/${path}`, body: {} },
    { url: `${far.url}/down`, retry: { max_attempts: 1 } },
  ];
  const safe = await house.error({ requests: requests('order') } as JsonObject);
  assert.equal(safe.recoverable, true);
  const checkpoint = house.reports.findLast(report => report.checkpoint !== undefined)?.checkpoint;
  assert.ok(checkpoint !== undefined);
  far.seen.length = 0;
  await house.error({ requests: requests('order') } as JsonObject, { checkpoint });
  assert.deepEqual(
    far.seen.map(({ path }) => path),
    ['/down'],
  );
  house.reports.length = 0;
  // The answer has what would be masked in a checkpoint, which could then not be gone on from.
  const unsafe = await house.error({ requests: requests('order') } as JsonObject, {
    secrets: { any: 'secret-1' },
  });
  assert.equal(unsafe.recoverable, false);
  assert.ok(house.reports.every(report => report.checkpoint === undefined));
});

test('SAM-159 a slow answer ends at the time-out of its request', async t => {
  const house = await setup(t);
  const far = await farEnd(t, (_, __, response) => {
    response.writeHead(200);
    response.write('never');
    return undefined;
  });
  const error = await house.error({ request: { url: far.url, timeout: 0.1, retry: { max_attempts: 1 } } });
  assert.deepEqual([error.code, error.recoverable], ['upstream_timeout', true]);
});

test('SAM-126 SAM-159 after five failures in a row a host is left alone, and who needs it fails at once', async t => {
  const house = await setup(t);
  const far = await farEnd(t, () => ({ status: 502 }));
  await house.error({ request: { url: far.url, retry: { ...QUICK, max_attempts: 5 } } });
  const error = await house.error({ request: { method: 'GET', url: far.url } });
  assert.deepEqual([error.code, error.recoverable, far.seen.length], ['circuit_open', true, 5]);
});

test('a host is asked no more often than the task says', async t => {
  const house = await setup(t);
  const at: number[] = [];
  const far = await farEnd(t, () => {
    at.push(performance.now());
    return { json: [] };
  });
  const requests = Array.from({ length: 4 }, () => ({ url: far.url }));
  await house.output({ requests, parallel: 4, rate_limit: { requests_per_second: 2 } }, { tenant: 'slow' });
  assert.equal(at.length, 4);
  const [first = 0, second = 0, third = 0, fourth = 0] = at;
  // Two at once after a quiet second, then one each half second, of which the way of the first may have taken a part.
  assert.ok(second - first < 400 && third - first >= 400 && fourth - first >= 900, `${at}`);
});

test('SAM-161 a redirect is followed through the guard, and not to a private address', async t => {
  const house = await setup(t);
  const far = await farEnd(t, ({ path, method }) => {
    if (path === '/moved') return { status: 302, headers: { location: '/here' } };
    if (path === '/inward') return { status: 302, headers: { location: 'http://127.0.0.2/admin' } };
    if (path === '/cloud') return { status: 307, headers: { location: 'http://169.254.169.254/latest' } };
    if (path === '/circle') return { status: 301, headers: { location: '/circle' } };
    return { json: { method, path } };
  });
  const request = (path: string, more: object = {}): JsonObject => ({
    request: { url: far.url + path, ...more },
  });
  const moved = await house.response(request('/moved', { method: 'POST', body: {} }));
  assert.deepEqual(moved.body, { method: 'GET', path: '/here' });
  for (const path of ['/inward', '/cloud']) {
    const error = await house.error(request(path));
    assert.deepEqual([error.code, error.recoverable], ['policy_violation', false], path);
  }
  assert.match((await house.error(request('/circle'))).message, /redirected more than 5 times/);
  const kept = await house.response(request('/moved', { redirects: 0, expect: { status: [302] } }));
  assert.equal((kept.headers as JsonObject).location, '/here');
});

test('a redirect to another origin takes neither credentials nor a body along', async t => {
  const house = await setup(t);
  const other = await farEnd(t, () => ({ json: {} }));
  const far = await farEnd(t, ({ path }) => ({
    status: path === '/307' ? 307 : 302,
    headers: { location: `${other.url}/landed` },
  }));
  const auth = { type: 'bearer', secret: 'token' };
  const secrets = { token: 'secret-token' };
  const headers = { 'x-token': '{{ secrets.token }}', accept: 'text/plain' };
  await house.output({ auth, request: { url: far.url, headers } }, { secrets });
  const [landed] = other.seen;
  assert.deepEqual([landed?.headers.authorization, landed?.headers['x-token']], [undefined, undefined]);
  assert.equal(landed?.headers.accept, 'text/plain');
  const error = await house.error({ request: { method: 'PUT', url: `${far.url}/307`, body: 'mine' } });
  assert.match(error.message, /redirects the request's body/);
  assert.equal(other.seen.length, 1);
});
