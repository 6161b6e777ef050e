// The key material of tokens: which key fits which algorithm, and which is too weak or of the wrong kind to be configured at all
// (`SAM-10`, `SAM-11`).

import { createPrivateKey, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../domain/json.ts';

/** The algorithms tokens may be signed with. */
export const SIGNATURE_ALGORITHMS = ['HS256', 'RS256', 'ES256', 'EdDSA'] as const;

/** The algorithms tokens may be encrypted with, always with A256GCM. */
export const ENCRYPTION_ALGORITHMS = ['dir', 'RSA-OAEP-256'] as const;

/** What verifies a signature. */
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

/** What opens an encrypted token. */
export type EncryptionAlgorithm = (typeof ENCRYPTION_ALGORITHMS)[number];

/** The algorithm a key is pinned to. */
export type JwtAlgorithm = SignatureAlgorithm | EncryptionAlgorithm;

/**
 * A key as it is handed in: for HS256 a secret of 32 bytes or more (as UTF-8), for `dir` 32 bytes in base64url, for RS256, ES256 and
 * EdDSA a public key (PEM or JWK), for RSA-OAEP-256 a private key (PEM).
 */
export type KeyMaterial = string | JsonObject;

/** What is kept of a key: a secret to be sealed, or a public key. */
export interface KeptMaterial {
  readonly text: string;
  readonly isSecret: boolean;
}

const SECRET_BYTES_MIN = 32;
const RSA_BITS_MIN = 2_048;

/** Checks a key for its algorithm and answers what to keep of it; throws `invalid_request` for a weak or foreign one. */
export function keptMaterial(algorithm: JwtAlgorithm, given: KeyMaterial): KeptMaterial {
  switch (algorithm) {
    case 'HS256':
      return { text: hmacSecret(given).toString('base64url'), isSecret: true };
    case 'dir':
      return { text: directSecret(given).toString('base64url'), isSecret: true };
    case 'RSA-OAEP-256':
      return { text: exported(rsa(privateKey(given)), 'pkcs8'), isSecret: true };
    case 'RS256':
      return { text: exported(rsa(publicKey(given)), 'spki'), isSecret: false };
    case 'ES256':
      return { text: exported(p256(publicKey(given)), 'spki'), isSecret: false };
    case 'EdDSA':
      return { text: exported(ed25519(publicKey(given)), 'spki'), isSecret: false };
  }
}

/** The key of kept material. */
export function keyOf(algorithm: JwtAlgorithm, text: string): KeyObject {
  if (algorithm === 'HS256' || algorithm === 'dir') return createSecretKey(Buffer.from(text, 'base64url'));
  return algorithm === 'RSA-OAEP-256' ? createPrivateKey(text) : createPublicKey(text);
}

function hmacSecret(given: KeyMaterial): Buffer {
  if (typeof given !== 'string') throw unfit('an HS256 secret is a text');
  // A public key accepted as a secret is the classic confusion: everybody could sign.
  if (given.includes('-----BEGIN')) throw unfit('an HS256 secret cannot be a PEM key');
  const secret = Buffer.from(given, 'utf8');
  if (secret.length < SECRET_BYTES_MIN) throw unfit(`an HS256 secret has ${SECRET_BYTES_MIN} bytes or more`);
  return secret;
}

function directSecret(given: KeyMaterial): Buffer {
  const secret = Buffer.from(typeof given === 'string' ? given : '', 'base64url');
  if (secret.length !== 32) throw unfit('a dir key is 32 bytes in base64url');
  return secret;
}

function publicKey(given: KeyMaterial): KeyObject {
  if (typeof given === 'string' ? given.includes('PRIVATE KEY') : given.d !== undefined)
    throw unfit('a verification key is a public key: keep the private one to yourself');
  try {
    if (isJsonObject(given)) return createPublicKey({ key: given as JsonWebKey, format: 'jwk' });
    return createPublicKey(given);
  } catch (error) {
    throw unfit('the public key cannot be read', error);
  }
}

function privateKey(given: KeyMaterial): KeyObject {
  if (typeof given !== 'string') throw unfit('a decryption key is a private key in PEM');
  try {
    return createPrivateKey(given);
  } catch (error) {
    throw unfit('the private key cannot be read', error);
  }
}

function rsa(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'rsa') throw unfit('the key is not an RSA key');
  if ((key.asymmetricKeyDetails?.modulusLength ?? 0) < RSA_BITS_MIN)
    throw unfit(`an RSA key has ${RSA_BITS_MIN} bits or more`);
  return key;
}

function p256(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ec' || key.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw unfit('the key is not on the curve P-256');
  return key;
}

function ed25519(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ed25519') throw unfit('the key is not an Ed25519 key');
  return key;
}

function exported(key: KeyObject, type: 'spki' | 'pkcs8'): string {
  return String(key.export({ type, format: 'pem' }));
}

function unfit(message: string, cause?: unknown): DomainError {
  return new DomainError('invalid_request', message, {
    details: { errors: [{ field: 'key', message }] },
    cause,
  });
}
