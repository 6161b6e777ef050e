// How steps begin: their conditions are looked at, their templates filled in, and what they are to do is known. Nothing is handed in here.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Task, TaskError, TaskType } from '../../domain/task.ts';
import { MAP_ITEMS_MAX, type Step, type WorkflowRun } from '../../domain/workflow.ts';
import type { RunFact } from '../../domain/workflow-run.ts';
import { holds } from '../../engine/expressions.ts';
import { childId, type Errand } from './child-order.ts';
import { taskPipes } from './pipes.ts';
import { type Plan, type PlannedStep, workflowOf } from './plan.ts';
import type { Scope } from './scope.ts';
import { expressionsIn, render } from './templates.ts';

/** What a step that begins leads to. */
export interface Beginning {
  readonly fact: RunFact;
  /** Its child task; items of a map follow one by one. */
  readonly errand?: Errand;
}

const PAYLOAD_LENGTH_MAX = 4_194_304;
const ITEMS_DEFAULT_MAX = 1_000;
const APPROVAL_S = 86_400;

/** Begins steps of one run. */
export class Beginner {
  readonly #plan: Plan;
  readonly #parent: Task;
  readonly #scope: Scope;
  /** Lists of maps under way; the same whenever they are looked at. */
  readonly #items = new Map<string, readonly Json[]>();

  constructor(plan: Plan, parent: Task, scope: Scope) {
    this.#plan = plan;
    this.#parent = parent;
    this.#scope = scope;
  }

