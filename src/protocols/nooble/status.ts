// How a task stands, in the words of Nooble: its status, its progress, a workflow's steps (`NOOB-6`, `NOOB-45`, `NOOB-59`, `NOOB-60`).

import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import type { StepState } from '../../domain/workflow.ts';
import type { Store } from '../../store/store.ts';
import type { Envelope } from './envelope.ts';
import { stepStatusOf } from './workflow-words.ts';

/** The status of a task on this wire. */
export function statusOf({ state, outcome }: Pick<Task, 'state' | 'outcome'>): Envelope['status'] {
  if (outcome !== null) return outcome === 'completed' ? 'completed' : 'failed';
  if (state === 'running' || state === 'completing' || state === 'paused') return 'processing';
  return 'pending';
}

/** What metadata says of how far a task is (`NOOB-35`). */
export function timesOf(task: Task): JsonObject {
  const { state, startedAt, endedAt } = task;
  return {
    state,
    ...(startedAt === null ? {} : { processed_at: new Date(startedAt).toISOString() }),
    ...(endedAt === null
      ? {}
      : {
          completed_at: new Date(endedAt).toISOString(),
          processing_time_ms: Math.max(0, endedAt - (startedAt ?? endedAt)),
        }),
  };
}

/** The payload of an `agent.status`. */
export function progressOf(task: Task, now: number): JsonObject {
  const { progress, outcome } = task;
  const percentage = outcome === 'completed' ? 100 : Math.round(progress?.percentage ?? 0);
  return {
    progress: percentage,
    status_detail: progress?.currentStep ?? task.state,
    ...remaining(percentage, task, now),
  };
}

/** Where results of steps are read, and whether what is made of them is kept secret. */
export interface ResultReading {
  readonly store: Pick<Store, 'read'>;
  readonly isSensitive: boolean;
}

/** The payload of a `workflow.status`; outputs are read from the tasks that steps are, and of a sensitive workflow told in secret alone (`NOOB-33`). */
export async function workflowOf(task: Task, now: number, results: ResultReading): Promise<JsonObject> {
  return { ...overviewOf(task, now), ...(await partialsOf(task, stepsOf(task), results)) };
}

/** The same without what the steps left. */
export function overviewOf(task: Task, now: number): JsonObject {
  const steps = stepsOf(task);
  const completed = steps.filter(({ status }) => status === 'completed').length;
  const current = steps.findIndex(({ status }) => status === 'running');
  const next = current < 0 ? steps.findIndex(({ status }) => status === 'pending') : current;
  const percentage = steps.length === 0 ? 0 : Math.round((completed / steps.length) * 100);
  return {
    workflow_status: workflowStatusOf(task),
    current_step: next < 0 ? steps.length : next + 1,
    total_steps: steps.length,
    completed_steps: completed,
    progress_percentage: percentage,
    ...remaining(percentage, task, now),
    steps_status: steps.map(({ id, name, status }) => ({ step_id: id, name, status })),
  };
}

/** A step of a workflow as its messages show it. */
export interface StepView {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  /** The service it is delegated to, and the task that service has for it; null where it is done by none. */
  readonly service: string | null;
  readonly taskId: string;
  /** Why it failed, where it did. */
  readonly error: JsonObject | null;
}

/** The steps of a workflow as they stand. */
export function stepsOf(task: Task): readonly StepView[] {
  const { checkpoint, result, outcome, spec } = task;
  const output = isJsonObject(result?.output) ? result.output : {};
  const run = isJsonObject(checkpoint) && isJsonObject(checkpoint.run) ? checkpoint.run : {};
  const known = isJsonObject(run.steps) ? run.steps : {};
  const records = isJsonObject(output.steps) ? output.steps : known;
  const { steps } = spec.origin?.terms ?? {};
  return (Array.isArray(steps) ? steps : []).filter(isJsonObject).map(({ step_id: step, name, service }) => {
    const id = String(step);
    const record = records[id];
    const state = isJsonObject(record) ? String(record.state) : 'pending';
    const isOver = outcome !== null && ['pending', 'running', 'waiting'].includes(state);
    const kept = known[id];
    // One taken over from another run has its task there.
    const taskId = isJsonObject(kept) && typeof kept.task === 'string' ? kept.task : `${task.id}.${id}`;
    return {
      ...{ id, name: String(name), taskId },
      status: isOver ? 'cancelled' : stepStatusOf(state as StepState),
      service: typeof service === 'string' ? service : null,
      error: isJsonObject(record) && isJsonObject(record.error) ? record.error : null,
    };
  });
}

function workflowStatusOf({ state, outcome }: Task): string {
  if (outcome !== null) return outcome === 'timeout' || outcome === 'rejected' ? 'failed' : outcome;
  if (state === 'paused') return 'paused';
  return state === 'running' || state === 'completing' ? 'running' : 'pending';
}

async function partialsOf(
  task: Task,
  steps: readonly StepView[],
  { store, isSensitive }: ResultReading,
): Promise<JsonObject> {
  const done = steps.filter(({ status }) => status === 'completed' || status === 'failed');
  const isWithheld = task.spec.sensitive === true && !isSensitive;
  const children = isWithheld
    ? []
    : await store.read(done.map(({ taskId }) => ({ tenant: task.tenant, id: taskId as Task['id'] })));
  const results = done.map(({ id, status }, at) => {
    const data: Json = children[at]?.result?.output ?? null;
    const said = status === 'completed' ? 'success' : 'failed';
    return [id, isWithheld ? { status: said, withheld: 'sensitive_data' } : { status: said, data }];
  });
  return {
    partial_results: Object.fromEntries(results),
    ...(isWithheld && done.length > 0 ? { withheld: done.length } : {}),
  };
}

/** By what is done so far; before anything is, by what its requester expects (`NOOB-23`). */
function remaining(percentage: number, { startedAt, spec, outcome }: Task, now: number): JsonObject {
  const ranMs = startedAt === null ? 0 : now - startedAt;
  if (outcome !== null || percentage >= 100) return {};
  const leftMs =
    startedAt !== null && percentage > 0
      ? (ranMs / percentage) * (100 - percentage)
      : (spec.expectedMs ?? Number.NaN) - ranMs;
  return Number.isNaN(leftMs)
    ? {}
    : { estimated_completion_seconds: Math.max(0, Math.round(leftMs / 1_000)) };
}
