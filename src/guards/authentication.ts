// Who is calling (`SAM-6` – `SAM-8`): reads the credentials of a request, has each proven, lets a principal do what all of them allow,
// and audits every attempt. What is right for one kind of credential stands in its own file.

import type { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { Principal } from '../domain/principal.ts';
import type { Clock } from '../runtime/clock.ts';
import { isOverdue, principalOf, type Scene } from './api-key.ts';
import type { ApiKeyUsage } from './api-key-usage.ts';
import type { ApiKeys } from './api-keys.ts';
import type { AttemptLog } from './attempts.ts';
import { both, type Factor, type Factors, principalOfFactors, recordsOf } from './factors.ts';
import { type HeaderSet, SIGNING_SCHEMES } from './hmac.ts';
import type { JwtVerifier } from './jwt.ts';
import type { KeyProof, SignedParts } from './key-proof.ts';
import { Refusal } from './refusal.ts';

/** A request as far as authentication looks at it; headers have lower-case names, repeated ones as arrays. */
export interface AuthRequest extends SignedParts {
  /** Exactly as sent, without query. */
  readonly path: string;
  /** As sent, without question mark. */
  readonly query: string;
  /** The raw bytes where `wantsBody` says so; null for none. */
  readonly body: Uint8Array | null;
  /** Lower-case hex, in place of `body`, where the server digested a body too large to hold. */
  readonly bodySha256?: string;
  readonly sourceAddress: string;
  /** `x5t#S256` thumbprint of the verified client certificate: base64url of the SHA-256 of its DER. */
  readonly clientCertificateSha256?: string;
  readonly requestId: string;
}

/** A caller that proved who it is. */
export interface Authenticated {
  readonly principal: Principal;
  /** `jwt`, `api_key`, `hmac`, or two of them joined by `+`. */
  readonly method: string;
  /** The API key shown, or behind one of our own tokens. */
  readonly keyId: string | null;
  /** The bearer token's `jti`, if it has one. */
  readonly jti: string | null;
  /** Numbers of the token's `quotas` claim, by name. */
  readonly quotas: Readonly<Record<string, number>>;
  /** Worth telling the caller: `api_key_overdue` for a secret 90 days old or more. */
  readonly warnings: readonly string[];
}

/** Authenticates requests. */
export interface Authenticator {
  /** The caller; throws `unauthenticated`, `forbidden` or `rate_limited`, and like the store when it cannot be read. */
  authenticate(request: AuthRequest): Promise<Authenticated>;
  /** Whether the raw body is needed, because a signature covers it. */
  wantsBody(headers: HeaderSet): boolean;
}

/** What an authenticator is made of. */
export interface AuthenticatorParts {
  readonly clock: Clock;
  readonly keys: Pick<ApiKeys, 'find'>;
  readonly proof: KeyProof;
  readonly usage: ApiKeyUsage;
  readonly tokens: Pick<JwtVerifier, 'verify'>;
  readonly attempts: AttemptLog;
  /** What a token's own limit cannot exceed; infinite where the standard limit is off. */
  readonly standardPerHour: number;
}

/** Makes an authenticator. */
export function createAuthenticator(parts: AuthenticatorParts): Authenticator {
  return {
    authenticate: request => authenticate(parts, request),
    wantsBody: ({ authorization }) =>
      typeof authorization === 'string' && SIGNING_SCHEMES.some(scheme => authorization.startsWith(scheme)),
  };
}

async function authenticate(parts: AuthenticatorParts, request: AuthRequest): Promise<Authenticated> {
  const { sourceAddress: address, requestId, clientCertificateSha256 } = request;
  const scene = { now: parts.clock.now(), address, clientCertificateSha256 };
  const attempt = { address, requestId, method: methodOf(request.headers) };
  try {
    const factors = await prove(parts, request, scene);
    const principal = principalOfFactors(factors, scene);
    await charge(parts, factors, scene);
    const { tenant, id } = principal;
    const reason = factors.flatMap(({ note }) => note ?? []).join(' ');
    parts.attempts.record({ ...attempt, tenant, principal: id, action: 'auth.accepted', reason });
    return authenticatedOf(factors, principal, attempt.method, scene);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw await refused(parts, error, attempt);
  }
}

async function refused(
  parts: AuthenticatorParts,
  refusal: Refusal,
  attempt: { readonly address: string; readonly requestId: string; readonly method: string },
): Promise<DomainError> {
  const { tenant = DEFAULT_TENANT, principal = 'unknown', keyId } = refusal.terms;
  const { reason } = refusal;
  parts.attempts.record({ ...attempt, tenant, principal, action: 'auth.refused', reason });
  const record = keyId === undefined ? null : await parts.keys.find(keyId);
  if (record !== null) parts.usage.refused(record.key);
  return refusal.toError();
}

/** The factors shown, each proven: the Authorization header's first, then the API key's. */
async function prove(parts: AuthenticatorParts, request: AuthRequest, scene: Scene): Promise<Factors> {
  const { authorization, 'x-api-key': keyId, 'x-api-secret': secret } = request.headers;
  const hasKey = keyId !== undefined || secret !== undefined;
  if (hasKey && (typeof keyId !== 'string' || typeof secret !== 'string')) throw new Refusal('half_a_key');
  if (Array.isArray(authorization)) throw new Refusal('authorization_repeated');
  const shown = [
    ...(typeof authorization === 'string' ? [proveAuthorization(parts, authorization, request, scene)] : []),
    ...(hasKey ? [parts.proof.bySecret(String(keyId), String(secret), scene)] : []),
  ];
  const [first, ...more] = await Promise.all(shown);
  if (first === undefined) throw new Refusal('no_credential');
  return [first, ...more];
}

async function proveAuthorization(
  parts: AuthenticatorParts,
  authorization: string,
  request: AuthRequest,
  scene: Scene,
): Promise<Factor> {
  const [, bearer] = /^bearer +([\w.-]+) *$/i.exec(authorization) ?? [];
  if (bearer === undefined) return parts.proof.bySignature(authorization, request, scene);
  const { clientKeyId, kid, jti, quotas, ...token } = await parts.tokens.verify(bearer, scene);
  const ceiling = { ...token.principal, rateLimit: parts.standardPerHour };
  const isLimited = token.principal.rateLimit !== undefined;
  const principal = isLimited ? both(ceiling, token.principal) : token.principal;
  const factor = { method: 'jwt', principal, jti, quotas, note: `kid=${kid}` } as const;
  if (clientKeyId === null) return { ...factor, record: null };
  // Our own token is never more than the key it was traded for, as that key is now.
  const record = await parts.proof.usable(clientKeyId, scene);
  return { ...factor, record, principal: both(principal, principalOf(record.key, 'jwt')) };
}

/** Takes the request off the keys' daily quotas, or throws a `Refusal`; between check and count nothing waits. */
async function charge(parts: AuthenticatorParts, factors: Factors, scene: Scene): Promise<void> {
  const keys = recordsOf(factors).map(({ key }) => key);
  for (const key of keys) await parts.usage.prepare(key);
  for (const key of keys) {
    const retryAfterMs = parts.usage.msUntilRenewal(key);
    if (retryAfterMs === null) continue;
    const { tenant, id: keyId } = key;
    const known = { tenant, principal: `key:${keyId}`, keyId, code: 'rate_limited' } as const;
    const message = 'the daily quota of this key is used up';
    throw new Refusal('usage_quota', { ...known, message, retryAfterMs });
  }
  for (const key of keys) parts.usage.accepted(key, scene.address);
}

function authenticatedOf(
  factors: Factors,
  principal: Principal,
  method: string,
  scene: Scene,
): Authenticated {
  const keys = recordsOf(factors).map(({ key }) => key);
  const token = factors.find(factor => factor.method === 'jwt');
  return {
    principal,
    method,
    keyId: keys.at(-1)?.id ?? null,
    jti: token?.jti ?? null,
    quotas: token?.quotas ?? {},
    warnings: keys.some(key => isOverdue(key, scene.now)) ? ['api_key_overdue'] : [],
  };
}

/** What was shown, by its form: `jwt+api_key`, or `none`. */
function methodOf({ authorization, 'x-api-key': keyId, 'x-api-secret': secret }: HeaderSet): string {
  const text = Array.isArray(authorization) ? authorization.join() : authorization;
  const scheme = typeof text !== 'string' ? [] : [/^bearer /i.test(text) ? 'jwt' : 'hmac'];
  const key = keyId === undefined && secret === undefined ? [] : ['api_key'];
  return [...scheme, ...key].join('+') || 'none';
}
