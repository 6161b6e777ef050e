import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { NewApiKey } from './api-key.ts';
import {
  ACME,
  type Bundle,
  NOON,
  refusedWith,
  request,
  SECOND,
  setup,
  signed,
  withKey,
  withToken,
} from './fixture.test.ts';
import { CLAIMS, hs256 } from './fixture-tokens.test.ts';

const KEY: NewApiKey = { name: 'key', permissions: ['task:read', 'task:execute'] };

async function setUp(asked: Partial<NewApiKey> = {}) {
  const bundle = await setup();
  const { authenticate } = bundle.guards.authenticator;
  const { key, secret } = await bundle.guards.apiKeys.create(DEFAULT_TENANT, { ...KEY, ...asked });
  const both = (token: string, given = {}) =>
    authenticate(withToken(token, { headers: { 'x-api-key': key.id, 'x-api-secret': secret }, ...given }));
  return { ...bundle, authenticate, key, secret, both };
}

async function auditOf({ audit }: Bundle, action: string) {
  return (await audit()).filter(entry => entry.action === action);
}

test('SAM-6 a request without a valid credential is unauthenticated, whatever it shows instead', async () => {
  const { authenticate } = await setUp();
  const shown = [
    {},
    { authorization: '' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer ' },
    { authorization: 'Bearer not.a.token' },
    { authorization: 'Basic YWRtaW46YWRtaW4=' },
    { authorization: ['Bearer a.b.c', 'Bearer d.e.f'] },
    { 'x-api-key': '', 'x-api-secret': '' },
    { 'x-api-key': '__proto__', 'x-api-secret': 'x' },
  ];
  for (const headers of shown) await refusedWith('unauthenticated', authenticate(request({ headers })));
});

test('SAM-6 the bearer scheme is recognised in any case', async () => {
  const { authenticate } = await setUp();
  const headers = { authorization: `bEARER  ${hs256(CLAIMS)}` };
  assert.equal((await authenticate(request({ headers }))).method, 'jwt');
});

test('SAM-7 a token and a key together allow what both allow, in the key’s name', async () => {
  const { both, key } = await setUp({ taskTypes: ['code_execution', 'custom'], rateLimit: 50 });
  const claims = {
    ...CLAIMS,
    permissions: ['task_monitoring', 'admin'],
    capabilities: ['custom', 'monitoring_task'],
    quotas: { requests_per_hour: 20 },
    user_id: 'ana',
  };
  const { principal, method, keyId } = await both(hs256(claims));
  assert.equal(method, 'jwt+api_key');
  assert.equal(keyId, key.id);
  assert.equal(principal.id, `key:${key.id}`);
  assert.deepEqual([...principal.permissions], ['task:execute', 'task:read']);
  assert.deepEqual([...(principal.taskTypes ?? [])], ['custom']);
  assert.equal(principal.rateLimit, 20);
  assert.equal(principal.agentId, 'manus_orchestrator_001');
  assert.equal(principal.userId, 'ana');
});

test('SAM-7 either of two credentials failing fails the request', async () => {
  const { authenticate, both, key } = await setUp();
  await refusedWith('unauthenticated', both(hs256(CLAIMS, 'another secret, 32 bytes or longer, yes')));
  const headers = { 'x-api-key': key.id, 'x-api-secret': 'wrong' };
  await refusedWith('unauthenticated', authenticate(withToken(hs256(CLAIMS), { headers })));
  const half = { 'x-api-key': key.id };
  await refusedWith('unauthenticated', authenticate(withToken(hs256(CLAIMS), { headers: half })));
});

test('SAM-7 credentials of two tenants do not go together, nor those of two agents', async () => {
  const { guards, both, authenticate } = await setUp({ agentId: 'somebody_else' });
  await refusedWith('forbidden', both(hs256(CLAIMS)));
  const acme = await guards.apiKeys.create(ACME, KEY);
  const headers = { 'x-api-key': acme.key.id, 'x-api-secret': acme.secret };
  await refusedWith('unauthenticated', authenticate(withToken(hs256(CLAIMS), { headers })));
});

test('SAM-7 a key that demands a second factor is forbidden without it', async () => {
  const thumbprint = randomBytes(32).toString('base64url');
  const other = randomBytes(32).toString('base64url');
  const { guards, authenticate } = await setUp();
  const make = (asked: Partial<NewApiKey>) => guards.apiKeys.create(DEFAULT_TENANT, { ...KEY, ...asked });
  const timestamp = NOON / SECOND;
  for (const demandSecondFactor of ['signature', 'jwt', 'client_certificate', 'any'] as const) {
    const { key, secret } = await make({ demandSecondFactor, clientCertificates: [thumbprint] });
    const alone = withKey(key.id, secret);
    const error = await refusedWith('forbidden', authenticate(alone));
    assert.equal(error.details.rule, 'second_factor');
    const shown = {
      signature: signed({ id: key.id, secret, timestamp }, alone),
      jwt: withToken(hs256(CLAIMS), alone),
      client_certificate: { ...alone, clientCertificateSha256: thumbprint },
    };
    for (const [factor, company] of Object.entries(shown)) {
      const isGood = demandSecondFactor === 'any' || demandSecondFactor === factor;
      if (isGood) await authenticate(company);
      else await refusedWith('forbidden', authenticate(company));
    }
    const strange = { ...alone, clientCertificateSha256: other };
    await refusedWith('forbidden', authenticate(strange));
  }
});

test('SAM-7 a signature alone is no second factor to the key that made it, unless a signature is what was demanded', async () => {
  const { guards, authenticate } = await setUp();
  const timestamp = NOON / SECOND;
  const any = await guards.apiKeys.create(DEFAULT_TENANT, { ...KEY, demandSecondFactor: 'any' });
  await refusedWith('forbidden', authenticate(signed({ id: any.key.id, secret: any.secret, timestamp })));
  const one = await guards.apiKeys.create(DEFAULT_TENANT, { ...KEY, demandSecondFactor: 'signature' });
  await authenticate(signed({ id: one.key.id, secret: one.secret, timestamp }));
});

test('SAM-8 each attempt is audited with method, principal, address, reason and request id', async () => {
  const bundle = await setUp();
  const { authenticate, key, secret } = bundle;
  await authenticate(withKey(key.id, secret, { requestId: 'r1', sourceAddress: '198.51.100.9' }));
  await authenticate(withToken(hs256(CLAIMS), { requestId: 'r2' }));
  await refusedWith('unauthenticated', authenticate(withKey(key.id, 'wrong', { requestId: 'r3' })));
  await refusedWith('unauthenticated', authenticate(request({ requestId: 'r4' })));
  const entries = (await bundle.audit()).filter(({ action }) => action.startsWith('auth.'));
  const seen = entries.map(({ action, principal, requestId, detail }) => [
    action,
    detail.method,
    principal,
    detail.address,
    detail.reason,
    requestId,
  ]);
  const name = `key:${key.id}`;
  assert.deepEqual(seen, [
    ['auth.accepted', 'api_key', name, '198.51.100.9', 'secret=current', 'r1'],
    ['auth.accepted', 'jwt', 'jwt:manus_orchestrator_001', '203.0.113.7', 'kid=configured', 'r2'],
    ['auth.refused', 'api_key', name, '203.0.113.7', 'secret', 'r3'],
    ['auth.refused', 'none', 'unknown', '203.0.113.7', 'no_credential', 'r4'],
  ]);
});

test('SAM-8 many like attempts are few entries that still name every request', async () => {
  const bundle = await setUp();
  const { authenticate, key, secret } = bundle;
  const ids = Array.from({ length: 1_200 }, (_, at) => `r${at}`);
  for (const requestId of ids) await authenticate(withKey(key.id, secret, { requestId }));
  const entries = await auditOf(bundle, 'auth.accepted');
  assert.equal(entries.length, 3);
  assert.equal(
    entries.reduce((total, { detail }) => total + Number(detail.count), 0),
    1_200,
  );
  assert.deepEqual(
    entries.flatMap(({ detail }) => detail.requestIds),
    ids,
  );
});

test('SAM-8 the audit is written within a second, and no request waits for it', async () => {
  const bundle = await setUp();
  const { authenticate, key, secret, store, clock } = bundle;
  const append = store.appendAudit;
  let appended: () => void = () => undefined;
  const written = new Promise<void>(resolve => (appended = resolve));
  store.appendAudit = async entries => {
    await append(entries);
    appended();
  };
  await authenticate(withKey(key.id, secret));
  const before = await store.audit({ tenant: DEFAULT_TENANT, limit: 10 });
  assert.deepEqual(before, []);
  clock.pass(SECOND);
  await written;
  assert.equal((await store.audit({ tenant: DEFAULT_TENANT, limit: 10 })).length, 1);
});

test('SAM-8 no credential reaches the audit, not even one put in the wrong place', async () => {
  const bundle = await setUp();
  const { authenticate, key, secret } = bundle;
  const token = hs256(CLAIMS);
  await refusedWith('unauthenticated', authenticate(withKey(secret, key.id)));
  await refusedWith('unauthenticated', authenticate(withKey(token, secret)));
  await refusedWith('unauthenticated', authenticate(request({ headers: { authorization: secret } })));
  await refusedWith('unauthenticated', authenticate(withToken(`${token}x`, { requestId: token })));
  await authenticate(withToken(token));
  const text = JSON.stringify(await bundle.audit());
  assert.ok(!text.includes(secret), text);
  assert.ok(!text.includes(token), text);
  assert.ok(!text.includes(token.split('.')[2] ?? '?'), text);
});

test('SAM-8 a store that cannot be read is not a refusal', async () => {
  const { authenticate, store, key, secret, audit } = await setUp();
  const read = store.documents;
  store.documents = () => Promise.reject(new Error('down'));
  await assert.rejects(authenticate(withKey(key.id, secret)), /down/);
  store.documents = read;
  await authenticate(withKey(key.id, secret));
  const refused = (await audit()).filter(({ action }) => action === 'auth.refused');
  assert.deepEqual(refused, []);
});
