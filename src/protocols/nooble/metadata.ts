// What stands in `metadata`: which fields have which form (`NOOB-19` to `NOOB-36`). Fields nobody here knows are kept as they are.

import type { Json, JsonObject } from '../../domain/json.ts';
import type { EnvelopeFault } from './faults.ts';

type Form = (value: Json) => string | null;

const text: Form = value => (typeof value === 'string' ? null : 'must be a text');
const object: Form = value =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? null : 'must be an object';
const flag: Form = value => (typeof value === 'boolean' ? null : 'must be true or false');
const key: Form = value =>
  typeof value === 'string' && value.length >= 1 && value.length <= 200
    ? null
    : 'must be 1 to 200 characters';
const from =
  (least: number): Form =>
  value =>
    Number.isInteger(value) && Number(value) >= least ? null : `must be a whole number from ${least}`;

/** The form of each field (`NOOB-34`). */
export const METADATA_FORMS: Readonly<Record<string, Form>> = {
  source: text,
  user_id: key,
  timeout_ms: from(1),
  retry_count: from(0),
  expected_duration_ms: from(0),
  deduplication_key: key,
  idempotency_key: key,
  trace_id: key,
  client_version: text,
  execution_context: object,
  encryption: value =>
    ['none', 'tls', 'end-to-end'].includes(String(value)) ? null : 'must be none, tls or end-to-end',
  log_level: value =>
    ['debug', 'info', 'warn', 'error'].includes(String(value)) ? null : 'must be debug, info, warn or error',
  workflow_step_id: key,
  workflow_id: key,
  step_name: text,
  user_locale: value =>
    typeof value === 'string' && /^[a-z]{2}(?:[-_][A-Za-z]{2,4})?$/.test(value)
      ? null
      : 'must be a language of ISO 639-1',
  experimental: flag,
  sensitive_data: flag,
  reply_to: key,
};

/** The longest a timeout may be: thirty days. */
const TIMEOUT_MAX_MS = 2_592_000_000;

/** What is wrong with the metadata of a message. */
export function metadataFaults(metadata: JsonObject): readonly EnvelopeFault[] {
  const faults = Object.entries(METADATA_FORMS).flatMap(([field, form]): EnvelopeFault[] => {
    const value = metadata[field];
    const message = value === undefined ? null : form(value);
    return message === null ? [] : [{ field: `metadata.${field}`, code: 'VAL_003', message }];
  });
  const { timeout_ms: timeout } = metadata;
  if (typeof timeout === 'number' && timeout > TIMEOUT_MAX_MS)
    faults.push({
      field: 'metadata.timeout_ms',
      code: 'VAL_004',
      message: `must be at most ${TIMEOUT_MAX_MS}`,
    });
  return faults;
}

/** The metadata of an envelope; none is empty. */
export function metadataOf(envelope: JsonObject): JsonObject {
  const { metadata } = envelope;
  return typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
    ? (metadata as JsonObject)
    : {};
}

/** Whether what it says is to be kept from all but its receiver (`NOOB-33`). */
export function isSensitive(envelope: JsonObject): boolean {
  return metadataOf(envelope).sensitive_data === true;
}

/** A text of the metadata, or null. */
export function metadataText(envelope: JsonObject, field: string): string | null {
  const value = metadataOf(envelope)[field];
  return typeof value === 'string' ? value : null;
}

/** A number of the metadata, or null. */
export function metadataNumber(envelope: JsonObject, field: string): number | null {
  const value = metadataOf(envelope)[field];
  return typeof value === 'number' ? value : null;
}
