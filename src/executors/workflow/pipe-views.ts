// The pipes of a run as people look at them, by the names of its steps: what went through, and how far each reader is behind.

import type { JsonObject } from '../../domain/json.ts';
import type { PipeReader } from '../../domain/pipe.ts';
import type { Task } from '../../domain/task.ts';
import { recordOf, type WorkflowRun } from '../../domain/workflow.ts';
import type { PipeView } from '../../engine/pipe-calls.ts';
import type { Pipes } from '../../engine/pipes.ts';
import { childId } from './child-order.ts';
import { type StepPipes, taskPipes } from './pipes.ts';

/** The pipes of a run that its own steps write; empty for one without a pipeline. */
export async function pipeViews(
  pipes: Pick<Pipes, 'viewsOf'>,
  { tenant, id }: Task,
  joined: StepPipes,
  run: WorkflowRun,
): Promise<readonly JsonObject[]> {
  const views = await Promise.all(
    [...joined.keys()].map(async step => {
      const own = taskPipes(joined, id, step);
      // Of an earlier run's step nothing is in this one's pipes.
      if (own === null || recordOf(run, step)?.task !== undefined) return [];
      const found = await pipes.viewsOf(tenant, childId(id, step, null), own);
      return found.map(view => viewOf(view, step, task => task.slice(id.length + 1)));
    }),
  );
  return views.flat();
}

function viewOf(
  { from, to, mode, state, written, bytes }: PipeView,
  step: string,
  stepOf: (task: PipeReader['task']) => string,
): JsonObject {
  return {
    ...{ pipe: `${step}.${from.output}`, mode, state, chunks: written, bytes },
    readers: to.map(({ task, input, by, acknowledged, behind, isGone }) => ({
      ...{ input: `${stepOf(task)}.${input}`, by, acknowledged },
      ...{ behind_chunks: behind.chunks, behind_bytes: behind.bytes, is_over: isGone },
    })),
  };
}
