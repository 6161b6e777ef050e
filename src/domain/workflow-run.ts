// How a run goes on: facts are put in, and what follows for the steps is worked out; then what there is to do is read off. Pure, and the
// same for the same facts in whatever order children end, so that a coordinator that begins anew comes to where the last one was.

import type { TaskError } from './failure.ts';
import type { JsonObject } from './json.ts';
import {
  hasChildren,
  isSettled,
  recordOf,
  type Step,
  type StepRecord,
  stateOf,
  type WorkflowPlan,
  type WorkflowRun,
} from './workflow.ts';
import { descendantsOf } from './workflow-graph.ts';
import { isLeftBehind, isUnwanted, undoable } from './workflow-intents.ts';
import { type Verdict, verdictOf } from './workflow-verdict.ts';

/** Something that happened to a step; `at` is epoch milliseconds. */
export type RunFact =
  /** Its templates have values: its child task, its items or its wait begin. */
  | {
      readonly fact: 'began';
      readonly step: string;
      readonly at: number;
      readonly dueAt?: number;
      readonly items?: number;
    }
  | { readonly fact: 'items_began'; readonly step: string; readonly items: readonly number[] }
  | { readonly fact: 'skipped'; readonly step: string; readonly at: number; readonly reason: string }
  | { readonly fact: 'decided'; readonly step: string; readonly at: number; readonly result: boolean }
  | {
      readonly fact: 'ended';
      readonly step: string;
      /** Which item of a map; null for any other step. */
      readonly item: number | null;
      readonly at: number;
      readonly outcome: 'completed' | 'failed' | 'cancelled';
      readonly error?: TaskError;
      readonly attempts?: number;
      readonly output?: JsonObject;
      /** Put into what steps share. */
      readonly shares?: JsonObject;
    }
  | { readonly fact: 'undo_began'; readonly step: string }
  | { readonly fact: 'undone'; readonly step: string; readonly error?: TaskError };

/** The run after these facts and all that follows from them; facts about settled steps change nothing. */
export function advance(
  plan: WorkflowPlan,
  run: WorkflowRun,
  facts: readonly RunFact[],
  now: number,
): WorkflowRun {
  const draft = new Draft(plan, run);
  for (const fact of facts) draft.take(fact);
  draft.settle(now);
  return draft.run();
}

/** Ends a run from outside: what is under way stops, and what was done is compensated (`SAM-168`). */
export function cancelRun(plan: WorkflowPlan, run: WorkflowRun, error: TaskError, now: number): WorkflowRun {
  if (run.phase !== 'running' && run.phase !== 'stopping') return run;
  return advance(plan, { ...run, phase: 'stopping', failure: { step: '', does: 'cancel', error } }, [], now);
}

/**
 * A run that takes up an earlier one: the given step, all after it and whatever had not completed run again; the rest keeps its child tasks,
 * named by `taskOf` (`SAM-167`). With a `result`, a task of whatever run, the step itself does not run: it has what that task left.
 */
export function rerun(
  plan: WorkflowPlan,
  earlier: WorkflowRun,
  from: string,
  taskOf: (step: string) => string,
  result: string | null = null,
): WorkflowRun {
  const again = runAgain(plan, earlier, from);
  const steps: Record<string, StepRecord> = {};
  let completions = 0;
  for (const { id, kind } of plan.order) {
    const record = recordOf(earlier, id);
    if (record === undefined || !stands(record) || again.has(id)) continue;
    if (kind === 'join' || kind === 'parallel') continue;
    steps[id] = { ...record, ...(hasChildren(kind) ? { task: record.task ?? taskOf(id) } : {}) };
    completions = Math.max(completions, record.place ?? 0);
  }
  if (result !== null) {
    completions += 1;
    steps[from] = { state: 'completed', place: completions, task: result };
  }
  return { phase: 'running', steps, shared: earlier.shared, completions };
}

/** The step and all after it; of a pipeline nothing is left of what went through it, so that it runs again as a whole or not at all. */
function runAgain(plan: WorkflowPlan, earlier: WorkflowRun, from: string): ReadonlySet<string> {
  const again = new Set<string>();
  const add = (id: string): void => {
    if (again.has(id)) return;
    again.add(id);
    for (const one of [...descendantsOf(plan, id), ...joinedTo(plan, id)]) add(one);
  };
  add(from);
  for (const { id } of plan.order)
    if (!stands(recordOf(earlier, id)) && joinedTo(plan, id).length > 0) add(id);
  return again;
}

