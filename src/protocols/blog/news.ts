// What becomes of tasks, in this wire's words: the answer to who asked, and events for whoever listens (`BLOG-15`, `BLOG-62`, `BLOG-63`).

import type { TaskEvent } from '../../domain/event.ts';
import type { TaskError } from '../../domain/failure.ts';
import type { AgentId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { type Draft, type InboxName, inboxOfAgent, type Message } from '../../domain/message.ts';
import { isSkill } from '../../domain/skill.ts';
import { asRunHere, type Task, type TaskSpec, workTypeOf } from '../../domain/task.ts';
import { codeOf, errorPayload, knownCode, SEVERITIES, systemErrorOf } from './errors.ts';
import { eventDraft, messageDraft } from './speaking.ts';
import { type EventType, isEventType, uuidOf, VERSION } from './vocabulary.ts';

/** What the request for an attempt says to the agent that was given it (`BLOG-10`). */
export function requestOf(task: Task, agent: AgentId, original: Message | null): Draft {
  const { type_name: _, required_capabilities: __, fallback: ___, ...steps } = task.spec.payload;
  const payload: Json = original?.envelope?.payload ?? task.spec.origin?.input ?? steps;
  const first = original?.meaning.act === 'request_task' ? original.meaning.task.retryCount : 0;
  return messageDraft({
    ...{ tenant: task.tenant, id: uuidOf(`task.${task.executionId}.${task.attempt}`), type: 'request' },
    ...{ from: original?.from ?? 'executor', to: agent, payload, taskId: task.id },
    correlationId: namedBy(original) ?? exchangeOf(task),
    exchange: exchangeOf(task),
    ...{ priority: task.spec.priority, traceId: task.spec.traceId, version: versionOf(task) },
    at: task.startedAt ?? task.updatedAt,
    retryCount: first + task.attempt - 1,
    meaning: {
      act: 'request_task',
      task: {
        ...{ taskId: task.id, taskType: task.spec.typeName ?? task.spec.type, input: payload, terms: {} },
        ...{ description: task.spec.description, retryCount: first + task.attempt - 1 },
      },
    },
  });
}

/** The `ack` to who asked for one, once its message was acknowledged (`BLOG-12`). */
export function receiptOf(message: Message, inbox: InboxName): Draft | null {
  const { tenant, id, to, from, taskId, priority, traceId, acceptedAt, envelope, actor } = message;
  const metadata = envelope?.metadata;
  const receiver = to.find(name => inbox === inboxOfAgent(name));
  const isWanted = isJsonObject(metadata) && metadata.requiresAck === true && actor !== 'system';
  if (!isWanted || receiver === undefined || message.type === 'ack') return null;
  return messageDraft({
    ...{ tenant, id: uuidOf(`ack.${id}.${receiver}`), type: 'ack', from: receiver, to: from },
    ...{ payload: { status: 'received' }, correlationId: id, taskId, priority, traceId, at: acceptedAt },
    version: spokenVersion(metadata.protocolVersion),
    meaning: { act: 'accept', status: 'accepted', taskId, detail: {} },
  });
}

/** The word to an agent to stop working on a task. */
export function stopOf(task: Task, agent: AgentId, reason: string): Draft {
  return messageDraft({
    ...{ tenant: task.tenant, id: uuidOf(`stop.${task.executionId}.${task.attempt}`), type: 'notification' },
    ...{ from: 'executor', to: agent, taskId: task.id, correlationId: exchangeOf(task) },
    payload: { topic: 'task.cancelled', taskId: task.id, reason },
    ...{
      priority: task.spec.priority,
      traceId: task.spec.traceId,
      version: versionOf(task),
      at: task.updatedAt,
    },
    meaning: { act: 'control_task', taskId: task.id, command: 'cancel', reason, checkpoint: null },
  });
}

/** What is told of an event of a task; of tasks nobody asked for by message (steps of workflows) only that a skill was run. */
export function newsOf(task: Task, event: TaskEvent): readonly Draft[] {
  if (event.kind === 'note')
    return isEventType(event.name) ? [happened(task, event, { type: event.name, data: event.detail })] : [];
  if (event.kind !== 'state') return [];
  if (event.to === 'running') return isAsked(task) ? [happened(task, event, startedBy(task))] : [];
  if (task.outcome === null || task.outcome !== event.to || event.to === 'rejected')
    return event.error === undefined ? [] : [trouble(task, event, event.error)];
  return ended(task, event);
}

function ended(task: Task, event: TaskEvent): readonly Draft[] {
  const error = task.outcome === 'completed' ? null : errorOf(task);
  const skill = skillOf(task);
  const told = [
    ...(isAsked(task) ? [happened(task, event, endedBy(task, error))] : []),
    ...(skill === null ? [] : [happened(task, event, skillTold(task, skill, error))]),
    ...(error === null ? [] : [trouble(task, event, error)]),
  ];
  return isAsked(task) ? [...told, answer(task, event, error)] : told;
}

/** Why a task did not complete; of one that was cancelled, that. */
export function errorOf({ result, outcome }: Pick<Task, 'result' | 'outcome'>): TaskError {
  return (
    result?.error ?? {
      code: outcome === 'timeout' ? 'task_timeout' : 'task_failed',
      message: `the task ended ${outcome}`,
      recoverable: false,
    }
  );
}

/** The same as the `error` message tells it: what failed as a skill says which, and why (`BLOG-18`). */
export function toldError(task: Pick<Task, 'spec' | 'result' | 'outcome' | 'agentId'>): TaskError {
  const error = errorOf(task);
  const skill = skillOf(task);
  if (skill === null) return error;
  return { ...error, details: { skill, reason: error.message, ...error.details } };
}

/** The order as it was carried out: by the agent it was for, or as what it falls back to. */
export function carriedOut({ spec, agentId }: Pick<Task, 'spec' | 'agentId'>): TaskSpec {
  return agentId === null || `custom:${agentId}` === workTypeOf(spec) ? spec : asRunHere(spec);
}

/** The skill a task runs, of this server or of an agent that brought it; null where it does something else. */
function skillOf(task: Pick<Task, 'spec' | 'agentId'>): string | null {
  const { typeName = '', origin } = carriedOut(task);
  return isSkill(typeName) || isJsonObject(origin?.terms.execution) ? typeName : null;
}

/** What a task answers: of a workflow what it says it answers. */
export function resultOf(task: Pick<Task, 'spec' | 'result' | 'agentId'>): Json {
  const spec = carriedOut(task);
  const output = task.result?.output ?? null;
  if (spec.type !== 'workflow_orchestration' || !isJsonObject(output)) return output;
  return output.result ?? output;
}

function answer(task: Task, event: TaskEvent, error: TaskError | null): Draft {
  const { origin } = task.spec;
  const payload = error === null ? resultOf(task) : errorPayload(toldError(task));
  const status = error === null ? 'completed' : task.outcome === 'cancelled' ? 'cancelled' : 'failed';
  return messageDraft({
    ...{
      tenant: task.tenant,
      id: uuidOf(`answer.${task.executionId}`),
      type: error === null ? 'response' : 'error',
    },
    ...{ from: agentOf(task), to: origin?.from ?? '', payload, taskId: task.id },
    ...{ correlationId: origin?.messageId ?? null, priority: task.spec.priority, traceId: task.spec.traceId },
    ...{ at: event.at, version: versionOf(task) },
    meaning: {
      ...{ act: 'report_outcome', taskId: task.id, status },
      result: error === null ? payload : null,
      error: error === null ? null : { ...error, details: error.details ?? {} },
    },
  });
}

interface Told {
  readonly type: EventType;
  readonly data: JsonObject;
}

function happened(task: Task, event: TaskEvent, { type, data }: Told): Draft {
  const { userId } = task.spec.requester;
  return eventDraft({
    ...{ tenant: task.tenant, id: uuidOf(`event.${task.executionId}.${event.sequence}.${type}`), type, data },
    ...{ source: `${agentOf(task)}-agent`, correlationId: exchangeOf(task), userId: userId ?? null },
    ...{ traceId: traceOf(task), at: event.at },
  });
}

function startedBy(task: Task): Told {
  return { type: 'agent.started', data: { agentId: agentOf(task), taskId: task.id, attempt: task.attempt } };
}

function endedBy(task: Task, error: TaskError | null): Told {
  const data = { agentId: agentOf(task), taskId: task.id };
  if (error === null) return { type: 'agent.completed', data };
  return { type: 'agent.failed', data: { ...data, code: codeOf(error), message: error.message } };
}

function skillTold(task: Task, skill: string, error: TaskError | null): Told {
  const data = { skillId: skill, executionId: task.id };
  if (error === null) return { type: 'skill.executed', data };
  return { type: 'skill.failed', data: { ...data, code: codeOf(error), message: error.message } };
}

function trouble(task: Task, event: TaskEvent, error: TaskError): Draft {
  const severity = SEVERITIES[knownCode(codeOf(error))];
  const { userId } = task.spec.requester;
  const data = systemErrorOf(error, {
    ...{ component: agentOf(task), operation: task.spec.typeName ?? task.spec.type, now: event.at },
    ...{ traceId: traceOf(task), input: task.spec.payload.input ?? null },
    ...(userId === undefined ? {} : { userId }),
  });
  const type = severity === 'high' || severity === 'critical' ? 'system.error' : 'system.warning';
  return happened(task, event, { type, data });
}

/** The agent a task is asked of; whoever does a workflow's step is the coder. */
export function agentOf({ spec }: Pick<Task, 'spec'>): string {
  const agent = spec.origin?.terms.agent;
  return typeof agent === 'string' ? agent : 'coder';
}

function isAsked({ spec }: Task): boolean {
  return spec.origin?.dialect === 'blog';
}

function versionOf({ spec }: Task): string {
  return spokenVersion(spec.origin?.terms.version);
}

function spokenVersion(version: Json | undefined): string {
  return typeof version === 'string' ? version : VERSION;
}

function exchangeOf({ spec, id }: Task): string {
  return spec.requester.correlationId ?? id;
}

/** The caller's own trace, where it gave one. */
function traceOf({ spec }: Task): string {
  const context = spec.payload.context;
  const own = isJsonObject(context) ? context.traceId : undefined;
  return typeof own === 'string' ? own : spec.traceId;
}

function namedBy(original: Message | null): string | null {
  const named = original?.envelope?.correlationId;
  return typeof named === 'string' ? named : null;
}