  /** What becomes of a step whose turn has come. */
  async begin(run: WorkflowRun, { id }: Step, now: number): Promise<Beginning> {
    const step = this.#step(id);
    try {
      for (const condition of step.conditions)
        if (!holds(condition, await this.#scope.of(run, [condition])))
          return {
            fact: {
              fact: 'skipped',
              step: id,
              at: now,
              reason: `the condition does not hold: ${condition.text}`,
            },
          };
      return await this.#begun(run, id, step, now);
    } catch (error) {
      return { fact: failure(id, null, error, now) };
    }
  }

  /** What the step's child is to do. */
  async errand(run: WorkflowRun, id: string): Promise<Errand> {
    const step = this.#step(id);
    if (step.kind === 'stage') return await this.#stage(run, id, step);
    const given = render(step.payload, await this.#scope.of(run, expressionsIn(step.payload)));
    const payload = asPayload(
      step.kind === 'workflow' ? { ...workflowOf(step.written), input: given } : given,
    );
    const type: TaskType =
      step.kind === 'workflow' ? 'workflow_orchestration' : (step.written.task_type ?? 'custom');
    const task = childId(this.#parent.id, id, null);
    const pipes = taskPipes(this.#plan.pipes, this.#parent.id, id);
    const errand: Errand = {
      ...{ id: task, step: id, item: null, purpose: 'do', type, work: step.written, payload },
    };
    return pipes === null ? errand : { ...errand, pipes };
  }

  /** A stage is a task that makes tasks of its own; their templates wait until there are records. */
  async #stage(run: WorkflowRun, id: string, step: PlannedStep): Promise<Errand> {
    const { written } = step;
    const scope = await this.#scope.of(run, expressionsIn(step.payload).concat(expressionsIn(step.emit)));
    const items = written.items === undefined ? {} : { items: await this.#itemsOf(run, id, step) };
    const payload = asPayload({ stage: { step: written as unknown as JsonObject, scope, ...items } });
    const { timeout, description } = written;
    const work = {
      ...(timeout === undefined ? {} : { timeout }),
      ...(description === undefined ? {} : { description }),
    } as Errand['work'];
    const pipes = taskPipes(this.#plan.pipes, this.#parent.id, id) ?? { inputs: {}, outputs: {} };
    const task = childId(this.#parent.id, id, null);
    return {
      ...{ id: task, step: id, item: null, purpose: 'do', type: 'workflow_orchestration', work, payload },
      pipes,
    };
  }

  /** What the children of these items of a map are to do; or why one of them cannot be told. */
  async itemErrands(
    run: WorkflowRun,
    id: string,
    items: readonly number[],
    now: number,
  ): Promise<readonly (Errand | RunFact)[]> {
    const step = this.#step(id);
    const all = await this.#itemsOf(run, id, step);
    const scope = await this.#scope.of(run, expressionsIn(step.payload));
    return items.map(item => {
      try {
        const payload = asPayload(render(step.payload, { ...scope, item: all[item] ?? null, index: item }));
        const task = childId(this.#parent.id, id, item);
        const type = step.written.task_type ?? 'custom';
        return { id: task, step: id, item, purpose: 'do', type, work: step.written, payload };
      } catch (error) {
        return failure(id, item, error, now);
      }
    });
  }

  /** What undoes a completed step. */
  async undoing(run: WorkflowRun, id: string): Promise<Errand> {
    const { undo, written } = this.#step(id);
    if (undo === null || written.compensation === undefined)
      throw new Error(`step ${id} has no compensation`);
    const payload = asPayload(render(undo, await this.#scope.of(run, expressionsIn(undo))));
    const task = childId(this.#parent.id, id, null, 'undo');
    const { compensation: work } = written;
    return { id: task, step: id, item: null, purpose: 'undo', type: work.task_type, work, payload };
  }

  /** What a completed step adds to the shared state; its output is no longer to be waited for. */
  async shares(run: WorkflowRun, id: string, output: Json): Promise<JsonObject> {
    const { set } = this.#step(id);
    const expressions = expressionsIn(set);
    if (expressions.length === 0) return set.kind === 'value' && isJsonObject(set.value) ? set.value : {};
    const scope = await this.#scope.of(
      run,
      expressions.filter(({ steps }) => !steps.has(id) || steps.size > 1),
    );
    const steps = { ...(isJsonObject(scope.steps) ? scope.steps : {}), [id]: { state: 'completed', output } };
    return asPayload(render(set, { ...scope, steps }));
  }

  async #begun(run: WorkflowRun, id: string, step: PlannedStep, now: number): Promise<Beginning> {
    const began = (more: { readonly dueAt?: number; readonly items?: number } = {}): RunFact => ({
      ...{ fact: 'began', step: id, at: now },
      ...more,
    });
    switch (step.kind) {
      case 'task':
      case 'stage':
      case 'workflow':
        return { fact: began(), errand: await this.errand(run, id) };
      case 'map':
        return { fact: began({ items: (await this.#itemsOf(run, id, step)).length }) };
      case 'condition': {
        const { decides } = step;
        if (decides === null) throw new Error(`condition ${id} decides nothing`);
        const result = holds(decides, await this.#scope.of(run, [decides]));
        return { fact: { fact: 'decided', step: id, at: now, result } };
      }
      case 'wait':
        return { fact: began(await this.#waitOf(run, step, now)) };
      case 'approval':
        return { fact: began({ dueAt: now + (step.written.expires_in ?? APPROVAL_S) * 1_000 }) };
      case 'join':
      case 'parallel':
        throw new Error(`${step.kind} ${id} begins nothing`);
    }
  }

  async #itemsOf(run: WorkflowRun, id: string, step: PlannedStep): Promise<readonly Json[]> {
    const known = this.#items.get(id);
    if (known !== undefined) return known;
    const items = render(step.items, await this.#scope.of(run, expressionsIn(step.items)));
    if (!Array.isArray(items)) throw new DomainError('task_failed', `the items of ${id} are no list`);
    const limit = Math.min(step.written.max_items ?? ITEMS_DEFAULT_MAX, MAP_ITEMS_MAX);
    if (items.length > limit)
      throw new DomainError(
        'task_failed',
        `${id} has ${items.length} items, more than its max_items of ${limit}`,
        {
          details: { items: items.length, max_items: limit },
        },
      );
    this.#items.set(id, items);
    return items;
  }

  async #waitOf(run: WorkflowRun, step: PlannedStep, now: number): Promise<{ readonly dueAt?: number }> {
    const { written, said } = step;
    if (written.message !== undefined)
      return written.timeout === undefined ? {} : { dueAt: now + written.timeout * 1_000 };
    const value = render(said, await this.#scope.of(run, expressionsIn(said)));
    const dueAt = written.until === undefined ? now + Number(value) * 1_000 : Date.parse(String(value));
    if (Number.isFinite(dueAt)) return { dueAt };
    throw new DomainError('task_failed', `step ${written.id} cannot wait for ${JSON.stringify(value)}`);
  }

  #step(id: string): PlannedStep {
    const step = this.#plan.steps.get(id);
    if (step === undefined) throw new Error(`there is no step ${id}`);
    return step;
  }
}

/** A step, or an item of it, that could not begin. */
export function failure(step: string, item: number | null, thrown: unknown, at: number): RunFact {
  return { fact: 'ended', step, item, at, outcome: 'failed', error: errorOf(thrown) };
}

/** What a thrown fault of a step says; what is no fault of the step is thrown on. */
export function errorOf(thrown: unknown): TaskError {
  if (!(thrown instanceof DomainError) || thrown.code === 'unavailable') throw thrown;
  const { code, message, details } = thrown;
  return { code, message, recoverable: false, details };
}

/** What a step is given; throws `task_failed` unless it is an object of at most 4 MiB. */
export function asPayload(value: Json): JsonObject {
  if (!isJsonObject(value)) throw new DomainError('task_failed', 'what a step is given is no object');
  if (JSON.stringify(value).length > PAYLOAD_LENGTH_MAX)
    throw new DomainError('task_failed', 'what a step is given is over 4 MiB; hand it on as an artifact');
  return value;
}
