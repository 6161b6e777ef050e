// What the steps before it mean for a step that has not begun: whether it waits, begins, is passed over, or (a join) is through. Every edge
// has a policy: what was skipped does not hold up a step as long as something it depends on was done, and a failure stops what depends on
// it unless the failed step says `continue` or hands over to that very step.

import type { TaskError } from './failure.ts';
import {
  isSettled,
  recordOf,
  type Step,
  type StepState,
  stateOf,
  type WorkflowPlan,
  type WorkflowRun,
} from './workflow.ts';
import { streamsInto } from './workflow-graph.ts';

/** What becomes of a pending step now. */
export type Verdict =
  | { readonly does: 'wait' | 'begin' | 'complete' }
  | { readonly does: 'skip'; readonly reason: string }
  | { readonly does: 'fail'; readonly error: TaskError };

const WAIT: Verdict = { does: 'wait' };
const BEGIN: Verdict = { does: 'begin' };

/** What becomes of the pending step, given those before it. */
export function verdictOf(plan: WorkflowPlan, run: WorkflowRun, step: Step): Verdict {
  const gate = gateOf(run, step);
  if (gate !== null) return gate;
  if (step.kind === 'join' || step.kind === 'parallel') return joined(plan, run, step);
  const verdict = ordinary(plan, run, step);
  return verdict.does === 'begin' ? streamed(plan, run, step) : verdict;
}

/** A step of a pipeline begins once what it reads has begun, and not before all of the pipeline can: nobody is to wait for what cannot run. */
function streamed(plan: WorkflowPlan, run: WorkflowRun, step: Step): Verdict {
  const from = streamsInto(step);
  const states = from.map(id => stateOf(run, id));
  if (states.includes('pending')) return WAIT;
  const broken = from.find((id, at) => breaksStream(plan.steps.get(id), step, states[at] ?? 'pending'));
  if (broken !== undefined) return { does: 'skip', reason: `${broken} ${stateOf(run, broken)}` };
  if (from.length > 0 && states.every(state => state === 'skipped'))
    return { does: 'skip', reason: `${from.join(', ')} skipped` };
  const isHeldUp = membersOf(plan, step).some(
    one =>
      stateOf(run, one.id) === 'pending' && (gateOf(run, one) ?? ordinary(plan, run, one)).does === 'wait',
  );
  return isHeldUp ? WAIT : BEGIN;
}

function breaksStream(from: Step | undefined, step: Step, state: StepState): boolean {
  return (state === 'failed' || state === 'cancelled') && !tolerates(from, step, state);
}

const pipelines = new WeakMap<WorkflowPlan, ReadonlyMap<string, readonly Step[]>>();

/** The steps of the step's pipeline. */
function membersOf(plan: WorkflowPlan, { pipeline }: Step): readonly Step[] {
  let known = pipelines.get(plan);
  if (known === undefined) {
    known = Map.groupBy(plan.order, one => one.pipeline);
    pipelines.set(plan, known);
  }
  return known.get(pipeline) ?? [];
}

/** Branches not taken, and failures that did not happen. */
function gateOf(run: WorkflowRun, { branchOf, handles }: Step): Verdict | null {
  for (const { step, when } of branchOf) {
    const record = recordOf(run, step);
    if (record === undefined || !isSettled(record.state)) return WAIT;
    if (record.state !== 'completed' || record.result !== when)
      return { does: 'skip', reason: `the branch of ${step} was not taken` };
  }
  // One step may handle several: it sees how all of them ended.
  if (!handles.every(one => isSettled(stateOf(run, one)))) return WAIT;
  if (handles.length === 0 || handles.some(one => stateOf(run, one) === 'failed')) return null;
  return { does: 'skip', reason: `${handles.join(', ')} did not fail` };
}

function ordinary(plan: WorkflowPlan, run: WorkflowRun, step: Step): Verdict {
  let skipped = 0;
  let broken: string | null = null;
  for (const id of step.dependsOn) {
    const state = stateOf(run, id);
    if (!isSettled(state)) return WAIT;
    if (state === 'skipped') skipped++;
    else if (state !== 'completed' && !tolerates(plan.steps.get(id), step, state)) broken ??= id;
  }
  if (broken !== null) return { does: 'skip', reason: `${broken} ${stateOf(run, broken)}` };
  const { length } = step.dependsOn;
  if (length > 0 && skipped === length)
    return { does: 'skip', reason: `${step.dependsOn.join(', ')} skipped` };
  return BEGIN;
}

function tolerates(failed: Step | undefined, step: Step, state: StepState): boolean {
  if (failed === undefined || state !== 'failed') return false;
  const { onFailure } = failed;
  return onFailure.does === 'continue' || (onFailure.does === 'go' && onFailure.to === step.id);
}

function joined(plan: WorkflowPlan, run: WorkflowRun, step: Step): Verdict {
  const { dependsOn, mode } = step;
  const states = dependsOn.map(id => stateOf(run, id));
  const count = (state: StepState): number => states.filter(one => one === state).length;
  const open = states.filter(one => !isSettled(one)).length;
  const completed = count('completed');
  if (mode !== 'all') {
    const needed = mode === 'any' ? 1 : mode;
    if (completed >= needed) return { does: 'complete' };
    if (completed + open >= needed) return WAIT;
  } else if (open > 0) return WAIT;
  if (count('skipped') === dependsOn.length)
    return dependsOn.length === 0
      ? { does: 'complete' }
      : { does: 'skip', reason: 'all it waits for was skipped' };
  const broken = dependsOn.filter((id, at) => breaks(plan.steps.get(id), states[at] ?? 'pending', mode));
  if (mode === 'all' && broken.length === 0) return { does: 'complete' };
  const needed = mode === 'all' ? dependsOn.length : mode === 'any' ? 1 : mode;
  return { does: 'fail', error: unmet(step, { broken, completed, needed }) };
}

/** A failure that its own policy has dealt with breaks no join of all; one of some counts what completed. */
function breaks(step: Step | undefined, state: StepState, mode: Step['mode']): boolean {
  if (state === 'cancelled') return true;
  if (state !== 'failed') return false;
  return mode !== 'all' || step?.onFailure.does === 'parent';
}

function unmet(
  { id }: Step,
  {
    broken,
    completed,
    needed,
  }: { readonly broken: readonly string[]; readonly completed: number; readonly needed: number },
): TaskError {
  return {
    code: 'dependency_failed',
    message: `${id} needs ${needed} steps and only ${completed} completed${broken.length === 0 ? '' : `; ended otherwise: ${broken.join(', ')}`}`,
    recoverable: false,
    details: { steps: broken, completed, needed },
  };
}
