import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { permissionsOf } from '../domain/principal.ts';
import type { NewApiKey } from './api-key.ts';
import {
  ACME,
  BOOTSTRAP,
  type Bundle,
  DAY,
  HOUR,
  NOON,
  refusedWith,
  SECOND,
  setup,
  signed,
  withKey,
} from './fixture.test.ts';

const READER: NewApiKey = { name: 'reader', permissions: ['task:read'] };

async function withNewKey(asked: Partial<NewApiKey> = {}) {
  const bundle = await setup();
  const { key, secret } = await bundle.guards.apiKeys.create(ACME, { ...READER, ...asked });
  const enter = (given = {}) => bundle.guards.authenticator.authenticate(withKey(key.id, secret, given));
  return { ...bundle, key, secret, enter };
}

async function reasons({ audit }: Pick<Bundle, 'audit'>): Promise<readonly unknown[]> {
  const refused = (await audit(ACME)).filter(({ action }) => action === 'auth.refused');
  return refused.map(({ detail }) => detail.reason);
}

test('SAM-18 a key and its 256-bit secret authenticate together, and either alone does not', async () => {
  const { guards, key, secret, enter } = await withNewKey();
  const { principal, method } = await enter();
  assert.equal(principal.id, `key:${key.id}`);
  assert.equal(principal.tenant, ACME);
  assert.deepEqual([...principal.permissions], ['task:read']);
  assert.equal(method, 'api_key');
  assert.match(key.id, /^bk_[\w-]{22}$/);
  assert.equal(Buffer.from(secret.slice('bs_'.length), 'base64url').length, 32);
  const { authenticate } = guards.authenticator;
  for (const headers of [{ 'x-api-key': key.id }, { 'x-api-secret': secret }])
    await refusedWith('unauthenticated', authenticate({ ...withKey('', ''), headers }));
  const twice = { 'x-api-key': [key.id, key.id], 'x-api-secret': secret };
  await refusedWith('unauthenticated', authenticate({ ...withKey('', ''), headers: twice }));
});

