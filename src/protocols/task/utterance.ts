// What this server says by the task wire: the whole envelope at once, judged by the schema of its type before it leaves, coerced once where
// nothing is lost by that (`TASK-7`, `TASK-55`).

import { hash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Draft, Meaning, Message, MessageId } from '../../domain/message.ts';
import { DEFAULT_PRIORITY } from '../../domain/priority.ts';
import { bodyCheck } from '../validation.ts';
import { EMITTED, isMessageType } from './schemas.ts';
import { COORDINATOR, instant, TASK, VERSION, versionFor } from './vocabulary.ts';

/** What an utterance has beside its own fields. */
export interface UtteranceTerms {
  readonly tenant: Draft['tenant'];
  readonly id: string;
  readonly to: readonly string[];
  readonly now: number;
  readonly correlationId: string;
  readonly traceId: string;
  readonly taskId?: TaskId | null;
  readonly replyTo?: MessageId | null;
  /** Who of this server says it; the coordinator when absent. */
  readonly from?: string;
  readonly version?: string;
  readonly priority?: Draft['priority'];
}

const ID_MAX = 200;
const CHECKS = Object.fromEntries(
  Object.entries(EMITTED).map(([type, schema]) => [type, bodyCheck(schema)]),
) as Readonly<Record<string, ReturnType<typeof bodyCheck>>>;

/** A message of this server's. */
export function utterance(
  terms: UtteranceTerms,
  fields: JsonObject & { readonly type: string },
  meaning: Meaning = { act: 'say', body: fields },
): Draft {
  const { tenant, id, to, now, correlationId, traceId, taskId = null, replyTo = null } = terms;
  const { from = COORDINATOR, version = VERSION, priority = DEFAULT_PRIORITY } = terms;
  const envelope = emitted({
    ...{ message_id: id, from, correlation_id: correlationId, timestamp: instant(now) },
    ...(to.length === 0 ? {} : { to: [...to] }),
    ...(replyTo === null ? {} : { reply_to: replyTo }),
    ...{ trace_id: traceId, protocol_version: version },
    ...fields,
  });
  return {
    ...{ tenant, id: id as MessageId, dialect: TASK, type: fields.type, from, to, correlationId, replyTo },
    ...{ taskId, priority, sentAt: now, expiresAt: null, traceId, actor: 'system', agentId: null },
    ...{ meaning, envelope },
  };
}

/** An answer to a message: to whoever sent it, about the same task and exchange, in the version it was written in. */
export function answer(
  message: Message,
  now: number,
  fields: JsonObject & { readonly type: string },
  meaning?: Meaning,
): Draft {
  const { tenant, id, from, correlationId, traceId, taskId, envelope } = message;
  const version = versionFor(envelope?.protocol_version);
  return utterance(
    {
      ...{ tenant, id: idFor('reply', id), to: [from], now, correlationId, traceId, taskId, replyTo: id },
      version,
    },
    fields,
    meaning,
  );
}

/** The id of what is said because of something: the same every time it is said. */
export function idFor(verb: string, cause: string): string {
  const id = `${verb}.${cause}`;
  return id.length <= ID_MAX && /^[A-Za-z0-9._:-]+$/.test(id) ? id : `${verb}.${hash('sha256', cause)}`;
}

/** The message as it may leave; throws `unprocessable` for one that no coercion makes valid. */
export function emitted(message: JsonObject): JsonObject {
  const type = isMessageType(message.type) ? message.type : null;
  if (type === null) throw unfit(`there is no message type ${String(message.type)}`);
  const check = CHECKS[type];
  const plain = JSON.parse(JSON.stringify(message)) as JsonObject;
  const faults = check?.(plain) ?? [];
  if (faults.length === 0) return plain;
  let coerced: JsonObject = plain;
  for (const { field, message: wanted } of faults) coerced = withCoerced(coerced, field.split('.'), wanted);
  const left = check?.(coerced) ?? [];
  if (left.length === 0) return coerced;
  throw unfit(left.map(({ field, message: wanted }) => `${field} ${wanted}`).join('; '));
}

function unfit(why: string): DomainError {
  return new DomainError('unprocessable', `the message cannot be said by this wire: ${why}`);
}

function withCoerced(
  value: JsonObject,
  [name = '', ...below]: readonly string[],
  wanted: string,
): JsonObject {
  if (!Object.hasOwn(value, name)) return value;
  const member = value[name];
  if (below.length > 0)
    return isJsonObject(member) ? { ...value, [name]: withCoerced(member, below, wanted) } : value;
  return { ...value, [name]: coerced(member ?? null, wanted) };
}

/** Only what reads back as the same value. */
function coerced(value: Json, wanted: string): Json {
  if (/must be (?:number|integer)/.test(wanted) && typeof value === 'string') {
    const number = Number(value);
    return String(number) === value && Number.isFinite(number) ? number : value;
  }
  if (wanted.includes('must be string') && (typeof value === 'number' || typeof value === 'boolean'))
    return String(value);
  if (wanted.includes('must be boolean') && (value === 'true' || value === 'false')) return value === 'true';
  return value;
}
