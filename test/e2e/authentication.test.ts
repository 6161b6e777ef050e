import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { signedHeaders } from '../../src/sdk/signing.ts';
import type { Loose } from '../serve.ts';
import { hire, submit, taskOf } from './crew.ts';
import { running } from './running.ts';
import { bearer, keyHeaders, type Wire } from './wire.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;
const secretOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const AGENTS = '/api/v2/agents';

function token(claims: object, options: { readonly secret?: string; readonly expires?: string } = {}) {
  const { secret = house.server.credentials.jwt_secret, expires = '5m' } = options;
  const jwt = new SignJWT({ agent_id: 'manus', ...claims }).setProtectedHeader({ alg: 'HS256' });
  return jwt.setIssuedAt().setExpirationTime(expires).sign(secretOf(secret));
}

const withToken = async (claims: object, options = {}): Promise<Wire> =>
  admin.as(bearer(await token(claims, options)));
const newKey = async (settings: object): Promise<Loose> =>
  (await admin.post('/api/v2/api-keys', { name: 'k', permissions: ['task:read'], ...settings })).body;

suite('tokens', () => {
  test('SAM-9 SAM-12 SAM-13 the claims of the protocol’s own client suffice, and grant what their names say and no more', async () => {
    await hire(admin, 'jwt');
    const executor = await withToken({ permissions: ['task_execution', 'unheard_of'] });
    await submit(executor, taskOf('jwt-1', 'jwt'));
    await executor.get('/api/v2/task-status/jwt-1');
    await executor.get('/api/v2/deliveries', { expect: 403 });
    const monitor = await withToken({ permissions: ['task_monitoring'] });
    await monitor.get('/api/v2/task-status/jwt-1');
    await submit(monitor, taskOf('jwt-2', 'jwt'), { expect: 403 });
    await (await withToken({ permissions: [] })).get(AGENTS, { expect: 403 });
  });

  test('SAM-9 an expired, premature, unsigned or foreign token is 401 as Bearer', async () => {
    const bad = [
      await withToken({ permissions: ['admin'] }, { expires: '-2m' }),
      await withToken({ permissions: ['admin'], nbf: Math.floor(Date.now() / 1_000) + 120 }),
      await withToken({ permissions: ['admin'] }, { secret: 'another secret of thirty-two bytes!' }),
      await withToken({ permissions: ['admin'] }, { expires: '25h' }),
      admin.as(bearer('not.a.token')),
    ];
    for (const caller of bad) {
      const { headers, body } = await caller.get(AGENTS, { expect: 401 });
      assert.equal(headers.get('www-authenticate'), 'Bearer');
      assert.equal(body.error.code, 'UNAUTHORIZED');
    }
    await (await withToken({ permissions: ['admin'] }, { expires: '-30s' })).get(AGENTS);
  });

  test('SAM-10 SAM-11 SAM-14 a tenant’s own key verifies its tokens, of its issuer and algorithm, until it is ended', async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const key = { kid: 'es-1', algorithm: 'ES256', key: await exportJWK(publicKey), issuer: 'issuer-1' };
    await admin.post('/api/v2/jwt-keys', key);
    const sign = (issuer: string): Promise<string> =>
      new SignJWT({ agent_id: 'a', permissions: ['task:read'] })
        .setProtectedHeader({ alg: 'ES256', kid: 'es-1' })
        .setIssuer(issuer)
        .setExpirationTime('1m')
        .sign(privateKey);
    const good = admin.as(bearer(await sign('issuer-1')));
    await good.get(AGENTS);
    await admin.as(bearer(await sign('issuer-2'))).get(AGENTS, { expect: 401 });
    await admin.ask('DELETE', '/api/v2/jwt-keys/es-1');
    await good.get(AGENTS, { expect: 401 });
    const weak = { kid: 'weak', algorithm: 'HS256', key: 'short' };
    await admin.post('/api/v2/jwt-keys', weak, { expect: 400 });
  });

  test('SAM-12 SAM-32 capabilities narrow the task types, and a bound agent speaks for itself alone', async () => {
    await hire(admin, 'bound');
    const caller = await withToken({ permissions: ['task:execute'], capabilities: ['monitoring_task'] });
    const { body } = await submit(caller, taskOf('bound-1', 'bound'), { expect: 403 });
    assert.equal(body.error.details.rule, 'task_types');
    const other = await withToken({ agent_id: 'somebody-else', permissions: ['task:execute'] });
    const foreign = await submit(other, taskOf('bound-2', 'bound'), { expect: 403 });
    assert.equal(foreign.body.error.details.rule, 'agent_binding');
  });

  test('SAM-16 SAM-17 a key is traded for tokens, refreshed once each, and a spent refresh token ends them all', async () => {
    const key = await newKey({ permissions: ['task:read', 'task:control'] });
    const anybody = admin.as({});
    const trade = { grant_type: 'client_credentials', client_id: key.api_key, client_secret: key.api_secret };
    const { body: pair } = await anybody.post('/api/v2/auth/token', { ...trade, scope: 'task:read' });
    assert.deepEqual([pair.token_type, pair.expires_in, pair.scope], ['Bearer', 3_600, 'task:read']);
    await admin.as(bearer(pair.access_token)).get(AGENTS);
    const cancel = '/api/v2/tasks/none/cancel';
    await admin.as(bearer(pair.access_token)).post(cancel, {}, { expect: 403 });
    await anybody.post('/api/v2/auth/token', { ...trade, scope: 'admin' }, { expect: 400 });
    await anybody.post('/api/v2/auth/token', { ...trade, client_secret: 'wrong' }, { expect: 401 });
    const refresh = (spent: string, expect: number) =>
      anybody.post('/api/v2/auth/refresh', { refresh_token: spent }, { expect });
    const { body: second } = await refresh(pair.refresh_token, 200);
    await admin.as(bearer(second.access_token)).get(AGENTS);
    await refresh(pair.refresh_token, 401);
    await refresh(second.refresh_token, 401);
    await admin.as(bearer(second.access_token)).get(AGENTS, { expect: 401 });
  });

  test('SAM-14 SAM-17 a revoked token, or jti, is refused from the next request on, and revoking twice is harmless', async () => {
    const mine = await token({ permissions: ['admin'], jti: 'mine' });
    const caller = admin.as(bearer(mine));
    await caller.get(AGENTS);
    for (const _ of [1, 2]) await admin.post('/api/v2/auth/revoke', { token: mine });
    await caller.get(AGENTS, { expect: 401 });
    const other = admin.as(bearer(await token({ permissions: ['task:read'], jti: 'other' })));
    await other.get(AGENTS);
    await other.post('/api/v2/auth/revoke', { jti: 'not-mine' }, { expect: 403 });
    await admin.post('/api/v2/auth/revoke', { jti: 'other' });
    await other.get(AGENTS, { expect: 401 });
  });
});

