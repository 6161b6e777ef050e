// What messages mean to everybody, and how what other wires mean is said here: a request for a task is an execution asked for, a report its
// status or response.

import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Fault, Meaning, Message } from '../../domain/message.ts';
import type { Envelope } from './envelope.ts';
import { ruleIn } from './envelope.ts';
import { errorMetadata, errorObject, faultIn } from './errors.ts';
import { metadataNumber } from './metadata.ts';
import { ENDINGS, isServiceName, type Pair, serviceOf } from './vocabulary.ts';

/** The type of the task that a pair asks for. */
export const TASK_TYPES: Readonly<Partial<Record<Pair, string>>> = {
  'agent.execute': 'agent_task',
  'workflow.start': 'workflow_task',
  'workflow.step': 'workflow_step',
  'conversation.update': 'conversation_task',
  'conversation.query': 'conversation_task',
  'knowledge.search': 'knowledge_search',
  'knowledge.update': 'knowledge_update',
  'auth.validate': 'auth_task',
  'tool.execute': 'tool_task',
  'tool.update': 'tool_registration',
  'tool.query': 'tool_registration',
  'system.query': 'system_task',
  'system.update': 'system_task',
  'system.execute': 'system_task',
};

/** What an envelope means. */
export function meaningOf(envelope: Envelope): Meaning {
  const { type, payload, task_id: task } = envelope;
  const taskId = task as TaskId;
  const pair = `${type.domain}.${type.action}` as Pair;
  switch (ruleIn(envelope).kind) {
    case 'ask':
      return {
        act: 'request_task',
        task: {
          ...{ taskId, taskType: TASK_TYPES[pair] ?? pair, description: describe(pair, payload) },
          ...{ input: payload, terms: {}, retryCount: metadataNumber(envelope, 'retry_count') ?? 0 },
        },
      };
    case 'control':
      return controlOf(envelope, taskId);
    case 'tell':
      return toldOf(envelope, taskId);
    case 'notify':
      return { act: 'notify', topic: pair, data: payload };
    case 'beat':
      return { act: 'beat', condition: payload };
  }
}

function controlOf({ type, payload }: Envelope, taskId: TaskId): Meaning {
  const { command, reason } = payload;
  if (type.action !== 'update' || (command !== 'pause' && command !== 'resume' && command !== 'cancel'))
    return type.action === 'query' ? { act: 'ask_status', taskId } : { act: 'say', body: payload };
  return {
    ...{ act: 'control_task', taskId, command, checkpoint: null },
    reason: typeof reason === 'string' ? reason : null,
  };
}

function toldOf(envelope: Envelope, taskId: TaskId): Meaning {
  const { type, payload, status } = envelope;
  if (type.action === 'error' || status === 'failed')
    return { act: 'report_outcome', taskId, status: 'failed', result: payload, error: faultIn(envelope) };
  if (ENDINGS.includes(type.action) || status === 'completed')
    return { act: 'report_outcome', taskId, status: 'completed', result: payload, error: null };
  const { progress, progress_percentage: percentage, status_detail: note } = payload;
  const far = progress ?? percentage;
  return {
    ...{ act: 'report_progress', taskId, metrics: {}, checkpoint: null },
    status: payload.workflow_status === 'paused' ? 'paused' : 'running',
    percentage: typeof far === 'number' ? far : null,
    note: typeof note === 'string' ? note : null,
  };
}

function describe(pair: Pair, payload: JsonObject): string {
  const { query, workflow_template_id: template, tool_name: tool, step_type: step } = payload;
  const what = query ?? template ?? tool ?? step;
  return typeof what === 'string' && what !== '' ? what.slice(0, 2_000) : pair;
}

