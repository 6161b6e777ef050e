// Plans and validations as workflows of tasks (`BLOG-20`, `BLOG-49`, `BLOG-54`): the workflow's coordinator keeps them, so that they go on after a
// crash at the first step that is not done.

import type { Json, JsonObject } from '../../domain/json.ts';
import type { PlanStep } from '../../domain/skill.ts';
import type { ContentValidation } from './schemas.ts';
import { VALIDATOR_TYPE } from './vocabulary.ts';

/** What a step takes from an earlier one where it says nothing itself. */
const TAKEN: Readonly<Record<string, readonly string[]>> = {
  analyze_seo: ['title', 'content'],
  moderate_content: ['content'],
  summarize_content: ['content'],
};

/**
 * A plan's steps, one after another; each is done by this server, or by the remote agent that stands in for the coder, while it is there.
 * What was asked for is the workflow's input: in its steps it would be read as templates.
 */
export function flowOf(steps: readonly PlanStep[], context: JsonObject, isRemote: boolean): JsonObject {
  const written = steps.map(({ skill }, index): JsonObject => {
    const data = skillData(skill, inputOf(steps, index));
    return {
      id: idOf(index),
      task_type: 'custom',
      task_data: isRemote ? { type_name: 'coder', skill, params: data.input ?? {}, fallback: data } : data,
      ...(index === 0 ? {} : { depends_on: [idOf(index - 1)] }),
      retry: { max_attempts: 4, strategy: 'exponential', delay: 1 },
      description: `${skill}, step ${index + 1} of ${steps.length}`,
    };
  });
  const input = Object.fromEntries(steps.map(({ params }, index) => [idOf(index), params]));
  const results = steps.map(({ skill }, index) => ({ skill, result: outputOf(index) }));
  return { input: { ...input, context }, steps: written, output: { steps: results } };
}

/** Whose word a step of a validation is, where it is not this server's. */
export type Judge = 'agent' | 'person';

/** A validation of which persons or agents elsewhere judge a part (`BLOG-49`, `BLOG-54`): this server takes the steps between their words. */
export function validationFlowOf(
  { steps = [], ...validation }: ContentValidation,
  judgeOf: (step: string) => Judge | null,
): JsonObject {
  const planned = steps.toSorted((one, other) => one.order - other.order);
  const written: JsonObject[] = [];
  let told: { readonly id: string; readonly judge: Judge; readonly after: string } | null = null;
  const take = (id: string, until: number): void => {
    written.push(takingStep({ id, until, told }));
  };
  for (const [index, step] of planned.entries()) {
    const judge = judgeOf(step.id);
    if (judge === null) continue;
    const after = `taken_${index}`;
    take(after, index);
    told = { id: `told_${index}`, judge, after };
    written.push(
      judge === 'person'
        ? personStep(told, validation.contentId)
        : agentStep(told, { index, validator: step.id }),
    );
  }
  take('verdict', planned.length);
  return {
    input: { ...validation, steps: planned } as unknown as JsonObject,
    steps: written,
    output: rendered('steps.verdict.output.validation'),
  };
}

interface Told {
  readonly id: string;
  readonly judge: Judge;
  readonly after: string;
}

function takingStep(part: {
  readonly id: string;
  readonly until: number;
  readonly told: Told | null;
}): JsonObject {
  const { id, until, told } = part;
  const earlier =
    told === null
      ? {}
      : {
          state: rendered(`steps.${told.after}.output.state`),
          told: {
            by: told.judge,
            state: rendered(`steps.${told.id}.state`),
            output: rendered(`not_null(steps.${told.id}.output, \`false\`)`),
            error: rendered(`not_null(steps.${told.id}.error.message, '')`),
          },
        };
  return {
    ...{ id, task_type: 'custom', description: `validation up to step ${until + 1}` },
    ...(told === null ? {} : { depends_on: [told.after, told.id] }),
    task_data: {
      ...{ type_name: 'validate_content', asked: rendered('input'), until },
      ...earlier,
    },
  };
}

function personStep({ id, after }: Told, contentId: string): JsonObject {
  return {
    ...{ id, kind: 'approval', title: `Publication of ${contentId}`, expires_in: 31_536_000 },
    ...{ message: `Is the content ${contentId} to be published?`, on_failure: 'continue' },
    ...{ depends_on: [after], condition: `steps.${after}.output.isFit` },
  };
}

function agentStep(
  { id, after }: Told,
  { index, validator }: { readonly index: number; readonly validator: string },
): JsonObject {
  return {
    ...{ id, task_type: 'custom', description: `validation by ${validator}`, on_failure: 'continue' },
    ...{ depends_on: [after], condition: `steps.${after}.output.isOpen` },
    retry: { max_attempts: 4, strategy: 'exponential', delay: 1 },
    task_data: {
      type_name: `${VALIDATOR_TYPE}${validator}`,
      validation: rendered('input'),
      step: rendered(`input.steps[${index}]`),
    },
  };
}

/** A step's input: what was asked for, and of the last content made before it what it says nothing of itself. */
function inputOf(steps: readonly PlanStep[], index: number): Json {
  const step = steps[index];
  if (step === undefined) throw new Error('a step of a plan is one of its steps');
  const { skill, params } = step;
  const own = `input.${idOf(index)}`;
  const source = steps.slice(0, index).findLastIndex(one => one.skill === 'generate_content');
  const isTaking = source >= 0 && params.contentId === undefined;
  const missing = isTaking ? (TAKEN[skill] ?? []).filter(name => params[name] === undefined) : [];
  if (missing.length === 0) return rendered(own);
  const given = Object.entries(params).map(([name, value]) => [
    name,
    // What is null has no value that an expression could have.
    value === null ? null : rendered(`${own}.${quoted(name)}`),
  ]);
  return {
    ...Object.fromEntries(missing.map(name => [name, rendered(`steps.${idOf(source)}.output.${name}`)])),
    ...Object.fromEntries(given),
  } as JsonObject;
}

function skillData(skill: string, input: Json): JsonObject {
  const context = rendered('input.context');
  return { type_name: skill, input, context, preconditions: [], postconditions: [], config: {} };
}

/** A name as expressions have it, whatever it is. */
function quoted(name: string): string {
  return JSON.stringify(name);
}

function outputOf(index: number): string {
  return rendered(`steps.${idOf(index)}.output`);
}

/** A template that has the value of an expression. */
function rendered(expression: string): string {
  return `\${{ ${expression} }}`;
}

function idOf(index: number): string {
  return `s${index + 1}`;
}
