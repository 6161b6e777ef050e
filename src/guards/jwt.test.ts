import assert from 'node:assert/strict';
import { createPrivateKey, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { ACME, HOUR, JWT_SECRET, refusedWith, SECOND } from './fixture.test.ts';
import { CLAIMS, encoded, encrypted, hs256, NOW, pem, rsa, setUp } from './fixture-tokens.test.ts';
import { CHALLENGE } from './jwt.ts';

test('SAM-9 a token is refused when its signature is wrong in any character', async () => {
  const { enter, refused } = await setUp();
  const token = hs256(CLAIMS);
  const start = token.lastIndexOf('.') + 1;
  for (let at = start; at < token.length; at += 1) {
    const changed = token.slice(0, at) + (token[at] === 'A' ? 'B' : 'A') + token.slice(at + 1);
    await refused(changed);
  }
  await enter(token);
  assert.equal(CHALLENGE, 'Bearer');
});

test('SAM-9 exp is mandatory, and exp, nbf and iat hold with 60 s of tolerance', async () => {
  const { enter, refused } = await setUp();
  const good = [{ exp: NOW - 59, iat: NOW - 100 }, { nbf: NOW + 60 }, { iat: NOW + 60 }, { iat: undefined }];
  for (const claims of good) await enter(hs256({ ...CLAIMS, ...claims }));
  const bad = [
    { exp: undefined },
    { exp: NOW - 60, iat: NOW - 100 },
    { nbf: NOW + 61 },
    { iat: NOW + 61 },
    { exp: String(NOW + 60) },
    { exp: null },
    { nbf: 'now' },
  ];
  for (const claims of bad) await refused(hs256({ ...CLAIMS, ...claims }));
});

test('SAM-9 a token accepted before is refused the moment it expires', async () => {
  const { enter, refused, clock } = await setUp();
  const token = hs256(CLAIMS);
  await enter(token);
  clock.pass(HOUR + 59_999);
  await enter(token);
  clock.pass(1);
  await refused(token);
});

test('SAM-9 only the canonical spelling of a token is read', async () => {
  const { enter, refused } = await setUp();
  const token = hs256(CLAIMS);
  const [header = '', claims = '', signature = ''] = token.split('.');
  await enter(token);
  const last = signature.at(-1) ?? '';
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const sameBytes = alphabet[alphabet.indexOf(last) ^ 1] ?? '';
  const spellings = [
    `${token}=`,
    `${token}.`,
    `${header}.${claims}.${signature.slice(0, -1)}${sameBytes}`,
    `${header}.${claims}=.${signature}`,
    `${header}..${signature}`,
    `${header}.${claims}`,
    `${token} ${token}`,
  ];
  for (const spelling of spellings) await refused(spelling);
  await refused('a'.repeat(20_000));
});

test('SAM-14 where issuer or audience is configured, a token lacking or differing in it is refused', async () => {
  const { enter, refused } = await setUp({
    jwtKeys: [
      { kid: 'k', algorithm: 'HS256', material: JWT_SECRET, issuer: 'https://id', audience: 'batuta' },
    ],
  });
  const good = { ...CLAIMS, iss: 'https://id', aud: 'batuta' };
  await enter(hs256(good));
  await enter(hs256({ ...good, aud: ['other', 'batuta'] }));
  for (const claims of [
    { iss: undefined },
    { iss: 'https://id/' },
    { aud: undefined },
    { aud: 'other' },
    { aud: ['other'] },
    { iss: ['https://id'] },
  ])
    await refused(hs256({ ...good, ...claims }));
});

test('SAM-14 SAM-233 a revoked jti is refused at once here and within 1 s on another node, however its token is spelt', async () => {
  const { guards, enter, refused, node, clock } = await setUp();
  const elsewhere = await node();
  const [one, same, other] = [
    hs256({ ...CLAIMS, jti: 'j1' }),
    hs256({ jti: 'j1', ...CLAIMS }),
    hs256({ ...CLAIMS, jti: 'j2' }),
  ];
  const admin = await enter(hs256({ ...CLAIMS, permissions: ['admin'] }));
  for (const token of [one, same]) await enter(token);
  await enter(one, elsewhere);
  await guards.tokens.revoke(admin, { jti: 'j1' });
  for (const token of [one, same]) await refused(token);
  await enter(other);
  clock.pass(SECOND);
  await refusedWith('unauthenticated', enter(one, elsewhere));
});

test('SAM-14 a jti is revoked in its own tenant alone', async () => {
  const { guards, enter } = await setUp();
  const secret = 'the secret of acme, 32 bytes or longer';
  await guards.jwtKeys.add(ACME, { kid: 'acme-1', algorithm: 'HS256', material: secret });
  const acme = await enter(
    hs256({ ...CLAIMS, permissions: ['admin'], jti: 'j1' }, secret, { kid: 'acme-1' }),
  );
  await guards.tokens.revoke(acme, { jti: 'j1' });
  await enter(hs256({ ...CLAIMS, jti: 'j1' }));
});

test('SAM-14 a tenant may require jti', async () => {
  const { guards, enter, refused, lastReason } = await setUp();
  await enter(hs256(CLAIMS));
  await guards.tenants.update(DEFAULT_TENANT, { options: { requireJti: true } });
  await refused(hs256(CLAIMS));
  assert.equal(await lastReason(), 'jti_missing');
  await enter(hs256({ ...CLAIMS, jti: 'j1' }));
  await refused(hs256({ ...CLAIMS, jti: 1 }));
});

test('SAM-15 a token that lives over 24 h is refused', async () => {
  const { enter, refused, lastReason } = await setUp();
  await enter(hs256({ ...CLAIMS, exp: NOW + 86_400 }));
  await refused(hs256({ ...CLAIMS, exp: NOW + 86_401 }));
  assert.equal(await lastReason(), 'lives_too_long');
  await refused(hs256({ ...CLAIMS, iat: NOW - 86_400, exp: NOW + 60 }));
  await refused(hs256({ ...CLAIMS, iat: undefined, exp: NOW + 86_401 }));
});

test('SAM-15 encrypted tokens open where a decryption key is configured, and nowhere else', async () => {
  const direct = randomBytes(32);
  const { guards, enter, refused, lastReason } = await setUp();
  const token = hs256(CLAIMS);
  const tokens = [
    await encrypted(token, 'dir', direct),
    await encrypted(token, 'RSA-OAEP-256', rsa.publicKey),
  ];
  for (const one of tokens) await refused(one);
  assert.equal(await lastReason(), 'key_unknown');
  await guards.jwtKeys.add(DEFAULT_TENANT, {
    kid: 'dir',
    algorithm: 'dir',
    material: direct.toString('base64url'),
  });
  await guards.jwtKeys.add(DEFAULT_TENANT, {
    algorithm: 'RSA-OAEP-256',
    material: pem(createPrivateKey(pem(rsa.privateKey))),
  });
  for (const one of tokens) assert.equal((await enter(one)).principal.id, 'jwt:manus_orchestrator_001');
  await guards.jwtKeys.deactivate(DEFAULT_TENANT, 'dir');
  await refused(tokens[0] ?? '');
});

test('SAM-15 encryption does not stand in for a signature, and other ciphers or compression are refused', async () => {
  const direct = randomBytes(32);
  const { guards, refused, enter } = await setUp();
  const material = direct.toString('base64url');
  await guards.jwtKeys.add(DEFAULT_TENANT, { algorithm: 'dir', material });
  await enter(await encrypted(hs256(CLAIMS), 'dir', direct));
  await refused(await encrypted(JSON.stringify(CLAIMS), 'dir', direct));
  await refused(await encrypted(`${encoded({ alg: 'none' })}.${encoded(CLAIMS)}.`, 'dir', direct));
  await refused(await encrypted(hs256(CLAIMS, randomBytes(32)), 'dir', direct));
  await refused(await encrypted(hs256(CLAIMS), 'dir', direct, { enc: 'A128CBC-HS256' }));
  const [header = '', ...rest] = (await encrypted(hs256(CLAIMS), 'dir', direct)).split('.');
  const zipped = encoded({
    ...(JSON.parse(Buffer.from(header, 'base64url').toString()) as object),
    zip: 'DEF',
  });
  await refused([zipped, ...rest].join('.'));
});

test('SAM-15 a token opened with one tenant’s key must be signed with a key of the same tenant', async () => {
  const direct = randomBytes(32);
  const { guards, refused } = await setUp();
  const material = direct.toString('base64url');
  await guards.jwtKeys.add(ACME, { kid: 'acme-dir', algorithm: 'dir', material });
  await refused(await encrypted(hs256(CLAIMS), 'dir', direct, { kid: 'acme-dir' }));
});
