import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { compactDecrypt } from 'jose';
import type { JsonObject } from '../domain/json.ts';
import { refusedWith } from './fixture.test.ts';
import { createSealer } from './sealer.ts';

const sealer = createSealer();
const jwk = (key: KeyObject): JsonObject => key.export({ format: 'jwk' }) as JsonObject;
const rsa = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const okp = generateKeyPairSync('x25519');

test('SAM-177 what is sealed to an RSA, EC or X25519 key opens with its private half alone, and names key and content', async () => {
  for (const [pair, alg] of [
    [rsa, 'RSA-OAEP-256'],
    [ec, 'ECDH-ES+A256KW'],
    [okp, 'ECDH-ES+A256KW'],
  ] as const) {
    const key = { ...jwk(pair.publicKey), kid: 'mine' };
    await sealer.check(key, 'encrypt_to');
    const jwe = await sealer.seal(key, Buffer.from('canary'), 'text/plain');
    assert.ok(!jwe.includes('canary'));
    const { plaintext, protectedHeader } = await compactDecrypt(jwe, pair.privateKey);
    assert.equal(Buffer.from(plaintext).toString(), 'canary');
    assert.deepEqual(
      [protectedHeader.alg, protectedHeader.enc, protectedHeader.kid, protectedHeader.cty],
      [alg, 'A256GCM', 'mine', 'text/plain'],
    );
  }
});

test('SAM-177 a private, symmetric, signing, foreign or broken key is refused, naming the field and quoting nothing', async () => {
  const secret = jwk(ec.privateKey);
  const unfit: readonly JsonObject[] = [
    secret,
    jwk(rsa.privateKey),
    { kty: 'oct', k: 'c2VjcmV0' },
    { ...jwk(rsa.publicKey), use: 'sig' },
    { ...jwk(rsa.publicKey), alg: 'RS256' },
    { ...jwk(rsa.publicKey), key_ops: ['verify'] },
    jwk(generateKeyPairSync('ed25519').publicKey),
    jwk(generateKeyPairSync('rsa', { modulusLength: 1_024 }).publicKey),
    { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' },
    {},
  ];
  for (const key of unfit) {
    const error = await refusedWith('invalid_request', sealer.check(key, 'notification_config.encrypt_to'));
    const [fault] = error.details.errors as readonly JsonObject[];
    assert.equal(fault?.field, 'notification_config.encrypt_to', JSON.stringify(key));
    assert.ok(!error.message.includes(String(secret.d)));
  }
});
