// From written steps to a plan: what is inside `parallel` steps is taken out and joined, edges are drawn, and what cannot be a graph is
// named: a step twice, a step nobody knows, a circle (`SAM-169`).

import {
  type FailurePolicy,
  type JoinMode,
  STEPS_MAX,
  type Step,
  type StepKind,
  type WorkflowPlan,
} from './workflow.ts';

/** A step as it was written, as far as the graph goes. */
export interface WrittenStep {
  readonly id: string;
  readonly kind: StepKind;
  readonly dependsOn: readonly string[];
  readonly onFailure: 'fail' | 'continue' | 'compensate' | string | undefined;
  /** Branches of a condition. */
  readonly thenSteps: readonly string[];
  readonly elseSteps: readonly string[];
  /** What a `parallel` step holds. */
  readonly steps: readonly WrittenStep[];
  readonly mode: JoinMode;
  readonly cancelsRest: boolean;
  readonly concurrency: number;
  readonly itemsMayFail: boolean;
  readonly compensated: boolean;
}

/** What is wrong with a graph: the steps concerned, and a sentence that names them. */
export interface GraphFault {
  readonly kind: 'duplicate' | 'unknown_step' | 'cycle' | 'too_many' | 'impossible_join';
  readonly steps: readonly string[];
  readonly message: string;
}

/** The plan, or the first thing wrong with what was written. */
export function planOf(
  written: readonly WrittenStep[],
  parallelMax: number,
): { readonly plan: WorkflowPlan } | { readonly fault: GraphFault } {
  const flat = flatten(written);
  if (flat.length > STEPS_MAX) {
    const message = `a workflow has at most ${STEPS_MAX} steps, not ${flat.length}`;
    return { fault: { kind: 'too_many', steps: [], message } };
  }
  const twice = duplicateOf(flat.map(({ step }) => step.id));
  if (twice !== null) {
    const message = `several steps are called ${twice}`;
    return { fault: { kind: 'duplicate', steps: [twice], message } };
  }
  const unknown = unknownIn(flat);
  if (unknown !== null) return { fault: unknown };
  const steps = new Map(flat.map(one => [one.step.id, stepOf(one, flat)]));
  const impossible = impossibleJoin(steps);
  if (impossible !== null) return { fault: impossible };
  const order = ordered(steps);
  if ('cycle' in order) {
    const message = `steps wait for one another: ${order.cycle.join(' -> ')}`;
    return { fault: { kind: 'cycle', steps: order.cycle, message } };
  }
  return { plan: { steps, order: order.order, parallelMax } };
}

/** Every step that must have settled before the given one begins, directly or not; itself not among them. */
export function ancestorsOf(plan: WorkflowPlan, id: string): ReadonlySet<string> {
  return reach(id, step => edgesOf(plan.steps.get(step)));
}

/** Every step that begins only after the given one, directly or not; itself not among them. */
export function descendantsOf(plan: WorkflowPlan, id: string): ReadonlySet<string> {
  const after = new Map<string, string[]>();
  for (const step of plan.order) {
    for (const before of edgesOf(step)) {
      const list = after.get(before) ?? [];
      after.set(before, list);
      list.push(step.id);
    }
  }
  return reach(id, step => after.get(step) ?? []);
}

/** The steps a step looks at. */
export function edgesOf(step: Step | undefined): readonly string[] {
  if (step === undefined) return [];
  return [...step.dependsOn, ...step.branchOf.map(branch => branch.step), ...step.handles];
}

interface Flat {
  readonly step: WrittenStep;
  readonly inside: readonly string[];
  /** What the steps around it wait for. */
  readonly inherited: readonly string[];
}

function flatten(
  steps: readonly WrittenStep[],
  inside: readonly string[] = [],
  inherited: readonly string[] = [],
): readonly Flat[] {
  return steps.flatMap(step => [
    { step, inside, inherited },
    ...flatten(step.steps, [...inside, step.id], [...inherited, ...step.dependsOn]),
  ]);
}

