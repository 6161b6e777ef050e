// Verifies bearer tokens. Signature and structure are checked once and remembered; instants, revocation, the key's state and the
// tenant's demands are checked at every request (`docs/decisions/0004-jwt.md`). Nothing in a token's header but `alg` and `kid` is used.

import { createHmac, hash } from 'node:crypto';
import { compactDecrypt, compactVerify, errors } from 'jose';
import { isCallerId, type TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Principal } from '../domain/principal.ts';
import { BoundedMap } from '../runtime/bounded-map.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Scene } from './api-key.ts';
import { sameBytes } from './constant-time.ts';
import { readBytes, readJson } from './jose-parts.ts';
import {
  assertAddressed,
  assertBound,
  assertInTime,
  jtiOf,
  principalOfClaims,
  quotasOf,
} from './jwt-claims.ts';
import type { JwtKey, JwtKeys } from './jwt-keys.ts';
import { ENCRYPTION_ALGORITHMS, SIGNATURE_ALGORITHMS } from './jwt-material.ts';
import { Refusal } from './refusal.ts';
import { nameOf, type Revocable, type Revocations } from './revocations.ts';
import type { Tenants } from './tenants.ts';

/** The `WWW-Authenticate` value that goes with every 401 (`SAM-9`). */
export const CHALLENGE = 'Bearer';

/** A token that holds now. */
export interface VerifiedToken {
  readonly principal: Principal;
  readonly jti: string | null;
  /** How to revoke this very token. */
  readonly revocable: Revocable;
  /** The API key our own token was traded for; null for the tokens of others. */
  readonly clientKeyId: string | null;
  /** Numbers of the `quotas` claim. */
  readonly quotas: Readonly<Record<string, number>>;
  readonly kid: string;
  /** All it says, proven. */
  readonly claims: JsonObject;
}

interface ProvenToken {
  readonly claims: JsonObject;
  readonly signer: JwtKey;
  /** What opened it, where it came encrypted. */
  readonly opener: JwtKey | null;
  readonly verified: VerifiedToken;
  readonly revocationNames: readonly string[];
}

interface ReadToken {
  readonly header: JsonObject;
  readonly claims: JsonObject;
  readonly signingInput: string;
  readonly signature: Buffer;
}

const TOKEN_CHARACTERS_MAX = 16_384;
const PROVEN_MAX = 10_000;

/** Verifies the tokens of all tenants. */
export class JwtVerifier {
  readonly #clock: Clock;
  readonly #keys: JwtKeys;
  readonly #revocations: Revocations;
  readonly #tenants: Pick<Tenants, 'options'>;
  readonly #proven = new BoundedMap<string, ProvenToken>(PROVEN_MAX);

  constructor(clock: Clock, keys: JwtKeys, revocations: Revocations, tenants: Pick<Tenants, 'options'>) {
    this.#clock = clock;
    this.#keys = keys;
    this.#revocations = revocations;
    this.#tenants = tenants;
  }

  /** The token if it holds here and now; throws a `Refusal`. */
  async verify(token: string, scene: Scene): Promise<VerifiedToken> {
    const proven = await this.#prove(token);
    try {
      await this.#assertHolds(proven, scene);
    } catch (error) {
      throw error instanceof Refusal ? error.with(knownOf(proven)) : error;
    }
    return proven.verified;
  }

  /** The token whatever the hour, as long as one of our keys signed it; for revoking it. Throws a `Refusal`. */
  async identify(token: string): Promise<VerifiedToken> {
    return (await this.#prove(token)).verified;
  }

  async #prove(token: string): Promise<ProvenToken> {
    if (token.length > TOKEN_CHARACTERS_MAX) throw new Refusal('token_too_long');
    const digest = hash('sha256', token, 'base64url');
    const known = this.#proven.get(digest);
    if (known !== undefined) return known;
    const isEncrypted = token.split('.').length === 5;
    const proven = isEncrypted ? await this.#proveEncrypted(token) : await this.#proveSigned(token, null);
    this.#proven.set(digest, proven);
    return proven;
  }

