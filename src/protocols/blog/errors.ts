// Errors in the words of the blog wire: every canonical code has one of its nine, each of those a severity and a word on whether and when
// to try again.

import { type DomainError, ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
import type { TaskError } from '../../domain/failure.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Fault } from '../../domain/message.ts';
import type { RetryPolicy } from '../../domain/retry.ts';
import { maskPersonalJson } from '../../guards/content/personal-data.ts';
import type { ErrorBodyScene, WireCode } from '../dialect/dialect.ts';
import type { ErrorPage } from '../protocol.ts';
import type { RetryStrategy } from './schemas.ts';
import { instant } from './vocabulary.ts';

/** The codes of the wire (`BLOG-68`). */
export const BLOG_CODES = [
  'VALIDATION_ERROR',
  'PRECONDITION_FAILED',
  'POSTCONDITION_FAILED',
  'SKILL_EXECUTION_FAILED',
  'RATE_LIMIT_EXCEEDED',
  'TIMEOUT',
  'NETWORK_ERROR',
  'INVARIANT_VIOLATION',
  'UNKNOWN_ERROR',
] as const;

/** One of them. */
export type BlogCode = (typeof BLOG_CODES)[number];

/** Every canonical code in this wire's words (`BLOG-104` to `BLOG-114`). */
export const CODES = {
  invalid_request: { code: 'VALIDATION_ERROR', status: 400 },
  unserializable: { code: 'VALIDATION_ERROR', status: 400 },
  unauthenticated: { code: 'PRECONDITION_FAILED', status: 401 },
  forbidden: { code: 'PRECONDITION_FAILED', status: 403 },
  not_found: { code: 'VALIDATION_ERROR', status: 404 },
  conflict: { code: 'INVARIANT_VIOLATION', status: 409 },
  lease_lost: { code: 'INVARIANT_VIOLATION', status: 409 },
  invalid_transition: { code: 'INVARIANT_VIOLATION', status: 409 },
  payload_too_large: { code: 'VALIDATION_ERROR', status: 413 },
  unprocessable: { code: 'PRECONDITION_FAILED', status: 422 },
  policy_violation: { code: 'PRECONDITION_FAILED', status: 422 },
  rate_limited: { code: 'RATE_LIMIT_EXCEEDED', status: 429 },
  task_failed: { code: 'SKILL_EXECUTION_FAILED', status: null },
  task_timeout: { code: 'TIMEOUT', status: null },
  resource_exhausted: { code: 'RATE_LIMIT_EXCEEDED', status: 503 },
  dependency_failed: { code: 'NETWORK_ERROR', status: 502 },
  circuit_open: { code: 'NETWORK_ERROR', status: 503 },
  unavailable: { code: 'NETWORK_ERROR', status: 503 },
  upstream_timeout: { code: 'TIMEOUT', status: 504 },
  internal: { code: 'UNKNOWN_ERROR', status: 500 },
} as const satisfies Record<ErrorCode, WireCode & { readonly code: BlogCode }>;

/** How bad a code is (`BLOG-69`). */
export const SEVERITIES = {
  VALIDATION_ERROR: 'low',
  PRECONDITION_FAILED: 'low',
  POSTCONDITION_FAILED: 'medium',
  SKILL_EXECUTION_FAILED: 'medium',
  TIMEOUT: 'medium',
  RATE_LIMIT_EXCEEDED: 'high',
  NETWORK_ERROR: 'high',
  INVARIANT_VIOLATION: 'critical',
  UNKNOWN_ERROR: 'critical',
} as const satisfies Record<BlogCode, 'low' | 'medium' | 'high' | 'critical'>;

const TRANSIENT: readonly BlogCode[] = ['RATE_LIMIT_EXCEEDED', 'TIMEOUT', 'NETWORK_ERROR'];
const STRATEGY: RetryStrategy = {
  maxRetries: 3,
  backoffMs: [1_000, 2_000, 4_000],
  retryableErrors: [...TRANSIENT],
};

/** What went wrong, whoever found it. */
export type Trouble = Pick<DomainError | TaskError | Fault, 'code' | 'message'> & {
  readonly details?: JsonObject;
  readonly recoverable?: boolean;
};

/** The wire's code of a trouble; one that came with a code of its own keeps it, known or not. */
export function codeOf({ code, details }: Pick<Trouble, 'code' | 'details'>): string {
  const own = details?.wire_code;
  if (typeof own === 'string') return own;
  if (code === 'policy_violation' && details?.phase === 'after') return 'POSTCONDITION_FAILED';
  return CODES[code].code;
}

/** The same, an unknown one taken for `UNKNOWN_ERROR` (`BLOG-68`). */
export function knownCode(code: string): BlogCode {
  return (BLOG_CODES as readonly string[]).includes(code) ? (code as BlogCode) : 'UNKNOWN_ERROR';
}

/** Whether trying again may help, as it is told (`BLOG-71`). */
export function isRecoverable(trouble: Trouble): boolean {
  const code = codeOf(trouble);
  if (code === 'SKILL_EXECUTION_FAILED') return trouble.recoverable ?? false;
  return (TRANSIENT as readonly string[]).includes(code);
}

/** The payload of an `error` message (`BLOG-72`). */
export function errorPayload(trouble: Trouble): JsonObject {
  const { wire_code: _, ...details } = trouble.details ?? {};
  return {
    code: codeOf(trouble),
    message: trouble.message,
    details: masked(details),
    recoverable: isRecoverable(trouble),
  };
}

/** Where and when a trouble was found. */
export interface TroubleScene {
  readonly component: string;
  readonly operation: string;
  readonly now: number;
  readonly traceId: string;
  readonly userId?: string;
  readonly input?: Json;
}

/** A SystemError (`BLOG-67`); what it tells of the input is masked, a stack is only told where the details have one (`BLOG-73`). */
export function systemErrorOf(trouble: Trouble, scene: TroubleScene): JsonObject {
  const { component, operation, now, traceId, userId, input } = scene;
  const { stack, wire_code: _, ...details } = trouble.details ?? {};
  const code = codeOf(trouble);
  const recoverable = isRecoverable(trouble);
  return {
    code,
    message: trouble.message,
    severity: SEVERITIES[knownCode(code)],
    context: {
      ...{ component, operation },
      ...(input === undefined ? {} : { input: masked(input) }),
      ...(typeof stack === 'string' ? { stackTrace: stack } : {}),
    },
    recoverable,
    ...(recoverable ? { retryStrategy: STRATEGY as unknown as JsonObject } : {}),
    ...(Object.keys(details).length === 0 ? {} : { details: masked(details) }),
    metadata: { timestamp: instant(now), traceId, ...(userId === undefined ? {} : { userId }) },
  };
}

/** The body of a refusal. */
export function errorBody(error: DomainError, { about, traceId, now, origin }: ErrorBodyScene): JsonObject {
  return {
    ...systemErrorOf(error, { component: 'blog', operation: 'accept', now, traceId }),
    ...(about === null ? {} : { messageId: about }),
    documentation_url: `${origin}/docs/errors/${codeOf(error)}`,
  };
}

/** What an `error` message's payload says went wrong; whatever is no error's payload is an unknown error. */
export function faultOf(payload: Json): Fault {
  const told = isJsonObject(payload) ? payload : {};
  const wireCode = typeof told.code === 'string' ? told.code : 'UNKNOWN_ERROR';
  const details = isJsonObject(told.details) ? told.details : {};
  return {
    code: CANONICAL[knownCode(wireCode)],
    message: typeof told.message === 'string' ? told.message : 'the agent reported an error without words',
    recoverable: told.recoverable === true,
    details: wireCode === 'POSTCONDITION_FAILED' ? { ...details, phase: 'after' } : details,
    wireCode,
  };
}

/** A strategy as the engine's policy; codes of this wire become all the canonical ones they stand for (`BLOG-70`). */
export function policyOf({ maxRetries, backoffMs, retryableErrors }: RetryStrategy): RetryPolicy {
  const wanted = new Set(retryableErrors);
  const all = Object.entries(CODES) as readonly (readonly [ErrorCode, WireCode])[];
  const retryCodes = [
    ...all.filter(([, { code }]) => wanted.has(code)).map(([code]) => code),
    ...(wanted.has('POSTCONDITION_FAILED') ? ['policy_violation:after'] : []),
    // Agents elsewhere may have errors of their own.
    ...retryableErrors,
  ];
  return {
    ...{ strategy: 'custom', attemptsMax: maxRetries + 1, firstDelayMs: 1_000, stepMs: 0, factor: 2 },
    ...{ delayMaxMs: 86_400_000, delaysMs: [...backoffMs], retryCodes },
  };
}

const CANONICAL: Readonly<Record<BlogCode, ErrorCode>> = {
  VALIDATION_ERROR: 'invalid_request',
  PRECONDITION_FAILED: 'policy_violation',
  POSTCONDITION_FAILED: 'policy_violation',
  SKILL_EXECUTION_FAILED: 'task_failed',
  RATE_LIMIT_EXCEEDED: 'rate_limited',
  TIMEOUT: 'task_timeout',
  NETWORK_ERROR: 'dependency_failed',
  INVARIANT_VIOLATION: 'conflict',
  UNKNOWN_ERROR: 'internal',
};

const SECRET = /(?:password|passwd|secret|token|api[_-]?key|authorization|credential)/i;

/** Without secrets and personal data. */
export function masked<Value extends Json>(value: Value): Value {
  return maskPersonalJson(withoutSecrets(value)) as Value;
}

function withoutSecrets(value: Json): Json {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name,
      SECRET.test(name) && typeof one === 'string' ? '***' : withoutSecrets(one ?? null),
    ]),
  );
}

