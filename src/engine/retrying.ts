// What a retry of a task that ended is: a new task of the same specification, linked to the old one (`SAM-70`).

import { DomainError } from '../domain/errors.ts';
import type { TaskId } from '../domain/ids.ts';
import type { Task, TaskSpec } from '../domain/task.ts';
import { hasEnded } from '../domain/transitions.ts';
import type { Store } from '../store/store.ts';
import type { ControlCall, TaskOrder } from './api.ts';

/** The order of its retry, under a name of its own where none is given; throws `invalid_transition` where it did not end badly. */
export async function retryOrder(
  store: Pick<Store, 'read'>,
  task: Task,
  call: ControlCall & { readonly newId?: TaskId },
): Promise<TaskOrder> {
  if (!hasEnded(task.state) || task.outcome === 'completed' || task.outcome === 'rejected' || task.purged)
    throw new DomainError(
      'invalid_transition',
      `cannot retry task ${task.id}: only failed, timed-out and cancelled tasks`,
      { details: { task_id: task.id, lifecycle_state: task.state, outcome: task.outcome } },
    );
  const id = call.newId ?? (await nextRetryId(store, task));
  const spec: TaskSpec = { ...task.spec, retryOf: task.id, submittedBy: call.actor, dependsOn: [] };
  return {
    ...{ tenant: task.tenant, id, spec },
    ...{ fingerprint: `retry:${task.executionId}`, actor: call.actor, steps: {} },
  };
}

async function nextRetryId(store: Pick<Store, 'read'>, task: Task): Promise<TaskId> {
  for (let number = 1; ; number++) {
    const id = `${task.id}.r${number}` as TaskId;
    const [taken] = await store.read([{ tenant: task.tenant, id }]);
    if (taken === null || taken === undefined) return id;
  }
}
