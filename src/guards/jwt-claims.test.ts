import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { ACME, refusedWith, withToken } from './fixture.test.ts';
import { CLAIMS, hs256, setUp } from './fixture-tokens.test.ts';
import { requirePermission } from './permissions.ts';

test('SAM-12 the claims agent_id, permissions, iat and exp suffice, tried with the keys of the default tenant', async () => {
  const { enter } = await setUp();
  const { principal, method } = await enter(hs256(CLAIMS));
  assert.equal(method, 'jwt');
  assert.equal(principal.id, 'jwt:manus_orchestrator_001');
  assert.equal(principal.agentId, 'manus_orchestrator_001');
  assert.equal(principal.tenant, DEFAULT_TENANT);
  assert.deepEqual([...principal.permissions], ['task:execute', 'task:read', 'task:control']);
  assert.equal(principal.taskTypes, undefined);
});

test('SAM-12 a tenant claim must be that of the key', async () => {
  const { guards, enter, refused } = await setUp();
  const secret = 'the secret of acme, 32 bytes or longer';
  await guards.jwtKeys.add(ACME, { kid: 'acme-1', algorithm: 'HS256', material: secret });
  const acme = { ...CLAIMS, tenant: 'acme' };
  assert.equal((await enter(hs256(acme, secret))).principal.tenant, ACME);
  assert.equal((await enter(hs256(CLAIMS, secret, { kid: 'acme-1' }))).principal.tenant, ACME);
  await refused(hs256(CLAIMS, secret));
  await refused(hs256(acme));
  await refused(hs256({ ...CLAIMS, tenant: 'default' }, secret, { kid: 'acme-1' }));
  await refused(hs256({ ...CLAIMS, tenant: 7 }, secret, { kid: 'acme-1' }));
  await refused(hs256({ ...CLAIMS, tenant: 'a b' }, secret, { kid: 'acme-1' }));
});

test('SAM-12 capabilities and quotas narrow what the token may, and never widen it', async () => {
  const { enter } = await setUp();
  const claims = {
    ...CLAIMS,
    capabilities: ['code_execution', 'flying'],
    quotas: { requests_per_hour: 10, memory_mb: 512, note: 'x' },
  };
  const { principal, quotas } = await enter(hs256(claims));
  assert.deepEqual([...(principal.taskTypes ?? [])], ['code_execution']);
  assert.equal(principal.rateLimit, 10);
  assert.deepEqual(quotas, { requests_per_hour: 10, memory_mb: 512 });
  const nothing = await enter(hs256({ ...CLAIMS, capabilities: [] }));
  assert.equal(nothing.principal.taskTypes?.size, 0);
  const greedy = await enter(hs256({ ...CLAIMS, quotas: { rate_limit: 1_000_000 } }));
  assert.equal(greedy.principal.rateLimit, 1_000);
});

test('SAM-12 a token that names nobody, or an agent that cannot be, is refused', async () => {
  const { enter, refused } = await setUp();
  const { agent_id: _, ...anonymous } = CLAIMS;
  await refused(hs256(anonymous));
  await refused(hs256({ ...CLAIMS, agent_id: '' }));
  await refused(hs256({ ...CLAIMS, agent_id: 'two words' }));
  await refused(hs256({ ...CLAIMS, agent_id: ['a'] }));
  const { principal } = await enter(hs256({ ...anonymous, sub: 'ana' }));
  assert.deepEqual([principal.id, principal.userId, principal.agentId], ['jwt:ana', 'ana', undefined]);
});

test('SAM-13 aliases grant what they stand for, unknown names nothing, and monitoring alone does not execute', async () => {
  const { enter } = await setUp();
  const permissions = ['task_monitoring', 'superuser', 'ADMIN', '__proto__', 7];
  const { principal } = await enter(hs256({ ...CLAIMS, permissions }));
  assert.deepEqual([...principal.permissions], ['task:read']);
  requirePermission(principal, 'task:read');
  assert.throws(() => requirePermission(principal, 'task:execute'), {
    code: 'forbidden',
    details: { required: 'task:execute' },
  });
  const none = await enter(hs256({ ...CLAIMS, permissions: 'admin' }));
  assert.equal(none.principal.permissions.size, 0);
});

test('SAM-15 a token bound to a client certificate works over that one alone', async () => {
  const { guards } = await setUp();
  const thumbprint = randomBytes(32).toString('base64url');
  const token = hs256({ ...CLAIMS, cnf: { 'x5t#S256': thumbprint } });
  const over = (clientCertificateSha256?: string) =>
    guards.authenticator.authenticate({
      ...withToken(token),
      ...(clientCertificateSha256 === undefined ? {} : { clientCertificateSha256 }),
    });
  await over(thumbprint);
  await refusedWith('unauthenticated', over());
  await refusedWith('unauthenticated', over(randomBytes(32).toString('base64url')));
  for (const cnf of [{ jkt: 'x' }, { 'x5t#S256': thumbprint, jkt: 'x' }, 'x', { 'x5t#S256': '' }, null])
    await refusedWith(
      'unauthenticated',
      guards.authenticator.authenticate(withToken(hs256({ ...CLAIMS, cnf }))),
    );
});
