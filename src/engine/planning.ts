// Plans: which skills an intent takes, in order (`BLOG-16`, `BLOG-17`). A model's plan counts only if every skill and parameter of it is
// one that is known; else, and without a model, the intents known here are planned for in the one way.

import { DomainError } from '../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../domain/json.ts';
import { INTENTS, isIntent, isSkill, type PlanStep, planFor, SKILL_PARAMS, SKILLS } from '../domain/skill.ts';
import type { Clock } from '../runtime/clock.ts';
import type { ModelProvider } from './ports/model-provider.ts';

const TOKENS_MAX = 1_500;
const MODEL_MS_MAX = 8_000;
const STEPS_MAX = 20;

/** Makes plans. */
export class Planner {
  readonly #clock: Clock;
  readonly #model: ModelProvider | null;

  /** The first of the providers with a language model is asked; without one the known intents are all there is. */
  constructor(clock: Clock, models: readonly ModelProvider[]) {
    this.#clock = clock;
    this.#model = models.find(one => one.models.length > 0) ?? null;
  }

  /** Whether intents beyond the known ones may be asked for. */
  get hasModel(): boolean {
    return this.#model !== null;
  }

  /** The steps; throws `unprocessable` where nobody knows how. */
  async plan(intent: string, context: JsonObject): Promise<readonly PlanStep[]> {
    const planned = await this.#ask(intent, context);
    if (planned !== null) return planned;
    if (isIntent(intent)) return planFor(intent, context);
    throw new DomainError('unprocessable', `nobody knows how to plan for ${intent.slice(0, 200)}`, {
      details: { intents: Object.keys(INTENTS) },
    });
  }

  async #ask(intent: string, context: JsonObject): Promise<readonly PlanStep[] | null> {
    const model = this.#model;
    if (model === null) return null;
    const tooLong = new AbortController();
    const cancel = this.#clock.after(MODEL_MS_MAX, () => tooLong.abort());
    try {
      const { text } = await model.generate({
        ...{ model: model.models[0] ?? '', outputTokensMax: TOKENS_MAX, stream: false, temperature: 0 },
        signal: tooLong.signal,
        messages: [
          { role: 'system', text: DIRECTIONS },
          { role: 'user', text: JSON.stringify({ intent, context }) },
        ],
      });
      const told: unknown = JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1));
      return isJsonObject(told) ? planFrom(told.steps ?? null) : null;
    } catch {
      // A model that is away, or writes something else, leaves the plans that are known here.
      return null;
    } finally {
      cancel();
    }
  }
}

/** A plan if it is one: known skills, told only what they are told; else null. */
export function planFrom(steps: Json): readonly PlanStep[] | null {
  if (!Array.isArray(steps) || steps.length === 0 || steps.length > STEPS_MAX) return null;
  const plan: PlanStep[] = [];
  for (const step of steps as readonly Json[]) {
    const { skill, params } = isJsonObject(step) ? step : {};
    if (typeof skill !== 'string' || !isSkill(skill) || !isJsonObject(params)) return null;
    if (Object.keys(params).some(name => !SKILL_PARAMS[skill].includes(name))) return null;
    plan.push({ skill, params });
  }
  return plan;
}

const DIRECTIONS = `You plan work for a blog. Answer with JSON only: {"steps":[{"skill":"…","params":{…}}]}. The skills and their parameters:
${SKILLS.map(skill => `${skill}(${SKILL_PARAMS[skill].join(', ')})`).join('\n')}
Use no other skill and no other parameter. What an earlier step makes (title, content) need not be given to a later one.`;
