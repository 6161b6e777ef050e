// A workflow's run taken up again at some step, perhaps with other input: a new task, linked to the first as any retry is (`SAM-70`,
// `SAM-167`).

import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Task, TaskSpec } from '../../domain/task.ts';
import type { Admission, ControlCall, EngineApi } from '../../engine/api.ts';
import { fingerprintOf } from '../fingerprint.ts';

/** Where to take a run up. */
export interface RerunWish {
  readonly fromStep: string;
  /** In place of the input of the first run. */
  readonly input?: JsonObject;
  readonly newId?: TaskId;
}

/** Hands in the new run; throws `not_found`, `forbidden`, and `invalid_transition` for what is no workflow or has not ended. */
export async function rerun(
  engine: Pick<EngineApi, 'task' | 'submit'>,
  { tenant, id, actor }: ControlCall,
  { fromStep, input, newId }: RerunWish,
): Promise<Admission> {
  const task = await engine.task(tenant, id);
  if (task.spec.type !== 'workflow_orchestration' || task.outcome === null || task.purged) throw notNow(task);
  // What a participant was asked for by message is its own; given something else to do it would do what nobody checked.
  if (input !== undefined && task.spec.entrusted !== undefined)
    throw new DomainError('forbidden', `${id} was asked for by message: it is taken up with its own input`, {
      details: { task_id: id },
    });
  const payload = {
    ...task.spec.payload,
    ...(input === undefined ? {} : { input }),
    rerun: { task_id: id, from_step: fromStep },
  };
  const spec: TaskSpec = { ...task.spec, payload, retryOf: id, submittedBy: actor, dependsOn: [] };
  const fingerprint = `rerun:${task.executionId}:${fingerprintOf(payload)}`;
  const [admission] = await engine.submit([
    { tenant, id: newId ?? (await freeId(engine, task)), spec, fingerprint, actor, steps: {} },
  ]);
  if (admission === undefined) throw new Error('a submit of one task answered none');
  return admission;
}

async function freeId(engine: Pick<EngineApi, 'task'>, { tenant, id }: Task): Promise<TaskId> {
  for (let number = 1; ; number++) {
    const next = `${id}.r${number}` as TaskId;
    try {
      await engine.task(tenant, next);
    } catch (error) {
      if (error instanceof DomainError && error.code === 'not_found') return next;
      throw error;
    }
  }
}

function notNow({ id, state, outcome }: Task): DomainError {
  return new DomainError(
    'invalid_transition',
    `cannot take up ${id} at a step: only workflows that have ended`,
    {
      details: { task_id: id, lifecycle_state: state, outcome },
    },
  );
}
