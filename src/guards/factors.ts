// What several credentials shown together amount to: never more than each of them alone (`SAM-7`), and whether a key that demands
// company has it.

import type { Principal } from '../domain/principal.ts';
import type { TaskType } from '../domain/task.ts';
import type { ApiKey, Scene, SecondFactor } from './api-key.ts';
import type { ApiKeyRecord } from './api-keys.ts';
import { sameBytes } from './constant-time.ts';
import { permissionsOfBoth } from './permissions.ts';
import { Refusal } from './refusal.ts';

/** One credential, proven. */
export interface Factor {
  readonly method: 'jwt' | 'api_key' | 'hmac';
  readonly principal: Principal;
  /** The API key shown, or behind one of our own tokens. */
  readonly record: ApiKeyRecord | null;
  readonly jti: string | null;
  readonly quotas: Readonly<Record<string, number>>;
  /** For the audit: which secret matched, which key signed. */
  readonly note: string | null;
}

/** The factors of a request in the order they are judged; the last one names the principal. */
export type Factors = readonly [Factor, ...Factor[]];

/** The principal of all factors together; throws a `Refusal` where they contradict each other or a key lacks company. */
export function principalOfFactors(factors: Factors, scene: Scene): Principal {
  const principal = factors.map(factor => factor.principal).reduce(both);
  for (const { record } of factors) if (record !== null) assertCompany(record.key, factors, scene);
  return principal;
}

/** The distinct API keys among the factors, of which there are two at most. */
export function recordsOf(factors: Factors): readonly ApiKeyRecord[] {
  const records = factors.flatMap(({ record }) => record ?? []);
  const [one, other] = records;
  return one?.key.id === other?.key.id ? records.slice(0, 1) : records;
}

/** What both principals may do, under the other's name; throws a `Refusal` if they are of two tenants or bound to two agents. */
export function both(one: Principal, other: Principal): Principal {
  const known = { tenant: other.tenant, principal: other.id };
  if (one.tenant !== other.tenant) throw new Refusal('two_tenants', known);
  if (one.agentId !== undefined && other.agentId !== undefined && one.agentId !== other.agentId)
    throw new Refusal('two_agents', {
      ...known,
      code: 'forbidden',
      message: 'the credentials are bound to different agents',
    });
  const agentId = one.agentId ?? other.agentId;
  const userId = one.userId ?? other.userId;
  const taskTypes = typesOfBoth(one.taskTypes, other.taskTypes);
  const rateLimit = Math.min(one.rateLimit ?? Infinity, other.rateLimit ?? Infinity);
  return {
    tenant: other.tenant,
    id: other.id,
    method: other.method,
    ...(agentId === undefined ? {} : { agentId }),
    ...(userId === undefined ? {} : { userId }),
    permissions: permissionsOfBoth(one, other),
    ...(taskTypes === undefined ? {} : { taskTypes }),
    ...(rateLimit === Infinity ? {} : { rateLimit }),
  };
}

function typesOfBoth(
  one: ReadonlySet<TaskType> | undefined,
  other: ReadonlySet<TaskType> | undefined,
): ReadonlySet<TaskType> | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return new Set([...one].filter(type => other.has(type)));
}

function assertCompany(key: ApiKey, factors: Factors, scene: Scene): void {
  const known = { tenant: key.tenant, principal: `key:${key.id}`, keyId: key.id, code: 'forbidden' } as const;
  const isSigned = factors.some(({ method, record }) => method === 'hmac' && record?.key.id === key.id);
  if (key.requireSignature && !isSigned)
    throw new Refusal('require_signature', { ...known, message: 'requests with this key must be signed' });
  const demanded = key.demandSecondFactor;
  if (demanded !== undefined && !hasSecondFactor(demanded, key, factors, scene))
    throw new Refusal('second_factor', {
      ...known,
      message: `this key needs a second factor beside it: ${demanded}`,
    });
}

function hasSecondFactor(demanded: SecondFactor, key: ApiKey, factors: Factors, scene: Scene): boolean {
  const hasSignature = factors.some(({ method }) => method === 'hmac');
  const hasToken = factors.some(({ method, record }) => method === 'jwt' && record?.key.id !== key.id);
  const hasCertificate = isCertified(key, scene);
  switch (demanded) {
    case 'signature':
      return hasSignature;
    case 'jwt':
      return hasToken;
    case 'client_certificate':
      return hasCertificate;
    case 'any':
      return hasToken || hasCertificate || (hasSignature && factors.length > 1);
  }
}

function isCertified({ clientCertificates }: ApiKey, { clientCertificateSha256 }: Scene): boolean {
  if (clientCertificateSha256 === undefined) return false;
  const shown = Buffer.from(clientCertificateSha256);
  return clientCertificates?.some(accepted => sameBytes(shown, Buffer.from(accepted))) ?? true;
}
