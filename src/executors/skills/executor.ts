// Runs what the agents of a blog are asked for (`BLOG-16` to `BLOG-30`, `BLOG-35` to `BLOG-59`): skills with what must hold before and
// after, plans, validations that go on where they stopped, changes of contents. Custom tasks, so that any wire may order them.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { CHORES, type ChoreId, isSkill, SKILLS, type SkillId, type SkillStage } from '../../domain/skill.ts';
import { type ContentOrder, Contents } from '../../engine/contents.ts';
import type { Memory } from '../../engine/memory/memory.ts';
import { Planner } from '../../engine/planning.ts';
import type { AttemptContext, AttemptResult, Executor, ExecutorStatus } from '../../engine/ports/executor.ts';
import type { ModelProvider } from '../../engine/ports/model-provider.ts';
import type { PayloadCheck } from '../../engine/ports/schemas.ts';
import { type Condition, Conditions } from '../../guards/conditions.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Store } from '../../store/store.ts';
import { Models, SkillFailure } from './model.ts';
import { runSkill, type SkillParts } from './running.ts';
import { INPUTS, RESULTS } from './shapes.ts';
import { Sessions } from './talking.ts';
import { validated } from './verdicts.ts';

/** What skills are made of. */
export interface SkillsParts {
  readonly clock: Clock;
  readonly store: Pick<Store, 'documents' | 'putDocuments'>;
  /** Where contents are kept; asked for once attempts run, for it is made with the engine they run in. */
  readonly memory: () => Memory;
  readonly models: readonly ModelProvider[];
  /** Judges inputs and results by the shapes of shapes.ts. */
  readonly schemas: PayloadCheck;
}

/** The executor of skills. */
export function createSkillsExecutor(parts: SkillsParts): Executor {
  return new SkillsExecutor(parts);
}

/** Every shape it has data judged by. */
export const SKILL_SHAPES: readonly JsonObject[] = [...Object.values(INPUTS), ...Object.values(RESULTS)];

class SkillsExecutor implements Executor {
  readonly type = 'custom';
  readonly typeNames = [...SKILLS, ...CHORES];
  readonly payloadSchema: JsonObject = { type: 'object' };
  readonly defaults = { resources: { memoryMb: 0, cpuCores: 0, diskMb: 0 }, expectedMs: 1_000 };
  readonly #parts: SkillParts;
  readonly #planner: Planner;
  readonly #conditions: Conditions;
  readonly #schemas: PayloadCheck;

  constructor({ clock, store, memory, models, schemas }: SkillsParts) {
    const contents = new Contents({
      store,
      get memory() {
        return memory();
      },
    });
    this.#parts = { clock, contents, models: new Models(models), sessions: new Sessions(store) };
    this.#planner = new Planner(clock, models);
    this.#conditions = new Conditions(clock);
    this.#schemas = schemas;
  }

  async start(): Promise<void> {}

  async stop(): Promise<void> {}

  status(): ExecutorStatus {
    return { available: true, isolation: ['process'], detail: { type_names: [...this.typeNames] } };
  }

  check(): void {}

  async run(context: AttemptContext): Promise<AttemptResult> {
    const { spec } = context.task;
    const name = spec.typeName ?? '';
    if (isSkill(name)) return this.#skill(name, context);
    return this.#chore(name as ChoreId, spec.payload, context);
  }

  async #chore(chore: ChoreId, payload: JsonObject, context: AttemptContext): Promise<AttemptResult> {
    const { tenant, id } = context.task;
    const { contents, models, clock } = this.#parts;
    switch (chore) {
      case 'plan_content': {
        const scene = isJsonObject(payload.context) ? payload.context : {};
        const steps = await this.#planner.plan(String(payload.intent ?? ''), scene);
        return { status: 'completed', output: { steps: steps.map(step => ({ ...step })) } };
      }
      case 'change_content': {
        const { type_name: _, ...order } = payload;
        const hand = { taskId: id, at: clock.now() };
        const { told, effect } = await contents.decide(tenant, order as unknown as ContentOrder, hand);
        return { status: 'completed', output: told, effect };
      }
      case 'validate_content':
        return {
          status: 'completed',
          output: await validated(payload, context, { clock, contents, models }),
        };
    }
  }

  async #skill(skill: SkillId, context: AttemptContext): Promise<AttemptResult> {
    const { tenant, spec, id: taskId } = context.task;
    const { input = {}, context: told, preconditions, postconditions, config } = spec.payload;
    const scene = isJsonObject(told) ? told : {};
    const judged = { tenant, input, context: scene };
    const stage = stages(context);
    stage('validating');
    this.#conditions.require(listIn(preconditions), 'before', judged);
    await this.#schemas.check(INPUTS[skill], input, 'input');
    stage('executing');
    const { model, temperature } = isJsonObject(config) ? config : {};
    const asking = {
      signal: context.signal,
      ...(typeof model === 'string' ? { model } : {}),
      ...(typeof temperature === 'number' ? { temperature } : {}),
    };
    const userId = typeof scene.userId === 'string' ? scene.userId : null;
    let result: Json;
    try {
      result = await runSkill(skill, input as JsonObject, { tenant, taskId, userId, asking }, this.#parts);
    } catch (error) {
      return failed(error, scene);
    }
    stage('validating_result');
    const isResultValid = await this.#isValid(skill, result);
    try {
      this.#conditions.require(listIn(postconditions), 'after', { ...judged, result, isResultValid });
    } catch (error) {
      return { ...failed(error, scene), output: result };
    }
    return { status: 'completed', output: result };
  }

  async #isValid(skill: SkillId, result: Json): Promise<boolean> {
    return this.#schemas.check(RESULTS[skill], result, 'result').then(
      () => true,
      () => false,
    );
  }
}

/** Tells each stage as it begins, so that who watches sees it (`BLOG-35`). */
function stages({ report }: AttemptContext): (stage: SkillStage) => void {
  return stage =>
    report({ currentStep: stage, alerts: [{ kind: 'note', name: 'skill.stage', detail: { stage } }] });
}

function listIn(conditions: Json | undefined): readonly Condition[] {
  return Array.isArray(conditions) ? (conditions as unknown as readonly Condition[]) : [];
}

/** What a skill's failure says of it; where it broke down in development, also where (`BLOG-73`). */
function failed(error: unknown, { environment }: JsonObject): AttemptResult & { readonly status: 'failed' } {
  if (error instanceof SkillFailure) {
    const { code, message, details, isRecoverable: recoverable } = error;
    return { status: 'failed', error: { code, message, recoverable, details } };
  }
  if (error instanceof DomainError) {
    const { code, message, details } = error;
    return { status: 'failed', error: { code, message, recoverable: false, details } };
  }
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const details = environment === 'development' && stack !== undefined ? { stack } : {};
  return { status: 'failed', error: { code: 'task_failed', message, recoverable: false, details } };
}
