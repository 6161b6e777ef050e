// Guardrails: the limits a tenant's agents move within, which of them bit, and what follows from them for a task that is asked for. Who
// enforces them asks here; this file knows only numbers.

import { DomainError } from './errors.ts';

/** What holds for a tenant's agents. */
export interface Guardrails {
  /** What each agent may send (`ARMY-82`). */
  readonly messagesPerMinute: number;
  readonly messagesBurst: number;
  /** How long a task may be given at most, where its wire has such a limit (`ARMY-70`). */
  readonly taskTimeMsMax: number;
  /** How many tokens, where its wire has such a limit (`ARMY-71`). */
  readonly taskTokensMax: number;
  /** Resident memory from which on an agent elsewhere gets no new work; the built-in memory answers nothing that would take more (`ARMY-72`). */
  readonly agentMemoryMbMax: number;
  /** How many tasks may make one another (`ARMY-84`). */
  readonly depthMax: number;
  /** The score from which on an output is good enough, 0–1 (`ARMY-78`). */
  readonly qualityMin: number;
  /** Whether a person decides about the output of critical tasks (`ARMY-79`). */
  readonly reviewCritical: boolean;
  /** Whether offensive requests and results are refused; by default as their wire has it (`ARMY-73`). */
  readonly offensiveContent: 'wire' | 'refuse' | 'allow';
}

/** The guardrails that can bite, by the name errors, audit and figures have for them. */
export const GUARDRAIL_RULES = [
  'message_rate',
  'task_time',
  'task_tokens',
  'agent_memory',
  'recursion_depth',
  'unclean_text',
  'offensive_content',
  'quality',
  'human_review',
] as const;

/** One of them. */
export type GuardrailRule = (typeof GUARDRAIL_RULES)[number];

/** What holds where a tenant sets nothing. */
export const DEFAULT_GUARDRAILS: Guardrails = {
  messagesPerMinute: 600,
  messagesBurst: 100,
  taskTimeMsMax: 300_000,
  taskTokensMax: 4_000,
  agentMemoryMbMax: 100,
  depthMax: 8,
  qualityMin: 0.7,
  reviewCritical: true,
  offensiveContent: 'wire',
};

const BOUNDS = {
  messagesPerMinute: { least: 1, most: 1_000_000 },
  messagesBurst: { least: 1, most: 1_000_000 },
  taskTimeMsMax: { least: 1_000, most: 7 * 86_400_000 },
  taskTokensMax: { least: 1, most: 10_000_000 },
  agentMemoryMbMax: { least: 1, most: 1_048_576 },
  depthMax: { least: 1, most: 64 },
  qualityMin: { least: 0, most: 1 },
} as const satisfies Partial<Record<keyof Guardrails, { readonly least: number; readonly most: number }>>;

/** Throws `invalid_request` for settings out of bounds. */
export function requireSoundGuardrails(settings: Partial<Guardrails>): void {
  for (const [name, { least, most }] of Object.entries(BOUNDS)) {
    const value = settings[name as keyof typeof BOUNDS];
    const isWhole = name === 'qualityMin' || Number.isInteger(value);
    if (value === undefined || (isWhole && value >= least && value <= most)) continue;
    const field = `options.guardrails.${name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)}`;
    const message = `must be within ${least}–${most}`;
    throw new DomainError('invalid_request', `${field} ${message}`, {
      details: { errors: [{ field, message }] },
    });
  }
}

/** Which guardrail an error is about, or null. */
export function ruleOf(error: DomainError): GuardrailRule | null {
  const { rule } = error.details;
  return GUARDRAIL_RULES.find(one => one === rule) ?? null;
}

/** What a task that is asked for may use; throws `policy_violation` where it wants more. */
export function taskBounds(
  { taskTimeMsMax, taskTokensMax }: Pick<Guardrails, 'taskTimeMsMax' | 'taskTokensMax'>,
  asked: { readonly timeMs?: number; readonly tokens?: number },
): { readonly timeMs: number; readonly tokens: number } {
  const { timeMs = taskTimeMsMax, tokens = taskTokensMax } = asked;
  if (timeMs > taskTimeMsMax)
    throw violation('task_time', `a task may take ${taskTimeMsMax / 1_000} s at most`, {
      ...{ asked_ms: timeMs, limit_ms: taskTimeMsMax },
    });
  if (tokens > taskTokensMax)
    throw violation('task_tokens', `a task may use ${taskTokensMax} tokens at most`, {
      ...{ asked: tokens, limit: taskTokensMax },
    });
  return { timeMs, tokens };
}

/** That a guardrail forbids something. */
export function violation(
  rule: GuardrailRule,
  message: string,
  details: DomainError['details'] = {},
): DomainError {
  return new DomainError('policy_violation', message, { details: { rule, ...details } });
}
