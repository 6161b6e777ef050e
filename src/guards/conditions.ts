// Conditions that must hold before or after a skill runs (`BLOG-37` to `BLOG-41`): expressions in the condition language of workflows, or
// names of conditions this server knows. They never are code, and what cannot be judged does not hold.

import { DomainError } from '../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';
import { holds, ParseBudget, parseExpression } from '../engine/expressions.ts';
import type { Clock } from '../runtime/clock.ts';

/** A condition as it travels; without a `check` its id names one that is registered. */
export interface Condition {
  readonly id: string;
  readonly description: string;
  readonly check?: string;
}

/** The conditions known by name. */
export const REGISTERED_CONDITIONS = [
  'rate-limit-check',
  'valid-topic',
  'content-generated',
  'content-valid',
] as const;

/** What conditions look at. */
export interface ConditionScene {
  readonly tenant: string;
  readonly input: Json;
  readonly context: JsonObject;
  /** Absent before the skill ran. */
  readonly result?: Json;
  /** Whether the result has the form it must have. */
  readonly isResultValid?: boolean;
}

const JUDGED_MS_MAX = 5_000;
const PER_MINUTE = 60;
const USERS_MAX = 100_000;

/** Judges conditions for one process, which counts how often each user runs skills. */
export class Conditions {
  readonly #clock: Clock;
  readonly #runs = new Map<string, number[]>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Throws `policy_violation` for the first that does not hold, in order, each judged once; `phase` says when. What fails or takes over
   * 5 s does not hold.
   */
  require(conditions: readonly Condition[], phase: 'before' | 'after', scene: ConditionScene): void {
    for (const condition of conditions) {
      const reason = this.#reasonAgainst(condition, scene);
      if (reason === null) continue;
      const { id, description } = condition;
      throw new DomainError('policy_violation', `${id}: ${description}`, {
        details: { phase, condition: { id, description }, reason },
      });
    }
  }

  /** Why it does not hold; null where it does. What an expression may look at is bounded, so it ends by itself. */
  #reasonAgainst({ id, check }: Condition, scene: ConditionScene): string | null {
    const began = this.#clock.monotonic();
    try {
      const isTrue = check === undefined ? this.#registered(id, scene) : isSo(check, scene);
      if (!isTrue) return 'it does not hold';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    return this.#clock.monotonic() - began > JUDGED_MS_MAX
      ? `it took over ${JUDGED_MS_MAX} ms to judge`
      : null;
  }

  #registered(id: string, scene: ConditionScene): boolean {
    const { input, result } = scene;
    switch (id as (typeof REGISTERED_CONDITIONS)[number]) {
      case 'rate-limit-check':
        return this.#mayRun(scene);
      case 'valid-topic':
        return isJsonObject(input) && typeof input.topic === 'string' && input.topic.trim() !== '';
      case 'content-generated':
        return isJsonObject(result) && typeof result.content === 'string' && result.content !== '';
      case 'content-valid':
        return scene.isResultValid === true;
    }
  }

  /** A user may run so many skills a minute; who is nobody is not counted. */
  #mayRun({ tenant, context }: ConditionScene): boolean {
    const { userId } = context;
    if (typeof userId !== 'string') return true;
    const now = this.#clock.monotonic();
    const key = `${tenant}\n${userId}`;
    const recent = (this.#runs.get(key) ?? []).filter(at => now - at < 60_000);
    if (recent.length < PER_MINUTE) recent.push(now);
    else return false;
    if (this.#runs.size >= USERS_MAX) this.#runs.clear();
    this.#runs.set(key, recent);
    return true;
  }
}

/** Throws `invalid_request` for a condition that is neither known by name nor an expression; `field` is where the list stands. */
export function requireConditions(conditions: readonly Condition[], field: string): void {
  const faults = conditions.flatMap(({ id, check }, index) => {
    const message =
      check === undefined ? (isRegistered(id) ? null : `is no condition known here: ${id}`) : faultOf(check);
    return message === null
      ? []
      : [{ field: `${field}.${index}.${check === undefined ? 'id' : 'check'}`, message }];
  });
  if (faults.length === 0) return;
  throw new DomainError('invalid_request', `${faults[0]?.field} ${faults[0]?.message}`, {
    details: { errors: faults, conditions: [...REGISTERED_CONDITIONS] },
  });
}

function isRegistered(id: string): boolean {
  return (REGISTERED_CONDITIONS as readonly string[]).includes(id);
}

function faultOf(check: string): string | null {
  try {
    parseExpression(check, new ParseBudget());
    return null;
  } catch (error) {
    return `is no condition: ${error instanceof Error ? error.message : String(error)}`;
  }
}

function isSo(check: string, { input, context, result }: ConditionScene): boolean {
  const seen = { input, context, ...(result === undefined ? {} : { result }) };
  return holds(parseExpression(check, new ParseBudget()), seen);
}