/** A message of another wire in this one's words; throws `unprocessable` where there are none. */
export function translated(message: Message): JsonObject {
  const { meaning } = message;
  const words = wordsFor(meaning);
  if (words === null)
    throw new DomainError('unprocessable', `Nooble has no words for ${meaning.act}`, {
      details: { act: meaning.act },
    });
  const error = words.error ?? null;
  const [target = 'agent_orchestrator'] = message.to;
  return {
    message_id: message.id,
    task_id: message.taskId ?? message.correlationId,
    tenant_id: message.tenant,
    correlation_id: message.correlationId,
    created_at: new Date(message.sentAt === 0 ? message.acceptedAt : message.sentAt).toISOString(),
    ...(message.expiresAt === null ? {} : { expires_at: new Date(message.expiresAt).toISOString() }),
    schema_version: '1.1',
    status: words.status,
    type: words.type,
    priority: message.priority,
    source_service: named(message.from),
    target_service: named(target),
    metadata: {
      ...{
        source: 'system',
        trace_id: message.traceId,
        protocol: message.dialect,
        original_type: message.type,
      },
      ...(message.replyTo === null ? {} : { reply_to: message.replyTo }),
      ...(error === null ? {} : errorMetadata(error, null)),
    },
    payload: words.payload,
    ...(error === null ? {} : { error }),
  };
}

interface Words {
  readonly type: { readonly domain: string; readonly action: string };
  readonly status: string;
  readonly payload: JsonObject;
  readonly error?: JsonObject;
}

function wordsFor(meaning: Meaning): Words | null {
  switch (meaning.act) {
    case 'request_task': {
      const { description, input, taskType } = meaning.task;
      const query = isJsonObject(input) && typeof input.query === 'string' ? input.query : description;
      return words('agent.execute', 'pending', { query, task_type: taskType, input });
    }
    case 'report_progress':
      return words('agent.status', meaning.status === 'pending' ? 'pending' : 'processing', {
        ...(meaning.percentage === null ? {} : { progress: meaning.percentage }),
        ...(meaning.note === null ? {} : { status_detail: meaning.note }),
        metrics: meaning.metrics,
      });
    case 'report_outcome':
      return meaning.status === 'completed'
        ? words('agent.response', 'completed', {
            response: typeof meaning.result === 'string' ? meaning.result : JSON.stringify(meaning.result),
            result: meaning.result,
          })
        : failed(meaning.error ?? CANCELLED, meaning.result);
    case 'refuse':
      return failed(meaning.fault, null);
    case 'ask_status':
      return words('agent.query', 'pending', {});
    case 'control_task':
      return words('agent.update', 'pending', { command: meaning.command, reason: meaning.reason });
    case 'accept':
      return words('agent.status', 'pending', { status_detail: meaning.status, ...meaning.detail });
    case 'notify':
      return words('system.notify', 'completed', { topic: meaning.topic, data: meaning.data });
    case 'beat':
      return words('system.status', 'completed', meaning.condition);
    case 'recall':
      return words('knowledge.search', 'pending', { query: JSON.stringify(meaning.query), ...meaning.query });
    case 'tell_memory':
      return words('knowledge.results', 'completed', meaning.memory);
    case 'say':
      return words('system.notify', 'completed', { data: meaning.body });
    case 'remember':
    case 'ask_validation':
    case 'tell_validation':
      return null;
  }
}

const CANCELLED: Fault = {
  code: 'invalid_transition',
  message: 'the task was cancelled',
  recoverable: false,
  details: {},
  wireCode: 'ORCH_EXEC_001',
};

function failed(fault: Fault, result: Json): Words {
  const details =
    fault.wireCode === undefined ? fault.details : { ...fault.details, wire_code: fault.wireCode };
  const told = { code: fault.code, message: fault.message, details };
  return {
    ...words('agent.error', 'failed', {
      error_details: fault.details,
      ...(result === null ? {} : { result }),
    }),
    error: errorObject(told, { service: 'agent_orchestrator', origin: '' }),
  };
}

function words(pair: string, status: string, payload: JsonObject): Words {
  const [domain = '', action = ''] = pair.split('.');
  return { type: { domain, action }, status, payload };
}

/** The name of an agent elsewhere as that of a service. */
function named(name: string): string {
  const plain = serviceOf(name.split(':').at(-1) ?? name);
  return isServiceName(plain) ? plain : plain.replaceAll(/[^A-Za-z0-9_-]/g, '_').slice(0, 100) || 'unknown';
}
