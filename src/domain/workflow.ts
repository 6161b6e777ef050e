// Workflows: what a graph of steps is, and where a run of it stands. `workflow-graph.ts` makes a plan of what was written and says what
// is wrong with it, `workflow-run.ts` says how a run goes on, `workflow-view.ts` shows it.

import type { TaskError } from './failure.ts';
import type { JsonObject } from './json.ts';
import type { PipeMode } from './pipe.ts';

/** What a step may be (`SAM-164`); the first four run as child tasks. */
export const STEP_KINDS = [
  'task',
  'workflow',
  'map',
  'stage',
  'condition',
  'parallel',
  'join',
  'wait',
  'approval',
] as const;

/** A step's kind. */
export type StepKind = (typeof STEP_KINDS)[number];

/** Steps of a workflow at most, those inside `parallel` ones counted (`SAM-162`). */
export const STEPS_MAX = 1_000;

/** Steps that stream to one another, directly or not, at most. */
export const PIPELINE_STEPS_MAX = 50;

/** Items of a `map` step at most. */
export const MAP_ITEMS_MAX = 10_000;

/** What follows a step's failure; `parent`: the `parallel` step around it decides. */
export type FailurePolicy =
  | { readonly does: 'fail' | 'continue' | 'compensate' | 'parent' }
  | { readonly does: 'go'; readonly to: string };

/** When a join is through: all, the first, or so many of its dependencies have completed. */
export type JoinMode = 'all' | 'any' | number;

/** A step as the graph sees it; what it does stands in the definition. */
export interface Step {
  readonly id: string;
  readonly kind: StepKind;
  /** Must have settled before; of a `parallel` step what is inside it. */
  readonly dependsOn: readonly string[];
  /** What it reads of other steps, by pipes; a whole output's step is among those it depends on too (`SAM-229`). */
  readonly reads: readonly { readonly step: string; readonly mode: PipeMode }[];
  /** The first of the steps that stream to one another, it among them; they begin together, and count as one. */
  readonly pipeline: string;
  /** `condition` steps whose result must be so for this one to run. */
  readonly branchOf: readonly { readonly step: string; readonly when: boolean }[];
  /** Steps whose failure this one handles: it runs only after one of them failed. */
  readonly handles: readonly string[];
  readonly onFailure: FailurePolicy;
  /** The `parallel` steps around it, innermost last. */
  readonly inside: readonly string[];
  readonly mode: JoinMode;
  /** A join that is through stops what it no longer waits for. */
  readonly cancelsRest: boolean;
  /** Steps inside, or items, under way at once. */
  readonly concurrency: number;
  /** A map goes on over failed items. */
  readonly itemsMayFail: boolean;
  readonly compensated: boolean;
}

/** A checked graph. */
export interface WorkflowPlan {
  readonly steps: ReadonlyMap<string, Step>;
  /** Every step after all those it looks at. */
  readonly order: readonly Step[];
  /** Steps that run child tasks at once, at most (`SAM-165`). */
  readonly parallelMax: number;
}

/** Where a step stands; the last four are settled. */
export type StepState = 'pending' | 'running' | 'waiting' | 'completed' | 'failed' | 'skipped' | 'cancelled';

/** How the compensation of a step stands. */
export type UndoState = 'running' | 'completed' | 'failed';

/** What a run knows of a step; absent while it is pending. Outputs stay in child tasks. */
export interface StepRecord {
  readonly state: StepState;
  readonly startedAt?: number;
  readonly endedAt?: number;
  /** Attempts of its child task. */
  readonly attempts?: number;
  readonly error?: TaskError;
  /** Why it was skipped. */
  readonly reason?: string;
  /** Its number among all that completed, by which compensation goes backwards. */
  readonly place?: number;
  /** Result of a condition. */
  readonly result?: boolean;
  /** What a wait or an approval ended with. */
  readonly output?: JsonObject;
  /** When a wait is over, or an approval expires; epoch milliseconds. */
  readonly dueAt?: number;
  /** One letter an item of a map: `.` pending, `r` running, `c` completed, `f` failed, `x` cancelled. */
  readonly items?: string;
  /** The child task, where it is an earlier run's (`SAM-167`). */
  readonly task?: string;
  readonly undo?: UndoState;
  readonly undoError?: TaskError;
}

/** Where a run as a whole stands: `stopping` ends what is under way, `compensating` then undoes what was done. */
export type RunPhase = 'running' | 'stopping' | 'compensating' | 'completed' | 'failed';

/** A run at one instant: JSON, kept as the checkpoint of its coordinator after every change (`SAM-167`). */
export interface WorkflowRun {
  readonly phase: RunPhase;
  readonly steps: Readonly<Record<string, StepRecord>>;
  /** The step that ended it, and what it asked for. */
  readonly failure?: {
    readonly step: string;
    readonly does: 'fail' | 'compensate' | 'cancel';
    readonly error: TaskError;
  };
  /** State that steps share, by name (`SAM-166`). */
  readonly shared: JsonObject;
  /** How many steps have completed. */
  readonly completions: number;
}

/** A run of which nothing has begun. */
export function newRun(shared: JsonObject): WorkflowRun {
  return { phase: 'running', steps: {}, shared, completions: 0 };
}

/** Where the step stands. */
export function stateOf(run: WorkflowRun, step: string): StepState {
  return recordOf(run, step)?.state ?? 'pending';
}

/** Steps that stand otherwise than in an earlier look at the run, in the plan's order. */
export function changedSteps(
  plan: Pick<WorkflowPlan, 'order'>,
  before: WorkflowRun,
  after: WorkflowRun,
): readonly { readonly step: Step; readonly state: StepState }[] {
  return plan.order.flatMap(step => {
    const state = stateOf(after, step.id);
    return state === stateOf(before, step.id) ? [] : [{ step, state }];
  });
}

/** What the run knows of the step. */
export function recordOf(run: WorkflowRun, step: string): StepRecord | undefined {
  return Object.hasOwn(run.steps, step) ? run.steps[step] : undefined;
}

/** True once nothing more happens to the step. */
export function isSettled(state: StepState): boolean {
  return state !== 'pending' && state !== 'running' && state !== 'waiting';
}

/** True for the kinds that run child tasks. */
export function hasChildren(kind: StepKind): boolean {
  return kind === 'task' || kind === 'workflow' || kind === 'map' || kind === 'stage';
}
