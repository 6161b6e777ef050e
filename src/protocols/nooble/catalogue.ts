// The catalogue of errors: each code with what it says in Spanish and English, what to do about it, and what it stands for. Which canonical
// error becomes which code is decided in errors.ts.

import type { ErrorCode } from '../../domain/errors.ts';

/** Whom an error is owed to (`NOOB-89`). */
export type ErrorCategory = 'client' | 'server' | 'validation' | 'security' | 'dependency';

/** The codes common to all services, with their status (`NOOB-100`). */
export const COMMON_CODES = {
  validation_error: { status: 400, isRetried: false },
  service_unavailable: { status: 503, isRetried: true },
  timeout: { status: 504, isRetried: true },
  authorization_error: { status: 401, isRetried: false },
  resource_not_found: { status: 404, isRetried: false },
  rate_limited: { status: 429, isRetried: true },
  circuit_open: { status: 503, isRetried: true },
  invalid_session: { status: 400, isRetried: false },
  service_error: { status: 500, isRetried: true },
} as const;

/** A code common to all services. */
export type CommonCode = keyof typeof COMMON_CODES;

/** A text in the languages there are. */
export interface Wording {
  readonly es: string;
  readonly en: string;
}

/** One code. */
export interface CatalogueEntry {
  readonly message: Wording;
  readonly meaning: string;
  readonly action: Wording;
  readonly common: CommonCode;
  readonly category: ErrorCategory;
  /** What it is read as where it comes in. */
  readonly canonical: ErrorCode;
  /** Null where it never answers a request. */
  readonly status: number | null;
}

type Row = readonly [
  es: string,
  en: string,
  meaning: string,
  acciones: string,
  action: string,
  kind: readonly [CommonCode, ErrorCategory, ErrorCode, number | null],
];

