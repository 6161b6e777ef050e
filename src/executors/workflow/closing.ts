// The end of a cancelled run: a task of its own, handed in before the run is cancelled, so that a crash in between loses nothing. It ends the
// run where that has not happened yet, then what the run had under way, and compensates what was done, last first (`SAM-168`).

import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import { RETRY_POLICIES } from '../../domain/retry.ts';
import type { Task, TaskError, TaskSpec } from '../../domain/task.ts';
import type { WorkflowRun } from '../../domain/workflow.ts';
import type { AttemptContext, AttemptResult, Farewell } from '../../engine/ports/executor.ts';
import { pause } from '../../runtime/clock.ts';
import { closingId } from './child-order.ts';
import { Coordinator } from './coordinator.ts';
import { definitionOf } from './definition.ts';
import { resultOf } from './outcome.ts';
import type { WorkflowParts } from './parts.ts';
import type { WorkflowPayload } from './payload.ts';
import { planOf } from './plan.ts';
import { childrenOf, reach } from './reach.ts';

/** The credential of tasks that end runs; none that comes over a wire has it. */
export const CLOSER = 'system:workflow';

const LOOK_AGAIN_MS = 1_000;
const TIMEOUT_MS = 86_400_000;

/** The order for the task that closes a run. */
export function closingOrder({ id, executionId, spec }: Task): Farewell {
  const { notification: _, notices: __, outputSchema: ___, secretNames: ____, ...kept } = spec;
  const closing: TaskSpec = {
    ...kept,
    description: `end workflow ${id}`,
    payload: { closes: id },
    secretNames: [],
    dependsOn: [],
    timeoutMs: TIMEOUT_MS,
    retry: { ...RETRY_POLICIES.exponential, attemptsMax: 20 },
    submittedBy: CLOSER,
    extra: {},
  };
  return { id: closingId(id), spec: closing, fingerprint: `close:${executionId}` };
}

/** Closes the run; its result says what was compensated. */
export async function closeRun(
  context: AttemptContext,
  parts: WorkflowParts,
  id: TaskId,
): Promise<AttemptResult> {
  const { tenant } = context.task;
  const parent = await endedTask(context, parts, id);
  await reach(parts, parent);
  // Whoever led the run may have handed in one more child before it heard.
  while (
    (await childrenOf(parts, parent)).some(child => child.outcome === null && child.state !== 'paused')
  ) {
    await pause(parts.clock, LOOK_AGAIN_MS, context.signal);
    await reach(parts, parent);
  }
  const checkpoint = context.checkpoint ?? parent.checkpoint;
  const kept = isJsonObject(checkpoint) ? checkpoint : null;
  if (parent.outcome !== 'cancelled' || kept === null) return { status: 'completed', output: { closed: id } };
  const pinned = await definitionOf(parts.store, parent, kept);
  const plan = planOf(pinned.payload);
  const { input = {} } = parent.spec.payload as WorkflowPayload;
  const given = { ...pinned.payload.input, ...input };
  const scene = { plan, input: given, tellsSteps: false, kept: pinned.kept, parent };
  const coordinator = new Coordinator(context, parts, scene, kept.run as unknown as WorkflowRun);
  coordinator.cancel(CANCELLED);
  const run = await coordinator.run();
  const result = await resultOf(run, {
    ...parts,
    plan,
    parent,
    scope: coordinator.scope,
    pinned: pinned.kept,
  });
  const failed = Object.values(run.steps).some(({ undo }) => undo === 'failed');
  if (failed || result.status === 'completed') return result;
  return { status: 'completed', output: { closed: id, tenant, ...asObject(result.output) } };
}

async function endedTask({ task }: AttemptContext, { engine }: WorkflowParts, id: TaskId): Promise<Task> {
  const { tenant } = task;
  try {
    return await engine.cancel({ tenant, id, actor: CLOSER, reason: 'cancelled on request', graceMs: 0 });
  } catch (error) {
    if (!(error instanceof DomainError) || error.code !== 'invalid_transition') throw error;
    return await engine.task(tenant, id);
  }
}

function asObject(output: AttemptResult['output']): object {
  return typeof output === 'object' && output !== null ? output : {};
}

const CANCELLED: TaskError = {
  code: 'task_failed',
  message: 'the workflow was cancelled',
  recoverable: false,
};