suite('API keys', () => {
  test('SAM-18 SAM-20 need both halves, rotate with overlap, and die when revoked', async () => {
    const key = await newKey({});
    const caller = admin.as(keyHeaders(key));
    await caller.get(AGENTS);
    await admin.as({ 'x-api-key': key.api_key }).get(AGENTS, { expect: 401 });
    await admin.as({ 'x-api-secret': key.api_secret }).get(AGENTS, { expect: 401 });
    const path = `/api/v2/api-keys/${key.api_key}`;
    const { body: rotated } = await admin.post(`${path}/rotate`);
    await caller.get(AGENTS);
    await admin.as(keyHeaders(rotated)).get(AGENTS);
    const { body: shown } = await admin.get(path);
    assert.ok(!JSON.stringify(shown).includes(rotated.api_secret));
    await admin.ask('DELETE', path);
    await caller.get(AGENTS, { expect: 401 });
    await admin.as(keyHeaders(rotated)).get(AGENTS, { expect: 401 });
  });

  test('SAM-19 SAM-21 hold to their addresses, hours, dates, quota and factor, and their use is counted', async () => {
    const expectations: readonly (readonly [object, number])[] = [
      [{ allowed_ips: ['10.0.0.0/8'] }, 403],
      [{ allowed_ips: ['127.0.0.0/8'] }, 200],
      [{ require_signature: true }, 403],
      [{ demand_second_factor: 'jwt' }, 403],
    ];
    for (const [settings, expect] of expectations)
      await admin.as(keyHeaders(await newKey(settings))).get(AGENTS, { expect });
    const key = await newKey({ usage_quota: 2 });
    const caller = admin.as(keyHeaders(key));
    for (const expect of [200, 200, 429]) await caller.get(AGENTS, { expect });
    const { body } = await admin.get(`/api/v2/api-keys/${key.api_key}/usage`);
    assert.equal(body.days.at(-1).requests, 2);
    assert.deepEqual(Object.values(body.days.at(-1).networks).length, 1);
  });

  test('SAM-19 end at their date: the request after it is 401', async () => {
    const expiresAt = Date.now() + 500;
    const key = await newKey({ expires_at: new Date(expiresAt).toISOString() });
    const caller = admin.as(keyHeaders(key));
    for (;;) {
      const asked = Date.now();
      const { status } = await caller.get(AGENTS, { expect: null });
      if (status === 401) {
        assert.ok(Date.now() >= expiresAt, 'the key ended before its date');
        return;
      }
      assert.ok(asked <= expiresAt + 50, 'the key outlived its date');
    }
  });

  test('SAM-7 a key beside a token means both must hold, in one tenant, with what both may do', async () => {
    const key = await newKey({ permissions: ['task:read', 'delivery:manage'] });
    const both = async (claims: object, options = {}): Promise<Wire> =>
      admin.as({ ...keyHeaders(key), ...bearer(await token(claims, options)) });
    const caller = await both({ permissions: ['task:read', 'admin'] });
    await caller.get(AGENTS);
    await caller.get('/api/v2/deliveries');
    await caller.get('/api/v2/secrets', { expect: 403 });
    const narrow = await both({ permissions: ['task:read'] });
    await narrow.get('/api/v2/deliveries', { expect: 403 });
    const forged = { secret: 'a secret of more than thirty-two bytes' };
    await (await both({ permissions: ['admin'] }, forged)).get(AGENTS, { expect: 401 });
  });

  test('SAM-8 a 401 tells an unknown key from a wrong secret to nobody but the audit', async () => {
    const key = await newKey({});
    const wrong = admin.as({ ...keyHeaders(key), 'x-api-secret': 'bs_wrong' });
    const unknown = admin.as({ 'x-api-key': 'bk_000000000000000000000000', 'x-api-secret': key.api_secret });
    const told = [await wrong.get(AGENTS, { expect: 401 }), await unknown.get(AGENTS, { expect: 401 })];
    const [one, other] = told.map(({ body }) => body.error);
    assert.deepEqual(one, other);
    for (const { body } of told) await audited('auth.refused', body.request_id);
  });
});

