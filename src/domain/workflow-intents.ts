// What a run asks for at one moment: which steps and items may begin within the limits, which children nobody waits for any more, and
// what is to be undone next.

import {
  hasChildren,
  isSettled,
  recordOf,
  type Step,
  stateOf,
  type WorkflowPlan,
  type WorkflowRun,
} from './workflow.ts';
import { verdictOf } from './workflow-verdict.ts';

/** What there is to do for a run now. */
export interface RunIntents {
  /** Steps whose conditions and templates are to be looked at, and which then begin. */
  readonly begin: readonly Step[];
  readonly beginItems: readonly { readonly step: Step; readonly items: readonly number[] }[];
  /** Children under way that nobody waits for any more. */
  readonly stop: readonly { readonly step: Step; readonly item: number | null }[];
  /** The step to compensate next. */
  readonly undo: Step | null;
}

/** What a run asks for. */
export function intentsOf(plan: WorkflowPlan, run: WorkflowRun): RunIntents {
  const stop = stopsOf(plan, run);
  if (run.phase === 'compensating') {
    const undo = undoable(plan, run).find(({ id }) => recordOf(run, id)?.undo === undefined);
    const isBusy = plan.order.some(({ id }) => recordOf(run, id)?.undo === 'running');
    return { begin: [], beginItems: [], stop, undo: isBusy ? null : (undo ?? null) };
  }
  if (run.phase !== 'running') return { begin: [], beginItems: [], stop, undo: null };
  return { begin: beginnings(plan, run), beginItems: itemBeginnings(plan, run), stop, undo: null };
}

function beginnings(plan: WorkflowPlan, run: WorkflowRun): readonly Step[] {
  const busy = busyIn(plan, run);
  const begin: Step[] = [];
  for (const step of plan.order) {
    if (stateOf(run, step.id) !== 'pending' || isDerived(step)) continue;
    if (verdictOf(plan, run, step).does !== 'begin') continue;
    if (hasChildren(step.kind) && !busy.take(step)) continue;
    begin.push(step);
  }
  return begin;
}

/** Counts what is under way against the limits of the run and of each step around. */
function busyIn(plan: WorkflowPlan, run: WorkflowRun) {
  // A pipeline counts as one: its steps run together or not at all.
  const busy = new Set<string>();
  const inside = new Map<string, Set<string>>();
  const count = (step: Step): void => {
    busy.add(step.pipeline);
    for (const one of step.inside) inside.set(one, (inside.get(one) ?? new Set<string>()).add(step.pipeline));
  };
  for (const step of plan.order)
    if (hasChildren(step.kind) && stateOf(run, step.id) === 'running') count(step);
  return {
    take(step: Step): boolean {
      const isFull = step.inside.some(
        one => (inside.get(one)?.size ?? 0) >= (plan.steps.get(one)?.concurrency ?? 0),
      );
      if (!busy.has(step.pipeline) && (busy.size >= plan.parallelMax || isFull)) return false;
      count(step);
      return true;
    },
  };
}

function itemBeginnings(plan: WorkflowPlan, run: WorkflowRun): RunIntents['beginItems'] {
  return plan.order.flatMap(step => {
    const { state, items, error } = recordOf(run, step.id) ?? {};
    if (state !== 'running' || items === undefined || (error !== undefined && !step.itemsMayFail)) return [];
    let room = step.concurrency - countOf(items, 'r');
    const begin: number[] = [];
    for (let at = items.indexOf('.'); at >= 0 && room > 0; at = items.indexOf('.', at + 1), room--)
      begin.push(at);
    return begin.length === 0 ? [] : [{ step, items: begin }];
  });
}

function stopsOf(plan: WorkflowPlan, run: WorkflowRun): RunIntents['stop'] {
  return plan.order.flatMap((step): RunIntents['stop'] => {
    const record = recordOf(run, step.id);
    if (record?.state !== 'running' || !isUnwanted(plan, run, step)) return [];
    if (record.items === undefined) return [{ step, item: null }];
    const running = [...record.items].flatMap((letter, item) => (letter === 'r' ? [item] : []));
    return running.map(item => ({ step, item }));
  });
}

/** True for what runs although nothing will come of it. */
export function isUnwanted(plan: WorkflowPlan, run: WorkflowRun, step: Step): boolean {
  if (run.phase !== 'running') return true;
  const record = recordOf(run, step.id);
  if (record?.items !== undefined && record.error !== undefined && !step.itemsMayFail) return true;
  return isLeftBehind(plan, run, step);
}

/** True for what a join that is through has stopped waiting for. */
export function isLeftBehind(plan: WorkflowPlan, run: WorkflowRun, step: Step): boolean {
  return (joinsOf(plan).get(step.id) ?? []).some(join => isSettled(stateOf(run, join.id)));
}

const joins = new WeakMap<WorkflowPlan, ReadonlyMap<string, readonly Step[]>>();

/** Joins that stop what they no longer wait for, by what they wait for. */
function joinsOf(plan: WorkflowPlan): ReadonlyMap<string, readonly Step[]> {
  const known = joins.get(plan);
  if (known !== undefined) return known;
  const found = new Map<string, Step[]>();
  for (const step of plan.order) {
    if (!step.cancelsRest) continue;
    for (const one of step.dependsOn) found.set(one, [...(found.get(one) ?? []), step]);
  }
  joins.set(plan, found);
  return found;
}

/** Completed steps that can be compensated, the last completed first (`SAM-168`). */
export function undoable(plan: WorkflowPlan, run: WorkflowRun): readonly Step[] {
  const placeOf = ({ id }: Step): number => recordOf(run, id)?.place ?? 0;
  return plan.order
    .filter(step => step.compensated && stateOf(run, step.id) === 'completed')
    .sort((one, other) => placeOf(other) - placeOf(one));
}

/** Joins and what holds other steps begin nothing of their own: their state follows from others. */
function isDerived({ kind }: Step): boolean {
  return kind === 'join' || kind === 'parallel';
}

function countOf(items: string, letter: string): number {
  let count = 0;
  for (const one of items) if (one === letter) count++;
  return count;
}
