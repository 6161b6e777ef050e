// Trades API keys for tokens, refreshes and revokes them (`SAM-16`, `SAM-17`): what `auth/token`, `auth/refresh` and `auth/revoke` do.
// An access token is a JWT of our own that is worth no more than the key behind it at any moment.

import { createHmac } from 'node:crypto';
import { DomainError } from '../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import { allows, type Permission, permissionsOf } from '../domain/principal.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { ApiKey } from './api-key.ts';
import type { ApiKeys } from './api-keys.ts';
import type { AttemptLog } from './attempts.ts';
import type { AuditRecorder } from './audit.ts';
import type { Authenticated, AuthRequest } from './authentication.ts';
import type { JwtVerifier, VerifiedToken } from './jwt.ts';
import type { JwtKeys } from './jwt-keys.ts';
import type { KeyProof } from './key-proof.ts';
import type { RefreshFamilies, RefreshGrant } from './refresh-families.ts';
import { Refusal } from './refusal.ts';
import type { Revocations } from './revocations.ts';

/** A pair of tokens, in the words of RFC 6749. */
export interface TokenAnswer {
  readonly access_token: string;
  readonly token_type: 'Bearer';
  /** Seconds. */
  readonly expires_in: number;
  readonly refresh_token: string;
  /** The permissions granted, separated by blanks. */
  readonly scope: string;
}

/** What is to be revoked: an access or refresh token, or the `jti` of an access token. */
export type RevocationRequest = { readonly token: string } | { readonly jti: string };

/** A refresh token and where it is shown. */
export interface RefreshRequest
  extends Pick<AuthRequest, 'sourceAddress' | 'clientCertificateSha256' | 'requestId'> {
  readonly refreshToken: string;
}

/** What the token service works with. */
export interface TokenParts {
  readonly apiKeys: Pick<ApiKeys, 'find'>;
  readonly keys: JwtKeys;
  readonly verifier: JwtVerifier;
  readonly proof: KeyProof;
  readonly families: RefreshFamilies;
  readonly revocations: Revocations;
  readonly attempts: AttemptLog;
  readonly audit: AuditRecorder;
}

const ACCESS_SECONDS = 3_600;

/** Issues and ends the tokens of all tenants. */
export class TokenService {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #parts: TokenParts;

  constructor(clock: Clock, random: Random, parts: TokenParts) {
    this.#clock = clock;
    this.#random = random;
    this.#parts = parts;
  }

  /** Trades the key a caller has just shown for tokens; throws `invalid_request` (grant or scope), `forbidden` (such a key stays home). */
  async exchange(
    caller: Authenticated,
    asked: { readonly grantType: string; readonly scope?: string },
  ): Promise<TokenAnswer> {
    if (asked.grantType !== 'client_credentials')
      throw oauth('unsupported_grant_type', 'grant_type must be client_credentials');
    const { principal, keyId, method } = caller;
    if (keyId === null || method.includes('jwt'))
      throw new DomainError('forbidden', 'tokens are given for an API key and its secret');
    const record = await this.#parts.apiKeys.find(keyId);
    if (record === null) throw new DomainError('unauthenticated', 'the API key is gone');
    const { key } = record;
    if (key.requireSignature || key.demandSecondFactor !== undefined)
      throw new DomainError('forbidden', 'a key that demands more than a secret is not traded for a token');
    const grant = { tenant: principal.tenant, keyId, permissions: scopeOf(caller, asked.scope) };
    const { family, token } = await this.#parts.families.begin(grant);
    return this.#answer(grant, key, { family, refreshToken: token });
  }

  /** Spends a refresh token for a new pair; throws `unauthenticated`, and ends the family if the token was spent before. */
  async refresh(request: RefreshRequest): Promise<TokenAnswer> {
    const { sourceAddress: address, requestId } = request;
    const attempt = { address, requestId, method: 'refresh_token' };
    try {
      const answer = await this.#refresh(request);
      const { tenant, keyId } = answer.grant;
      const principal = `key:${keyId}`;
      this.#parts.attempts.record({ ...attempt, tenant, principal, action: 'auth.accepted', reason: null });
      return answer.tokens;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { tenant = DEFAULT_TENANT, principal = 'unknown' } = error.terms;
      const { reason } = error;
      this.#parts.attempts.record({ ...attempt, tenant, principal, action: 'auth.refused', reason });
      throw error.toError();
    }
  }

