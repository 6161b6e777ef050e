// The catalogue: every code with both its texts, every canonical code in it, and every form of code that comes in.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { CATALOGUE, COMMON_CODES, languageOf, type NoobleCode, readCode } from './catalogue.ts';
import { CODES, ERROR_PAGES, errorMetadata, errorObject, faultIn, noobleError } from './errors.ts';

const SPANISH: Readonly<Record<string, string>> = {
  ...{ GEN_001: 'Servicio no disponible', GEN_002: 'Timeout de operación', GEN_003: 'Capacidad excedida' },
  ...{ GEN_004: 'Error interno', GEN_005: 'Dependencia fallida', VAL_001: 'Parámetros inválidos' },
  ...{ VAL_002: 'Campo requerido ausente', VAL_003: 'Formato inválido', VAL_004: 'Límite excedido' },
  ...{ VAL_005: 'Conflicto de recursos', AUTH_001: 'Autenticación fallida', AUTH_002: 'Token expirado' },
  ...{ AUTH_003: 'Permiso denegado', AUTH_004: 'Requisito de autenticación', AUTH_005: 'Límite de sesiones' },
  ...{ AEX_001: 'Configuración de agente inválida', AEX_002: 'Limite de tokens excedido' },
  ...{ AEX_003: 'Herramienta no disponible', AEX_004: 'Error en llamada a modelo' },
  ...{ AEX_005: 'Error en ejecución de herramienta', WF_001: 'Definición de workflow inválida' },
  ...{ WF_002: 'Paso de workflow no encontrado', WF_003: 'Condición inválida', WF_004: 'Ciclo detectado' },
  WF_005: 'Estado inválido',
};
const scene = { service: 'agent_orchestrator', origin: 'https://b.example' };

function shown(code: NoobleCode, locale?: string): JsonObject {
  return errorObject(noobleError(code, 'why', locale === undefined ? {} : { user_locale: locale }), scene);
}

test('NOOB-95 NOOB-96 NOOB-97 NOOB-98 NOOB-99 every code of the catalogue is emitted with its message and its action, in Spanish and English', () => {
  for (const [code, spanish] of Object.entries(SPANISH)) {
    const error = shown(code as NoobleCode);
    assert.equal(error.code, code);
    assert.equal(error.message, spanish);
    const entry = CATALOGUE[code as NoobleCode];
    assert.equal((error.details as JsonObject).recommended_action, entry.action.es);
    const english = shown(code as NoobleCode, 'en');
    assert.equal(english.message, entry.message.en);
    assert.notEqual(entry.message.en, entry.message.es);
    assert.equal((english.details as JsonObject).recommended_action, entry.action.en);
    assert.ok(ERROR_PAGES[code] !== undefined);
  }
});

test('NOOB-31 texts are Spanish unless another language is named, and then English', () => {
  assert.deepEqual(['es', 'es-MX', null, 'en', 'fr'].map(languageOf), ['es', 'es', 'es', 'en', 'en']);
});

test('NOOB-100 NOOB-101 details give the page, the status and the common code, which decides whether to try again', () => {
  const retried: Readonly<Record<string, boolean>> = {
    ...{ validation_error: false, service_unavailable: true, timeout: true, authorization_error: false },
    ...{ resource_not_found: false, rate_limited: true, circuit_open: true, invalid_session: false },
    service_error: true,
  };
  const statuses: Readonly<Record<string, number>> = {
    ...{ validation_error: 400, service_unavailable: 503, timeout: 504, authorization_error: 401 },
    ...{
      resource_not_found: 404,
      rate_limited: 429,
      circuit_open: 503,
      invalid_session: 400,
      service_error: 500,
    },
  };
  for (const [code, { status, isRetried }] of Object.entries(COMMON_CODES))
    assert.deepEqual([status, isRetried], [statuses[code], retried[code]], code);
  assert.equal(Object.keys(COMMON_CODES).length, 9);
  for (const code of Object.keys(CATALOGUE) as NoobleCode[]) {
    const { details, retry_suggested: retry } = shown(code) as {
      details: JsonObject;
      retry_suggested: boolean;
    };
    assert.equal(retry, retried[String(details.common_code)], code);
    assert.equal(details.documentation_url, `https://b.example/docs/errors/${code}`);
    assert.equal(typeof details.http_status, 'number');
  }
});

