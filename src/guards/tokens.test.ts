import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { NewApiKey } from './api-key.ts';
import { ACME, DAY, HOUR, refusedWith, SECOND, setup, withKey, withToken } from './fixture.test.ts';
import { CLAIMS, hs256 } from './fixture-tokens.test.ts';
import type { Guards } from './guards.ts';
import type { TokenAnswer } from './tokens.ts';

const KEY: NewApiKey = { name: 'key', permissions: ['task:read', 'task:execute'], rateLimit: 5 };
const GRANT = { grantType: 'client_credentials' };

async function setUp(asked: Partial<NewApiKey> = {}) {
  const bundle = await setup();
  const { guards } = bundle;
  const { key, secret } = await guards.apiKeys.create(ACME, { ...KEY, ...asked });
  const enter = (token: string, from: Guards = guards) => from.authenticator.authenticate(withToken(token));
  const exchange = async (scope?: string): Promise<TokenAnswer> => {
    const caller = await guards.authenticator.authenticate(withKey(key.id, secret));
    return guards.tokens.exchange(caller, { ...GRANT, ...(scope === undefined ? {} : { scope }) });
  };
  const refresh = (refreshToken: string, from: Guards = guards) =>
    from.tokens.refresh({ refreshToken, sourceAddress: '203.0.113.7', requestId: 'r' });
  return { ...bundle, key, secret, enter, exchange, refresh };
}

test('SAM-16 a key is traded for an hour’s access token and a refresh token', async () => {
  const { exchange, enter, key, clock } = await setUp({ agentId: 'agent-1', taskTypes: ['custom'] });
  const answer = await exchange();
  assert.deepEqual(
    { ...answer, access_token: '', refresh_token: '' },
    {
      access_token: '',
      token_type: 'Bearer',
      expires_in: 3_600,
      refresh_token: '',
      scope: 'task:read task:execute',
    },
  );
  const { principal } = await enter(answer.access_token);
  assert.equal(principal.tenant, ACME);
  assert.equal(principal.id, `key:${key.id}`);
  assert.equal(principal.agentId, 'agent-1');
  assert.equal(principal.rateLimit, 5);
  assert.equal(principal.userId, undefined);
  assert.deepEqual([...principal.permissions], ['task:execute', 'task:read']);
  assert.deepEqual([...(principal.taskTypes ?? [])], ['custom']);
  clock.pass(HOUR + 60 * SECOND);
  await refusedWith('unauthenticated', enter(answer.access_token));
});

test('SAM-16 a scope narrows the token, and one beyond the key is refused', async () => {
  const { exchange, enter } = await setUp();
  const answer = await exchange('task_monitoring');
  assert.equal(answer.scope, 'task:read');
  assert.deepEqual([...(await enter(answer.access_token)).principal.permissions], ['task:read']);
  for (const scope of ['task:read admin', 'flying', 'task_execution']) {
    const error = await refusedWith('invalid_request', exchange(scope));
    assert.equal(error.details.oauth_error, 'invalid_scope');
  }
});

test('SAM-16 only a key and its secret are traded, and only by this grant', async () => {
  const { guards, exchange, enter, key, secret } = await setUp();
  const caller = await guards.authenticator.authenticate(withKey(key.id, secret));
  await refusedWith('invalid_request', guards.tokens.exchange(caller, { grantType: 'password' }));
  const { access_token } = await exchange();
  await refusedWith('forbidden', guards.tokens.exchange(await enter(access_token), GRANT));
  const foreign = await guards.authenticator.authenticate(withToken(hs256(CLAIMS)));
  await refusedWith('forbidden', guards.tokens.exchange(foreign, GRANT));
});

test('SAM-16 a key that demands a second factor is not traded for a token that would need none', async () => {
  const { guards } = await setUp();
  const { key, secret } = await guards.apiKeys.create(DEFAULT_TENANT, { ...KEY, demandSecondFactor: 'jwt' });
  const headers = { 'x-api-key': key.id, 'x-api-secret': secret };
  const caller = await guards.authenticator.authenticate(withToken(hs256(CLAIMS), { headers }));
  await refusedWith('forbidden', guards.tokens.exchange(caller, GRANT));
});

test('SAM-16 each tenant’s tokens are signed with a key of its own', async () => {
  const { exchange, guards } = await setUp();
  await exchange();
  const [own] = await guards.jwtKeys.list(ACME);
  assert.equal(own?.isOwn, true);
  assert.deepEqual(await guards.jwtKeys.list(DEFAULT_TENANT), []);
  await exchange();
  assert.equal((await guards.jwtKeys.list(ACME)).length, 1);
});

test('SAM-20 a token is worth no more than its key: revoked, expired, moved or narrowed with it', async () => {
  const { exchange, enter, guards, key } = await setUp({ allowedIps: ['203.0.113.0/24'] });
  const { access_token } = await exchange();
  const elsewhere = withToken(access_token, { sourceAddress: '198.51.100.1' });
  await refusedWith('forbidden', guards.authenticator.authenticate(elsewhere));
  await enter(access_token);
  await guards.apiKeys.revoke(ACME, key.id);
  await refusedWith('unauthenticated', enter(access_token));
});

test('SAM-17 a refresh token gives a new pair and works no second time', async () => {
  const { exchange, refresh, enter } = await setUp();
  const first = await exchange('task:read');
  const second = await refresh(first.refresh_token);
  assert.notEqual(second.refresh_token, first.refresh_token);
  assert.equal(second.scope, 'task:read');
  await enter(second.access_token);
  await enter(first.access_token);
  await refusedWith('unauthenticated', refresh(first.refresh_token));
});