const ROWS = {
  GEN_001: [
    ...['Servicio no disponible', 'Service unavailable', 'The service asked for is not available now.'],
    ...['Reintentar con backoff exponencial', 'Retry with exponential backoff'],
    ['service_unavailable', 'server', 'unavailable', 503],
  ],
  GEN_002: [
    ...['Timeout de operación', 'Operation timed out', 'The operation took longer than it may.'],
    ...['Reintentar con parámetros optimizados', 'Retry with better parameters'],
    ['timeout', 'server', 'task_timeout', 504],
  ],
  GEN_003: [
    ...['Capacidad excedida', 'Capacity exceeded', 'The service cannot take more requests.'],
    ...['Implementar limitación de frecuencia', 'Send more slowly'],
    ['rate_limited', 'server', 'rate_limited', 429],
  ],
  GEN_004: [
    ...['Error interno', 'Internal error', 'Something went wrong inside the server.'],
    ...['Reportar al equipo de desarrollo', 'Report it to the developers'],
    ['service_error', 'server', 'internal', 500],
  ],
  GEN_005: [
    ...['Dependencia fallida', 'Dependency failed', 'Something the service depends on failed.'],
    ...['Verificar estado de servicios dependientes', 'Check the services it depends on'],
    ['service_error', 'dependency', 'dependency_failed', 502],
  ],
  VAL_001: [
    ...['Parámetros inválidos', 'Invalid parameters', 'A parameter has a value it cannot have.'],
    ...['Revisar y corregir parámetros', 'Correct the parameters'],
    ['validation_error', 'validation', 'invalid_request', 400],
  ],
  VAL_002: [
    ...['Campo requerido ausente', 'Required field missing', 'A field that must be there is not.'],
    ...['Añadir el campo requerido', 'Add the field'],
    ['validation_error', 'validation', 'invalid_request', 400],
  ],
  VAL_003: [
    ...['Formato inválido', 'Invalid format', 'A field, or the whole message, does not have its format.'],
    ...['Corregir formato según documentación', 'Correct the format as documented'],
    ['validation_error', 'validation', 'unserializable', 400],
  ],
  VAL_004: [
    ...['Límite excedido', 'Limit exceeded', 'A value, or the whole message, is beyond its limit.'],
    ...['Ajustar el valor dentro de los límites', 'Keep the value within its limits'],
    ['validation_error', 'validation', 'payload_too_large', 413],
  ],
  VAL_005: [
    ...['Conflicto de recursos', 'Resource conflict', 'It exists already, or differently.'],
    ...['Resolver conflicto o usar recurso existente', 'Resolve the conflict or use what exists'],
    ['validation_error', 'validation', 'conflict', 409],
  ],
  AUTH_001: [
    ...['Autenticación fallida', 'Authentication failed', 'The credentials are wrong.'],
    ...['Verificar credenciales', 'Check the credentials'],
    ['authorization_error', 'security', 'unauthenticated', 401],
  ],
  AUTH_002: [
    ...['Token expirado', 'Token expired', 'The token has expired.'],
    ...['Renovar token', 'Renew the token'],
    ['authorization_error', 'security', 'unauthenticated', 401],
  ],
  AUTH_003: [
    ...['Permiso denegado', 'Permission denied', 'The credentials do not allow this.'],
    ...['Solicitar permisos necesarios', 'Ask for the permissions it takes'],
    ['authorization_error', 'security', 'forbidden', 403],
  ],
  AUTH_004: [
    ...['Requisito de autenticación', 'Authentication required', 'No credentials were given.'],
    ...['Autenticarse antes de continuar', 'Authenticate first'],
    ['authorization_error', 'security', 'unauthenticated', 401],
  ],
  AUTH_005: [
    ...['Límite de sesiones', 'Session limit', 'The user has as many sessions as it may.'],
    ...['Cerrar sesiones inactivas', 'Close sessions that are not used'],
    ['authorization_error', 'security', 'forbidden', 403],
  ],
  AEX_001: [
    ...['Configuración de agente inválida', 'Invalid agent configuration', 'The agent cannot be set up so.'],
    ...['Revisar configuración del agente', 'Check the configuration of the agent'],
    ['validation_error', 'validation', 'unprocessable', 422],
  ],
  AEX_002: [
    ...['Limite de tokens excedido', 'Token limit exceeded', 'More tokens than the limit in force.'],
    ...['Reducir tamaño del prompt o aumentar límite', 'Shorten the prompt or raise the limit'],
    ['validation_error', 'client', 'resource_exhausted', null],
  ],
  AEX_003: [
    ...['Herramienta no disponible', 'Tool not available', 'There is no such tool, or it is offline.'],
    ...['Verificar disponibilidad de herramientas', 'Check which tools are available'],
    ['resource_not_found', 'client', 'task_failed', null],
  ],
  AEX_004: [
    ...['Error en llamada a modelo', 'Model call failed', 'The model could not be called or failed.'],
    ...['Reintentar o usar modelo alternativo', 'Retry or use another model'],
    ['service_error', 'dependency', 'task_failed', null],
  ],
  AEX_005: [
    ...['Error en ejecución de herramienta', 'Tool execution failed', 'The tool was run and failed.'],
    ...['Verificar parámetros y estado de la herramienta', 'Check the parameters and state of the tool'],
    ['service_error', 'server', 'task_failed', null],
  ],
  WF_001: [
    ...['Definición de workflow inválida', 'Invalid workflow definition', 'The definition is not valid.'],
    ...['Revisar definición del workflow', 'Check the definition of the workflow'],
    ['validation_error', 'client', 'unprocessable', 422],
  ],
  WF_002: [
    ...['Paso de workflow no encontrado', 'Workflow step not found', 'There is no such step.'],
    ...['Verificar ID del paso', 'Check the id of the step'],
    ['resource_not_found', 'client', 'not_found', 404],
  ],
  WF_003: [
    ...['Condición inválida', 'Invalid condition', 'The condition of a transition does not parse.'],
    ...['Revisar condiciones de transición', 'Check the conditions'],
    ['validation_error', 'client', 'unprocessable', 422],
  ],
  WF_004: [
    ...['Ciclo detectado', 'Cycle detected', 'Steps of the workflow wait for one another.'],
    ...['Corregir ciclo en el diseño del workflow', 'Break the cycle'],
    ['validation_error', 'client', 'unprocessable', 422],
  ],
  WF_005: [
    ...['Estado inválido', 'Invalid state', 'The state it is in does not allow this.'],
    ...['Verificar diagrama de estados', 'Check the state diagram'],
    ['validation_error', 'client', 'invalid_transition', 409],
  ],
  ORCH_EXEC_001: [
    ...['Ejecución cancelada', 'Execution cancelled', 'Somebody cancelled the task.'],
    ...['Enviar la tarea de nuevo si hace falta', 'Send the task again if it is still needed'],
    ['validation_error', 'client', 'invalid_transition', null],
  ],
  resource_not_found: [
    ...['Recurso solicitado no encontrado', 'Resource not found', 'What was asked for is not there.'],
    ...['Verificar el identificador', 'Check the id'],
    ['resource_not_found', 'client', 'not_found', 404],
  ],
  circuit_open: [
    ...['Circuit breaker abierto', 'Circuit breaker open', 'It failed so often that it is not called now.'],
    ...['Esperar antes de reintentar', 'Wait before trying again'],
    ['circuit_open', 'dependency', 'circuit_open', 503],
  ],
  invalid_session: [
    ...['Sesión inválida o expirada', 'Invalid or expired session', 'The session is closed or expired.'],
    ...['Abrir una sesión nueva', 'Open a new session'],
    ['invalid_session', 'client', 'invalid_request', 400],
  ],
} as const satisfies Record<string, Row>;