test('SAM-18 a secret is stored as a salted hash, and as ciphertext only where its key signs', async () => {
  const { guards, store, key, secret } = await withNewKey();
  const mute = await guards.apiKeys.create(ACME, { ...READER, algorithms: [] });
  const stored = await store.documents({ kind: 'api_key', tenant: ACME });
  const text = JSON.stringify(stored);
  assert.ok(!text.includes(secret) && !text.includes(mute.secret));
  const secretsOf = (id: string) => JSON.stringify(stored.find(one => one.id === id)?.body.secrets);
  assert.match(secretsOf(key.id), /"sealed":"v1\./);
  assert.match(secretsOf(mute.key.id), /"sealed":null/);
  const salts = [...text.matchAll(/"salt":"([\w-]{22})"/g)].map(([, salt]) => salt);
  assert.equal(new Set(salts).size, 2);
  const listed = JSON.stringify(await guards.apiKeys.list(ACME));
  assert.ok(!/secret|hash|sealed/.test(listed), listed);
});

test('SAM-8 an unknown key and a wrong secret are told the same', async () => {
  const { guards, key } = await withNewKey();
  const { authenticate } = guards.authenticator;
  const unknown = await refusedWith(
    'unauthenticated',
    authenticate(withKey(`bk_${'x'.repeat(22)}`, 'bs_wrong')),
  );
  const wrong = await refusedWith('unauthenticated', authenticate(withKey(key.id, 'bs_wrong')));
  assert.equal(unknown.message, wrong.message);
  assert.deepEqual(unknown.details, wrong.details);
});

test('SAM-19 a key works until it expires, and after that answers 401', async () => {
  const bundle = await withNewKey({ expiresAt: NOON + HOUR });
  bundle.clock.pass(HOUR - 1);
  await bundle.enter();
  bundle.clock.pass(1);
  await refusedWith('unauthenticated', bundle.enter());
  assert.deepEqual(await reasons(bundle), ['expired']);
});

test('SAM-19 a key confined to addresses or hours is forbidden elsewhere and otherwise, and the refusal audited', async () => {
  const bundle = await withNewKey({
    allowedIps: ['203.0.113.0/24', '2001:db8::/32'],
    allowedHours: '11:30-13:00',
  });
  await bundle.enter({ sourceAddress: '203.0.113.200' });
  await bundle.enter({ sourceAddress: '::ffff:203.0.113.200' });
  await bundle.enter({ sourceAddress: '2001:db8:1::1' });
  const elsewhere = await refusedWith('forbidden', bundle.enter({ sourceAddress: '198.51.100.1' }));
  assert.equal(elsewhere.details.rule, 'allowed_ips');
  bundle.clock.pass(HOUR);
  const late = await refusedWith('forbidden', bundle.enter());
  assert.equal(late.details.rule, 'allowed_hours');
  assert.deepEqual(await reasons(bundle), ['allowed_ips', 'allowed_hours']);
});

test('SAM-19 hours over midnight hold on both sides of it', async () => {
  const { enter, clock } = await withNewKey({ allowedHours: '22:00-06:00' });
  await refusedWith('forbidden', enter());
  clock.pass(10 * HOUR);
  await enter();
  clock.pass(8 * HOUR - 1);
  await enter();
  clock.pass(1);
  await refusedWith('forbidden', enter());
});

test('SAM-19 a key that must sign is forbidden by its secret alone, and welcome signed', async () => {
  const { guards, key, secret, enter } = await withNewKey({ requireSignature: true });
  const error = await refusedWith('forbidden', enter());
  assert.equal(error.details.rule, 'require_signature');
  const request = signed({ id: key.id, secret, timestamp: NOON / SECOND });
  assert.equal((await guards.authenticator.authenticate(request)).method, 'hmac');
});

test('SAM-19 task types, rate limit and agent of a key become its principal’s', async () => {
  const { enter } = await withNewKey({ taskTypes: ['code_execution'], rateLimit: 7, agentId: 'agent-1' });
  const { principal } = await enter();
  assert.deepEqual([...(principal.taskTypes ?? [])], ['code_execution']);
  assert.equal(principal.rateLimit, 7);
  assert.equal(principal.agentId, 'agent-1');
});

test('SAM-19 a daily quota answers 429 when used up, on every node, and is renewed at midnight UTC', async () => {
  const { guards, key, secret, enter, node, clock } = await withNewKey({ usageQuota: 3 });
  await enter();
  await enter();
  await guards.usage.flush();
  const elsewhere = await node();
  const there = () => elsewhere.authenticator.authenticate(withKey(key.id, secret));
  await there();
  const error = await refusedWith('rate_limited', there());
  assert.equal(error.retryAfterMs, 12 * HOUR);
  await elsewhere.usage.flush();
  await guards.usage.flush();
  clock.pass(12 * HOUR);
  await enter();
});

test('SAM-19 of many requests at once no more pass than the quota allows', async () => {
  const { enter } = await withNewKey({ usageQuota: 5 });
  const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => enter()));
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 5);
});

test('SAM-20 SAM-233 a revoked key fails at the next request here, and within 1 s on another node', async () => {
  const { guards, key, secret, enter, node, clock } = await withNewKey();
  const elsewhere = await node();
  const there = () => elsewhere.authenticator.authenticate(withKey(key.id, secret));
  await enter();
  await there();
  await guards.apiKeys.revoke(ACME, key.id);
  await refusedWith('unauthenticated', enter());
  clock.pass(SECOND);
  await refusedWith('unauthenticated', there());
  const again = await guards.apiKeys.revoke(ACME, key.id);
  assert.equal(again.revokedAt, NOON);
  await refusedWith('conflict', guards.apiKeys.rotate(ACME, key.id));
});

test('SAM-20 after a rotation both secrets work for 24 h, then only the new one', async () => {
  const { guards, key, secret, enter, clock } = await withNewKey();
  const rotated = await guards.apiKeys.rotate(ACME, key.id);
  const enterAnew = () => guards.authenticator.authenticate(withKey(key.id, rotated.secret));
  assert.notEqual(rotated.secret, secret);
  clock.pass(24 * HOUR - 1);
  await enter();
  await enterAnew();
  clock.pass(1);
  await refusedWith('unauthenticated', enter());
  await enterAnew();
});

