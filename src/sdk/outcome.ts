// Reading a task's end out of its status: whether it has one, what it left, and the error it is thrown as.

import type { Json, JsonObject } from '../domain/json.ts';
import type { Outcome } from '../domain/transitions.ts';
import { TaskFailedError } from './errors.ts';
import type { ArtifactReference, TaskStatus } from './wire.ts';

/** What a completed task leaves. */
export interface TaskOutput {
  readonly taskId: string;
  readonly executionId: string;
  readonly output: Json;
  readonly artifacts: readonly ArtifactReference[];
  readonly status: TaskStatus;
}

/** How the task ended, or null while it has not. */
export function outcomeOf(status: TaskStatus): Outcome | null {
  const { outcome, state } = status.current_status;
  if (outcome !== undefined) return outcome;
  return state === 'completed' || state === 'failed' || state === 'cancelled' ? state : null;
}

/** What the ended task left; throws `TaskFailedError` where it did not complete. */
export function outputOf(status: TaskStatus): TaskOutput {
  const outcome = outcomeOf(status);
  if (outcome === null) throw new Error(`task ${status.task_id} has not ended`);
  if (outcome !== 'completed') throw failureOf(status, outcome);
  return {
    taskId: status.task_id,
    executionId: status.execution_id,
    output: status.execution_details?.output ?? null,
    artifacts: status.execution_details?.artifacts ?? [],
    status,
  };
}

/** The error of a task that ended otherwise than completed, in the task's own words. */
export function failureOf(status: TaskStatus, outcome: Exclude<Outcome, 'completed'>): TaskFailedError {
  const error = status.execution_details?.error_details ?? {};
  const text = (value: Json | undefined): string | undefined =>
    typeof value === 'string' ? value : undefined;
  return new TaskFailedError({
    taskId: status.task_id,
    outcome,
    code: text(error.code) ?? (outcome === 'timeout' ? 'TASK_TIMEOUT' : `TASK_${outcome.toUpperCase()}`),
    message: text(error.message) ?? `task ${status.task_id} ended as ${outcome}`,
    status: 200,
    details: error as JsonObject,
  });
}
