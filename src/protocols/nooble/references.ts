// What a lone step reads of its workflow: results of its steps and what it was given, in place of the references to them (`NOOB-56`).

import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { evaluate, ParseBudget, parseExpression } from '../../engine/expressions.ts';
import type { Store } from '../../store/store.ts';
import { noobleError } from './errors.ts';
import { stepsOf } from './status.ts';
import type { Templates } from './templates.ts';

/** What a step was given, its references replaced, and what could not be. */
export interface ReadInput {
  readonly input: JsonObject;
  readonly warnings: readonly string[];
}

/** Reads references by the workflow of that name; where nobody here knows it, or it is sensitive and the step is not, they are left out and warned of. */
export async function readInput(
  tenant: TenantId,
  {
    workflow,
    given,
    by,
  }: {
    readonly workflow: string | null;
    readonly given: JsonObject;
    /** The task they are read for. */
    readonly by: Pick<Task, 'spec'>;
  },
  { templates, store }: { readonly templates: Templates; readonly store: Pick<Store, 'read'> },
): Promise<ReadInput> {
  const run = workflow === null ? null : await templates.run(tenant, workflow);
  const [task = null] = run === null ? [] : await store.read([{ tenant, id: run.task as TaskId }]);
  const input: Record<string, Json> = {};
  const warnings: string[] = [];
  for (const [name, value = null] of Object.entries(given)) {
    const isReference =
      isJsonObject(value) && (value.source === 'previous_step' || value.source === 'workflow_input');
    if (!isReference) input[name] = value;
    else if (task?.spec.sensitive === true && by.spec.sensitive !== true)
      warnings.push(`${name} is withheld: the workflow is sensitive, and the step is not`);
    else if (task === null) warnings.push(`${name} refers to a workflow that is not known here`);
    else if (value.source === 'workflow_input') {
      const { input: inputs } = task.spec.payload;
      input[name] = (isJsonObject(inputs) ? inputs[String(value.parameter)] : null) ?? null;
    } else {
      const id = stepsOf(task).find(step => step.id === value.step_id)?.taskId ?? '';
      const [child] = await store.read([{ tenant, id: id as TaskId }]);
      if (child?.outcome !== 'completed')
        throw noobleError('WF_005', `step ${value.step_id} has no result`, { step_id: value.step_id });
      input[name] = partOf(child.result?.output ?? null, value.path);
    }
  }
  return { input, warnings };
}

function partOf(output: Json, path: Json | undefined): Json {
  if (typeof path !== 'string' || path === '') return output;
  try {
    return isJsonObject(output) ? evaluate(parseExpression(path, new ParseBudget()), output) : null;
  } catch (cause) {
    throw noobleError('VAL_001', `${path} leads nowhere: ${String(cause)}`, { path });
  }
}