/** Whether it was done and not undone. */
function stands(record: StepRecord | undefined): boolean {
  return record?.state === 'completed' && record.undo === undefined;
}

/** The steps it reads from, and those that read from it. */
function joinedTo(plan: WorkflowPlan, id: string): readonly string[] {
  const readers = plan.order.filter(({ reads }) => reads.some(({ step }) => step === id));
  const from = plan.steps.get(id)?.reads.map(({ step }) => step) ?? [];
  return [...from, ...readers.map(one => one.id)];
}

/** Settled steps, of all there are. */
export function progressOf(
  plan: WorkflowPlan,
  run: WorkflowRun,
): { readonly done: number; readonly of: number } {
  const done = plan.order.filter(({ id }) => isSettled(stateOf(run, id))).length;
  return { done, of: plan.order.length };
}

/** A run being changed. */
class Draft {
  readonly #plan: WorkflowPlan;
  #run: WorkflowRun;
  readonly #steps: Record<string, StepRecord>;
  /** Letters of maps being changed. */
  readonly #letters = new Map<string, string[]>();
  #isStable = true;

  constructor(plan: WorkflowPlan, run: WorkflowRun) {
    this.#plan = plan;
    this.#steps = { ...run.steps };
    this.#run = { ...run, steps: this.#steps };
  }

  run(): WorkflowRun {
    return this.#run;
  }

