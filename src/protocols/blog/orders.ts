// What requests to the four built-in agents ask for: their payloads read, and refused where they say nothing that can be done.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import {
  INTENTS,
  isContentAction,
  isIntent,
  isSkill,
  type PlanStep,
  SKILLS,
  VALIDATORS,
} from '../../domain/skill.ts';
import type { ContentOrder } from '../../engine/contents.ts';
import { type Condition, requireConditions } from '../../guards/conditions.ts';
import { bodyCheck, type Check } from '../validation.ts';
import { invalid } from './decode.ts';
import {
  type ContentValidation,
  contentValidation,
  type RetryStrategy,
  type SkillExecution,
  skillExecution,
} from './schemas.ts';

/** A skill to be run, whole (`BLOG-32`). */
export interface SkillOrder {
  readonly skill: string;
  readonly input: JsonObject;
  readonly context: JsonObject & { readonly traceId: string };
  readonly preconditions: readonly Condition[];
  readonly postconditions: readonly Condition[];
  readonly config: JsonObject & { readonly timeoutMs?: number; readonly retryStrategy?: RetryStrategy };
}

const checkExecution = bodyCheck(skillExecution);
const checkValidation = bodyCheck(contentValidation);

/** A plan that is asked for (`BLOG-16`, `BLOG-17`); `canPlan`: a model may know more intents. */
export function planAsked(
  payload: Json,
  canPlan: boolean,
): { readonly intent: string; readonly context: JsonObject } {
  const { intent, context = {} } = objectIn(payload);
  if (typeof intent !== 'string' || intent === '') throw lacking('payload.intent', 'must be a string');
  if (!isJsonObject(context)) throw lacking('payload.context', 'must be an object');
  if (!isIntent(intent) && !canPlan)
    throw new DomainError('unprocessable', `nobody knows how to plan for ${intent.slice(0, 200)}`, {
      details: { intents: Object.keys(INTENTS) },
    });
  return { intent, context };
}

/** A skill that is asked for, as `{skill, params}` or a SkillExecution (`BLOG-18`). */
export function skillAsked(payload: Json, traceId: string): SkillOrder {
  const asked = objectIn(payload);
  const execution =
    asked.skillId === undefined
      ? { ...asked, skillId: asked.skill, input: asked.params === undefined ? {} : asked.params }
      : asked;
  requireShape(checkExecution, execution);
  const { skillId, input, context = {}, config = {}, ...lists } = execution as unknown as SkillExecution;
  const { preconditions = [], postconditions = [] } = lists;
  requireConditions(preconditions, 'payload.preconditions');
  requireConditions(postconditions, 'payload.postconditions');
  return {
    ...{ skill: skillId, input, preconditions, postconditions },
    context: { environment: 'production', ...context, traceId: context.traceId ?? traceId },
    config: config as SkillOrder['config'],
  };
}

/** A validation that is asked for (`BLOG-19`, `BLOG-49`); `registered` are the validators beside the built-in ones. */
export function validationAsked(payload: Json, registered: ReadonlySet<string>): ContentValidation {
  const asked = objectIn(payload);
  requireShape(checkValidation, asked);
  const validation = asked as unknown as ContentValidation;
  const unknown = (validation.steps ?? []).flatMap(({ id }, index) =>
    registered.has(id) || isBuiltInValidator(id)
      ? []
      : [{ field: `payload.steps.${index}.id`, message: `names no validator: ${id}` }],
  );
  if (unknown.length > 0) throw invalid(unknown);
  return validation;
}

/** The steps of a validation that names none (`BLOG-48`). */
export function defaultSteps(): NonNullable<ContentValidation['steps']> {
  return VALIDATORS.map((one, index) => ({ ...one, order: index + 1 }));
}

/** True for a validator every server has. */
export function isBuiltInValidator(id: string): boolean {
  return VALIDATORS.some(one => one.id === id);
}

/** What the executor is asked for (`BLOG-20`, `BLOG-21`). */
export type ExecutorOrder =
  | { readonly kind: 'change'; readonly order: ContentOrder }
  | { readonly kind: 'steps'; readonly steps: readonly PlanStep[] }
  | { readonly kind: 'intent'; readonly intent: string; readonly context: JsonObject };

/** Reads it; throws `invalid_request` for what is none of the three. */
export function executorAsked(payload: Json, canPlan: boolean): ExecutorOrder {
  const asked = objectIn(payload);
  if (asked.action !== undefined) return { kind: 'change', order: changeAsked(asked) };
  if (asked.steps !== undefined) return { kind: 'steps', steps: stepsAsked(asked.steps) };
  return { kind: 'intent', ...planAsked(payload, canPlan) };
}

function changeAsked({ action, contentId, content }: JsonObject): ContentOrder {
  if (typeof action !== 'string' || !isContentAction(action))
    throw lacking(
      'payload.action',
      'must be one of create_content, update_content, delete_content, publish_content',
    );
  if (
    contentId !== undefined &&
    (typeof contentId !== 'string' || !/^[A-Za-z0-9._:-]{1,150}$/.test(contentId))
  )
    throw lacking(
      'payload.contentId',
      'must be 1 to 150 characters of A–Z, a–z, 0–9, dot, underscore, colon, hyphen',
    );
  if (content !== undefined && !isJsonObject(content)) throw lacking('payload.content', 'must be an object');
  return {
    action,
    ...(contentId === undefined ? {} : { contentId }),
    ...(content === undefined ? {} : { content }),
  };
}

/** The steps of a plan, whoever made it; throws `invalid_request` for a skill nobody has. */
function stepsAsked(steps: Json): readonly PlanStep[] {
  if (!Array.isArray(steps) || steps.length === 0 || steps.length > 50)
    throw lacking('payload.steps', 'must be a list of 1 to 50 steps');
  return steps.map((step: Json, index): PlanStep => {
    const { skill, params = {} } = isJsonObject(step) ? step : {};
    if (typeof skill !== 'string' || !isSkill(skill))
      throw lacking(`payload.steps.${index}.skill`, `must be one of ${SKILLS.join(', ')}`);
    if (!isJsonObject(params)) throw lacking(`payload.steps.${index}.params`, 'must be an object');
    return { skill, params };
  });
}

function objectIn(payload: Json): JsonObject {
  if (isJsonObject(payload)) return payload;
  throw lacking('payload', 'must be an object');
}

function requireShape(check: Check, value: unknown): void {
  const faults = check(value);
  if (faults !== null)
    throw invalid(faults.map(({ field, message }) => ({ field: `payload.${field}`, message })));
}

function lacking(field: string, message: string): DomainError {
  return invalid([{ field, message }]);
}