test('SAM-17 reuse of a spent refresh token revokes its whole family and raises a security event', async () => {
  const { exchange, refresh, enter, audit } = await setUp();
  const [first, stranger] = [await exchange(), await exchange()];
  const second = await refresh(first.refresh_token);
  const third = await refresh(second.refresh_token);
  await refusedWith('unauthenticated', refresh(first.refresh_token));
  await refusedWith('unauthenticated', refresh(third.refresh_token));
  for (const { access_token } of [first, second, third])
    await refusedWith('unauthenticated', enter(access_token));
  await enter(stranger.access_token);
  await refresh(stranger.refresh_token);
  const events = (await audit(ACME)).filter(({ action }) => action === 'security.refresh_reuse');
  assert.equal(events.length, 1);
});

test('SAM-17 of refreshes at the same moment on two nodes one wins, and the family ends for all', async () => {
  const { exchange, refresh, node } = await setUp();
  const elsewhere = await node();
  const first = await exchange();
  const outcomes = await Promise.allSettled(
    Array.from({ length: 8 }, (_, at) => refresh(first.refresh_token, at % 2 === 0 ? undefined : elsewhere)),
  );
  const winners = outcomes.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  assert.equal(winners.length, 1);
  await refusedWith('unauthenticated', refresh(winners[0]?.refresh_token ?? ''));
});

test('SAM-17 a forged or garbled refresh token changes nothing', async () => {
  const { exchange, refresh } = await setUp();
  const { refresh_token } = await exchange();
  const [head = '', generation = '', mac = ''] = refresh_token.split('.');
  const forged = [
    `${head}.2.${mac}`,
    `${head}.${generation}.${mac.slice(0, -1)}${mac.endsWith('A') ? 'Q' : 'A'}`,
    `${head}.01.${mac}`,
    `${refresh_token}=`,
    'br_',
    '',
  ];
  for (const token of forged) await refusedWith('unauthenticated', refresh(token));
  await refresh(refresh_token);
});

test('SAM-17 a refresh token works 30 days, and not with a key that no longer does', async () => {
  const { exchange, refresh, guards, key, clock } = await setUp();
  const [one, two] = [await exchange(), await exchange()];
  clock.pass(30 * DAY - 1);
  const next = await refresh(one.refresh_token);
  clock.pass(1);
  await refusedWith('unauthenticated', refresh(two.refresh_token));
  await guards.apiKeys.revoke(ACME, key.id);
  await refusedWith('unauthenticated', refresh(next.refresh_token));
});

test('SAM-17 revoking takes an access token, a refresh token or a jti, again and again', async () => {
  const { exchange, refresh, enter, guards, key, secret } = await setUp();
  const caller = await guards.authenticator.authenticate(withKey(key.id, secret));
  const [one, two] = [await exchange(), await exchange()];
  for (let time = 0; time < 2; time += 1) {
    await guards.tokens.revoke(caller, { token: one.access_token });
    await guards.tokens.revoke(caller, { token: two.refresh_token });
    await guards.tokens.revoke(caller, { token: 'never heard of it' });
  }
  await refusedWith('unauthenticated', enter(one.access_token));
  await refresh(one.refresh_token);
  await refusedWith('unauthenticated', enter(two.access_token));
  await refusedWith('unauthenticated', refresh(two.refresh_token));
  const three = await exchange();
  const self = await enter(three.access_token);
  await guards.tokens.revoke(self, { jti: self.jti ?? '' });
  await refusedWith('unauthenticated', enter(three.access_token));
});

test('SAM-17 a token without jti is revoked by itself', async () => {
  const { guards, enter } = await setUp();
  const [token, other] = [hs256(CLAIMS), hs256({ ...CLAIMS, n: 1 })];
  const caller = await enter(token);
  await guards.tokens.revoke(caller, { token });
  await refusedWith('unauthenticated', enter(token));
  await enter(other);
});

test('SAM-17 nobody revokes another’s jti without admin, nor a token of another tenant', async () => {
  const { exchange, enter, guards, refresh } = await setUp();
  const answer = await exchange();
  const own = await enter(answer.access_token);
  await refusedWith('forbidden', guards.tokens.revoke(own, { jti: 'somebody’s' }));
  const stranger = await enter(hs256({ ...CLAIMS, permissions: ['admin'] }));
  await guards.tokens.revoke(stranger, { token: answer.access_token });
  await guards.tokens.revoke(stranger, { token: answer.refresh_token });
  await guards.tokens.revoke(stranger, { jti: own.jti ?? '' });
  await enter(answer.access_token);
  await refresh(answer.refresh_token);
});

test('SAM-8 issuing, refreshing and revoking are audited without the tokens', async () => {
  const { exchange, refresh, enter, guards, audit } = await setUp();
  const first = await exchange();
  const second = await refresh(first.refresh_token);
  await guards.tokens.revoke(await enter(second.access_token), { token: second.refresh_token });
  const entries = await audit(ACME);
  const actions = new Set(entries.map(({ action }) => action));
  for (const action of ['token.issued', 'token.revoked', 'auth.accepted'])
    assert.ok(actions.has(action), action);
  const text = JSON.stringify(entries);
  for (const { access_token, refresh_token } of [first, second]) {
    assert.ok(!text.includes(access_token));
    assert.ok(!text.includes(refresh_token));
  }
});
