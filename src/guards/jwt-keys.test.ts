import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import { ACME, JWT_SECRET, refusedWith, SECOND, setup } from './fixture.test.ts';
import { CLAIMS, ed25519, encoded, hs256, p256, pem, rsa, setUp, signedBy } from './fixture-tokens.test.ts';

test('SAM-10 HS256, RS256, ES256 and EdDSA verify, each with the key pinned to it', async () => {
  const { guards, enter, refused } = await setUp();
  const keys = [
    { kid: 'r', algorithm: 'RS256', pair: rsa },
    { kid: 'e', algorithm: 'ES256', pair: p256 },
    { kid: 'd', algorithm: 'EdDSA', pair: ed25519 },
  ] as const;
  for (const { kid, algorithm, pair } of keys)
    await guards.jwtKeys.add(DEFAULT_TENANT, { kid, algorithm, material: pem(pair.publicKey) });
  await enter(hs256(CLAIMS));
  for (const { kid, algorithm, pair } of keys) {
    await enter(await signedBy(algorithm, pair.privateKey));
    await enter(await signedBy(algorithm, pair.privateKey, CLAIMS, { kid }));
    const other = kid === 'r' ? 'e' : 'r';
    await refused(await signedBy(algorithm, pair.privateKey, CLAIMS, { kid: other }));
  }
});

test('SAM-10 a public key as JWK verifies too', async () => {
  const { guards, enter } = await setUp();
  const material = p256.publicKey.export({ format: 'jwk' }) as JsonObject;
  await guards.jwtKeys.add(DEFAULT_TENANT, { algorithm: 'ES256', material });
  await enter(await signedBy('ES256', p256.privateKey));
});

test('SAM-10 a token of algorithm none, in any spelling, or of an unknown one is refused', async () => {
  const { refused } = await setUp();
  const claims = encoded(CLAIMS);
  for (const alg of ['none', 'None', 'NONE', 'nOnE', '', 'HS512', 'PS256', 'hs256'])
    for (const signature of ['', hs256(CLAIMS).split('.')[2] ?? ''])
      await refused(`${encoded({ alg })}.${claims}.${signature}`);
  await refused(`${encoded({})}.${claims}.`);
});

test('SAM-10 an HS256 token signed with the text of a public key does not pass for an RS256 one', async () => {
  const { guards, refused } = await setUp();
  const publicKey = pem(rsa.publicKey);
  await guards.jwtKeys.add(DEFAULT_TENANT, { kid: 'r', algorithm: 'RS256', material: publicKey });
  const jwk = JSON.stringify(rsa.publicKey.export({ format: 'jwk' }));
  const der = rsa.publicKey.export({ type: 'spki', format: 'der' });
  for (const secret of [publicKey, publicKey.trim(), jwk, der])
    for (const header of [{}, { kid: 'r' }]) await refused(hs256(CLAIMS, secret, header));
});

test('SAM-10 keys a token brings along or points at are never used', async () => {
  const { enter, refused } = await setUp();
  const mine = randomBytes(32);
  const k = mine.toString('base64url');
  const headers: readonly JsonObject[] = [
    { jwk: { kty: 'oct', k } },
    { jku: 'https://attacker.example/keys' },
    { x5u: 'https://attacker.example/cert' },
    { x5c: ['MIIB'] },
    { kid: '../../../../dev/null' },
    { kid: "' UNION SELECT 'AA" },
    { kid: 'https://attacker.example/key' },
  ];
  for (const header of headers) {
    await refused(hs256(CLAIMS, mine, header));
    await refused(hs256(CLAIMS, '', header));
  }
  const jwk = p256.publicKey.export({ format: 'jwk' });
  await refused(await signedBy('ES256', p256.privateKey, CLAIMS, { jwk }));
  await enter(hs256(CLAIMS, JWT_SECRET, { jwk: { kty: 'oct', k } }));
});

test('SAM-10 a header that demands what we do not understand is refused', async () => {
  const { refused } = await setUp();
  await refused(hs256(CLAIMS, JWT_SECRET, { crit: ['exp'] }));
  await refused(hs256(CLAIMS, JWT_SECRET, { crit: ['b64'], b64: false }));
  await refused(hs256(CLAIMS, JWT_SECRET, { kid: 7 }));
});

