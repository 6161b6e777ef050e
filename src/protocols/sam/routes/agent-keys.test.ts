import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { type Loose, type ServeOptions, serve } from '../../../../test/serve.ts';

const IDS = 'TASK-85 ARMY-108 BLOG-98 NOOB-138';
const BADGES: NonNullable<ServeOptions['badges']> = {
  manager: { permissions: ['agent:manage'] },
  ana: { permissions: ['message:receive'], agentId: 'ana' },
  ben: { permissions: ['agent:manage', 'message:send'], agentId: 'ben' },
  sender: { permissions: ['message:send'] },
};

const setup = async (t: { after(fn: () => Promise<void>): void }) => {
  const served = await serve({ badges: BADGES });
  t.after(() => served.stop());
  const add = (as: string, body: object, agent = 'ana') =>
    served.ask('POST', `/api/v2/agents/${agent}/keys`, { as, body });
  const list = (as = 'manager', agent = 'ana') => served.ask('GET', `/api/v2/agents/${agent}/keys`, { as });
  return { ...served, add, list };
};

const jwk = (kid?: string): object => ({
  ...generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }),
  ...(kid === undefined ? {} : { kid }),
});
const secret = Buffer.alloc(32, 3).toString('base64url');

test(`${IDS} an agent, or who manages agents, registers keys with dates, lists and revokes them`, async t => {
  const { add, list, ask } = await setup(t);
  const dates = { not_before: '2026-01-01T00:00:00Z', expires_at: '2100-01-01T00:00:00Z' };
  const made = await add('ana', { jwk: jwk('a1'), ...dates });
  assert.equal(made.status, 201);
  assert.deepEqual(
    [made.body.kid, made.body.algorithm, made.body.not_before, made.body.expires_at, made.body.revoked],
    ['a1', 'EdDSA', '2026-01-01T00:00:00.000Z', '2100-01-01T00:00:00.000Z', false],
  );
  const next = await add('manager', { jwk: jwk(), replaces: 'a1' });
  assert.match(next.body.kid, /^ak_/);
  const { body } = await list('ana');
  assert.deepEqual([body.total, body.keys[1]], [2, next.body]);
  assert.ok(body.keys[0].expires_at < '2100');
  const revoked = await ask('DELETE', '/api/v2/agents/ana/keys/a1', { as: 'ana' });
  assert.deepEqual([revoked.status, revoked.body.revoked], [200, true]);
  assert.equal((await list()).body.keys[0].revoked_at, revoked.body.revoked_at);
  assert.equal((await ask('DELETE', '/api/v2/agents/ana/keys/no', { as: 'ana' })).status, 404);
});

test(`${IDS} nobody else does: no other agent, no mere sender, no other tenant`, async t => {
  const { add, list, ask } = await setup(t);
  await add('ana', { jwk: jwk('a1') });
  for (const as of ['ben', 'sender', 'reader']) {
    assert.equal((await add(as, { jwk: jwk() })).status, 403);
    assert.equal((await ask('DELETE', '/api/v2/agents/ana/keys/a1', { as })).status, 403);
  }
  assert.equal((await list('reader')).status, 403);
  assert.equal((await list('sender')).body.keys[0].jwk.kid, 'a1');
  assert.equal((await list('stranger')).body.total, 0);
  assert.equal((await ask('DELETE', '/api/v2/agents/ana/keys/a1', { as: 'stranger' })).status, 404);
  assert.equal((await ask('GET', '/api/v2/agents/ana/keys', { as: null })).status, 401);
  assert.equal((await list()).body.keys[0].revoked, false);
});

test(`${IDS} a secret is never shown again, not even in the audit; a private key is refused`, async t => {
  const { add, list, guards, ask } = await setup(t);
  const made = await add('ana', { jwk: { kty: 'oct', k: secret, kid: 's1' } });
  assert.deepEqual([made.status, made.body.algorithm, made.body.jwk], [201, 'HS256', undefined]);
  await guards.audit.flush();
  const audit = await ask('GET', '/api/v2/audit?action=agent_key.added');
  assert.equal(audit.body.entries[0].object, 'ana');
  for (const body of [made.body, (await list()).body, audit.body])
    assert.ok(!JSON.stringify(body).includes(secret));
  const { privateKey } = generateKeyPairSync('ed25519');
  const leaked = privateKey.export({ format: 'jwk' });
  const refused = await add('ana', { jwk: leaked });
  assert.deepEqual([refused.status, refused.body.error.details.errors[0].field], [400, 'jwk']);
  assert.ok(!JSON.stringify(refused.body).includes(String(leaked.d)));
  assert.equal((await add('ana', { jwk: { kty: 'oct', k: 'c2hvcnQ' } })).status, 400);
  assert.equal((await add('ana', { jwk: 'text' })).status, 400);
  assert.equal((await add('ana', { jwk: jwk('s1') })).status, 409);
});

test(`${IDS} a removed agent’s keys go with it`, async t => {
  const { add, list, ask } = await setup(t);
  await ask('POST', '/api/v2/agents', { body: { agent_id: 'ana', types: ['custom:x'] } });
  await add('ana', { jwk: jwk() });
  assert.equal((await ask('DELETE', '/api/v2/agents/ana')).status, 204);
  assert.equal((await list()).body.total, 0);
});

test('TASK-88 ARMY-111 BLOG-101 NOOB-141 anybody reads the server’s public keys, each tenant’s its own', async t => {
  const { ask } = await setup(t);
  const shown = await ask('GET', '/.well-known/jwks.json', { as: null });
  assert.equal(shown.status, 200);
  assert.deepEqual(shown.body.keys.map((one: Loose) => one.use).sort(), ['enc', 'sig']);
  for (const key of shown.body.keys)
    assert.deepEqual([key.d, typeof key.kid, key.kty], [undefined, 'string', 'OKP']);
  assert.equal(shown.headers.get('cache-control'), 'public, max-age=300');
  await ask('POST', '/api/v2/tenants', { body: { tenant_id: 'acme', name: 'Acme' } });
  const acme = await ask('GET', '/.well-known/jwks.json?tenant=acme', { as: null });
  const kids = (keys: Loose[]): string[] => keys.map(key => key.kid);
  assert.equal(kids(acme.body.keys).filter(kid => kids(shown.body.keys).includes(kid)).length, 0);
  assert.equal((await ask('GET', '/.well-known/jwks.json?tenant=none', { as: null })).status, 404);
});

test('TASK-87 ARMY-114 a tenant says which messages must be signed, and is told what it said', async t => {
  const { ask } = await setup(t);
  const signatures = { types: ['army/*', 'task/task.submit'], critical: true };
  const set = await ask('PATCH', '/api/v2/tenants/default', { body: { options: { signatures } } });
  assert.deepEqual([set.status, set.body.options.signatures], [200, signatures]);
  const bad = await ask('PATCH', '/api/v2/tenants/default', {
    body: { options: { signatures: { types: ['everything'] } } },
  });
  assert.deepEqual([bad.status, bad.body.error.details.errors[0].field], [400, 'options.signatures.types']);
  const critical = await ask('PATCH', '/api/v2/tenants/default', {
    body: { options: { signatures: { critical: true } } },
  });
  assert.deepEqual(critical.body.options.signatures, { types: [], critical: true });
  const shown = await ask('GET', '/api/v2/tenants/default');
  assert.deepEqual(shown.body.options.signatures, { types: [], critical: true });
});
