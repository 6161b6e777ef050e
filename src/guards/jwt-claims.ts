// What a token's claims say, once its signature is proven: whether they hold now, and which principal they make (`SAM-9`, `SAM-12`
// – `SAM-15`). Claims only ever narrow what the tenant's key could grant.

import { type AgentId, isCallerId } from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import { isJsonObject } from '../domain/json.ts';
import { type Principal, permissionsOf } from '../domain/principal.ts';
import { TASK_TYPES, type TaskType } from '../domain/task.ts';
import type { Scene } from './api-key.ts';
import { sameBytes } from './constant-time.ts';
import type { JwtKeyView } from './jwt-keys.ts';
import { Refusal } from './refusal.ts';

const TOLERANCE_SECONDS = 60;
const LIFE_MAX_SECONDS = 86_400;

/** Throws a `Refusal` unless the instants hold, with 60 s of tolerance: `exp` is mandatory, and no token lives over 24 h. */
export function assertInTime(claims: JsonObject, now: number): void {
  const seconds = now / 1_000;
  const [exp, nbf, iat] = [instant(claims, 'exp'), instant(claims, 'nbf'), instant(claims, 'iat')];
  if (exp === null) throw new Refusal('exp_missing');
  if (seconds >= exp + TOLERANCE_SECONDS) throw new Refusal('expired');
  if (nbf !== null && seconds < nbf - TOLERANCE_SECONDS) throw new Refusal('not_yet_valid');
  if (iat !== null && seconds < iat - TOLERANCE_SECONDS) throw new Refusal('issued_in_future');
  if (exp - (iat ?? seconds) > LIFE_MAX_SECONDS) throw new Refusal('lives_too_long');
}

/** Throws a `Refusal` unless the token bears the issuer and audience its key asks for. */
export function assertAddressed(claims: JsonObject, key: Pick<JwtKeyView, 'issuer' | 'audience'>): void {
  if (key.issuer !== undefined && claims.iss !== key.issuer) throw new Refusal('issuer');
  if (key.audience !== undefined && !audiencesOf(claims.aud).includes(key.audience))
    throw new Refusal('audience');
}

/** Throws a `Refusal` if the token is bound to a proof of possession other than the client certificate at hand. */
export function assertBound(claims: JsonObject, scene: Scene): void {
  if (claims.cnf === undefined) return;
  const thumbprint = isJsonObject(claims.cnf) ? claims.cnf['x5t#S256'] : undefined;
  const members = isJsonObject(claims.cnf) ? Object.keys(claims.cnf).length : 0;
  // A confirmation we cannot check is one that was not given.
  if (typeof thumbprint !== 'string' || members !== 1) throw new Refusal('confirmation');
  const shown = scene.clientCertificateSha256;
  if (shown === undefined || !sameBytes(Buffer.from(shown), Buffer.from(thumbprint)))
    throw new Refusal('certificate');
}

/** The token's `jti`, or null; throws a `Refusal` for one that is no text. */
export function jtiOf(claims: JsonObject): string | null {
  return optionalText(claims, 'jti');
}

/** The principal the claims make; throws a `Refusal` where they name nobody or have the wrong types. */
export function principalOfClaims(claims: JsonObject, key: JwtKeyView): Principal {
  const agentId = optionalText(claims, 'agent_id');
  const subject = optionalText(claims, 'sub');
  // The subject of our own tokens is an API key, not a person.
  const userId = optionalText(claims, 'user_id') ?? (key.isOwn ? null : subject);
  const name = agentId ?? subject;
  if (name === null || name === '') throw new Refusal('nobody_named');
  if (agentId !== null && !isCallerId(agentId)) throw new Refusal('agent_id');
  return {
    tenant: key.tenant,
    id: `jwt:${name.slice(0, 200)}`,
    method: 'jwt',
    ...(agentId === null ? {} : { agentId: agentId as AgentId }),
    ...(userId === null ? {} : { userId }),
    permissions: permissionsOf(texts(claims.permissions)),
    ...(claims.capabilities === undefined ? {} : { taskTypes: taskTypesOf(claims.capabilities) }),
    ...rateLimitOf(claims.quotas),
  };
}

/** The numbers among the token's `quotas`, for whoever enforces them. */
export function quotasOf(claims: JsonObject): Readonly<Record<string, number>> {
  if (!isJsonObject(claims.quotas)) return {};
  const numbers = Object.entries(claims.quotas).filter(
    (entry): entry is [string, number] => typeof entry[1] === 'number' && entry[1] >= 0,
  );
  return Object.fromEntries(numbers);
}

function rateLimitOf(quotas: Json | undefined): { readonly rateLimit?: number } {
  if (!isJsonObject(quotas)) return {};
  const limit = quotas.requests_per_hour ?? quotas.rate_limit;
  return typeof limit === 'number' && limit >= 0 ? { rateLimit: Math.floor(limit) } : {};
}

function taskTypesOf(capabilities: Json): ReadonlySet<TaskType> {
  const named = new Set(texts(capabilities));
  return new Set(TASK_TYPES.filter(type => named.has(type)));
}

function texts(value: Json | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter(one => typeof one === 'string') : [];
}

function audiencesOf(aud: Json | undefined): readonly string[] {
  return typeof aud === 'string' ? [aud] : texts(aud);
}

function instant(claims: JsonObject, name: string): number | null {
  const value = claims[name];
  if (value === undefined) return null;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new Refusal(`${name}_malformed`);
  return value;
}

function optionalText(claims: JsonObject, name: string): string | null {
  const value = claims[name];
  if (value === undefined) return null;
  if (typeof value !== 'string') throw new Refusal(`${name}_malformed`);
  return value;
}
