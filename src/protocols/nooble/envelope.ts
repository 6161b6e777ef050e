// Envelopes: what one must have, and how what was accepted leniently is written strictly: instants in UTC, service names with underscores,
// priorities as numbers, version 1.1 (`NOOB-1` to `NOOB-16`). What nobody here knows of is kept.

import { DomainError } from '../../domain/errors.ts';
import { isCallerId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { instantOf } from '../validation.ts';
import { type EnvelopeFault, invalid } from './faults.ts';
import { metadataFaults } from './metadata.ts';
import { isSealed } from './sealing.ts';
import { isServiceName, type PairRule, ruleOf, serviceOf } from './vocabulary.ts';

/** An envelope in its strict form. */
export interface Envelope extends JsonObject {
  readonly message_id: string;
  readonly task_id: string;
  readonly tenant_id: string;
  readonly correlation_id: string;
  readonly created_at: string;
  readonly schema_version: string;
  readonly status: 'pending' | 'processing' | 'completed' | 'failed';
  readonly type: { readonly domain: string; readonly action: string };
  /** 0–10. */
  readonly priority: number;
  readonly source_service: string;
  readonly target_service: string;
  readonly session_id?: string;
  readonly conversation_id?: string;
  readonly metadata?: JsonObject;
  readonly payload: JsonObject;
}

/** What every message must have. */
export const REQUIRED = [
  'message_id',
  'task_id',
  'tenant_id',
  'correlation_id',
  'created_at',
  'schema_version',
  'status',
  'type',
  'priority',
  'source_service',
  'target_service',
  'payload',
] as const;

const IDS = ['message_id', 'task_id', 'tenant_id', 'correlation_id', 'session_id', 'conversation_id'];
const STATUSES = ['pending', 'processing', 'completed', 'failed'];
const METADATA_TIMES = ['processed_at', 'completed_at', 'scheduled_for', 'valid_until'] as const;
/** What 1.0 had not (`NOOB-158`). */
const TRACE_FIELDS = ['correlation_id', 'task_id'];

/** The envelope in its strict form; throws every fault at once. */
export function strictOf(received: JsonObject): Envelope {
  const envelope = upgraded(received);
  const faults = faultsOf(envelope);
  if (faults.length > 0) throw invalid(faults);
  return isSealed(envelope) ? (envelope as Envelope) : strict(envelope);
}

/** The version an envelope says it is written in. */
export function versionIn(envelope: JsonObject): string | null {
  const version = envelope.schema_version ?? envelope.version;
  return typeof version === 'string' ? version : null;
}

/** What `type` says, be it an object or the one string of 1.0. */
export function typeIn(envelope: JsonObject): { readonly domain: string; readonly action: string } | null {
  const { type } = envelope;
  if (typeof type === 'string') {
    const [domain = '', action = '', ...more] = type.split('.');
    return more.length === 0 && domain !== '' && action !== '' ? { domain, action } : null;
  }
  if (!isJsonObject(type) || typeof type.domain !== 'string' || typeof type.action !== 'string') return null;
  return { domain: type.domain, action: type.action };
}

/** The instant of a field, at top level or in `metadata`; null where there is none (`NOOB-35`). */
export function instantIn(envelope: JsonObject, field: string): number | null {
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : {};
  const text = envelope[field] ?? metadata[field];
  if (typeof text !== 'string') return null;
  const instant = instantOf(text);
  return Number.isNaN(instant) ? null : instant;
}

/** An envelope of 1.0 in the words of 1.1: it remembers what it was (`NOOB-157`, `NOOB-158`). */
function upgraded(received: JsonObject): JsonObject {
  const version = versionIn(received);
  const { version: alias, ...rest } = received;
  const envelope: JsonObject =
    received.schema_version === undefined && alias !== undefined
      ? { ...rest, schema_version: alias }
      : received;
  if (version === null) return envelope;
  const major = /^(\d+)\.\d+(?:\.\d+)?$/.exec(version)?.[1];
  if (major === undefined) return envelope;
  if (major !== '1')
    throw new DomainError('invalid_request', `version ${version} is not spoken here`, {
      details: { nooble_code: 'VAL_001', supported_versions: ['1.1', '1.0'] },
    });
  if (!/^1\.0(?:\.|$)/.test(version)) return envelope;
  const made = Object.fromEntries(
    TRACE_FIELDS.filter(field => envelope[field] === undefined).map(field => [field, envelope.message_id]),
  );
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : {};
  return {
    ...envelope,
    ...made,
    type: typeIn(envelope) ?? envelope.type ?? null,
    metadata: { ...metadata, original_schema_version: '1.0' },
  };
}

function faultsOf(envelope: JsonObject): readonly EnvelopeFault[] {
  const faults: EnvelopeFault[] = [];
  const add = (field: string, code: EnvelopeFault['code'], message: string): void =>
    void faults.push({ field, code, message });
  for (const field of REQUIRED)
    if (envelope[field] === undefined || envelope[field] === null) add(field, 'VAL_002', 'is required');
  for (const field of IDS) {
    const value = envelope[field] ?? undefined;
    if (value !== undefined && (typeof value !== 'string' || !isCallerId(value)))
      add(field, 'VAL_003', 'must be 1 to 200 letters, digits and . _ : -');
  }
  timeFaults(envelope, add);
  typeFaults(envelope, add);
  const { status, priority, payload, metadata, delegated_services: delegated, error } = envelope;
  if (status != null && !(typeof status === 'string' && [...STATUSES, 'error'].includes(status)))
    add('status', 'VAL_003', `must be one of ${STATUSES.join(', ')}`);
  if (priority != null && priorityOf(priority) === null)
    add('priority', 'VAL_004', 'must be a whole number from 0 to 10');
  for (const field of ['source_service', 'target_service'])
    if (envelope[field] != null && !(typeof envelope[field] === 'string' && isServiceName(envelope[field])))
      add(field, 'VAL_003', 'must be the name of a service');
  if (payload != null && !isJsonObject(payload)) add('payload', 'VAL_003', 'must be an object');
  if (error != null && !isJsonObject(error)) add('error', 'VAL_003', 'must be an object');
  if (metadata != null && !isJsonObject(metadata)) add('metadata', 'VAL_003', 'must be an object');
  if (isJsonObject(metadata)) faults.push(...metadataFaults(metadata));
  if (delegated != null) delegationFaults(delegated, add);
  return faults;
}

type Add = (field: string, code: EnvelopeFault['code'], message: string) => void;

function timeFaults(envelope: JsonObject, add: Add): void {
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : {};
  const told: (readonly [string, Json | undefined])[] = [
    ['created_at', envelope.created_at],
    ['expires_at', envelope.expires_at],
    ...METADATA_TIMES.flatMap(field => [
      [field, envelope[field]] as const,
      [`metadata.${field}`, metadata[field]] as const,
    ]),
  ];
  for (const [field, value] of told)
    if (value != null && (typeof value !== 'string' || Number.isNaN(instantOf(value))))
      add(field, 'VAL_003', 'must be an ISO 8601 instant');
  const [created, expires] = [instantIn(envelope, 'created_at'), instantIn(envelope, 'expires_at')];
  if (created !== null && expires !== null && expires <= created)
    add('expires_at', 'VAL_001', 'must be later than created_at');
}

function typeFaults(envelope: JsonObject, add: Add): void {
  if (envelope.type == null) return;
  const type = isJsonObject(envelope.type) ? typeIn(envelope) : null;
  if (type === null) add('type', 'VAL_003', 'must have a domain and an action');
  else if (ruleOf(type.domain, type.action) === null)
    add('type', 'VAL_001', `${type.domain}.${type.action} is nothing that is said here`);
  if (versionIn(envelope) !== null && !/^1\.\d+(?:\.\d+)?$/.test(versionIn(envelope) ?? ''))
    add('schema_version', 'VAL_003', 'must be a version such as 1.1');
}

function delegationFaults(delegated: Json, add: Add): void {
  if (!Array.isArray(delegated)) add('delegated_services', 'VAL_003', 'must be an array');
  for (const [index, one] of Array.isArray(delegated) ? (delegated as readonly Json[]).entries() : []) {
    const isFine =
      isJsonObject(one) &&
      typeof one.service === 'string' &&
      typeof one.task_id === 'string' &&
      ['pending', 'completed', 'failed'].includes(String(one.status));
    if (!isFine) add(`delegated_services.${index}`, 'VAL_003', 'must have service, task_id and status');
  }
}

/** A priority as it is meant, or null; digits in a string count (`NOOB-9`). */
export function priorityOf(value: Json): number | null {
  const number = typeof value === 'string' && /^\d{1,2}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isInteger(number) && number >= 0 && number <= 10
    ? number
    : null;
}

function strict(envelope: JsonObject): Envelope {
  const { processed_at: _, completed_at: __, scheduled_for: ___, valid_until: ____, ...rest } = envelope;
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : null;
  const times = Object.fromEntries(
    METADATA_TIMES.map(field => [field, instantIn(envelope, field)] as const)
      .filter(([, instant]) => instant !== null)
      .map(([field, instant]) => [field, new Date(Number(instant)).toISOString()]),
  );
  const delegated = envelope.delegated_services;
  return {
    ...rest,
    ...utc(envelope, 'created_at'),
    ...utc(envelope, 'expires_at'),
    schema_version: '1.1',
    status: envelope.status === 'error' ? 'failed' : envelope.status,
    priority: priorityOf(envelope.priority ?? null),
    source_service: serviceOf(String(envelope.source_service)),
    target_service: serviceOf(String(envelope.target_service)),
    ...(Array.isArray(delegated)
      ? {
          delegated_services: (delegated as readonly JsonObject[]).map(one => ({
            ...one,
            service: serviceOf(String(one.service)),
          })),
        }
      : {}),
    ...(metadata === null && Object.keys(times).length === 0 ? {} : { metadata: { ...metadata, ...times } }),
  } as Envelope;
}

function utc(envelope: JsonObject, field: string): JsonObject {
  const instant = instantIn(envelope, field);
  return instant === null ? {} : { [field]: new Date(instant).toISOString() };
}

/** The rule of an envelope whose type was checked. */
export function ruleIn({ type }: Envelope): PairRule {
  const rule = ruleOf(type.domain, type.action);
  if (rule === null) throw new Error(`${type.domain}.${type.action} was not checked`);
  return rule;
}
