// What is wrong with a template, step by step, under the codes of the catalogue (`NOOB-61`).

import { isJsonObject } from '../../domain/json.ts';
import { ParseBudget, parseExpression } from '../../engine/expressions.ts';
import { noobleError } from './errors.ts';
import { FORMATS } from './result-schemas.ts';
import type { TemplateStep } from './template.ts';
import { STEP_TYPES } from './workflow-words.ts';

const STEP_ID = /^[A-Za-z_][A-Za-z0-9_-]{0,62}$/;
const POLICY = /^(?:fail|continue|retry_(?:once|[1-9]\d?)_then_(?:fail|continue))$/;

/** What is wrong with a step among others, or null. */
export function stepFaultOf(step: TemplateStep, ids: readonly string[]): Error | null {
  const { step_id: id, step_type: type, on_failure: policy, expected_output: expected } = step;
  const at = { step_id: id };
  if (!STEP_ID.test(id)) return noobleError('WF_001', `${id} cannot be the id of a step`, at);
  if (!STEP_TYPES.includes(type)) return noobleError('WF_001', `there is no step type ${type}`, at);
  if (policy !== undefined && !POLICY.test(policy))
    return noobleError('WF_001', `${policy} is nothing that can follow a failure`, at);
  const { format } = expected ?? {};
  if (format !== undefined && !(typeof format === 'string' && Object.hasOwn(FORMATS, format)))
    return noobleError('WF_001', `there is no format ${format}`, { ...at, formats: Object.keys(FORMATS) });
  const unknown = referencesOf(step).find(one => !ids.includes(one));
  if (unknown !== undefined)
    return noobleError('WF_002', `step ${id} refers to ${unknown}, which there is not`, {
      ...at,
      unknown_step: unknown,
    });
  for (const condition of conditionsOf(step)) {
    try {
      parseExpression(condition, new ParseBudget());
    } catch (error) {
      return noobleError('WF_003', `the condition of ${id} does not parse: ${String(error)}`, {
        ...at,
        condition,
      });
    }
  }
  return null;
}

/** Steps that wait for one another, first and last the same; null where none do. */
export function findCycle(steps: readonly TemplateStep[]): readonly string[] | null {
  const next = new Map(steps.map(step => [step.step_id, referencesOf(step)]));
  const done = new Set<string>();
  const follow = (id: string, way: readonly string[]): readonly string[] | null => {
    if (way.includes(id)) return [...way.slice(way.indexOf(id)), id];
    if (done.has(id)) return null;
    for (const one of next.get(id) ?? []) {
      const found = follow(one, [...way, id]);
      if (found !== null) return found;
    }
    done.add(id);
    return null;
  };
  for (const { step_id: id } of steps) {
    const found = follow(id, []);
    if (found !== null) return found;
  }
  return null;
}

/** The steps a step waits for or reads. */
function referencesOf({ depends_on: after = [], input_data: input = {} }: TemplateStep): readonly string[] {
  const read = Object.values(input).flatMap(value =>
    isJsonObject(value) && value.source === 'previous_step' ? [String(value.step_id)] : [],
  );
  return [...new Set([...after, ...read])];
}

function conditionsOf({ condition, expression }: TemplateStep): readonly string[] {
  return [condition, expression].filter(one => typeof one === 'string');
}
