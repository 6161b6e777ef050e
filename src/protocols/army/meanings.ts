// What payloads mean, and how meanings are written as payloads: one the other's inverse for all that this wire says.

import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Meaning } from '../../domain/message.ts';
import { durationMs, durationText } from './durations.ts';
import { errorPayload, faultIn } from './errors.ts';
import type { Type } from './words.ts';

/** Members of a `task_request` with a place of their own in a `TaskRequest`. */
const TASK_MEMBERS = ['task_id', 'task_type', 'description', 'parameters'] as const;

/** What a payload of the type means. */
export function meaningOf(type: Type, payload: JsonObject, retryCount: number): Meaning {
  switch (type) {
    case 'task_request':
      return requestIn(payload, retryCount);
    case 'task_response':
      return outcomeIn(payload);
    case 'task_update':
      return {
        act: 'report_progress',
        taskId: payload.task_id as TaskId,
        status: payload.status as 'pending' | 'running' | 'paused',
        percentage: typeof payload.progress === 'number' ? payload.progress : null,
        note: typeof payload.message === 'string' ? payload.message : null,
        metrics: without(payload, ['task_id', 'status', 'progress', 'message']),
        checkpoint: null,
      };
    case 'error':
      return errorIn(payload);
    case 'status_query':
      return typeof payload.task_id === 'string' && Object.keys(payload).length === 1
        ? { act: 'ask_status', taskId: payload.task_id as TaskId }
        : { act: 'say', body: payload };
    case 'validation_request':
      return { act: 'ask_validation', request: payload };
    case 'validation_response':
      return { act: 'tell_validation', verdict: payload };
    case 'memory_store':
      return {
        act: 'remember',
        key: String(payload.key),
        value: payload.value ?? null,
        ttlMs: typeof payload.ttl === 'string' ? durationMs(payload.ttl) : null,
        tags: Array.isArray(payload.tags) ? payload.tags.map(String) : [],
      };
    case 'memory_query':
      return { act: 'recall', query: payload };
    case 'memory_response':
      return { act: 'tell_memory', memory: payload };
    case 'heartbeat':
      return { act: 'beat', condition: payload };
    case 'status_response':
    case 'coordination':
    case 'shutdown':
    case 'config_update':
      return { act: 'say', body: payload };
  }
}

/** The type and payload that say it; null where this wire has no words for it. `type`: what its wire called it, if that is a type here. */
export function wordsFor(
  meaning: Meaning,
  type: Type | null,
): { readonly type: Type; readonly payload: JsonObject } | null {
  switch (meaning.act) {
    case 'request_task':
      return { type: 'task_request', payload: requestPayload(meaning.task) };
    case 'report_progress':
      return { type: 'task_update', payload: progressPayload(meaning) };
    case 'report_outcome':
      return outcomeWords(meaning, type);
    case 'ask_status':
      return { type: 'status_query', payload: { task_id: meaning.taskId } };
    case 'control_task': {
      const { command: action, taskId, reason } = meaning;
      return {
        type: 'coordination',
        payload: { action, task_id: taskId, ...(reason === null ? {} : { reason }) },
      };
    }
    case 'accept': {
      const { status, taskId, detail } = meaning;
      return {
        type: 'status_response',
        payload: { ...detail, status, ...(taskId === null ? {} : { task_id: taskId }) },
      };
    }
    case 'refuse': {
      const { fault, taskId } = meaning;
      const details = taskId === null ? fault.details : { task_id: taskId, ...fault.details };
      return { type: 'error', payload: errorPayload({ ...fault, details }) };
    }
    case 'remember': {
      const { key, value, ttlMs, tags } = meaning;
      const ttl = ttlMs === null ? {} : { ttl: durationText(ttlMs) };
      return {
        type: 'memory_store',
        payload: { key, value, ...ttl, ...(tags.length === 0 ? {} : { tags }) },
      };
    }
    case 'recall':
      return { type: 'memory_query', payload: meaning.query };
    case 'tell_memory':
      return { type: 'memory_response', payload: meaning.memory };
    case 'ask_validation':
      return { type: 'validation_request', payload: meaning.request };
    case 'tell_validation':
      return { type: 'validation_response', payload: meaning.verdict };
    case 'beat':
      return { type: 'heartbeat', payload: meaning.condition };
    case 'notify':
      return {
        type: 'coordination',
        payload: { action: 'notify', topic: meaning.topic, data: meaning.data },
      };
    case 'say':
      return saidWords(meaning.body, type);
  }
}