  /** Ends a token of the caller's tenant; a token nobody knows is as good as ended. Throws `forbidden` for a `jti` not one's own without `admin`. */
  async revoke(caller: Authenticated, asked: RevocationRequest): Promise<void> {
    const { tenant } = caller.principal;
    if ('jti' in asked) {
      if (asked.jti !== caller.jti && !allows(caller.principal, 'admin'))
        throw new DomainError('forbidden', 'only an administrator revokes by jti', {
          details: { required: 'admin' },
        });
      await this.#parts.revocations.revoke(tenant, { by: 'jti', jti: asked.jti });
      return this.#record(caller, 'token.revoked', { jti: asked.jti });
    }
    const presented = await this.#parts.families.peek(asked.token);
    if (presented !== null) {
      if (presented.grant.tenant !== tenant) return;
      await this.#endFamily(tenant, presented.family);
      return this.#record(caller, 'token.revoked', { family: presented.family });
    }
    const token = await this.#identified(asked.token);
    if (token === null || token.principal.tenant !== tenant) return;
    await this.#parts.revocations.revoke(tenant, token.revocable);
    this.#record(caller, 'token.revoked', { jti: token.jti });
  }

  async #refresh(
    request: RefreshRequest,
  ): Promise<{ readonly grant: RefreshGrant; readonly tokens: TokenAnswer }> {
    const turn = await this.#parts.families.turn(request.refreshToken);
    if (turn.status === 'invalid') throw new Refusal('refresh_token');
    const { family, grant } = turn;
    const { tenant, keyId } = grant;
    const known = { tenant, principal: `key:${keyId}`, keyId };
    if (turn.status === 'reused') {
      await this.#endFamily(tenant, family);
      this.#parts.audit.record({
        tenant,
        action: 'security.refresh_reuse',
        principal: known.principal,
        detail: { family, address: request.sourceAddress },
        requestId: request.requestId,
      });
      throw new Refusal('refresh_reused', known);
    }
    const scene = {
      now: this.#clock.now(),
      address: request.sourceAddress,
      clientCertificateSha256: request.clientCertificateSha256,
    };
    const { key } = await this.#parts.proof.usable(keyId, scene);
    return { grant, tokens: await this.#answer(grant, key, { family, refreshToken: turn.next }) };
  }

  async #answer(
    grant: RefreshGrant,
    key: ApiKey,
    { family, refreshToken }: { readonly family: string; readonly refreshToken: string },
  ): Promise<TokenAnswer> {
    const iat = Math.floor(this.#clock.now() / 1_000);
    const claims: JsonObject = {
      sub: key.id,
      client_id: key.id,
      tenant: grant.tenant,
      permissions: grant.permissions,
      ...(key.taskTypes === undefined ? {} : { capabilities: key.taskTypes }),
      ...(key.agentId === undefined ? {} : { agent_id: key.agentId }),
      jti: this.#random.uuid(),
      family,
      iat,
      exp: iat + ACCESS_SECONDS,
    };
    this.#parts.audit.record({
      tenant: grant.tenant,
      action: 'token.issued',
      principal: `key:${key.id}`,
      detail: { jti: String(claims.jti), family },
    });
    return {
      access_token: await this.#signed(grant.tenant, claims),
      token_type: 'Bearer',
      expires_in: ACCESS_SECONDS,
      refresh_token: refreshToken,
      scope: grant.permissions.join(' '),
    };
  }

  async #signed(tenant: TenantId, claims: JsonObject): Promise<string> {
    const { kid, key } = await this.#parts.keys.own(tenant);
    const parts = [{ alg: 'HS256', typ: 'JWT', kid }, claims];
    const input = parts.map(part => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`;
  }

  /** The family's refresh tokens, and the access tokens that came of them. */
  async #endFamily(tenant: TenantId, family: string): Promise<void> {
    await this.#parts.families.revoke(tenant, family);
    await this.#parts.revocations.revoke(tenant, { by: 'family', family });
  }

  async #identified(token: string): Promise<VerifiedToken | null> {
    try {
      return await this.#parts.verifier.identify(token);
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    }
  }

  #record({ principal }: Authenticated, action: string, detail: JsonObject): void {
    this.#parts.audit.record({ tenant: principal.tenant, action, principal: principal.id, detail });
  }
}

function scopeOf({ principal }: Authenticated, scope: string | undefined): readonly Permission[] {
  if (scope === undefined || scope.trim() === '') return [...principal.permissions];
  const names = scope.trim().split(/ +/);
  for (const name of names) {
    const asked = [...permissionsOf([name])];
    if (asked.length === 0 || !asked.every(permission => allows(principal, permission)))
      throw oauth('invalid_scope', `the key has no permission ${name}`);
  }
  return [...permissionsOf(names)];
}

function oauth(error: string, message: string): DomainError {
  return new DomainError('invalid_request', message, { details: { oauth_error: error } });
}
