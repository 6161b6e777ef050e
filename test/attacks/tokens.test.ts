import assert from 'node:assert/strict';
import { createHmac, createSign, generateKeyPairSync } from 'node:crypto';
import { after, suite, test } from 'node:test';
import { running } from '../e2e/running.ts';
import { bearer, keyHeaders } from '../e2e/wire.ts';
import type { Loose } from '../serve.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;
const AGENTS = '/api/v2/agents';
const HOUSE_SECRET = house.server.credentials.jwt_secret;

const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const attackers = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const publicPem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
await admin.post('/api/v2/jwt-keys', { kid: 'rsa', algorithm: 'RS256', key: publicPem });
const { body: rival } = await admin.post('/api/v2/tenants', { tenant_id: 'rival', name: 'Rival' });
const RIVAL_SECRET = 'the rival’s own secret of more than 32 bytes';
const rivalAdmin = admin.as(keyHeaders(rival));
await rivalAdmin.post('/api/v2/jwt-keys', { kid: 'rivals', algorithm: 'HS256', key: RIVAL_SECRET });

const encoded = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const claimsOf = (more: object = {}): object => ({
  agent_id: 'a',
  permissions: ['admin'],
  exp: Math.floor(Date.now() / 1_000) + 300,
  ...more,
});
const hs = (header: object, secret: string | Buffer, claims: unknown = claimsOf()): string => {
  const input = `${encoded(header)}.${encoded(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
};
const rs = (header: object, key = rsa.privateKey, claims: unknown = claimsOf()): string => {
  const input = `${encoded(header)}.${encoded(claims)}`;
  return `${input}.${createSign('sha256').update(input).sign(key, 'base64url')}`;
};

async function refuses(tokens: Readonly<Record<string, string>>): Promise<void> {
  for (const [what, token] of Object.entries(tokens)) {
    const { status } = await admin.as({ authorization: `Bearer ${token}` }).get(AGENTS, { expect: null });
    assert.equal(status, 401, what);
  }
}

suite('forged tokens', () => {
  test('SAM-10 none, whatever its spelling, and signatures left out are refused', async () => {
    const unsigned = (alg: unknown): string => `${encoded({ alg })}.${encoded(claimsOf())}.`;
    const algorithms = ['none', 'None', 'NONE', 'nOnE', '', null, 0, ['none'], ['HS256'], undefined];
    await refuses(Object.fromEntries(algorithms.map(alg => [`alg ${alg}`, unsigned(alg)])));
    const good = hs({ alg: 'HS256' }, HOUSE_SECRET);
    const [header = '', payload = '', signature = ''] = good.split('.');
    await admin.as(bearer(good)).get(AGENTS);
    await refuses({
      'no signature': `${header}.${payload}.`,
      'two parts': `${header}.${payload}`,
      'signature of another': `${header}.${encoded(claimsOf({ agent_id: 'b' }))}.${signature}`,
      'four parts': `${good}.${signature}`,
      'an empty header': `.${payload}.${signature}`,
    });
  });

  test('SAM-10 SAM-11 one algorithm’s key is never another’s: a public key is no secret', async () => {
    await admin.as(bearer(rs({ alg: 'RS256', kid: 'rsa' }))).get(AGENTS);
    const der = rsa.publicKey.export({ type: 'spki', format: 'der' });
    const pem = String(publicPem);
    await refuses({
      'HS256 under the PEM': hs({ alg: 'HS256', kid: 'rsa' }, pem),
      'HS256 under the trimmed PEM': hs({ alg: 'HS256', kid: 'rsa' }, pem.trim()),
      'HS256 under the DER': hs({ alg: 'HS256', kid: 'rsa' }, der),
      'HS256 under the PEM without kid': hs({ alg: 'HS256' }, pem),
      'RS256 named for the secret': rs({ alg: 'RS256', kid: 'configured' }),
      'RS384 in name': rs({ alg: 'RS384', kid: 'rsa' }),
      'PS256 in name': rs({ alg: 'PS256', kid: 'rsa' }),
      'HS512 in name': hs({ alg: 'HS512', kid: 'configured' }, HOUSE_SECRET),
      'the empty secret': hs({ alg: 'HS256' }, ''),
    });
  });

  test('SAM-10 keys a token brings along are never used, nor are headers it calls critical', async () => {
    const jwk = attackers.publicKey.export({ format: 'jwk' });
    const url = 'http://127.0.0.1:1/keys.json';
    const forged = (header: object): string => rs({ alg: 'RS256', ...header }, attackers.privateKey);
    await refuses({
      jwk: forged({ jwk }),
      'jwk with kid': forged({ jwk, kid: 'rsa' }),
      jku: forged({ jku: url, kid: 'rsa' }),
      x5u: forged({ x5u: url, kid: 'rsa' }),
      x5c: forged({ x5c: ['MIIB'], kid: 'rsa' }),
      crit: hs({ alg: 'HS256', crit: ['exp'] }, HOUSE_SECRET),
      'crit of nothing': hs({ alg: 'HS256', crit: [] }, HOUSE_SECRET),
      'unencoded payload': hs({ alg: 'HS256', b64: false, crit: ['b64'] }, HOUSE_SECRET),
    });
    const ignored = rs({ alg: 'RS256', kid: 'rsa', jku: url, jwk }, rsa.privateKey);
    await admin.as(bearer(ignored)).get(AGENTS);
  });

  test('SAM-11 a kid is a name: no path, no query, no other tenant’s door', async () => {
    const kids: unknown[] = [
      '../../../../dev/null',
      '/dev/null',
      "' OR 1=1 --",
      "x' UNION SELECT 'secret' --",
      'configured\u0000',
      '__proto__',
      '',
      null,
      1,
      ['configured'],
      { toString: 'configured' },
      'k'.repeat(10_000),
    ];
    for (const secret of ['', 'secret', HOUSE_SECRET])
      await refuses(
        Object.fromEntries(
          kids.map((kid, n) => [`kid ${n} under ${secret.length} bytes`, hs({ alg: 'HS256', kid }, secret)]),
        ),
      );
  });

  test('SAM-12 a tenant’s key speaks for that tenant, whatever the claims say', async () => {
    await refuses({
      'the default tenant claimed': hs(
        { alg: 'HS256', kid: 'rivals' },
        RIVAL_SECRET,
        claimsOf({ tenant: 'default' }),
      ),
      'no kid': hs({ alg: 'HS256' }, RIVAL_SECRET),
      'the house’s kid': hs({ alg: 'HS256', kid: 'configured' }, RIVAL_SECRET),
      'the house’s key for the rival': hs({ alg: 'HS256' }, HOUSE_SECRET, claimsOf({ tenant: 'rival' })),
    });
    const own = rivalAdmin.as(bearer(hs({ alg: 'HS256', kid: 'rivals' }, RIVAL_SECRET)));
    await own.post('/api/v2/agents', { agent_id: 'a', types: ['custom:x'] });
    assert.ok((await admin.get(AGENTS)).body.agents.every((one: Loose) => one.agent_id !== 'a'));
    for (const kid of ['configured', 'rsa', 'own.x'])
      await rivalAdmin.post(
        '/api/v2/jwt-keys',
        { kid, algorithm: 'HS256', key: RIVAL_SECRET },
        { expect: kid === 'own.x' ? 400 : 409 },
      );
    await admin.as(bearer(hs({ alg: 'HS256', kid: 'configured' }, HOUSE_SECRET))).get(AGENTS);
  });

  test('SAM-9 SAM-12 claims of the wrong type or sense are refused, never stretched', async () => {
    const now = Math.floor(Date.now() / 1_000);
    const claims: Readonly<Record<string, object>> = {
      'no exp': { exp: undefined },
      'exp as text': { exp: String(now + 300) },
      'exp without end': { exp: 1e308 },
      'exp of null': { exp: null },
      'nbf as text': { nbf: 'now' },
      'issued tomorrow': { iat: now + 86_400, exp: now + 90_000 },
      'no name': { agent_id: undefined },
      'name of another kind': { agent_id: { toString: 1 } },
      'tenant of another kind': { tenant: ['default'] },
      'a confirmation nobody can check': { cnf: { jkt: 'x' } },
      'a certificate that was not shown': { cnf: { 'x5t#S256': 'x' } },
    };
    for (const [what, more] of Object.entries(claims))
      await refuses({ [what]: hs({ alg: 'HS256' }, HOUSE_SECRET, claimsOf(more)) });
    await refuses({
      'an array': hs({ alg: 'HS256' }, HOUSE_SECRET, [claimsOf()]),
      null: hs({ alg: 'HS256' }, HOUSE_SECRET, null),
    });
    const granted = { permissions: { 0: 'admin', length: 1 } };
    const nothing = admin.as(bearer(hs({ alg: 'HS256' }, HOUSE_SECRET, claimsOf(granted))));
    await nothing.get(AGENTS, { expect: 403 });
  });
});

suite('spent tokens', () => {
  test('SAM-14 SAM-17 a revoked token has no second spelling', async () => {
    for (const more of [{ jti: 'spent' }, { name: 'without jti' }]) {
      const token = hs({ alg: 'HS256' }, HOUSE_SECRET, claimsOf(more));
      const [header = '', payload = '', signature = ''] = token.split('.');
      await admin.as(bearer(token)).get(AGENTS);
      await admin.post('/api/v2/auth/revoke', { token });
      const last = signature.at(-1) ?? '';
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
      const twin = alphabet[alphabet.indexOf(last) ^ 1] ?? '';
      await refuses({
        'as it was': token,
        'other unused bits': `${header}.${payload}.${signature.slice(0, -1)}${twin}`,
        padded: `${token}=`,
        'padded parts': `${header}=.${payload}=.${signature}=`,
        'plain Base64': token.replaceAll('-', '+').replaceAll('_', '/'),
        'blank before': ` ${token}`,
        'blank within': `${header} .${payload}.${signature}`,
        'trailing dot': `${token}.`,
      });
      for (const scheme of ['bearer', 'BEARER', 'Bearer  '])
        await admin.as({ authorization: `${scheme} ${token}` }).get(AGENTS, { expect: 401 });
    }
  });

  test('SAM-17 of two races for one refresh token at most one wins, and then the family is dead', async () => {
    const { body: key } = await admin.post('/api/v2/api-keys', { name: 'r', permissions: ['task:read'] });
    const trade = { grant_type: 'client_credentials' };
    const { body: pair } = await admin.as(keyHeaders(key)).post('/api/v2/auth/token', trade);
    const anybody = admin.as({});
    const spend = (refresh_token: string) =>
      anybody.post('/api/v2/auth/refresh', { refresh_token }, { expect: null });
    const answers = await Promise.all(Array.from({ length: 8 }, () => spend(pair.refresh_token)));
    const won = answers.filter(one => one.status === 200);
    assert.ok(won.length <= 1, `${won.length} won`);
    for (const { body } of won) {
      assert.equal((await spend(body.refresh_token)).status, 401);
      await admin.as(bearer(body.access_token)).get(AGENTS, { expect: 401 });
    }
    await admin.as(bearer(pair.access_token)).get(AGENTS, { expect: 401 });
  });

  test('SAM-9 SAM-15 tokens of a megabyte and of a thousand parts are refused at once', async () => {
    const before = process.cpuUsage();
    await refuses({ parts: `${'a.'.repeat(1_000)}a`, long: 'a'.repeat(12_000), dots: '.'.repeat(5_000) });
    assert.ok(process.cpuUsage(before).user < 1_000_000);
  });
});
