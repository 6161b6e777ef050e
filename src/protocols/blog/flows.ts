// Plans and validations as workflows of tasks (`BLOG-20`, `BLOG-54`): the workflow's coordinator keeps them, so that they go on after a
// crash at the first step that is not done.

import type { JsonObject } from '../../domain/json.ts';
import type { PlanStep } from '../../domain/skill.ts';
import type { ContentValidation } from './schemas.ts';

/** What a step takes from an earlier one where it says nothing itself. */
const TAKEN: Readonly<Record<string, readonly string[]>> = {
  analyze_seo: ['title', 'content'],
  moderate_content: ['content'],
  summarize_content: ['content'],
};

/** A plan's steps, one after another; each is done by this server, or by the remote agent that stands in for the coder, while it is there. */
export function flowOf(steps: readonly PlanStep[], context: JsonObject, isRemote: boolean): JsonObject {
  const written = steps.map(({ skill, params }, index): JsonObject => {
    const input = filled(steps, index, { skill, params });
    return {
      id: idOf(index),
      task_type: 'custom',
      task_data: isRemote
        ? { type_name: 'coder', skill, params: input, fallback: skillData(skill, input, context) }
        : skillData(skill, input, context),
      ...(index === 0 ? {} : { depends_on: [idOf(index - 1)] }),
      retry: { max_attempts: 4, strategy: 'exponential', delay: 1 },
      description: `${skill}, step ${index + 1} of ${steps.length}`,
    };
  });
  const results = steps.map(({ skill }, index) => ({ skill, result: outputOf(index) }));
  return { steps: written, output: { steps: results } };
}

/** A validation whose last word is a person's: the checks, the person, the verdict. */
export function approvalFlowOf(validation: ContentValidation): JsonObject {
  const { contentId } = validation;
  return {
    steps: [
      {
        ...{ id: 'checks', task_type: 'custom', description: `validation of ${contentId}` },
        task_data: {
          type_name: 'validate_content',
          ...(validation as unknown as JsonObject),
          leaves_approval: true,
        },
      },
      {
        ...{ id: 'person', kind: 'approval', title: `Publication of ${contentId}`, expires_in: 31_536_000 },
        ...{ message: `Is the content ${contentId} to be published?`, on_failure: 'continue' },
        ...{ depends_on: ['checks'], condition: 'steps.checks.output.isFit' },
      },
      {
        ...{
          id: 'verdict',
          task_type: 'custom',
          depends_on: ['checks', 'person'],
          description: `verdict on ${contentId}`,
        },
        task_data: {
          type_name: 'conclude_validation',
          validation: rendered('steps.checks.output.validation'),
          decision: rendered('steps.person.state'),
        },
      },
    ],
    output: rendered('steps.verdict.output'),
  };
}

function filled(steps: readonly PlanStep[], index: number, { skill, params }: PlanStep): JsonObject {
  const source = steps.slice(0, index).findLastIndex(one => one.skill === 'generate_content');
  if (source < 0 || params.contentId !== undefined) return params;
  const missing = (TAKEN[skill] ?? []).filter(name => params[name] === undefined);
  return {
    ...Object.fromEntries(missing.map(name => [name, rendered(`steps.${idOf(source)}.output.${name}`)])),
    ...params,
  };
}

function skillData(skill: string, input: JsonObject, context: JsonObject): JsonObject {
  return { type_name: skill, input, context, preconditions: [], postconditions: [], config: {} };
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
