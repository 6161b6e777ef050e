// What those who asked for a task by this wire, its holder and subscribers are told of it: every move as `state.changed`, every report and its
// end as `task.status`, what was missed as `protocol.error`; and what its agents are asked to do.

import type { TaskEvent } from '../../domain/event.ts';
import type { AgentId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Draft, Meaning, Message } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import { isEnd } from '../../domain/transitions.ts';
import { CODES, failureFields } from './errors.ts';
import { wireFault } from './meaning.ts';
import type { TaskParts } from './parts.ts';
import { idFor, utterance } from './utterance.ts';
import { actingPriority, DEFAULT_TOPIC, instant, requestId, statusOf } from './vocabulary.ts';

/** What telling needs. */
export type NewsParts = Pick<TaskParts, 'clock' | 'states' | 'reports' | 'mailroom'>;

const MB_IN_GB = 1_024;

/** What an event of a task makes this server say; asked again it says the same. */
export async function taskNews(task: Task, event: TaskEvent, parts: NewsParts): Promise<readonly Draft[]> {
  const { tenant, id: taskId, executionId } = task;
  const cause = `${executionId}.${event.sequence}`;
  switch (event.kind) {
    case 'state': {
      const version = await parts.states.moved({ tenant, taskId }, cause);
      if (event.to === 'archived') await parts.reports.forget({ tenant, taskId });
      const moved = await stateNews(task, { cause, version }, parts, event.to);
      return isEnd(event.to) ? [...moved, ...endNews(task, cause, event)] : moved;
    }
    case 'progress': {
      const { intermediate, progress } = event;
      const metrics =
        isJsonObject(intermediate) && isJsonObject(intermediate.metrics) ? intermediate.metrics : {};
      const shown = {
        ...statusFields(task, { metrics }),
        status: 'running',
        progress: progress.percentage / 100,
      };
      return [said(task, idFor('progress', cause), shown, event.at)];
    }
    case 'agent_error':
    case 'resource_warning':
    case 'note': {
      const { kind: _, sequence, at, cursor, tenant: __, key, taskId: ___, ...detail } = event;
      const name = event.kind === 'note' ? event.name : event.kind;
      if (QUIET.has(name)) return [];
      const fields = { type: DEFAULT_TOPIC, task_id: taskId, event: name, detail: asJson(detail) };
      return [said(task, idFor('event', cause), fields, at)];
    }
  }
}

/** What the engine notes for itself. */
const QUIET = new Set(['init', 'notify', 'archive', 'notification_plan']);

/** `state.changed` for submitter and holder, and whoever subscribed. */
export async function stateNews(
  task: Task,
  { cause, version }: { readonly cause: string; readonly version: number },
  { clock, mailroom }: NewsParts,
  state?: string,
): Promise<readonly Draft[]> {
  const holder = task.lease?.agentId ?? null;
  const reads = holder !== null && (await mailroom().directory.agent(task.tenant, holder)) !== null;
  const to = [...new Set([...submitterOf(task), ...(reads && holder !== null ? [holder] : [])])];
  const { metadata } = termsOf(task);
  return [
    utterance(
      { ...sceneOf(task), id: idFor('state', cause), to, now: clock.now() },
      {
        ...{ type: 'state.changed', task_id: task.id, version },
        ...(state === undefined ? {} : { state }),
        ...(metadata === undefined ? {} : { metadata }),
      },
    ),
  ];
}