function requestIn(payload: JsonObject, retryCount: number): Meaning {
  const parameters = payload.parameters;
  return {
    act: 'request_task',
    task: {
      taskId: payload.task_id as TaskId,
      taskType: String(payload.task_type),
      description: String(payload.description),
      input: isJsonObject(parameters) ? parameters : {},
      terms: without(payload, TASK_MEMBERS),
      retryCount,
    },
  };
}

function requestPayload(task: (Meaning & { readonly act: 'request_task' })['task']): JsonObject {
  const { taskId, taskType, description, input, terms } = task;
  const parameters = isJsonObject(input) ? input : { input };
  return {
    ...{ task_id: taskId, task_type: taskType, description },
    ...(Object.keys(parameters).length === 0 ? {} : { parameters }),
    ...terms,
  };
}

function outcomeIn(payload: JsonObject): Meaning {
  const { error, result = null } = payload;
  return {
    act: 'report_outcome',
    taskId: payload.task_id as TaskId,
    status: payload.status as 'completed' | 'failed' | 'cancelled',
    result,
    error: isJsonObject(error)
      ? faultIn({ error_code: 'EXECUTION_ERROR', message: 'the agent gave no reason', ...error })
      : null,
  };
}

function outcomeWords(
  meaning: Meaning & { readonly act: 'report_outcome' },
  type: Type | null,
): { readonly type: Type; readonly payload: JsonObject } {
  const { taskId, status, result, error } = meaning;
  if (type === 'error' && error !== null) {
    const details = { ...error.details, task_id: taskId };
    return { type: 'error', payload: errorPayload({ ...error, details }) };
  }
  const told = result === null || isJsonObject(result) ? result : { content: result };
  const payload = {
    ...{ task_id: taskId, status, result: told },
    ...(error === null ? {} : { error: errorPayload(error) }),
  };
  return { type: 'task_response', payload };
}

/** An error about a task is its holder's word on how an attempt ended. */
function errorIn(payload: JsonObject): Meaning {
  const fault = faultIn(payload);
  const taskId = isJsonObject(payload.context) ? payload.context.task_id : undefined;
  if (typeof taskId !== 'string') return { act: 'refuse', taskId: null, fault };
  return { act: 'report_outcome', taskId: taskId as TaskId, status: 'failed', result: null, error: fault };
}

function progressPayload(meaning: Meaning & { readonly act: 'report_progress' }): JsonObject {
  const { taskId, status, percentage, note, metrics } = meaning;
  return {
    ...metrics,
    ...{ task_id: taskId, status },
    ...(percentage === null ? {} : { progress: percentage }),
    ...(note === null ? {} : { message: note }),
  };
}

const SAID: ReadonlySet<Type> = new Set([
  'status_query',
  'status_response',
  'coordination',
  'shutdown',
  'config_update',
]);

function saidWords(
  body: Json,
  type: Type | null,
): { readonly type: Type; readonly payload: JsonObject } | null {
  if (type === null || !SAID.has(type)) return { type: 'coordination', payload: { action: 'message', body } };
  return isJsonObject(body) ? { type, payload: body } : null;
}

function without(payload: JsonObject, members: readonly string[]): JsonObject {
  return Object.fromEntries(Object.entries(payload).filter(([member]) => !members.includes(member)));
}
