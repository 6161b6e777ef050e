// Encryption to a requester's public key (`SAM-177`): which keys are fit, and compact JWE by RSA-OAEP-256 or ECDH-ES+A256KW, always
// with A256GCM.

import { CompactEncrypt, importJWK, type JWK } from 'jose';
import { DomainError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Sealer } from '../engine/ports/sealer.ts';

const CURVES: Readonly<Record<string, readonly string[]>> = {
  EC: ['P-256', 'P-384', 'P-521'],
  OKP: ['X25519'],
};
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k'];

/** The sealer; it keeps no key. */
export function createSealer(): Sealer {
  return {
    async check(key, field) {
      const fault = await faultOf(key);
      if (fault === null) return;
      throw new DomainError('invalid_request', `${field} ${fault}`, {
        details: { errors: [{ field, message: fault }] },
      });
    },
    seal,
  };
}

async function seal(key: JsonObject, content: Uint8Array, mediaType: string): Promise<string> {
  const alg = algorithmOf(key);
  const kid = typeof key.kid === 'string' ? { kid: key.kid } : {};
  return new CompactEncrypt(content)
    .setProtectedHeader({ alg, enc: 'A256GCM', cty: mediaType, ...kid })
    .encrypt(await importJWK(key as JWK, alg));
}

function algorithmOf({ kty }: JsonObject): 'RSA-OAEP-256' | 'ECDH-ES+A256KW' {
  return kty === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW';
}

/** What is wrong with a key; never quotes it. */
async function faultOf(key: JsonObject): Promise<string | null> {
  if (PRIVATE_MEMBERS.some(member => key[member] !== undefined))
    return 'holds private key material: send the public key alone, and consider this one known';
  const { kty, crv, use, alg } = key;
  const curves = CURVES[String(kty)];
  if (kty !== 'RSA' && curves === undefined) return 'must be a JWK of kty RSA, EC or OKP';
  if (curves !== undefined && !curves.includes(String(crv))) return `must be on ${curves.join(', ')}`;
  if (use !== undefined && use !== 'enc') return 'must be for use enc';
  if (alg !== undefined && alg !== algorithmOf(key)) return `must be for alg ${algorithmOf(key)}`;
  try {
    // Only a trial shows it, and the end of a long task is too late to learn it.
    await seal(key, new Uint8Array(), 'application/octet-stream');
    return null;
  } catch {
    return 'is no valid public key to encrypt to (RSA needs 2,048 bits)';
  }
}
