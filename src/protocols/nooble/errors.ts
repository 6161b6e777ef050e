// How Nooble words errors: every canonical code has one of the catalogue, an error may name a nearer one in its details, and all of them make
// the same body (`NOOB-13`, `NOOB-88` to `NOOB-103`).

import Type from 'typebox';
import { DomainError, type ErrorCode } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Fault } from '../../domain/message.ts';
import { mask } from '../../guards/mask.ts';
import type { WireCode } from '../dialect/dialect.ts';
import type { ErrorPage } from '../protocol.ts';
import {
  CATALOGUE,
  COMMON_CODES,
  type Language,
  languageOf,
  type NoobleCode,
  readCode,
} from './catalogue.ts';

/** Every canonical code on this wire. */
export const CODES: Readonly<Record<ErrorCode, WireCode & { readonly code: NoobleCode }>> = {
  invalid_request: { code: 'VAL_001', status: 400 },
  unserializable: { code: 'VAL_003', status: 400 },
  unauthenticated: { code: 'AUTH_001', status: 401 },
  forbidden: { code: 'AUTH_003', status: 403 },
  not_found: { code: 'resource_not_found', status: 404 },
  conflict: { code: 'VAL_005', status: 409 },
  lease_lost: { code: 'WF_005', status: 409 },
  invalid_transition: { code: 'WF_005', status: 409 },
  payload_too_large: { code: 'VAL_004', status: 413 },
  unprocessable: { code: 'AEX_001', status: 422 },
  policy_violation: { code: 'VAL_001', status: 422 },
  rate_limited: { code: 'GEN_003', status: 429 },
  task_failed: { code: 'AEX_005', status: null },
  task_timeout: { code: 'GEN_002', status: null },
  resource_exhausted: { code: 'GEN_003', status: 503 },
  dependency_failed: { code: 'GEN_005', status: 502 },
  circuit_open: { code: 'circuit_open', status: 503 },
  unavailable: { code: 'GEN_001', status: 503 },
  upstream_timeout: { code: 'GEN_002', status: 504 },
  internal: { code: 'GEN_004', status: 500 },
};

/** What an error is told as: its code, and what of its details only the telling needs. */
export interface Told {
  readonly code: ErrorCode;
  readonly message: string;
  readonly details: JsonObject;
  readonly retryAfterMs?: number | undefined;
}

/** An error under a code of the catalogue; `details` may say more. */
export function noobleError(code: NoobleCode, message: string, details: JsonObject = {}): DomainError {
  return new DomainError(CATALOGUE[code].canonical, message, { details: { ...details, nooble_code: code } });
}

/** The error with the language it is to be told in. */
export function inLanguage(error: DomainError, locale: string | null): DomainError {
  if (locale === null) return error;
  const { code, message, details, retryAfterMs, cause } = error;
  return new DomainError(code, message, {
    details: { ...details, user_locale: locale },
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/** The code an error is told under: the one it names, what is known of a credential, or its canonical code's. */
export function codeOf({ code, details }: Pick<Told, 'code' | 'details'>): string {
  const named = details.nooble_code ?? details.wire_code;
  if (typeof named === 'string' && named !== '') return named;
  if (code === 'unauthenticated' && details.credential === 'absent') return 'AUTH_004';
  if (code === 'unauthenticated' && details.credential === 'expired') return 'AUTH_002';
  return CODES[code].code;
}

/** The `error` of a message, which is the body of a refusal too. */
export function errorObject(
  error: Told,
  scene: { readonly service: string; readonly origin: string; readonly language?: Language },
): JsonObject {
  const code = codeOf(error);
  const known = readCode(code) ?? 'GEN_004';
  const entry = CATALOGUE[known];
  const { nooble_code: _, wire_code: __, user_locale: locale, message_id: about, ...details } = error.details;
  const language = scene.language ?? languageOf(typeof locale === 'string' ? locale : null);
  const { common } = entry;
  return {
    code,
    message: entry.message[language],
    details: {
      ...(masked(details) as JsonObject),
      ...(typeof about === 'string' ? { message_id: about } : {}),
      reason: mask(error.message),
      recommended_action: entry.action[language],
      documentation_url: `${scene.origin}/docs/errors/${encodeURIComponent(known)}`,
      http_status: CODES[error.code].status ?? entry.status ?? COMMON_CODES[common].status,
      common_code: common,
      ...(error.retryAfterMs === undefined
        ? {}
        : { retry_after_seconds: Math.max(1, Math.ceil(error.retryAfterMs / 1_000)) }),
    },
    retry_suggested: COMMON_CODES[common].isRetried,
    service: scene.service,
  };
}

/** What `metadata` repeats of an error (`NOOB-88` to `NOOB-90`). */
export function errorMetadata(error: JsonObject, options: JsonObject | null): JsonObject {
  const entry = CATALOGUE[readCode(String(error.code)) ?? 'GEN_004'];
  return {
    error_code: error.code,
    error_category: entry.category,
    error_message: error.message,
    recovery_action: recoveryOf(error, options),
  };
}

function recoveryOf(error: JsonObject, options: JsonObject | null): string {
  const breaker = options?.circuit_breaker;
  if (isJsonObject(breaker) && breaker.status === 'open') return 'circuit-breaker';
  const details = isJsonObject(error.details) ? error.details : {};
  if (details.common_code === 'circuit_open') return 'circuit-breaker';
  if (Array.isArray(options?.fallback_options) && options.fallback_options.length > 0) return 'fallback';
  return error.retry_suggested === true ? 'retry' : 'none';
}

/** A failure as it came in: under its own code, which says what it is read as (`NOOB-102`, `NOOB-103`). */
export function faultIn(envelope: JsonObject): Fault {
  const error = isJsonObject(envelope.error) ? envelope.error : {};
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : {};
  const payload = isJsonObject(envelope.payload) ? envelope.payload : {};
  const wireCode = textOf(error.code) ?? textOf(metadata.error_code) ?? 'GEN_004';
  const known = readCode(wireCode) ?? 'GEN_004';
  const { canonical, common } = CATALOGUE[known];
  const details = isJsonObject(error.details) ? error.details : payload.error_details;
  const suggested = error.retry_suggested;
  return {
    code: canonical,
    message: textOf(error.message) ?? textOf(metadata.error_message) ?? CATALOGUE[known].message.en,
    recoverable: typeof suggested === 'boolean' ? suggested : COMMON_CODES[common].isRetried,
    details: isJsonObject(details) ? details : {},
    wireCode,
  };
}

/** Schema of a refusal's body. */
export const ERROR_SCHEMA = Type.Object(
  {
    code: Type.String({ description: 'A code of the catalogue.' }),
    message: Type.String(),
    details: Type.Object({}, { additionalProperties: true }),
    retry_suggested: Type.Boolean(),
    service: Type.String(),
  },
  { additionalProperties: true },
);

/** A page for each code of the catalogue. */
export const ERROR_PAGES: Readonly<Record<string, ErrorPage>> = Object.fromEntries(
  Object.entries(CATALOGUE).map(([code, { meaning, action, common, status }]) => [
    code,
    {
      ...{ status, meaning: `${meaning}`, remedy: `${action.en}.` },
      retry: COMMON_CODES[common].isRetried ? ('yes' as const) : ('no' as const),
    },
  ]),
);

function textOf(value: Json | undefined): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

/** The value with whatever looks like a credential in its texts taken out. */
export function masked(value: Json | undefined): Json {
  if (typeof value === 'string') return mask(value);
  if (Array.isArray(value)) return value.map(masked);
  if (!isJsonObject(value)) return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, masked(one)]));
}