function duplicateOf(ids: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const id of ids) {
    if (seen.has(id)) return id;
    seen.add(id);
  }
  return null;
}

function unknownIn(flat: readonly Flat[]): GraphFault | null {
  const known = new Set(flat.map(({ step }) => step.id));
  for (const { step } of flat) {
    const policy = policyOf(step, false);
    const named = [
      ...step.dependsOn,
      ...step.thenSteps,
      ...step.elseSteps,
      ...(policy.does === 'go' ? [policy.to] : []),
    ];
    const unknown = named.find(one => !known.has(one));
    if (unknown === undefined) continue;
    const message = `step ${step.id} names ${unknown}, which is no step`;
    return { kind: 'unknown_step', steps: [step.id, unknown], message };
  }
  return null;
}

function impossibleJoin(steps: ReadonlyMap<string, Step>): GraphFault | null {
  for (const { id, mode, dependsOn } of steps.values()) {
    if (typeof mode !== 'number' || mode <= dependsOn.length) continue;
    const message = `join ${id} waits for ${mode} of ${dependsOn.length} steps`;
    return { kind: 'impossible_join', steps: [id], message };
  }
  return null;
}

function policyOf({ onFailure }: WrittenStep, isInside: boolean): FailurePolicy {
  switch (onFailure) {
    case undefined:
      return { does: isInside ? 'parent' : 'fail' };
    case 'fail':
    case 'continue':
    case 'compensate':
      return { does: onFailure };
    default:
      return { does: 'go', to: onFailure };
  }
}

function stepOf({ step, inside, inherited }: Flat, flat: readonly Flat[]): Step {
  const { id, kind, mode, cancelsRest, concurrency, itemsMayFail, compensated } = step;
  const branchOf: { readonly step: string; readonly when: boolean }[] = [];
  const handles: string[] = [];
  const around = new Set([id, ...inside]);
  for (const { step: other } of flat) {
    // What is inside a step that is a branch, or handles a failure, goes with it.
    if (other.thenSteps.some(one => around.has(one))) branchOf.push({ step: other.id, when: true });
    if (other.elseSteps.some(one => around.has(one))) branchOf.push({ step: other.id, when: false });
    if (other.onFailure !== undefined && around.has(other.onFailure)) handles.push(other.id);
  }
  const held = step.steps.map(one => one.id);
  return {
    ...{ id, kind, inside, mode, cancelsRest, concurrency, itemsMayFail, compensated, branchOf, handles },
    dependsOn: [...new Set([...step.dependsOn, ...inherited, ...held])],
    onFailure: policyOf(step, inside.length > 0),
  };
}

/** Depth first without recursion, so that a long chain cannot exhaust the stack. */
function ordered(
  steps: ReadonlyMap<string, Step>,
): { readonly order: readonly Step[] } | { readonly cycle: readonly string[] } {
  const order: Step[] = [];
  const done = new Set<string>();
  for (const start of steps.values()) {
    if (done.has(start.id)) continue;
    const path = [{ step: start, edges: edgesOf(start), next: 0 }];
    const onPath = new Set([start.id]);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const before = top.edges[top.next++];
      if (before === undefined) {
        path.pop();
        onPath.delete(top.step.id);
        done.add(top.step.id);
        order.push(top.step);
      } else if (onPath.has(before)) {
        const from = path.findIndex(({ step }) => step.id === before);
        // The path leads from who waits to whom it waits for; it is told the way the work would go.
        return { cycle: [before, ...path.slice(from + 1).map(({ step }) => step.id), before].toReversed() };
      } else if (!done.has(before)) {
        const step = steps.get(before);
        if (step === undefined) continue;
        path.push({ step, edges: edgesOf(step), next: 0 });
        onPath.add(before);
      }
    }
  }
  return { order };
}

function reach(start: string, next: (id: string) => readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const open = [start];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    for (const one of next(id)) {
      if (found.has(one)) continue;
      found.add(one);
      open.push(one);
    }
  }
  found.delete(start);
  return found;
}
