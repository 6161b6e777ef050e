// An API key as a noun: what it may do, when and from where (`SAM-19`), how it is validated when made, and whether it may be used
// now. Who keeps keys and proves them is `api-keys.ts`.

import { DomainError } from '../domain/errors.ts';
import { type AgentId, isCallerId, type TenantId } from '../domain/ids.ts';
import { type Permission, type Principal, permissionsOf } from '../domain/principal.ts';
import { TASK_TYPES, type TaskType } from '../domain/task.ts';
import { SIGNING_SCHEMES, type SigningScheme } from './hmac.ts';
import { type AddressRange, isWithin, parseRange } from './network.ts';
import { Refusal } from './refusal.ts';

/** What else must be shown beside the key's secret (`SAM-7`). */
export const SECOND_FACTORS = ['any', 'signature', 'jwt', 'client_certificate'] as const;

/** A second factor a key may demand. */
export type SecondFactor = (typeof SECOND_FACTORS)[number];

/** An API key without its secrets. Instants are epoch milliseconds. */
export interface ApiKey {
  /** `bk_…`, public. */
  readonly id: string;
  readonly tenant: TenantId;
  readonly name: string;
  readonly permissions: readonly Permission[];
  readonly taskTypes?: readonly TaskType[];
  /** Requests an hour, in place of the standard limit. */
  readonly rateLimit?: number;
  /** Requests a UTC day. */
  readonly usageQuota?: number;
  readonly expiresAt?: number;
  /** Addresses or CIDR ranges. */
  readonly allowedIps?: readonly string[];
  /** `HH:MM-HH:MM` in UTC, the end excluded; over midnight where it ends before it begins. */
  readonly allowedHours?: string;
  /** Its secret is never to travel: requests must be signed with it. */
  readonly requireSignature: boolean;
  readonly agentId?: AgentId;
  /** Schemes it may sign with; empty means it never signs, and then only a hash of its secret is stored. */
  readonly algorithms: readonly SigningScheme[];
  readonly demandSecondFactor?: SecondFactor;
  /** `x5t#S256` thumbprints of the client certificates that count as second factor. */
  readonly clientCertificates?: readonly string[];
  readonly createdAt: number;
  /** When its current secret was made. */
  readonly rotatedAt: number;
  readonly revokedAt?: number;
}

/** What is asked for when a key is made; names of permissions may be aliases. */
export interface NewApiKey
  extends Partial<
    Pick<
      ApiKey,
      | 'rateLimit'
      | 'usageQuota'
      | 'expiresAt'
      | 'allowedIps'
      | 'allowedHours'
      | 'requireSignature'
      | 'algorithms'
      | 'demandSecondFactor'
      | 'clientCertificates'
    >
  > {
  readonly name: string;
  readonly permissions: readonly string[];
  readonly taskTypes?: readonly string[];
  readonly agentId?: string;
}

/** Where and when a credential is shown. */
export interface Scene {
  /** Epoch milliseconds. */
  readonly now: number;
  readonly address: string;
  /** `x5t#S256` thumbprint of the verified client certificate: base64url of the SHA-256 of its DER. */
  readonly clientCertificateSha256?: string | undefined;
}

const DAY_MS = 86_400_000;
const WARNING_AGE_MS = 90 * DAY_MS;
const HOURS = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)$/;
const THUMBPRINT = /^[A-Za-z0-9_-]{43}$/;

/** The settings of a new key; throws `invalid_request` with every fault in `details.errors`. */
export function settingsOf(asked: NewApiKey, now: number): Omit<ApiKey, 'id' | 'tenant'> {
  const errors = faultsOf(asked, now);
  if (errors.length > 0)
    throw new DomainError('invalid_request', 'the API key is not valid', { details: { errors } });
  const { permissions, taskTypes, agentId, ...rest } = asked;
  return {
    ...rest,
    permissions: [...permissionsOf(permissions)],
    ...(taskTypes === undefined ? {} : { taskTypes: taskTypes.filter(isTaskType) }),
    ...(agentId === undefined ? {} : { agentId: agentId as AgentId }),
    requireSignature: asked.requireSignature ?? false,
    algorithms: asked.algorithms ?? ['HMAC-SHA256'],
    createdAt: now,
    rotatedAt: now,
  };
}

