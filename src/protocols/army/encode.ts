// Writes messages as this wire sends them: what came by it member for member but for what every message must carry, everything else from
// what it means.

import { DomainError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Message } from '../../domain/message.ts';
import { bodyCheck, type Check, instantOf } from '../validation.ts';
import { type Address, addressOf } from './address.ts';
import { wordsFor } from './meanings.ts';
import { MESSAGES } from './schemas.ts';
import { isSealed } from './sealed.ts';
import { ARMY, FINAL_RESPONSE, priorityWord, type Role, TYPES, type Type, VERSION } from './words.ts';

const CHECKS: Readonly<Record<Type, Check>> = Object.fromEntries(
  TYPES.map(type => [type, bodyCheck(MESSAGES[type])]),
) as Record<Type, Check>;

/** The message in this wire's words; throws `unprocessable` where it has none. */
export function encode(message: Message): JsonObject {
  const { envelope, dialect } = message;
  if (envelope !== null && dialect === ARMY)
    return envelope.signature !== undefined || isSealed(envelope) ? envelope : completed(envelope, message);
  return composed(message);
}

/** What came, with what every message must carry (`ARMY-3`, `ARMY-7`, `ARMY-13`, `ARMY-128`). */
function completed(envelope: JsonObject, message: Message): JsonObject {
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : {};
  const { deadline } = metadata;
  const to = message.to.map(listenerOf);
  const from = speakerOf(message.from);
  const named = to.length === 1 ? to[0]?.agent : null;
  const isFinal = envelope.type === FINAL_RESPONSE;
  const said = isFinal ? wordsFor(message.meaning, message.type as Type) : null;
  return {
    ...envelope,
    ...(said === null ? {} : { type: said.type, payload: said.payload }),
    timestamp: new Date(message.sentAt).toISOString(),
    from: from.role,
    to: rolesText(to),
    correlation_id: message.correlationId,
    metadata: {
      ...metadata,
      priority: metadata.priority ?? (message.type === 'heartbeat' ? 'low' : 'normal'),
      ...(typeof deadline === 'string' ? { deadline: new Date(instantOf(deadline)).toISOString() } : {}),
      ...(from.agent === null ? {} : { from_agent: from.agent }),
      ...(named === null || named === undefined ? {} : { to_agent: named }),
      ...(isFinal ? { tags: [...(Array.isArray(metadata.tags) ? metadata.tags : []), FINAL_RESPONSE] } : {}),
    },
    protocol_version: envelope.protocol_version ?? VERSION,
  };
}

function composed(message: Message): JsonObject {
  const known = message.dialect === ARMY ? (TYPES.find(type => type === message.type) ?? null) : null;
  const words = wordsFor(message.meaning, known);
  if (words === null) throw untold(message, []);
  const { type, payload } = words;
  const { id, correlationId, replyTo, priority, expiresAt, sentAt, acceptedAt, meaning, manner } = message;
  const from = speakerOf(message.from);
  const to = message.to.map(listenerOf);
  const named = to.length === 1 ? to[0]?.agent : null;
  const { answers, rest } = answersIn(payload);
  const reply = replyTo ?? answers;
  const tags = isFinalOf(message) ? { tags: [FINAL_RESPONSE] } : {};
  const envelope: JsonObject = {
    ...{
      id,
      timestamp: new Date(sentAt === 0 ? acceptedAt : sentAt).toISOString(),
      correlation_id: correlationId,
    },
    ...{ from: from.role, to: rolesText(to), ...(reply === null ? {} : { reply_to: reply }) },
    ...{ type, payload: rest },
    metadata: {
      priority: priorityWord(priority),
      ...(meaning.act === 'request_task' ? { retry_count: meaning.task.retryCount } : {}),
      ...(expiresAt === null ? {} : { deadline: new Date(expiresAt).toISOString() }),
      ...(from.agent === null ? {} : { from_agent: from.agent }),
      ...(named === null || named === undefined ? {} : { to_agent: named }),
      ...tags,
    },
    ...(manner?.tlsOnly === true ? { encryption: 'tls' } : {}),
    protocol_version: manner?.version ?? VERSION,
  };
  const faults = CHECKS[type](envelope) ?? [];
  if (faults.length > 0) throw untold(message, faults);
  return envelope;
}

/** Of an error that is no reply by itself, the message it is about stands among its details. */
function answersIn(payload: JsonObject): { readonly answers: string | null; readonly rest: JsonObject } {
  const { context } = payload;
  if (!isJsonObject(context) || typeof context.answers !== 'string') return { answers: null, rest: payload };
  const { answers, ...kept } = context;
  return { answers, rest: { ...payload, context: kept } };
}

/** The last word on a task that a coordinator saw through, here or elsewhere (`ARMY-64`). */
function isFinalOf({ actor, type, from, meaning }: Message): boolean {
  return (
    actor === 'system' &&
    type === 'task_response' &&
    addressOf(from)?.role === 'coordinator' &&
    meaning.act === 'report_outcome'
  );
}

/** Whoever has no address here speaks as a coordinator, under the name it has elsewhere. */
function speakerOf(text: string): Address {
  return addressOf(text) ?? strangerAs('coordinator', text);
}

/** Whoever has no address here is spoken to as a specialist. */
function listenerOf(text: string): Address {
  return addressOf(text) ?? strangerAs('specialist', text);
}

function strangerAs(role: Role, text: string): Address {
  const agent = text.replaceAll(/[^A-Za-z0-9._:-]/g, '_').slice(0, 200);
  return { role, agent: agent === '' ? null : agent };
}

/** What is said to nobody in particular is said to the coordinator. */
function rolesText(to: readonly Address[]): string | readonly string[] {
  const roles = [...new Set(to.map(({ role }) => role))];
  return roles.length > 1 ? roles : (roles[0] ?? 'coordinator');
}

function untold(message: Message, faults: readonly object[]): DomainError {
  return new DomainError('unprocessable', `a ${message.type} of ${message.dialect} cannot be said here`, {
    details: { errors: faults.map(one => ({ ...one })) },
  });
}
