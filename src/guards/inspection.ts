// What a token is worth that somebody else was shown: asked by services that authenticate nobody themselves. It grants nothing, and says
// nothing of tokens of other tenants.

import type { TenantId } from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { allows, PERMISSIONS, type Permission, type Principal } from '../domain/principal.ts';
import type { Clock } from '../runtime/clock.ts';
import type { JwtVerifier } from './jwt.ts';
import type { KeyProof } from './key-proof.ts';
import type { RefreshFamilies } from './refresh-families.ts';
import { Refusal } from './refusal.ts';

/** The kinds of token there are to ask about. */
export type TokenKind = 'access' | 'refresh' | 'api_key';

/** What a token is worth; instants in epoch milliseconds. */
export type Inspection =
  | { readonly valid: false; readonly reason: 'invalid' | 'expired' }
  | {
      readonly valid: true;
      readonly id: string;
      readonly roles: readonly string[];
      readonly permissions: readonly Permission[];
      readonly issuedAt: number | null;
      readonly expiresAt: number | null;
      readonly issuer: string | null;
      readonly deviceId: string | null;
    };

/** What inspecting is done with. */
export interface InspectorParts {
  readonly verifier: Pick<JwtVerifier, 'verify'>;
  readonly families: Pick<RefreshFamilies, 'peek'>;
  readonly proof: Pick<KeyProof, 'bySecret'>;
}

const INVALID: Inspection = { valid: false, reason: 'invalid' };
/** Each includes the one before. */
const ROLES: readonly (readonly [string, readonly Permission[]])[] = [
  ['viewer', ['task:read']],
  ['agent', ['message:send', 'message:receive']],
  ['operator', ['task:control', 'delivery:manage', 'approval:decide']],
  ['admin', ['admin']],
];

/** Inspects tokens; one of another tenant counts as bad. */
export class TokenInspector {
  readonly #clock: Clock;
  readonly #parts: InspectorParts;

  constructor(clock: Clock, parts: InspectorParts) {
    this.#clock = clock;
    this.#parts = parts;
  }

  /** What the token is worth to the tenant; of an API key, `id:secret`. */
  async inspect(tenant: TenantId, token: string, kind: TokenKind): Promise<Inspection> {
    try {
      return await this.#inspect(tenant, token, kind);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const isOurs = error.terms.tenant === undefined || error.terms.tenant === tenant;
      return error.reason === 'expired' && isOurs ? { valid: false, reason: 'expired' } : INVALID;
    }
  }

  async #inspect(tenant: TenantId, token: string, kind: TokenKind): Promise<Inspection> {
    const scene = { now: this.#clock.now(), address: '127.0.0.1' };
    switch (kind) {
      case 'access': {
        const { principal, claims } = await this.#parts.verifier.verify(token, scene);
        return principal.tenant === tenant ? inspectionOf(principal, claims) : INVALID;
      }
      case 'refresh': {
        const known = await this.#parts.families.peek(token);
        if (known === null || known.grant.tenant !== tenant) return INVALID;
        const permissions = new Set(known.grant.permissions);
        const principal: Principal = {
          tenant,
          id: `key:${known.grant.keyId}`,
          method: 'api_key',
          permissions,
        };
        return inspectionOf(principal, {});
      }
      case 'api_key': {
        const [id = '', ...secret] = token.split(':');
        const { principal } = await this.#parts.proof.bySecret(id, secret.join(':'), scene);
        return principal.tenant === tenant ? inspectionOf(principal, {}) : INVALID;
      }
    }
  }
}

function inspectionOf(principal: Principal, claims: JsonObject): Inspection {
  const roles = Array.isArray(claims.roles)
    ? claims.roles.filter(one => typeof one === 'string')
    : rolesOf(principal);
  return {
    valid: true,
    id: principal.userId ?? principal.agentId ?? principal.id,
    roles,
    permissions: PERMISSIONS.filter(one => allows(principal, one)),
    issuedAt: instantOf(claims.iat),
    expiresAt: instantOf(claims.exp),
    issuer: textOf(claims.iss),
    deviceId: textOf(claims.device_id),
  };
}

function rolesOf(principal: Principal): readonly string[] {
  return ROLES.filter(([, needed]) => needed.every(one => allows(principal, one))).map(([role]) => role);
}

function instantOf(seconds: Json | undefined): number | null {
  return typeof seconds === 'number' ? Math.round(seconds * 1_000) : null;
}

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}