test('SAM-20 a second rotation within the overlap ends the oldest secret', async () => {
  const { guards, key, enter } = await withNewKey();
  const second = await guards.apiKeys.rotate(ACME, key.id);
  await guards.apiKeys.rotate(ACME, key.id);
  await refusedWith('unauthenticated', enter());
  await guards.authenticator.authenticate(withKey(key.id, second.secret));
});

test('SAM-20 a key 90 days old warns, a rotation silences it, and where the tenant says so old keys expire', async () => {
  const { guards, key, enter, clock } = await withNewKey();
  await guards.tenants.create({ id: 'acme' });
  clock.pass(90 * DAY - 1);
  assert.deepEqual((await enter()).warnings, []);
  clock.pass(1);
  assert.deepEqual((await enter()).warnings, ['api_key_overdue']);
  await guards.tenants.update(ACME, { options: { apiKeyAgeMaxDays: 80 } });
  await refusedWith('unauthenticated', enter());
  const { secret } = await guards.apiKeys.rotate(ACME, key.id);
  const anew = await guards.authenticator.authenticate(withKey(key.id, secret));
  assert.deepEqual(anew.warnings, []);
});

test('a key is refused with every fault named, and nothing is kept of it', async () => {
  const { guards } = await setup();
  const error = await refusedWith(
    'invalid_request',
    guards.apiKeys.create(ACME, {
      name: '',
      permissions: ['task:fly'],
      taskTypes: ['dancing'],
      rateLimit: 0,
      usageQuota: 1.5,
      expiresAt: NOON,
      allowedIps: ['10.0.0.0/33'],
      allowedHours: '25:00-26:00',
      agentId: 'no spaces',
      clientCertificates: ['short'],
      requireSignature: true,
      algorithms: [],
    }),
  );
  const fields = (error.details.errors as readonly { field: string }[]).map(({ field }) => field);
  assert.deepEqual(fields, [
    'name',
    'permissions',
    'task_types',
    'rate_limit',
    'usage_quota',
    'expires_at',
    'allowed_ips',
    'allowed_hours',
    'agent_id',
    'require_signature',
    'client_certificates',
  ]);
  assert.deepEqual(await guards.apiKeys.list(ACME), []);
});

test('nobody makes a key that may do what they may not themselves', async () => {
  const { guards } = await setup();
  const grantor = {
    tenant: ACME,
    id: 'key:x',
    method: 'api_key',
    permissions: permissionsOf(['task:read', 'task:execute']),
  } as const;
  await guards.apiKeys.create(ACME, READER, grantor);
  const asked = { ...READER, permissions: ['task:read', 'admin'] };
  const error = await refusedWith('forbidden', guards.apiKeys.create(ACME, asked, grantor));
  assert.deepEqual(error.details, { required: 'admin' });
  assert.equal((await guards.apiKeys.list(ACME)).length, 1);
});

test('SAM-5 keys of another tenant are as if they were not there', async () => {
  const { guards, key } = await withNewKey();
  for (const verb of ['get', 'rotate', 'revoke'] as const)
    await refusedWith('not_found', guards.apiKeys[verb](DEFAULT_TENANT, key.id));
  assert.deepEqual(await guards.apiKeys.list(DEFAULT_TENANT), []);
});

test('the configured administrator enters by secret and by signature, and is stored nowhere', async () => {
  const { guards, store } = await setup();
  const { authenticate } = guards.authenticator;
  const byName = await authenticate(withKey(BOOTSTRAP.id, BOOTSTRAP.secret));
  assert.ok(byName.principal.permissions.has('admin'));
  assert.equal(byName.principal.tenant, DEFAULT_TENANT);
  await authenticate(signed({ ...BOOTSTRAP, timestamp: NOON / SECOND, scheme: 'HMAC-SHA512' }));
  await refusedWith('unauthenticated', authenticate(withKey(BOOTSTRAP.id, `${BOOTSTRAP.secret}!`)));
  assert.deepEqual(await store.documents({ kind: 'api_key' }), []);
});