  take(fact: RunFact): void {
    const step = this.#plan.steps.get(fact.step);
    if (step === undefined) return;
    const record = recordOf(this.#run, step.id);
    if (fact.fact === 'undo_began' || fact.fact === 'undone') {
      this.#undo(fact);
      return;
    }
    if (record !== undefined && isSettled(record.state)) return;
    switch (fact.fact) {
      case 'began': {
        const { at, dueAt, items } = fact;
        const state = hasChildren(step.kind) ? 'running' : 'waiting';
        this.#set(step.id, {
          ...{ state, startedAt: at },
          ...(dueAt === undefined ? {} : { dueAt }),
          ...(items === undefined ? {} : { items: '.'.repeat(items) }),
        });
        return;
      }
      case 'items_began': {
        const letters = this.#lettersOf(step.id);
        for (const item of fact.items) if (letters[item] === '.') letters[item] = 'r';
        return;
      }
      case 'skipped':
        this.#set(step.id, { state: 'skipped', endedAt: fact.at, reason: fact.reason });
        return;
      case 'decided':
        this.#complete(step, { state: 'completed', endedAt: fact.at, result: fact.result }, fact.at);
        return;
      case 'ended':
        if (fact.item === null) this.#end(step, fact);
        else this.#endItem(step, fact, fact.item);
    }
  }

  /** Works out what follows, each step after those it looks at. */
  settle(now: number): void {
    for (const [id, letters] of this.#letters) this.#merge(id, { items: letters.join('') });
    // A join that stops the rest, or a failure that stops all, concerns steps before it too.
    do this.#isStable = true;
    while (!this.#pass(now));
    this.#settlePhase(now);
  }

  #pass(now: number): boolean {
    for (const step of this.#plan.order) {
      const record = recordOf(this.#run, step.id);
      if (record?.items !== undefined && record.state === 'running') this.#settleMap(step, record, now);
      if (this.#run.phase !== 'running' || stateOf(this.#run, step.id) !== 'pending') continue;
      this.#follow(step, verdictOf(this.#plan, this.#run, step), now);
    }
    return this.#isStable;
  }

  #follow(step: Step, verdict: Verdict, now: number): void {
    if (verdict.does === 'skip')
      this.#set(step.id, { state: 'skipped', endedAt: now, reason: verdict.reason });
    else if (isLeftBehind(this.#plan, this.#run, step))
      this.#set(step.id, { state: 'skipped', endedAt: now, reason: 'nobody waits for it any more' });
    else if (verdict.does === 'complete') this.#complete(step, { state: 'completed' }, now);
    else if (verdict.does === 'fail') this.#fail(step, verdict.error, {}, now);
  }

  #settleMap(step: Step, record: StepRecord, now: number): void {
    const items = record.items ?? '';
    if (items.includes('r')) return;
    if (isUnwanted(this.#plan, this.#run, step)) {
      if (record.error !== undefined) this.#fail(step, record.error, record, now);
      else this.#set(step.id, { ...record, state: 'cancelled', endedAt: now });
    } else if (!items.includes('.')) this.#complete(step, record, now);
  }

  #settlePhase(now: number): void {
    const { phase, failure } = this.#run;
    if (phase === 'running') {
      if (this.#plan.order.every(({ id }) => isSettled(stateOf(this.#run, id)))) this.#phase('completed');
      return;
    }
    if (phase === 'stopping') {
      for (const { id } of this.#plan.order) {
        const record = recordOf(this.#run, id);
        if (record?.state === 'waiting') this.#set(id, { ...record, state: 'cancelled', endedAt: now });
      }
      if (this.#plan.order.some(({ id }) => stateOf(this.#run, id) === 'running')) return;
      this.#phase(failure?.does === 'fail' ? 'failed' : 'compensating');
    }
    if (this.#run.phase !== 'compensating') return;
    const left = undoable(this.#plan, this.#run).some(({ id }) => {
      const undo = recordOf(this.#run, id)?.undo;
      return undo === undefined || undo === 'running';
    });
    if (!left) this.#phase('failed');
  }

  #end(step: Step, fact: RunFact & { readonly fact: 'ended' }): void {
    const { at, outcome, attempts, output, shares } = fact;
    const record: StepRecord = {
      ...(recordOf(this.#run, step.id) ?? { state: 'running' }),
      ...(attempts === undefined ? {} : { attempts }),
      ...(output === undefined ? {} : { output }),
    };
    if (outcome === 'completed') {
      if (shares !== undefined) this.#run = { ...this.#run, shared: { ...this.#run.shared, ...shares } };
      this.#complete(step, record, at);
    } else if (outcome === 'cancelled' && isUnwanted(this.#plan, this.#run, step)) {
      this.#set(step.id, { ...record, state: 'cancelled', endedAt: at });
    } else this.#fail(step, fact.error ?? CANCELLED, record, at);
  }

  #endItem(step: Step, fact: RunFact & { readonly fact: 'ended' }, item: number): void {
    const letters = this.#lettersOf(step.id);
    if (letters[item] !== 'r') return;
    letters[item] = fact.outcome === 'completed' ? 'c' : fact.outcome === 'failed' ? 'f' : 'x';
    const record = recordOf(this.#run, step.id);
    if (fact.outcome === 'completed' || record?.error !== undefined) return;
    if (fact.outcome === 'cancelled' && isUnwanted(this.#plan, this.#run, step)) return;
    const error = fact.error ?? CANCELLED;
    this.#merge(step.id, { error: { ...error, details: { ...error.details, item } } });
  }

  #complete(step: Step, record: StepRecord, at: number): void {
    const place = this.#run.completions + 1;
    this.#set(step.id, { ...record, state: 'completed', endedAt: at, place });
    this.#run = { ...this.#run, completions: place };
  }

  #fail(step: Step, error: TaskError, record: Partial<StepRecord>, at: number): void {
    this.#set(step.id, { ...record, state: 'failed', endedAt: at, error });
    const { does } = step.onFailure;
    if (this.#run.phase !== 'running' || (does !== 'fail' && does !== 'compensate')) return;
    this.#run = { ...this.#run, phase: 'stopping', failure: { step: step.id, does, error } };
  }

  #undo(fact: RunFact & { readonly fact: 'undo_began' | 'undone' }): void {
    if (fact.fact === 'undo_began') this.#merge(fact.step, { undo: 'running' });
    else if (fact.error === undefined) this.#merge(fact.step, { undo: 'completed' });
    else this.#merge(fact.step, { undo: 'failed', undoError: fact.error });
  }

  #lettersOf(id: string): string[] {
    const letters = this.#letters.get(id) ?? [...(recordOf(this.#run, id)?.items ?? '')];
    this.#letters.set(id, letters);
    return letters;
  }

  #phase(phase: WorkflowRun['phase']): void {
    this.#run = { ...this.#run, phase };
  }

  #set(id: string, record: StepRecord): void {
    this.#isStable = false;
    this.#steps[id] = record;
  }

  #merge(id: string, change: Partial<StepRecord>): void {
    this.#set(id, { ...(recordOf(this.#run, id) ?? { state: 'pending' }), ...change });
  }
}

const CANCELLED: TaskError = {
  code: 'task_failed',
  message: 'its task was cancelled by somebody else',
  recoverable: false,
};
