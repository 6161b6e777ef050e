// Messages out: what came by this wire as it came, with what is always emitted; everything else in this wire's words (`BLOG-2` to `BLOG-4`,
// `BLOG-60`).

import { isCallerId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Meaning, Message } from '../../domain/message.ts';
import { errorPayload } from './errors.ts';
import { instant, isEventType, type MessageType, priorityName, uuidOf, VERSION } from './vocabulary.ts';

/** The message in this wire's words. */
export function encode(message: Message): JsonObject {
  const { dialect, envelope } = message;
  if (dialect === 'blog' && envelope !== null) return asItCame(message, envelope);
  const { id, from, to, correlationId, replyTo, priority, sentAt, acceptedAt, expiresAt, meaning } = message;
  const [type, payload] = wordsOf(meaning);
  const named = replyTo ?? (correlationId === id ? null : correlationId);
  return {
    id: isCallerId(id) ? id : uuidOf(`${dialect}:${id}`),
    ...(named === null || !isCallerId(named) ? {} : { correlationId: named }),
    from,
    to: to.length === 1 ? (to[0] ?? '') : [...to],
    ...{ type, payload },
    metadata: {
      timestamp: instant(sentAt > 0 ? sentAt : acceptedAt),
      priority: priorityName(priority),
      ...(expiresAt === null ? {} : { ttl: Math.max(1, expiresAt - acceptedAt) }),
      protocolVersion: VERSION,
    },
  };
}

/** Signed, member for member (`BLOG-101`); else with the defaults told and instants in the one form. */
function asItCame({ sentAt, acceptedAt, priority, type }: Message, envelope: JsonObject): JsonObject {
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : {};
  // What is signed or sealed holds only as it was sent.
  if (metadata.signature !== undefined || isSealed(envelope.payload)) return envelope;
  const timestamp = instant(sentAt > 0 ? sentAt : acceptedAt);
  const defaults = isEventType(type) ? {} : { priority: priorityName(priority) };
  return { ...envelope, metadata: { ...defaults, protocolVersion: VERSION, ...metadata, timestamp } };
}

/** What is said, as a type and a payload. */
function wordsOf(meaning: Meaning): readonly [MessageType, Json] {
  switch (meaning.act) {
    case 'request_task': {
      const { taskType, input, description } = meaning.task;
      return ['request', { skill: taskType, params: input, description }];
    }
    case 'report_outcome':
      return meaning.status === 'completed' && meaning.error === null
        ? ['response', meaning.result]
        : ['error', failurePayload(meaning)];
    case 'refuse':
      return ['error', errorPayload(meaning.fault)];
    case 'accept':
      return ['ack', { status: meaning.status, taskId: meaning.taskId, ...meaning.detail }];
    case 'report_progress': {
      const { act: _, ...progress } = meaning;
      return ['notification', { topic: 'progress', data: progress as unknown as JsonObject }];
    }
    case 'notify':
      return [
        'notification',
        meaning.topic === 'notification' ? meaning.data : { topic: meaning.topic, data: meaning.data },
      ];
    case 'beat':
      return ['notification', { topic: 'heartbeat', data: meaning.condition }];
    case 'ask_status':
    case 'control_task':
    case 'remember':
    case 'recall':
    case 'ask_validation': {
      const { act, ...asked } = meaning;
      return ['request', { action: act, ...(asked as unknown as JsonObject) }];
    }
    case 'tell_memory':
      return ['response', meaning.memory];
    case 'tell_validation':
      return ['response', meaning.verdict];
    case 'say':
      return ['notification', meaning.body];
  }
}

function failurePayload({ error, status }: Meaning & { readonly act: 'report_outcome' }): JsonObject {
  if (error !== null) return errorPayload(error);
  return errorPayload({ code: 'task_failed', message: `the task was ${status}`, recoverable: false });
}

function isSealed(payload: Json | undefined): boolean {
  return isJsonObject(payload) && payload.jwe !== undefined;
}