/** Why the key, its secret once proven, may not be used here and now; null where it may (`SAM-19`, `SAM-20`). */
export function refusalOf(
  key: ApiKey,
  ranges: readonly AddressRange[] | null,
  scene: Scene,
  ageMaxDays: number | null,
): Refusal | null {
  const known = { tenant: key.tenant, principal: principalIdOf(key), keyId: key.id };
  if (key.revokedAt !== undefined) return new Refusal('revoked', known);
  if (key.expiresAt !== undefined && key.expiresAt <= scene.now) return new Refusal('expired', known);
  if (ageMaxDays !== null && scene.now - key.rotatedAt > ageMaxDays * DAY_MS)
    return new Refusal('too_old', known);
  const forbidden = { ...known, code: 'forbidden' } as const;
  if (ranges !== null && !isWithin(scene.address, ranges))
    return new Refusal('allowed_ips', {
      ...forbidden,
      message: 'this key may not be used from this address',
    });
  if (key.allowedHours !== undefined && !isInHours(key.allowedHours, scene.now))
    return new Refusal('allowed_hours', { ...forbidden, message: 'this key may not be used at this hour' });
  return null;
}

/** True when the current secret is 90 days old or more and ought to be rotated (`SAM-20`). */
export function isOverdue(key: ApiKey, now: number): boolean {
  return now - key.rotatedAt >= WARNING_AGE_MS;
}

/** The principal a key makes of its bearer. */
export function principalOf(key: ApiKey, method: Principal['method']): Principal {
  return {
    tenant: key.tenant,
    id: principalIdOf(key),
    method,
    ...(key.agentId === undefined ? {} : { agentId: key.agentId }),
    permissions: new Set(key.permissions),
    ...(key.taskTypes === undefined ? {} : { taskTypes: new Set(key.taskTypes) }),
    ...(key.rateLimit === undefined ? {} : { rateLimit: key.rateLimit }),
  };
}

/** The ranges a key is confined to, parsed once; null where it is not. */
export function rangesOf({ allowedIps }: ApiKey): readonly AddressRange[] | null {
  if (allowedIps === undefined) return null;
  return allowedIps.map(parseRange).filter(range => range !== null);
}

/** Whether the instant lies within the UTC hours. */
export function isInHours(hours: string, now: number): boolean {
  const [, fromHour, fromMinute, toHour, toMinute] = HOURS.exec(hours) ?? [];
  const from = Number(fromHour) * 60 + Number(fromMinute);
  const to = Number(toHour) * 60 + Number(toMinute);
  const minute = Math.floor((now % DAY_MS) / 60_000);
  return from < to ? from <= minute && minute < to : from <= minute || minute < to;
}

function principalIdOf({ id }: Pick<ApiKey, 'id'>): string {
  return `key:${id}`;
}

interface Fault {
  readonly [field: string]: string;
  readonly field: string;
  readonly message: string;
}

function faultsOf(asked: NewApiKey, now: number): readonly Fault[] {
  const faults: Fault[] = [];
  const check = (field: string, isGood: boolean, message: string): void => {
    if (!isGood) faults.push({ field, message });
  };
  const { rateLimit, usageQuota, expiresAt, allowedHours, demandSecondFactor } = asked;
  check('name', asked.name.length >= 1 && asked.name.length <= 200, 'must be 1–200 characters');
  for (const name of asked.permissions)
    check('permissions', permissionsOf([name]).size > 0, `${name} is not a permission`);
  for (const type of asked.taskTypes ?? [])
    check('task_types', isTaskType(type), `${type} is not a task type`);
  check('rate_limit', isCount(rateLimit), 'must be an integer of 1 or more');
  check('usage_quota', isCount(usageQuota), 'must be an integer of 1 or more');
  check('expires_at', expiresAt === undefined || expiresAt > now, 'must be in the future');
  for (const range of asked.allowedIps ?? [])
    check('allowed_ips', parseRange(range) !== null, `${range} is not an address or CIDR range`);
  check('allowed_hours', allowedHours === undefined || isHours(allowedHours), 'must be HH:MM-HH:MM in UTC');
  check('agent_id', asked.agentId === undefined || isCallerId(asked.agentId), 'is not an agent id');
  for (const scheme of asked.algorithms ?? [])
    check('algorithms', SIGNING_SCHEMES.includes(scheme), `${scheme} is not a signing scheme`);
  check(
    'require_signature',
    asked.requireSignature !== true || asked.algorithms?.length !== 0,
    'needs a signing algorithm',
  );
  check(
    'demand_second_factor',
    demandSecondFactor === undefined || SECOND_FACTORS.includes(demandSecondFactor),
    `must be one of ${SECOND_FACTORS.join(', ')}`,
  );
  for (const thumbprint of asked.clientCertificates ?? [])
    check('client_certificates', THUMBPRINT.test(thumbprint), `${thumbprint} is not an x5t#S256 thumbprint`);
  return faults;
}

function isCount(value: number | undefined): boolean {
  return value === undefined || (Number.isSafeInteger(value) && value >= 1);
}

function isHours(hours: string): boolean {
  const [from, to] = hours.split('-');
  return HOURS.test(hours) && from !== to;
}

function isTaskType(type: string): type is TaskType {
  return (TASK_TYPES as readonly string[]).includes(type);
}