/** The fields of `task.status` for a task as it stands (`TASK-20`, `TASK-21`). */
export function statusFields(
  task: Task,
  { metrics }: { readonly metrics: JsonObject },
): JsonObject & { type: string } {
  const { outcome, result, progress, state } = task;
  const { metadata } = termsOf(task);
  const { output, error } = result ?? {};
  return {
    ...{ type: 'task.status', task_id: task.id, status: statusOf(task), state },
    progress: outcome === 'completed' ? 1 : (progress?.percentage ?? 0) / 100,
    metrics: numbersOf(metrics),
    ...(outcome === null ? {} : { outcome }),
    ...(output === undefined ? {} : { result: output }),
    ...(error === undefined ? {} : { error: wireFault(error) }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** The request for an attempt, with every field filled (`TASK-19`). */
export function requestFor(task: Task, agent: AgentId, now: number): Draft {
  const { spec, lease, checkpoint, createdAt } = task;
  const terms = termsOf(task);
  const deadline = lease?.deadlineAt ?? createdAt + spec.timeoutMs;
  const priority = typeof terms.priority === 'number' ? terms.priority : spec.priority;
  const fields = {
    ...(isJsonObject(terms.more) ? terms.more : {}),
    ...{
      type: 'task.submit',
      task_id: task.id,
      task_type: spec.origin?.taskType ?? spec.typeName ?? spec.type,
    },
    input: spec.origin === undefined ? spec.payload : spec.origin.input,
    priority,
    deadline: typeof terms.deadline === 'string' ? terms.deadline : instant(deadline),
    requirements: terms.requirements ?? requirementsOf(task),
    dependencies: terms.dependencies ?? [...spec.dependsOn],
    metadata: terms.metadata ?? {},
    attempt: task.attempt,
    ...(isJsonObject(checkpoint) && typeof checkpoint.id === 'string' ? { checkpoint } : {}),
  };
  const taskType = fields.task_type;
  const meaning: Meaning = {
    act: 'request_task',
    task: {
      ...{
        taskId: task.id,
        taskType,
        description: spec.description,
        input: fields.input,
        terms: asJson(terms),
      },
      retryCount: task.attempt - 1,
    },
  };
  return utterance(
    { ...sceneOf(task), id: requestId(task), to: [agent], now, priority: actingPriority(priority) },
    fields,
    meaning,
  );
}

/** The order to stop; one that was paused is to pause. */
export function stopFor(task: Task, agent: AgentId, reason: string, now: number): Draft {
  const command = task.state === 'paused' ? 'pause' : 'cancel';
  return utterance(
    { ...sceneOf(task), id: idFor('stop', `${task.executionId}.${task.attempt}`), to: [agent], now },
    { type: `task.control.${command}`, task_id: task.id, reason },
    { act: 'control_task', taskId: task.id, command, reason, checkpoint: null },
  );
}

/** What the message that asked for a task said of it beside its work. */
export function termsOf({ spec: { origin } }: Pick<Task, 'spec'>): JsonObject {
  return origin?.dialect === 'task' ? origin.terms : {};
}

function endNews(task: Task, cause: string, event: TaskEvent & { readonly kind: 'state' }): readonly Draft[] {
  const told = said(task, idFor('status', cause), statusFields(task, { metrics: {} }), event.at);
  const { error } = event;
  const isMissed = error !== undefined && (event.to === 'timeout' || error.code === 'dependency_failed');
  if (!isMissed || error === undefined || CODES[error.code].code === 'reject') return [told];
  const details = { ...error.details, task_id: task.id };
  const failure = failureFields({ ...error, details }, { about: null, traceId: task.spec.traceId });
  return [told, said(task, idFor('missed', cause), { type: 'protocol.error', ...failure }, event.at)];
}

function said(task: Task, id: string, fields: JsonObject & { readonly type: string }, at: number): Draft {
  return utterance({ ...sceneOf(task), id, to: submitterOf(task), now: at }, fields, meaningOf(task, fields));
}

function meaningOf(task: Task, fields: JsonObject & { readonly type: string }): Meaning {
  if (fields.type !== 'task.status' || task.outcome === null) return { act: 'say', body: fields };
  const { error, output = null } = task.result ?? {};
  const status = statusOf(task);
  return {
    ...{ act: 'report_outcome', taskId: task.id, result: output },
    status: status === 'completed' || status === 'cancelled' ? status : 'failed',
    error: error === undefined ? null : { ...error, details: error.details ?? {} },
  };
}

function sceneOf(
  task: Task,
): Pick<Parameters<typeof utterance>[0], 'tenant' | 'taskId' | 'correlationId' | 'traceId'> {
  const { tenant, id: taskId, spec } = task;
  return { tenant, taskId, correlationId: spec.requester.correlationId ?? taskId, traceId: spec.traceId };
}

function submitterOf({ spec: { origin } }: Task): readonly string[] {
  return origin === undefined ? [] : [origin.from];
}

function requirementsOf({ spec: { resources } }: Task): JsonObject {
  const { cpuCores, memoryMb, diskMb, gpuUnits } = resources;
  return {
    ...(cpuCores === undefined ? {} : { cpu_cores: Math.ceil(cpuCores) }),
    ...(memoryMb === undefined ? {} : { memory_gb: memoryMb / MB_IN_GB }),
    ...(diskMb === undefined ? {} : { storage_gb: diskMb / MB_IN_GB }),
    ...(gpuUnits === undefined ? {} : { gpu_units: gpuUnits }),
  };
}

function numbersOf(metrics: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(metrics).filter(([, value]) => typeof value === 'number'));
}

function asJson(value: unknown): JsonObject {
  return JSON.parse(JSON.stringify(value)) as JsonObject & Json;
}

/** Whether a message that asked for a task may reach the agent just as it came: one that is signed must. */
export function reachesAsIs({ envelope }: Pick<Message, 'envelope'>): boolean {
  return envelope?.signature !== undefined;
}
