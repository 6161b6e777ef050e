// Makes the tasks that are asked for by the task wire: its requirements, dependencies, deadline and metadata as the engine has them. A kind of
// work nobody can do is let in and waits; one this server does itself is its own where no agent of the tenant is registered for it.

import { gpuAbility } from '../../domain/agent.ts';
import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Message, TaskRequest } from '../../domain/message.ts';
import { type ResourceLimits, TASK_TYPES } from '../../domain/task.ts';
import type { OrderTerms } from '../../engine/mailroom/task-desk.ts';
import { instantOf } from '../validation.ts';
import type { TaskParts } from './parts.ts';

const MB_IN_GB = 1_024;
const DAY_MS = 86_400_000;

/** Orders the task; throws why there is none. */
export async function submit(message: Message, task: TaskRequest, parts: TaskParts): Promise<void> {
  const { desk } = parts.mailroom();
  const request = { ...task, input: inputOf(task) };
  const terms = termsOf(task.terms, parts.clock.now());
  const canAnyone = await canBeDone(message, task, terms, parts);
  try {
    await desk.order(message, request, canAnyone ? terms : { ...terms, byAgents: true, awaitsAgent: true });
  } catch (error) {
    throw denied(error, task.taskId);
  }
}

/** What requirements come to; GPUs are a matter of what an agent can do (`TASK-14`). */
export function limitsOf(requirements: Json | undefined): ResourceLimits {
  if (!isJsonObject(requirements)) return {};
  const { cpu_cores: cores, memory_gb: memory, storage_gb: storage, gpu_units: gpus } = requirements;
  return {
    ...(typeof cores === 'number' ? { cpuCores: cores } : {}),
    ...(typeof memory === 'number' ? { memoryMb: Math.ceil(memory * MB_IN_GB) } : {}),
    ...(typeof storage === 'number' ? { diskMb: Math.ceil(storage * MB_IN_GB) } : {}),
    ...(typeof gpus === 'number' && gpus > 0 ? { gpuUnits: gpus } : {}),
  };
}

/** A workflow is named by its template, or given as its steps (`TASK-11`). */
function inputOf({ taskType, input }: TaskRequest): Json {
  if (taskType !== 'workflow_orchestration' || !isJsonObject(input)) return input;
  const { workflow, ...rest } = input;
  if (workflow === undefined) return input;
  if (typeof workflow === 'string') return { ...rest, workflow_id: workflow };
  if (Array.isArray(workflow)) return { ...rest, steps: workflow };
  return isJsonObject(workflow) ? { ...rest, ...workflow } : input;
}

function termsOf(terms: JsonObject, now: number): OrderTerms {
  const { requirements, metadata, deadline } = terms;
  const deadlineAt = typeof deadline === 'string' ? instantOf(deadline) : null;
  const batch = isJsonObject(metadata) ? metadata.batch_id : undefined;
  const resources = limitsOf(requirements);
  const { gpuUnits } = resources;
  return {
    resources,
    // Which GPUs are free is known when an agent asks for work.
    ...(gpuUnits === undefined ? {} : { capabilities: [gpuAbility(gpuUnits)], byAgents: true }),
    ...dependenciesOf(terms.dependencies),
    ...(deadlineAt === null ? {} : { deadlineAt }),
    // Past its deadline it ends without having run.
    ...(deadlineAt !== null && deadlineAt <= now ? { notBefore: now + DAY_MS } : {}),
    ...(typeof batch === 'string' ? { sessionId: batch } : {}),
  };
}

function dependenciesOf(given: Json | undefined): Pick<OrderTerms, 'dependsOn' | 'dependsOnEnds'> {
  if (!Array.isArray(given) || given.length === 0) return {};
  const all = given.map(one =>
    isJsonObject(one)
      ? { id: String(one.task_id) as TaskId, condition: one.condition }
      : { id: String(one) as TaskId, condition: 'completed' },
  );
  const ends = all.filter(({ condition }) => condition === 'ended').map(({ id }) => id);
  return {
    dependsOn: [...new Set(all.map(({ id }) => id))],
    ...(ends.length === 0 ? {} : { dependsOnEnds: ends }),
  };
}

/** Whether some agent of the tenant, or this server, could do it one day. */
async function canBeDone(
  { tenant }: Message,
  { taskType }: TaskRequest,
  { resources = {} }: OrderTerms,
  { engine }: TaskParts,
): Promise<boolean> {
  const agents = (await engine.agents(tenant)).map(({ agent }) => agent);
  const theirs = agents.filter(({ types }) => types.includes(`custom:${taskType}`));
  if (theirs.length > 0) return theirs.some(({ capacity }) => covers(capacity, resources));
  if (!(TASK_TYPES as readonly string[]).includes(taskType)) return false;
  const own = agents.filter(({ types }) => types.includes(taskType));
  // Of a kind this server knows and does not do here, the engine says what is missing.
  return own.length === 0 || own.some(({ capacity }) => covers(capacity, resources));
}

/** What an agent does not declare it has without limit, but for GPUs: those it has not. */
export function covers(capacity: ResourceLimits, needs: ResourceLimits): boolean {
  const kinds = ['cpuCores', 'memoryMb', 'diskMb'] as const;
  if ((needs.gpuUnits ?? 0) > (capacity.gpuUnits ?? 0)) return false;
  return kinds.every(kind => (needs[kind] ?? 0) <= (capacity[kind] ?? Number.POSITIVE_INFINITY));
}

/** More than a quota is a denial (`TASK-15`). */
function denied(error: unknown, taskId: TaskId): unknown {
  if (!(error instanceof DomainError) || error.code !== 'unprocessable') return error;
  if (error.details.quota === undefined) return error;
  const details = { ...error.details, denial: 'quota_exceeded', task_id: taskId };
  return new DomainError('resource_exhausted', error.message, { details, cause: error });
}
