// Skill executions as this wire shows them: what their tasks know, in the words of SEP (`BLOG-31`, `BLOG-35`, `BLOG-36`, `BLOG-43`).

import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { isSkill } from '../../domain/skill.ts';
import type { Task } from '../../domain/task.ts';
import { systemErrorOf } from './errors.ts';
import { agentOf, carriedOut, toldError } from './news.ts';
import { instant } from './vocabulary.ts';

/** How an execution stands. */
export type ExecutionStatus = 'pending' | 'validating' | 'executing' | 'completed' | 'failed' | 'cancelled';

/** What a task executes; null where it runs no skill that was asked for by this wire or as a step of its workflows. */
function executionIn(task: Pick<Task, 'spec' | 'agentId'>): JsonObject | null {
  const spec = carriedOut(task);
  const kept = spec.origin?.terms.execution;
  if (isJsonObject(kept)) return kept;
  return isSkill(spec.typeName ?? '') && isJsonObject(spec.payload.input) ? spec.payload : null;
}

/** The status of a task in the words of SEP (`BLOG-36`); an attempt in this server that has told no stage yet is at its first. */
export function statusOf(
  { state, outcome, progress }: Pick<Task, 'state' | 'outcome' | 'progress'>,
  isRunHere = false,
): ExecutionStatus {
  if (outcome === 'completed' || outcome === 'cancelled') return outcome;
  if (outcome !== null || state === 'rejected') return 'failed';
  if (state === 'completing') return 'validating';
  if (state !== 'running') return 'pending';
  const stage = progress?.currentStep ?? (isRunHere ? 'validating' : 'executing');
  return stage.startsWith('validating') ? 'validating' : 'executing';
}

/** The execution, every field that is not optional told; null where the task is none. */
export function executionOf(task: Task): JsonObject | null {
  const execution = executionIn(task);
  if (execution === null) return null;
  const { type_name: _, input, context, preconditions = [], postconditions = [], config } = execution;
  const { result, createdAt, startedAt, endedAt, outcome } = task;
  const began = startedAt ?? createdAt;
  const status = statusOf(task, isSkill(carriedOut(task).typeName ?? ''));
  const scene = isJsonObject(context) ? context : {};
  return {
    ...{ executionId: task.id, skillId: carriedOut(task).typeName ?? '', input: input ?? {} },
    context: { environment: 'production', traceId: task.spec.traceId, ...scene },
    ...{ preconditions, postconditions },
    ...(config === undefined ? {} : { config }),
    status,
    ...(status === 'completed' ? { result: result?.output ?? null } : {}),
    ...(status === 'failed' ? { error: failureOf(task, scene), ...inspected(task) } : {}),
    metadata: {
      startTime: instant(began),
      ...(outcome === null || endedAt === null
        ? {}
        : { endTime: instant(endedAt), duration: Math.max(0, endedAt - began) }),
      retries: Math.max(0, task.attempt - 1),
      agentId: agentOf(task),
    },
  };
}

function failureOf(task: Task, context: JsonObject): JsonObject {
  const { userId, traceId } = context;
  return systemErrorOf(toldError(task), {
    ...{ component: agentOf(task), operation: task.spec.typeName ?? '', now: task.endedAt ?? task.updatedAt },
    traceId: typeof traceId === 'string' ? traceId : task.spec.traceId,
    ...(typeof userId === 'string' ? { userId } : {}),
    input: task.spec.payload.input ?? task.spec.payload,
  });
}

/** What a skill answered though a postcondition does not hold: to be looked at, no result (`BLOG-40`). */
function inspected({ result }: Task): JsonObject {
  return result?.output === undefined ? {} : { inspection: { result: result.output } };
}