test('SAM-11 weak keys, keys of another kind and private keys are refused at configuration', async () => {
  const { guards } = await setUp();
  const weakRsa = generateKeyPairSync('rsa', { modulusLength: 1_024 });
  const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' });
  const bad = [
    { algorithm: 'HS256', material: 'x'.repeat(31) },
    { algorithm: 'HS256', material: pem(rsa.publicKey) },
    { algorithm: 'RS256', material: pem(weakRsa.publicKey) },
    { algorithm: 'RS256', material: pem(p256.publicKey) },
    { algorithm: 'RS256', material: pem(rsa.privateKey) },
    { algorithm: 'ES256', material: pem(p384.publicKey) },
    { algorithm: 'ES256', material: p256.privateKey.export({ format: 'jwk' }) as JsonObject },
    { algorithm: 'EdDSA', material: pem(p256.publicKey) },
    { algorithm: 'EdDSA', material: 'nonsense' },
    { algorithm: 'dir', material: 'dG9vIHNob3J0' },
    { algorithm: 'RSA-OAEP-256', material: pem(rsa.publicKey) },
  ] as const;
  for (const asked of bad) await refusedWith('invalid_request', guards.jwtKeys.add(DEFAULT_TENANT, asked));
  assert.deepEqual(await guards.jwtKeys.list(DEFAULT_TENANT), []);
  const weak = setup({ jwtKeys: [{ kid: 'weak', algorithm: 'HS256', material: 'your_jwt_secret_key' }] });
  await refusedWith('invalid_request', weak);
  await guards.jwtKeys.add(DEFAULT_TENANT, { algorithm: 'HS256', material: 'x'.repeat(32) });
});

test('SAM-11 without a kid the eight newest keys of the algorithm are tried, with one exactly its own', async () => {
  const { guards, enter, refused, clock } = await setUp({ jwtKeys: [] });
  const secrets = Array.from({ length: 9 }, (_, at) => `secret number ${at} of the nine, 32 bytes long`);
  for (const [at, material] of secrets.entries()) {
    await guards.jwtKeys.add(DEFAULT_TENANT, { kid: `k${at}`, algorithm: 'HS256', material });
    clock.pass(1);
  }
  await refused(hs256(CLAIMS, secrets[0]));
  for (const secret of secrets.slice(1)) await enter(hs256(CLAIMS, secret));
  await enter(hs256(CLAIMS, secrets[0], { kid: 'k0' }));
  await refused(hs256(CLAIMS, secrets[1], { kid: 'k0' }));
  await refused(hs256(CLAIMS, secrets[1], { kid: 'k10' }));
});

test('SAM-11 a kid belongs to its first tenant for ever, so nobody draws another’s tokens to himself', async () => {
  const { guards, enter } = await setUp();
  const material = pem(p256.publicKey);
  await guards.jwtKeys.add(ACME, { kid: 'acme-1', algorithm: 'ES256', material });
  const token = await signedBy('ES256', p256.privateKey, CLAIMS, { kid: 'acme-1' });
  assert.equal((await enter(token)).principal.tenant, ACME);
  const take = () => guards.jwtKeys.add(DEFAULT_TENANT, { kid: 'acme-1', algorithm: 'ES256', material });
  await refusedWith('conflict', take());
  await guards.jwtKeys.deactivate(ACME, 'acme-1');
  await refusedWith('conflict', take());
  await refusedWith(
    'conflict',
    guards.jwtKeys.add(ACME, { kid: 'configured', algorithm: 'ES256', material }),
  );
  await refusedWith(
    'invalid_request',
    guards.jwtKeys.add(ACME, { kid: 'own.x', algorithm: 'ES256', material }),
  );
});

test('SAM-11 SAM-233 the tokens of a deactivated key are refused at the next request, and within 1 s on another node', async () => {
  const { guards, enter, refused, node, clock } = await setUp();
  const secret = 'a secret to be withdrawn, 32 bytes long';
  await guards.jwtKeys.add(DEFAULT_TENANT, { kid: 'k', algorithm: 'HS256', material: secret });
  const elsewhere = await node();
  const token = hs256(CLAIMS, secret);
  await enter(token);
  await enter(token, elsewhere);
  await guards.jwtKeys.deactivate(DEFAULT_TENANT, 'k');
  await refused(token);
  clock.pass(SECOND);
  await refusedWith('unauthenticated', enter(token, elsewhere));
});
