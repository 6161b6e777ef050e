// What this server says in Nooble: whole envelopes, made of the message they answer, with ids that are the same however often they are
// made (`NOOB-3`, `NOOB-6`, `NOOB-10`, `NOOB-88`).

import { hash } from 'node:crypto';
import type { DomainError } from '../../domain/errors.ts';
import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Draft, Meaning, Message, MessageId } from '../../domain/message.ts';
import type { Priority } from '../../domain/priority.ts';
import { faultOf } from '../../engine/mailroom/task-desk.ts';
import { languageOf } from './catalogue.ts';
import type { Envelope } from './envelope.ts';
import { errorMetadata, errorObject, masked, type Told } from './errors.ts';
import { isSensitive, metadataOf, metadataText } from './metadata.ts';
import { type Action, halvesOf } from './vocabulary.ts';

/** What a reply says. */
export interface Said {
  /** What makes its id, beside the message answered: `response`, `status.7`. */
  readonly as: string;
  readonly action: Action;
  readonly status: Envelope['status'];
  readonly payload: JsonObject;
  readonly metadata?: JsonObject;
  readonly error?: JsonObject;
  readonly meaning: Meaning;
  /** Absent: it answers the message; null: it only tells of it. */
  readonly replyTo?: MessageId | null;
  readonly at: number;
  /** The step an error is about, where it is not the task's own (`NOOB-10`). */
  readonly taskId?: string;
  /** Who says it, where it is not who was asked. */
  readonly source?: string;
  readonly delegated?: readonly JsonObject[];
}

/** What of a request every reply to it needs; kept with its task. */
export interface Request {
  readonly tenant: TenantId;
  readonly id: MessageId;
  readonly envelope: Envelope;
  readonly traceId: string;
}

/** A version 4 UUID made of a text: the same of the same. */
export function uuidOf(text: string): string {
  const bytes = Buffer.from(hash('sha256', text, 'hex').slice(0, 32), 'hex');
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The request a message is. */
export function requestOf({ tenant, id, envelope, traceId }: Message): Request {
  return { tenant, id, envelope: (envelope ?? {}) as Envelope, traceId };
}

/** What is said in answer to a request, or of it. */
export function reply(request: Request, said: Said): Draft {
  const { tenant, id, envelope, traceId } = request;
  const { domain } = envelope.type;
  const priority = said.action === 'error' ? envelope.priority : repliedPriority(envelope.priority);
  const messageId = uuidOf(`${tenant}\n${id}\n${said.as}`) as MessageId;
  const source = said.source ?? envelope.target_service;
  const isOld = metadataText(envelope, 'original_schema_version') === '1.0';
  const written: JsonObject = {
    message_id: messageId,
    task_id: said.taskId ?? envelope.task_id,
    tenant_id: tenant,
    ...(envelope.session_id === undefined ? {} : { session_id: envelope.session_id }),
    ...(envelope.conversation_id === undefined ? {} : { conversation_id: envelope.conversation_id }),
    correlation_id: envelope.correlation_id,
    created_at: new Date(said.at).toISOString(),
    schema_version: isOld ? '1.0' : '1.1',
    status: said.status,
    type: isOld ? `${domain}.${said.action}` : { domain, action: said.action },
    priority,
    source_service: source,
    target_service: envelope.source_service,
    ...(said.delegated === undefined ? {} : { delegated_services: said.delegated }),
    metadata: { ...inherited(envelope, traceId), ...said.metadata },
    payload: said.payload,
    ...(said.error === undefined ? {} : { error: said.error }),
  };
  return {
    ...{ tenant, id: messageId, dialect: 'nooble', type: `${domain}.${said.action}`, from: source },
    ...{ to: [envelope.source_service], correlationId: envelope.correlation_id, traceId },
    replyTo: said.replyTo === undefined ? id : said.replyTo,
    taskId: envelope.task_id as TaskId,
    priority: Math.min(9, priority) as Priority,
    ...{ sentAt: said.at, expiresAt: null, actor: 'system', agentId: null },
    ...{ meaning: said.meaning, envelope: written },
    ...(isSensitive(envelope) ? { isSensitive: true } : {}),
  };
}

/** That a request came to nothing, in the words of the catalogue and the language of its user. */
export function errorReply(
  request: Request,
  error: Told,
  about: {
    readonly at: number;
    readonly as: string;
    readonly taskId?: string;
    readonly replyTo?: null;
    readonly metadata?: JsonObject;
    readonly details?: JsonObject;
    readonly options?: JsonObject;
  },
): Draft {
  const { envelope } = request;
  const source = envelope.target_service;
  const language = languageOf(metadataText(envelope, 'user_locale'));
  const { circuit_breaker: breaker, final: _, ...plain } = error.details;
  const object = errorObject({ ...error, details: plain }, { service: source, origin: '', language });
  const { nooble_code: __, wire_code: ___, user_locale: ____, ...details } = plain;
  const options = {
    ...(isJsonObject(breaker) ? { circuit_breaker: breaker } : {}),
    ...about.options,
  };
  const hasOptions = Object.keys(options).length > 0;
  const retryCount = metadataOf(envelope).retry_count;
  return reply(request, {
    ...{ as: about.as, at: about.at, action: 'error', status: 'failed', error: object },
    ...(about.taskId === undefined ? {} : { taskId: about.taskId }),
    ...(about.replyTo === undefined ? {} : { replyTo: about.replyTo }),
    metadata: {
      ...errorMetadata(object, options),
      retry_count: typeof retryCount === 'number' ? retryCount : 0,
      ...about.metadata,
    },
    payload: {
      error_details: { ...(masked(details) as JsonObject), refused_message_id: request.id, ...about.details },
      ...(hasOptions ? { recovery_options: options } : {}),
    },
    meaning: {
      act: 'refuse',
      taskId: envelope.task_id as TaskId,
      fault: {
        ...{ code: error.code, message: error.message, details: error.details },
        recoverable: object.retry_suggested === true,
        wireCode: String(object.code),
      },
    },
  });
}

/** That a message was refused after it was taken in; null about an error, or about what has no envelope (`NOOB-155`). */
export function refusalOf(message: Message, error: DomainError, at: number): Draft | null {
  if (message.envelope === null || halvesOf(message.type).action === 'error') return null;
  return errorReply(requestOf(message), faultOf(error), { at, as: `refusal.${error.code}` });
}

/** One more urgent than what asked, unless that was urgent (`NOOB-10`). */
export function repliedPriority(priority: number): number {
  return priority >= 3 ? priority - 1 : priority;
}

/** What a reply's metadata takes over (`NOOB-20`, `NOOB-26`). */
function inherited(envelope: Envelope, traceId: string): JsonObject {
  const {
    user_id: user,
    trace_id: trace,
    workflow_id: workflow,
    workflow_step_id: step,
  } = metadataOf(envelope);
  return {
    source: 'system',
    trace_id: typeof trace === 'string' ? trace : traceId,
    ...(user === undefined ? {} : { user_id: user }),
    ...(isSensitive(envelope) ? { sensitive_data: true } : {}),
    ...(workflow === undefined ? {} : { workflow_id: workflow }),
    ...(step === undefined ? {} : { workflow_step_id: step }),
  };
}
