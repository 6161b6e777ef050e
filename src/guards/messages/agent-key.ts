// One key of an agent: which JWKs may be registered, what is kept of them, and when a key is good. A JWK's `kty` and `crv` decide
// its one use and its one algorithm, so no key ever serves another.

import { createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import { FlattenedEncrypt } from 'jose';
import { DomainError } from '../../domain/errors.ts';
import { isCallerId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';

/** What agents sign with: `EdDSA` and `HS256`; what is encrypted to them: `ECDH-ES+A256KW`. */
export type AgentKeyAlgorithm = 'EdDSA' | 'HS256' | 'ECDH-ES+A256KW';

/** A key as it is shown: never its secret. */
export interface AgentKeyView {
  readonly kid: string;
  readonly algorithm: AgentKeyAlgorithm;
  /** Null for a shared secret. */
  readonly publicJwk: JsonObject | null;
  /** Epoch milliseconds, as the others. */
  readonly notBefore: number;
  readonly expiresAt: number | null;
  readonly revokedAt: number | null;
  readonly createdAt: number;
}

/** What is kept of a JWK: its public half, or the base64url of a secret that must be sealed. */
export type KeptJwk =
  | { readonly algorithm: 'EdDSA' | 'ECDH-ES+A256KW'; readonly publicJwk: JsonObject }
  | { readonly algorithm: 'HS256'; readonly secret: string };

/** Header of everything that is encrypted to an agent or to this server. */
export const CONTENT_ENCRYPTION = 'A256GCM';

/** How the content key is wrapped for each receiver. */
export const KEY_WRAPPING = 'ECDH-ES+A256KW';

const SECRET_BYTES_MIN = 32;
const SECRET_BYTES_MAX = 1_024;
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth'];
const WANTED = 'must be a JWK: Ed25519 to sign, X25519 to receive, or an oct secret for HS256';

/** The `kid` a JWK brings along, if any; throws `invalid_request` for one in another form than ids have. */
export function kidOf(jwk: JsonObject): string | undefined {
  if (jwk.kid === undefined) return undefined;
  if (typeof jwk.kid === 'string' && isCallerId(jwk.kid)) return jwk.kid;
  throw unfit('has a kid of other than 1–200 characters of [A-Za-z0-9._:-]');
}

/** Checks a JWK and answers what to keep; throws `invalid_request`, quoting nothing of it, for a weak, private or foreign one. */
export async function keptJwk(jwk: JsonObject): Promise<KeptJwk> {
  if (PRIVATE_MEMBERS.some(member => jwk[member] !== undefined))
    throw unfit('holds a private key: send the public half alone, and consider this key known');
  if (jwk.kty === 'oct') return { algorithm: 'HS256', secret: secretOf(jwk) };
  if (jwk.k !== undefined) throw unfit('holds a secret beside a public key');
  if (jwk.kty !== 'OKP') throw unfit(WANTED);
  if (jwk.crv === 'Ed25519') {
    refuseOther(jwk, 'sig', ['EdDSA', 'Ed25519']);
    return { algorithm: 'EdDSA', publicJwk: publicHalf(jwk) };
  }
  if (jwk.crv !== 'X25519') throw unfit(WANTED);
  refuseOther(jwk, 'enc', ['ECDH-ES+A256KW', 'ECDH-ES']);
  const publicJwk = publicHalf(jwk);
  await tryToEncrypt(publicJwk);
  return { algorithm: KEY_WRAPPING, publicJwk };
}

/** The key to verify with, of what was kept. */
export function verificationKey(kept: KeptJwk): KeyObject {
  if (kept.algorithm === 'HS256') return createSecretKey(Buffer.from(kept.secret, 'base64url'));
  return publicKeyOf(kept.publicJwk);
}

/** The key of a public JWK that was kept. */
export function publicKeyOf(jwk: JsonObject): KeyObject {
  return createPublicKey({ key: jwk, format: 'jwk' });
}

/** Whether a key is good at an instant: begun, not over, not revoked. */
export function isGood({ notBefore, expiresAt, revokedAt }: AgentKeyView, now: number): boolean {
  return revokedAt === null && notBefore <= now && (expiresAt === null || now < expiresAt);
}

function secretOf(jwk: JsonObject): string {
  refuseOther(jwk, 'sig', ['HS256']);
  const text = typeof jwk.k === 'string' ? jwk.k : '';
  const secret = Buffer.from(text, 'base64url');
  if (secret.toString('base64url') !== text) throw unfit('has a secret that is not base64url');
  if (secret.length < SECRET_BYTES_MIN || secret.length > SECRET_BYTES_MAX)
    throw unfit(`needs a secret of ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes`);
  return text;
}

function refuseOther({ use, alg }: JsonObject, wantedUse: string, algorithms: readonly string[]): void {
  if (use !== undefined && use !== wantedUse) throw unfit(`must be for use ${wantedUse}`);
  if (alg !== undefined && !algorithms.includes(String(alg))) throw unfit(`must be for alg ${algorithms[0]}`);
}

function publicHalf({ kty, crv, x }: JsonObject): JsonObject {
  const half = { kty, crv, x };
  try {
    const exported = publicKeyOf(half).export({ format: 'jwk' });
    if (exported.x === x) return half;
  } catch (error) {
    throw unfit('is no valid public key', error);
  }
  throw unfit('has an x that is not base64url');
}

/** Some points give everybody the same secret; only a trial shows them. */
async function tryToEncrypt(jwk: JsonObject): Promise<void> {
  try {
    await new FlattenedEncrypt(new Uint8Array())
      .setProtectedHeader({ alg: KEY_WRAPPING, enc: CONTENT_ENCRYPTION })
      .encrypt(publicKeyOf(jwk));
  } catch (error) {
    throw unfit('is no public key to encrypt to', error);
  }
}

function unfit(message: string, cause?: unknown): DomainError {
  return new DomainError('invalid_request', `jwk ${message}`, {
    details: { errors: [{ field: 'jwk', message }] },
    cause,
  });
}
