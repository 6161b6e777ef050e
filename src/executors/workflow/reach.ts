// What becomes of the children of a run that somebody paused or ended: they are paused or ended too. Best done by whoever led the run, at
// once; what is missed ends by its own time, and a cancelled run's by its closing task.

import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { Task } from '../../domain/task.ts';
import { hasChildren, recordOf, type WorkflowRun } from '../../domain/workflow.ts';
import type { ControlCall } from '../../engine/api.ts';
import { actorOf, childId, isChildOf } from './child-order.ts';
import { definitionOf } from './definition.ts';
import type { WorkflowParts } from './parts.ts';
import { planOf } from './plan.ts';
import { batchIds } from './stage-state.ts';

const PAGE = 250;

/** Pauses or ends the children of a run that was paused or has ended; does nothing to a run that goes on elsewhere. */
export async function reach(parts: Pick<WorkflowParts, 'engine' | 'store'>, parent: Task): Promise<void> {
  const now = await parts.engine.task(parent.tenant, parent.id);
  if (now.executionId !== parent.executionId) return;
  const children = now.state === 'paused' || now.outcome !== null ? await childrenOf(parts, parent) : [];
  for (const { id } of children.filter(({ outcome }) => outcome === null)) {
    const call = { ...callOn(parent, id), reason: `the workflow is ${now.outcome ?? now.state}` };
    // One that cannot be held where it is goes on to its end.
    await (now.state === 'paused'
      ? parts.engine.pause(call)
      : parts.engine.cancel({ ...call, graceMs: 0 })
    ).catch(() => {});
  }
}

/** Lets children go on that were held with their workflow, and no others. */
export async function release(parts: Pick<WorkflowParts, 'engine' | 'store'>, parent: Task): Promise<void> {
  for (const child of await childrenOf(parts, parent)) {
    if (child.state !== 'paused') continue;
    const query = { of: 'task', key: child.key, afterSequence: child.version - 1, limit: 1 } as const;
    const [last] = await parts.store.events(query);
    if (last?.kind === 'state' && last.actor === actorOf(parent))
      await parts.engine.resume(callOn(parent, child.id)).catch(() => {});
  }
}

/** Every task the run has made so far, even what it handed in after its last checkpoint. */
export async function childrenOf(
  { store }: Pick<WorkflowParts, 'store'>,
  { tenant, id, executionId }: Task,
): Promise<readonly Task[]> {
  const [parent] = await store.read([{ tenant, id }]);
  if (parent === null || parent === undefined || parent.executionId !== executionId) return [];
  const kept = isJsonObject(parent.checkpoint) ? parent.checkpoint : null;
  const { payload } = await definitionOf(store, parent, kept);
  const run = kept?.run as unknown as WorkflowRun | undefined;
  const children: Task[] = [];
  const find = async (ids: readonly TaskId[]): Promise<number> => {
    const found = (await store.read(ids.map(one => ({ tenant, id: one })))).filter(task => task !== null);
    children.push(...found.filter(task => isChildOf(task, parent)));
    return found.length;
  };
  if (payload.stage !== undefined) await find(batchIds(id, kept));
  const { order } = planOf(payload).graph;
  const steps = order.filter(({ kind }) => hasChildren(kind));
  for (let from = 0; from < steps.length; from += PAGE)
    await find(
      steps
        .slice(from, from + PAGE)
        .flatMap(step => [childId(id, step.id, null), childId(id, step.id, null, 'undo')]),
    );
  for (const { id: map } of steps.filter(({ kind }) => kind === 'map')) {
    const known = run === undefined ? 0 : (recordOf(run, map)?.items?.length ?? 0);
    // Items begin in order: where a whole page is missing, there are no more.
    for (let from = 0; ; from += PAGE) {
      const page = Array.from({ length: PAGE }, (_, at) => childId(id, map, from + at));
      if ((await find(page)) === 0 && from + PAGE >= known) break;
    }
  }
  return children;
}

function callOn(parent: Task, id: TaskId): ControlCall {
  return { tenant: parent.tenant, id, actor: actorOf(parent) };
}