test('NOOB-89 NOOB-90 every code has its category, and what to do next follows from it', () => {
  const category = (code: NoobleCode): unknown => errorMetadata(shown(code), null).error_category;
  for (const code of Object.keys(CATALOGUE) as NoobleCode[]) {
    if (/^VAL_|^AEX_001/.test(code)) assert.equal(category(code), 'validation', code);
    else if (code.startsWith('AUTH')) assert.equal(category(code), 'security', code);
    else if (code === 'GEN_005' || code === 'AEX_004') assert.equal(category(code), 'dependency', code);
    else if (code === 'AEX_003' || code.startsWith('WF')) assert.equal(category(code), 'client', code);
    else if (code.startsWith('GEN')) assert.equal(category(code), 'server', code);
  }
  const recovery = (code: NoobleCode, options: JsonObject | null = null): unknown =>
    errorMetadata(shown(code), options).recovery_action;
  assert.deepEqual(
    [recovery('VAL_001'), recovery('GEN_001'), recovery('circuit_open')],
    ['none', 'retry', 'circuit-breaker'],
  );
  assert.equal(recovery('GEN_005', { circuit_breaker: { status: 'open' } }), 'circuit-breaker');
  assert.equal(recovery('GEN_005', { fallback_options: [{ option: 'skip_step' }] }), 'fallback');
});

test('NOOB-13 NOOB-102 every canonical code is one of the catalogue, with the status of the table', () => {
  const table: Readonly<Record<ErrorCode, readonly [string, number | null]>> = {
    ...{
      invalid_request: ['VAL_001', 400],
      unserializable: ['VAL_003', 400],
      unauthenticated: ['AUTH_001', 401],
    },
    ...{ forbidden: ['AUTH_003', 403], not_found: ['resource_not_found', 404], conflict: ['VAL_005', 409] },
    ...{
      lease_lost: ['WF_005', 409],
      invalid_transition: ['WF_005', 409],
      payload_too_large: ['VAL_004', 413],
    },
    ...{
      unprocessable: ['AEX_001', 422],
      policy_violation: ['VAL_001', 422],
      rate_limited: ['GEN_003', 429],
    },
    ...{
      task_failed: ['AEX_005', null],
      task_timeout: ['GEN_002', null],
      resource_exhausted: ['GEN_003', 503],
    },
    ...{
      dependency_failed: ['GEN_005', 502],
      circuit_open: ['circuit_open', 503],
      unavailable: ['GEN_001', 503],
    },
    ...{ upstream_timeout: ['GEN_002', 504], internal: ['GEN_004', 500] },
  };
  for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
    assert.deepEqual([CODES[code].code, CODES[code].status], table[code], code);
    const error = errorObject(new DomainError(code, 'why'), scene);
    assert.deepEqual(Object.keys(error), ['code', 'message', 'details', 'retry_suggested', 'service']);
  }
});

test('NOOB-102 NOOB-103 codes with the name of a service in them are read by their category, others are kept and count as GEN_004', () => {
  const forms: Readonly<Record<string, string>> = {
    ...{
      VAL_AEX_001: 'AEX_001',
      ORCH_AUTH_001: 'AUTH_001',
      AGEX_EXEC_002: 'AEX_005',
      CONV_VAL_001: 'VAL_001',
    },
    ...{ TOOL_EXEC_003: 'AEX_005', WFLOW_VAL_001: 'VAL_001', GEN_ORCH_002: 'GEN_002', timeout: 'GEN_002' },
    GEN_005: 'GEN_005',
  };
  for (const [code, read] of Object.entries(forms)) assert.equal(readCode(code), read, code);
  for (const code of ['', 'OOPS', 'ERR-7', '__proto__', 'constructor']) assert.equal(readCode(code), null);
  const strange = faultIn({ error: { code: 'OOPS', message: 'x' } });
  assert.deepEqual([strange.wireCode, strange.code], ['OOPS', 'internal']);
  const bare = faultIn({ metadata: { error_code: 'WFLOW_VAL_001', error_message: 'mal' }, payload: {} });
  assert.deepEqual(
    [bare.wireCode, bare.code, bare.message, bare.recoverable],
    ['WFLOW_VAL_001', 'invalid_request', 'mal', false],
  );
});

test('NOOB-94 secrets are masked in what an error says', () => {
  const error = errorObject(
    new DomainError('dependency_failed', 'x', { details: { response: 'password=hunter22' } }),
    scene,
  );
  assert.ok(!JSON.stringify(error).includes('hunter22'));
});
