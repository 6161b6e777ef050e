// From written steps to a plan: what is inside `parallel` steps is taken out and joined, edges are drawn, and what cannot be a graph is
// named: a step twice, a step nobody knows, a circle (`SAM-169`).

import {
  type FailurePolicy,
  type JoinMode,
  PIPELINE_STEPS_MAX,
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
  readonly reads: Step['reads'];
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
  readonly kind: 'duplicate' | 'unknown_step' | 'cycle' | 'too_many' | 'impossible_join' | 'pipeline';
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
  const pipelines = pipelinesOf(flat.map(({ step }) => step));
  const steps = new Map(flat.map(one => [one.step.id, stepOf(one, flat, pipelines)]));
  const impossible = impossibleJoin(steps);
  if (impossible !== null) return { fault: impossible };
  const order = ordered(steps);
  if ('cycle' in order) {
    const message = `steps wait for one another: ${order.cycle.join(' -> ')}`;
    return { fault: { kind: 'cycle', steps: order.cycle, message } };
  }
  const plan = { steps, order: order.order, parallelMax };
  const stuck = stuckPipeline(plan);
  return stuck === null ? { plan } : { fault: stuck };
}

/** Every step that must have settled before the given one begins, directly or not; itself not among them. */
export function ancestorsOf(plan: WorkflowPlan, id: string): ReadonlySet<string> {
  return reach(id, step => settledBefore(plan, step));
}

/** What it streams from need only have begun, but what that waits for has settled. */
function settledBefore(plan: WorkflowPlan, id: string): readonly string[] {
  const upstream = reach(id, one => streamsInto(plan.steps.get(one)));
  return [id, ...upstream].flatMap(one => edgesOf(plan.steps.get(one)));
}

/** Every step that begins only after the given one, directly or not; itself not among them. */
export function descendantsOf(plan: WorkflowPlan, id: string): ReadonlySet<string> {
  const after = new Map<string, string[]>();
  for (const step of plan.order) {
    for (const before of [...edgesOf(step), ...streamsInto(step)]) {
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

/** The steps whose output it reads while they run. */
export function streamsInto(step: Step | undefined): readonly string[] {
  if (step === undefined) return [];
  return [...new Set(step.reads.filter(({ mode }) => mode === 'stream').map(one => one.step))];
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
      ...step.reads.map(one => one.step),
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

function stepOf(
  { step, inside, inherited }: Flat,
  flat: readonly Flat[],
  pipelines: ReadonlyMap<string, string>,
): Step {
  const { id, kind, reads, mode, cancelsRest, concurrency, itemsMayFail, compensated } = step;
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
  const whole = reads.filter(one => one.mode === 'batch').map(one => one.step);
  return {
    ...{
      id,
      kind,
      reads,
      pipeline: pipelines.get(id) ?? id,
      inside,
      mode,
      cancelsRest,
      concurrency,
      itemsMayFail,
      compensated,
      branchOf,
      handles,
    },
    dependsOn: [...new Set([...step.dependsOn, ...inherited, ...held, ...whole])],
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
    const path = [{ step: start, edges: everyEdge(start), next: 0 }];
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
        path.push({ step, edges: everyEdge(step), next: 0 });
        onPath.add(before);
      }
    }
  }
  return { order };
}

function everyEdge(step: Step): readonly string[] {
  return [...edgesOf(step), ...streamsInto(step)];
}

/** For each step the first of those it is joined to by streams, itself where there are none. */
function pipelinesOf(steps: readonly WrittenStep[]): ReadonlyMap<string, string> {
  const first = new Map(steps.map(({ id }) => [id, id]));
  const rootOf = (id: string): string => {
    let root = id;
    for (let next = first.get(root); next !== undefined && next !== root; next = first.get(root)) root = next;
    return root;
  };
  for (const { id, reads } of steps)
    for (const { step, mode } of reads) if (mode === 'stream') first.set(rootOf(id), rootOf(step));
  return new Map(steps.map(({ id }) => [id, rootOf(id)]));
}

/**
 * Steps that stream to one another begin together: one that waited for another's end would have it wait for ever, and so would two
 * pipelines each of which waits for a step of the other.
 */
function stuckPipeline(plan: WorkflowPlan): GraphFault | null {
  const members = Map.groupBy(plan.order, ({ pipeline }) => pipeline);
  const pipelineOf = (id: string): string => plan.steps.get(id)?.pipeline ?? id;
  const waitsFor = (pipeline: string): readonly string[] =>
    (members.get(pipeline) ?? []).flatMap(edgesOf).map(pipelineOf);
  for (const [pipeline, group] of members) {
    if (group.length < 2) continue;
    const steps = group.map(({ id }) => id);
    if (group.length > PIPELINE_STEPS_MAX) {
      const message = `a pipeline has at most ${PIPELINE_STEPS_MAX} steps, not ${group.length}`;
      return { kind: 'too_many', steps, message };
    }
    for (const { id } of group) {
      const before = ancestorsOf(plan, id);
      const awaited = group.find(one => before.has(one.id));
      if (awaited === undefined) continue;
      const message = `step ${id} waits for the end of ${awaited.id}, which streams to it or beside it`;
      return { kind: 'pipeline', steps: [id, awaited.id], message };
    }
    for (const step of group) {
      const awaited = edgesOf(step).find(id => reach(pipelineOf(id), waitsFor).has(pipeline));
      if (awaited === undefined) continue;
      const message = `step ${step.id} waits for the end of ${awaited}, whose pipeline waits for that of ${step.id}`;
      return { kind: 'pipeline', steps: [step.id, awaited], message };
    }
  }
  return null;
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