  async #proveSigned(token: string, opener: JwtKey | null): Promise<ProvenToken> {
    const read = readToken(token);
    const algorithm = SIGNATURE_ALGORITHMS.find(one => one === read.header.alg);
    if (algorithm === undefined) throw new Refusal('algorithm');
    const tenant = tenantOf(read.claims);
    const candidates = await this.#keys.candidates({ algorithm, kid: kidOf(read.header), tenant });
    const isOpenTo = (key: JwtKey): boolean => opener === null || opener.tenant === key.tenant;
    for (const key of candidates.filter(isOpenTo))
      if (await isSignedBy(key, token, read)) return proven(read, key, opener);
    throw new Refusal(candidates.length === 0 ? 'key_unknown' : 'signature');
  }

  async #proveEncrypted(token: string): Promise<ProvenToken> {
    const header = readJson(token.slice(0, token.indexOf('.')));
    const algorithm = ENCRYPTION_ALGORITHMS.find(one => one === header.alg);
    if (algorithm === undefined || header.enc !== 'A256GCM') throw new Refusal('algorithm');
    // Compression would let a small token unfold into a huge one.
    if (header.crit !== undefined || header.zip !== undefined) throw new Refusal('header');
    const candidates = await this.#keys.candidates({ algorithm, kid: kidOf(header), tenant: null });
    for (const key of candidates) {
      const opened = await open(key, token);
      if (opened !== null) return this.#proveSigned(opened, key);
    }
    throw new Refusal(candidates.length === 0 ? 'key_unknown' : 'decryption');
  }

  async #assertHolds(token: ProvenToken, scene: Scene): Promise<void> {
    assertInTime(token.claims, this.#clock.now());
    const signer = await this.#keys.current(token.signer);
    if (signer === null) throw new Refusal('key_inactive');
    if (token.opener !== null && (await this.#keys.current(token.opener)) === null)
      throw new Refusal('key_inactive');
    assertAddressed(token.claims, signer);
    const { requireJti } = await this.#tenants.options(signer.tenant);
    if (requireJti && token.verified.jti === null) throw new Refusal('jti_missing');
    assertBound(token.claims, scene);
    if (await this.#revocations.isAnyRevoked(token.revocationNames)) throw new Refusal('revoked');
  }
}

function proven(read: ReadToken, signer: JwtKey, opener: JwtKey | null): ProvenToken {
  const { claims, signingInput } = read;
  const jti = jtiOf(claims);
  const clientKeyId = signer.isOwn && typeof claims.client_id === 'string' ? claims.client_id : null;
  const revocable: Revocable = jti === null ? { by: 'content', signingInput } : { by: 'jti', jti };
  const family = signer.isOwn && typeof claims.family === 'string' ? claims.family : null;
  const revocables: readonly Revocable[] =
    family === null ? [revocable] : [revocable, { by: 'family', family }];
  const principal = principalOfClaims(claims, signer);
  return {
    claims,
    signer,
    opener,
    verified: { principal, jti, revocable, clientKeyId, quotas: quotasOf(claims), kid: signer.kid, claims },
    revocationNames: revocables.map(one => nameOf(signer.tenant, one)),
  };
}

async function isSignedBy(key: JwtKey, token: string, read: ReadToken): Promise<boolean> {
  if (key.algorithm === 'HS256') {
    const expected = createHmac('sha256', key.key).update(read.signingInput).digest();
    return sameBytes(read.signature, expected);
  }
  try {
    await compactVerify(token, key.key, { algorithms: [key.algorithm] });
    return true;
  } catch (error) {
    if (error instanceof errors.JOSEError) return false;
    throw error;
  }
}

async function open(key: JwtKey, token: string): Promise<string | null> {
  try {
    const { plaintext } = await compactDecrypt(token, key.key, {
      keyManagementAlgorithms: [key.algorithm],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    return Buffer.from(plaintext).toString('utf8');
  } catch (error) {
    if (error instanceof errors.JOSEError) return null;
    throw error;
  }
}

function readToken(token: string): ReadToken {
  const parts = token.split('.');
  const [header = '', payload = '', signature = ''] = parts;
  if (parts.length !== 3) throw new Refusal('malformed');
  const read = { header: readJson(header), claims: readJson(payload), signature: readBytes(signature) };
  if (read.header.crit !== undefined) throw new Refusal('header');
  return { ...read, signingInput: `${header}.${payload}` };
}

function kidOf(header: JsonObject): string | null {
  if (header.kid === undefined) return null;
  if (typeof header.kid !== 'string') throw new Refusal('malformed');
  return header.kid;
}

function tenantOf(claims: JsonObject): TenantId | null {
  if (claims.tenant === undefined) return null;
  if (typeof claims.tenant !== 'string' || !isCallerId(claims.tenant)) throw new Refusal('tenant');
  return claims.tenant as TenantId;
}

function knownOf({ verified: { principal } }: ProvenToken): { tenant: TenantId; principal: string } {
  return { tenant: principal.tenant, principal: principal.id };
}