const MEANINGS: Readonly<Record<BlogCode, readonly [meaning: string, remedy: string]>> = {
  VALIDATION_ERROR: [
    'The message, or what it names, is not valid or does not exist.',
    'Correct the fields that details.errors names.',
  ],
  PRECONDITION_FAILED: [
    'What must hold before does not: credentials, permission, a precondition, an approval.',
    'Fulfil what the message names and send it under a new id.',
  ],
  POSTCONDITION_FAILED: [
    'The skill ran, but its result does not meet a postcondition.',
    'Read the execution: it keeps the result.',
  ],
  SKILL_EXECUTION_FAILED: [
    'The skill failed.',
    'details.reason says why; try again where recoverable is true.',
  ],
  RATE_LIMIT_EXCEEDED: ['Too much was asked for at once.', 'Wait as Retry-After says.'],
  TIMEOUT: ['It took longer than it may.', 'Try again, or allow more time.'],
  NETWORK_ERROR: ['Something this server depends on cannot be reached.', 'Try again later.'],
  INVARIANT_VIOLATION: [
    'It contradicts what was said before: a used id, a second final answer, a delivery that is over.',
    'Read what there is; do not send it again as it is.',
  ],
  UNKNOWN_ERROR: ['This server failed.', 'Try again; tell the operator if it stays.'],
};

/** The pages about the codes. */
export const ERROR_PAGES: Readonly<Record<string, ErrorPage>> = Object.fromEntries(
  BLOG_CODES.map(code => [code, pageOf(code)]),
);

function pageOf(code: BlogCode): ErrorPage {
  const [meaning, remedy] = MEANINGS[code];
  const canonical = CANONICAL[code];
  return { status: CODES[canonical].status, meaning, remedy, retry: ERROR_CODES[canonical].retry };
}