/** A code as it is emitted (`NOOB-102`). */
export type NoobleCode = keyof typeof ROWS;

/** Every code that is emitted. */
export const CATALOGUE = Object.fromEntries(
  Object.entries(ROWS).map(([code, row]) => [code, entryOf(row as unknown as Row)]),
) as Readonly<Record<NoobleCode, CatalogueEntry>>;

/** The languages texts are in. */
export type Language = keyof Wording;

/** The language for a locale: Spanish unless another is named, and then English (`NOOB-31`). */
export function languageOf(locale: string | null): Language {
  return locale === null || /^es\b/i.test(locale) ? 'es' : 'en';
}

/** True for a code of the catalogue. */
export function isNoobleCode(code: string): code is NoobleCode {
  return Object.hasOwn(CATALOGUE, code);
}

/** What code is meant by one of the forms that services use: `VAL_AEX_001`, `ORCH_AUTH_001`; null where it is none (`NOOB-102`, `NOOB-103`). */
export function readCode(code: string): NoobleCode | null {
  if (isNoobleCode(code)) return code;
  if (code === 'VAL_AEX_001') return 'AEX_001';
  if (Object.hasOwn(COMMON_CODES, code)) return OF_COMMON[code as CommonCode];
  const [, category = '', number = ''] =
    /^(GEN|VAL|AUTH|AEX|WF)_[A-Z]{2,10}_(\d{3})$/.exec(code) ??
    /^[A-Z]{2,10}_(GEN|VAL|AUTH|EXEC|AEX|WF)_(\d{3})$/.exec(code) ??
    [];
  if (category === '') return null;
  if (category === 'EXEC') return 'AEX_005';
  const short = `${category}_${number}`;
  return isNoobleCode(short) ? short : FIRST[category as keyof typeof FIRST];
}

const FIRST = { GEN: 'GEN_004', VAL: 'VAL_001', AUTH: 'AUTH_001', AEX: 'AEX_005', WF: 'WF_001' } as const;

const OF_COMMON: Readonly<Record<CommonCode, NoobleCode>> = {
  validation_error: 'VAL_001',
  service_unavailable: 'GEN_001',
  timeout: 'GEN_002',
  authorization_error: 'AUTH_001',
  resource_not_found: 'resource_not_found',
  rate_limited: 'GEN_003',
  circuit_open: 'circuit_open',
  invalid_session: 'invalid_session',
  service_error: 'GEN_004',
};

function entryOf([es, en, meaning, accion, action, kind]: Row): CatalogueEntry {
  const [common, category, canonical, status] = kind;
  return {
    ...{ meaning, common, category, canonical, status },
    message: { es, en },
    action: { es: accion, en: action },
  };
}