/** The audit entry of a request; entries are written shortly after what they tell of. */
async function audited(action: string, requestId: string): Promise<Loose> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const { body } = await admin.get(`/api/v2/audit?action=${action}&limit=1000`);
    const found = body.entries.find((one: Loose) => one.request_id === requestId);
    if (found !== undefined) return found;
    assert.ok(performance.now() < deadline, `no ${action} of ${requestId}`);
  }
}

suite('signatures', () => {
  const signed = async (
    key: Loose,
    method: string,
    path: string,
    body = '',
  ): Promise<Record<string, string>> => {
    const url = new URL(path, admin.url);
    const headers = await signedHeaders(
      { keyId: key.api_key, secret: key.api_secret },
      {
        method,
        host: url.host,
        path: url.pathname,
        query: url.search.slice(1),
        contentType: body === '' ? null : 'application/json',
        body: new TextEncoder().encode(body),
        timestamp: Math.floor(Date.now() / 1_000),
        nonce: crypto.randomUUID(),
      },
    );
    return { ...headers };
  };

  test('SAM-22 SAM-24 a signed request is let in, its query in any order, and the same one never twice', async () => {
    const key = await newKey({ require_signature: true, permissions: ['task:read', 'task:control'] });
    const path = '/api/v2/artifacts?offset=0&limit=5&name=a%20b%2B%C3%BC';
    const headers = await signed(key, 'GET', path);
    const anybody = admin.as({});
    const reordered = '/api/v2/artifacts?name=a+b%2b%c3%bc&limit=5&offset=0';
    await anybody.get(reordered, { headers });
    await anybody.get(path, { headers, expect: 401 });
    const raw = '{"reason":"ü"}';
    const post = await signed(key, 'POST', '/api/v2/tasks/none/cancel', raw);
    await anybody.post('/api/v2/tasks/none/cancel', null, { raw, headers: post, expect: 404 });
  });

  test('SAM-26 SAM-27 a wrong secret, an old timestamp or another body is 401', async () => {
    const key = await newKey({});
    const anybody = admin.as({});
    const wrong = await signed({ ...key, api_secret: `${key.api_secret}x` }, 'GET', AGENTS);
    await anybody.get(AGENTS, { headers: wrong, expect: 401 });
    const good = await signed(key, 'GET', AGENTS);
    const old = String(Number(good['x-timestamp']) - 301);
    await anybody.get(AGENTS, { headers: { ...good, 'x-timestamp': old }, expect: 401 });
    const path = '/api/v2/tasks/none/cancel';
    const post = await signed(key, 'POST', path, '{"reason":"a"}');
    await anybody.post(path, null, { raw: '{"reason":"b"}', headers: post, expect: 401 });
  });
});
