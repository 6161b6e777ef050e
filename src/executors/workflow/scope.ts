// What expressions of a step see: the input, shared state, and of earlier steps what is asked for. Outputs are read from the child tasks
// that have them when an expression speaks of them, and kept nowhere else (`SAM-166`).

import { DomainError } from '../../domain/errors.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { recordOf, stateOf, type WorkflowRun } from '../../domain/workflow.ts';
import { type Expression, sizeOf } from '../../engine/expressions.ts';
import { childId } from './child-order.ts';
import type { Children } from './children.ts';
import type { Plan } from './plan.ts';

/** All that outputs read for one look may come to, in values and characters. */
const READ_MAX = 16_777_216;

/** Reads outputs of a run's steps. */
export class Scope {
  readonly #plan: Plan;
  readonly #parent: Task;
  readonly #children: Pick<Children, 'read'>;
  readonly #input: JsonObject;

  constructor(plan: Plan, parent: Task, children: Pick<Children, 'read'>, input: JsonObject) {
    this.#plan = plan;
    this.#parent = parent;
    this.#children = children;
    this.#input = input;
  }

  /** What these expressions may look at; `more` is what only this step sees. */
  async of(run: WorkflowRun, expressions: readonly Expression[], more: JsonObject = {}): Promise<JsonObject> {
    const wanted = new Map<string, boolean>();
    for (const { steps } of expressions)
      for (const [step, { output }] of steps) wanted.set(step, output || wanted.get(step) === true);
    const steps: Record<string, JsonObject> = {};
    let room = READ_MAX;
    for (const [step, hasOutput] of wanted) {
      const shown = viewOf(run, step);
      if (!hasOutput) steps[step] = shown;
      else {
        const output = await this.output(run, step);
        room = sizeOf(output, room);
        if (room < 0) throw tooLarge(step);
        steps[step] = { ...shown, output };
      }
    }
    const { id, executionId } = this.#parent;
    const workflow = { task_id: id, execution_id: executionId };
    return { input: this.#input, shared: run.shared, steps, workflow, ...more };
  }

  /** What a step answered; null where it has not, or nothing. */
  async output(run: WorkflowRun, id: string): Promise<Json> {
    const record = recordOf(run, id);
    const step = this.#plan.graph.steps.get(id);
    if (record === undefined || step === undefined) return null;
    switch (step.kind) {
      case 'task':
      case 'stage':
      case 'workflow': {
        const [task] = await this.#children.read([
          (record.task ?? childId(this.#parent.id, id, null)) as Task['id'],
        ]);
        return outputOf(task);
      }
      case 'map': {
        const prefix = record.task ?? childId(this.#parent.id, id, null);
        const ids = [...(record.items ?? '')].map((_, item) => `${prefix}.${item}` as Task['id']);
        let room = READ_MAX;
        const outputs: Json[] = [];
        for (const task of await this.#children.read(ids)) {
          const output = outputOf(task);
          room = sizeOf(output, room);
          if (room < 0) throw tooLarge(id);
          outputs.push(output);
        }
        return outputs;
      }
      case 'condition':
        return { result: record.result ?? null };
      case 'wait':
      case 'approval':
        return record.output ?? null;
      case 'join':
      case 'parallel': {
        if (record.state !== 'completed') return null;
        const members = await Promise.all(
          step.dependsOn
            .filter(one => stateOf(run, one) === 'completed')
            .map(async one => [one, await this.output(run, one)] as const),
        );
        return Object.fromEntries(members);
      }
    }
  }
}

/** What can be said of a step without its output. */
function viewOf(run: WorkflowRun, id: string): JsonObject {
  const record = recordOf(run, id);
  return {
    state: record?.state ?? 'pending',
    ...(record?.attempts === undefined ? {} : { attempts: record.attempts }),
    ...(record?.error === undefined ? {} : { error: { ...record.error } }),
  };
}

/** Of a workflow that says what it answers, that. */
function outputOf(task: Task | null | undefined): Json {
  const output = task?.result?.output ?? null;
  if (task?.spec.type !== 'workflow_orchestration' || typeof output !== 'object' || output === null)
    return output;
  return 'result' in output ? (output.result ?? null) : output;
}

function tooLarge(step: string): DomainError {
  return new DomainError(
    'task_failed',
    `what ${step} answered is too large to be looked at; hand it on as an artifact`,
    {
      details: { step },
    },
  );
}
