// What a run leaves: each step with its state, attempts, times and output, as far as that is small, and the files its children left
// (`SAM-165`, `SAM-169`). What is too large to be repeated stays with the child task, which is named.

import type { Artifact } from '../../domain/artifact.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Task, TaskError } from '../../domain/task.ts';
import {
  hasChildren,
  recordOf,
  type Step,
  type StepRecord,
  type WorkflowRun,
} from '../../domain/workflow.ts';
import { sizeOf } from '../../engine/expressions.ts';
import type { AttemptResult } from '../../engine/ports/executor.ts';
import type { Store } from '../../store/store.ts';
import { errorOf } from './beginning.ts';
import { childId } from './child-order.ts';
import type { Plan } from './plan.ts';
import type { Scope } from './scope.ts';
import { expressionsIn, render } from './templates.ts';

/** What is repeated of one step's output, and of all, in values and characters. */
const OUTPUT_MAX = 65_536;
const OUTPUTS_MAX = 1_048_576;
const ARTIFACTS_MAX = 1_000;
const AT_ONCE = 100;

/** What the outcome is made from. */
export interface OutcomeParts {
  readonly store: Pick<Store, 'artifacts'>;
  readonly plan: Plan;
  readonly parent: Task;
  readonly scope: Scope;
  /** What was said of the run itself, such as its version. */
  readonly pinned: JsonObject;
}

/** The result of the attempt whose run has ended. */
export async function resultOf(run: WorkflowRun, parts: OutcomeParts): Promise<AttemptResult> {
  const { plan, scope } = parts;
  const left = await outputOf(run, parts);
  if (run.phase === 'failed') return { status: 'failed', error: errorOfRun(run), output: left };
  if (plan.output === null) return { status: 'completed', output: left };
  try {
    const result = render(plan.output, await scope.of(run, expressionsIn(plan.output)));
    return { status: 'completed', output: { ...left, result } };
  } catch (error) {
    return { status: 'failed', error: errorOf(error), output: left };
  }
}

function errorOfRun({ failure, steps }: WorkflowRun): TaskError {
  const undone = Object.entries(steps).flatMap(([id, { undo }]) => (undo === 'failed' ? [id] : []));
  const details: JsonObject = {
    ...failure?.error.details,
    ...(failure === undefined || failure.step === '' ? {} : { step: failure.step }),
    ...(undone.length === 0 ? {} : { compensations_failed: undone }),
  };
  const { code = 'task_failed', message = 'the workflow failed' } = failure?.error ?? {};
  const what = failure?.step ? `step ${failure.step} failed: ${message}` : message;
  const more = undone.length === 0 ? '' : `; not compensated: ${undone.join(', ')}`;
  // Its steps were tried as often as they may: to run them again is somebody's decision.
  return { code, message: `${what}${more}`, recoverable: false, details };
}

async function outputOf(run: WorkflowRun, parts: OutcomeParts): Promise<JsonObject> {
  const { plan, parent, scope, pinned } = parts;
  const steps: Record<string, JsonObject> = {};
  let room = OUTPUTS_MAX;
  for (let from = 0; from < plan.graph.order.length; from += AT_ONCE) {
    const some = plan.graph.order.slice(from, from + AT_ONCE);
    const outputs = await Promise.all(some.map(step => ownOutput(run, step, scope)));
    for (const [at, step] of some.entries()) {
      const output = outputs[at] ?? null;
      const most = Math.min(room, OUTPUT_MAX);
      const left = sizeOf(output, most);
      if (left >= 0) room -= most - left;
      const record = recordOf(run, step.id);
      steps[step.id] = {
        ...(record === undefined ? { kind: step.kind, state: 'skipped' } : stepView(parent.id, step, record)),
        ...(output === null ? {} : left >= 0 ? { output } : { output_omitted: true }),
      };
    }
  }
  const artifacts = await artifactsOf(run, parts);
  return {
    ...pinned,
    steps,
    ...(Object.keys(run.shared).length === 0 ? {} : { shared: run.shared }),
    artifacts,
  };
}

/** What joins and the like answer is what others did, and said there. */
async function ownOutput(run: WorkflowRun, { id, kind }: Step, scope: Scope): Promise<Json> {
  if (recordOf(run, id)?.state !== 'completed' || kind === 'join' || kind === 'parallel') return null;
  return await scope.output(run, id).catch(() => null);
}

/** A step as outputs and routes show it; instants in ISO 8601. */
export function stepView(parent: string, step: Step, record: StepRecord | undefined): JsonObject {
  if (record === undefined) return { kind: step.kind, state: 'pending' };
  const { state, attempts, error, reason, result, items, undo, undoError, startedAt, endedAt } = record;
  return {
    kind: step.kind,
    state,
    ...(hasChildren(step.kind) ? { task_id: record.task ?? childId(parent, step.id, null) } : {}),
    ...(attempts === undefined ? {} : { attempts }),
    ...(startedAt === undefined ? {} : { started_at: new Date(startedAt).toISOString() }),
    ...(endedAt === undefined ? {} : { ended_at: new Date(endedAt).toISOString() }),
    ...(error === undefined ? {} : { error: { ...error } }),
    ...(reason === undefined ? {} : { reason }),
    ...(result === undefined ? {} : { result }),
    ...(items === undefined ? {} : { items: countsOf(items) }),
    ...(undo === undefined ? {} : { compensation: undo }),
    ...(undoError === undefined ? {} : { compensation_error: { ...undoError } }),
  };
}

function countsOf(items: string): JsonObject {
  const count = (letter: string): number => items.split(letter).length - 1;
  return { total: items.length, completed: count('c'), failed: count('f'), cancelled: count('x') };
}

async function artifactsOf(
  run: WorkflowRun,
  { plan, parent, store }: OutcomeParts,
): Promise<readonly Json[]> {
  const children: { readonly step: string; readonly taskId: TaskId }[] = [];
  for (const { id, kind } of plan.graph.order) {
    const record = recordOf(run, id);
    if (record === undefined || !hasChildren(kind) || record.state === 'skipped') continue;
    const task = (record.task ?? childId(parent.id, id, null)) as TaskId;
    if (record.items === undefined) children.push({ step: id, taskId: task });
    else
      for (const item of record.items.split('').keys())
        children.push({ step: id, taskId: `${task}.${item}` as TaskId });
  }
  const found: Json[] = [];
  for (let from = 0; from < children.length && found.length < ARTIFACTS_MAX; from += AT_ONCE) {
    const some = children.slice(from, from + AT_ONCE);
    const left = await store.artifacts({ tenant: parent.tenant, taskIds: some.map(({ taskId }) => taskId) });
    const byTask = Map.groupBy(left, ({ taskId }) => taskId);
    for (const { step, taskId } of some)
      for (const artifact of byTask.get(taskId) ?? []) found.push(artifactView(step, artifact));
  }
  return found.slice(0, ARTIFACTS_MAX);
}

function artifactView(
  step: string,
  { id, taskId, name, type, mediaType, sizeBytes, sha256 }: Artifact,
): JsonObject {
  return {
    ...{ artifact_id: id, step, task_id: taskId ?? '', name, type },
    ...{ media_type: mediaType, size_bytes: sizeBytes, sha256 },
  };
}
