// What the fields of a task message mean, in words that every wire can read, and the fields that say the same where a message came by
// another wire.

import type { DomainError } from '../../domain/errors.ts';
import { isErrorCode } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Fault, Meaning, Message } from '../../domain/message.ts';
import { failureFields } from './errors.ts';
import { FAULT_MESSAGE_MAX, type TaskMessageType, unknownFields } from './schemas.ts';
import { DEFAULT_TOPIC, type Status } from './vocabulary.ts';

/** What a message says; its fields were found to be as its schema wants them. */
export function meaningOf(type: TaskMessageType, fields: JsonObject): Meaning {
  const taskId = (fields.task_id ?? null) as TaskId;
  const reason = plainText(fields.reason);
  switch (type) {
    case 'task.submit':
      return { act: 'request_task', task: requestOf(fields, taskId) };
    case 'task.status':
      return reportOf(fields, taskId);
    case 'task.control.pause':
      return { act: 'control_task', taskId, command: 'pause', reason, checkpoint: null };
    case 'task.control.cancel':
      return { act: 'control_task', taskId, command: 'cancel', reason, checkpoint: null };
    case 'task.control.resume': {
      const checkpoint = plainText(fields.checkpoint);
      return { act: 'control_task', taskId, command: 'resume', reason, checkpoint };
    }
    case 'task.control.ack':
      return {
        act: 'accept',
        status: fields.status === 'applied' ? 'applied' : 'accepted',
        taskId,
        detail: { command_id: fields.command_id },
      };
    case 'task.control.reject': {
      const code = (reason ?? '').split(':')[0] ?? '';
      const fault: Fault = {
        code: isErrorCode(code) ? code : 'task_failed',
        message: reason ?? 'rejected',
        recoverable: false,
        details: { command_id: fields.command_id },
      };
      return { act: 'refuse', taskId, fault };
    }
    default:
      return { act: 'say', body: fields };
  }
}

/** The fields, type included, by which this wire says what a message of another means. */
export function fieldsOf({ meaning, type, replyTo, traceId }: Message): JsonObject {
  switch (meaning.act) {
    case 'request_task': {
      const { taskId, taskType, description, input, terms, retryCount } = meaning.task;
      return {
        type: 'task.submit',
        ...{ task_id: taskId, task_type: taskType, input, description, attempt: retryCount + 1 },
        ...{ requirements: {}, dependencies: [], metadata: terms },
      };
    }
    case 'report_progress': {
      const { taskId, status, percentage, metrics, note } = meaning;
      const progress = (percentage ?? 0) / 100;
      return {
        type: 'task.status',
        task_id: taskId,
        status,
        progress,
        metrics,
        ...(note === null ? {} : { note }),
      };
    }
    case 'report_outcome': {
      const { taskId, status, result, error } = meaning;
      const left = { result, ...(error === null ? {} : { error: wireFault(error) }) };
      return {
        type: 'task.status',
        task_id: taskId,
        status,
        progress: status === 'completed' ? 1 : 0,
        metrics: {},
        ...left,
      };
    }
    case 'ask_status':
      return { type: DEFAULT_TOPIC, event: 'ask_status', task_id: meaning.taskId };
    case 'control_task': {
      const { taskId, command, reason, checkpoint } = meaning;
      const more = command === 'resume' ? { checkpoint } : reason === null ? {} : { reason };
      return { type: `task.control.${command}`, task_id: taskId, ...more };
    }
    case 'accept': {
      const { status, taskId, detail } = meaning;
      if (replyTo === null) return { type: DEFAULT_TOPIC, event: type, detail };
      return {
        type: 'task.control.ack',
        command_id: replyTo,
        status,
        ...(taskId === null ? {} : { task_id: taskId }),
      };
    }
    case 'refuse': {
      const { code, message, details } = meaning.fault;
      return failureFields({ code, message, details }, { about: replyTo, traceId });
    }
    default:
      return { type: DEFAULT_TOPIC, event: type, detail: { ...meaning } as JsonObject };
  }
}

/** A failure as a report tells it; of a message too long for one, the beginning. */
export function wireFault({
  code,
  message,
  recoverable,
}: Pick<Fault, 'code' | 'message' | 'recoverable'>): JsonObject {
  return { code, message: message.slice(0, FAULT_MESSAGE_MAX), recoverable };
}

/** The same of an error. */
export function faultOf(error: DomainError): Fault {
  const { code, message, details, retryAfterMs } = error;
  const after = retryAfterMs === undefined ? {} : { retryAfterMs };
  return { code, message, details, recoverable: retryAfterMs !== undefined, ...after };
}

function requestOf(fields: JsonObject, taskId: TaskId): Extract<Meaning, { act: 'request_task' }>['task'] {
  const {
    task_type: taskType,
    input = {},
    requirements,
    dependencies,
    metadata,
    deadline,
    priority,
  } = fields;
  const more = unknownFields(fields);
  const terms = {
    ...{ requirements, dependencies, metadata, deadline, priority },
    ...(Object.keys(more).length === 0 ? {} : { more }),
  };
  return {
    ...{ taskId, taskType: String(taskType), description: String(taskType), input, retryCount: 0 },
    terms: Object.fromEntries(Object.entries(terms).filter(([, value]) => value !== undefined)),
  };
}

/** A report without a word on how it stands asks for that instead, if it says nothing else (`TASK-27`). */
function reportOf(fields: JsonObject, taskId: TaskId): Meaning {
  const status = fields.status as Status | undefined;
  const says = ['progress', 'metrics', 'checkpoint'].some(name => fields[name] !== undefined);
  if (status === undefined && !says) return { act: 'ask_status', taskId };
  if (status === 'completed' || status === 'failed' || status === 'cancelled')
    return {
      ...{ act: 'report_outcome', taskId, status, result: fields.result ?? null },
      error: isJsonObject(fields.error) ? faultIn(fields.error) : null,
    };
  return {
    ...{ act: 'report_progress', taskId, status: status ?? 'running', note: null },
    percentage: typeof fields.progress === 'number' ? percentageOf(fields.progress) : null,
    metrics: isJsonObject(fields.metrics) && fields.metrics.jwe === undefined ? fields.metrics : {},
    checkpoint: (fields.checkpoint ?? null) as Json,
  };
}

function faultIn({ code, message, recoverable }: JsonObject): Fault {
  const known = isErrorCode(String(code))
    ? { code: String(code) as Fault['code'] }
    : { code: 'task_failed' as const };
  return {
    ...known,
    ...{ message: typeof message === 'string' ? message : String(code), recoverable: recoverable === true },
    details: {},
    wireCode: String(code),
  };
}

/** Without what a binary fraction adds. */
function percentageOf(progress: number): number {
  return Math.round(progress * 1e8) / 1e6;
}

/** What is not encrypted. */
function plainText(value: Json | undefined): string | null {
  return typeof value === 'string' ? value : null;
}
