// Reads what arrives by the task wire: which type of message it is, though the source's bare form names none, whether it is as it must be,
// who says it to whom, and what it means. Nothing that came is changed.

import { DomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { type Draft, inboxOfAgent, type MessageId } from '../../domain/message.ts';
import { DEFAULT_PRIORITY } from '../../domain/priority.ts';
import type { Decoded, EnvelopeScene } from '../dialect/dialect.ts';
import { bodyCheck, type Fault, instantOf } from '../validation.ts';
import { meaningOf } from './meaning.ts';
import { isMessageType, SCHEMAS, type TaskMessageType } from './schemas.ts';
import { actingPriority, isSealed, MAJOR, STATUSES, TASK, VERSION } from './vocabulary.ts';

/** Says who a message goes to, or throws why this sender may not say it. */
export type Authorise = (
  message: { readonly type: TaskMessageType; readonly fields: JsonObject; readonly from: string },
  scene: EnvelopeScene,
) => Promise<readonly string[]>;

const CHECKS = Object.fromEntries(
  Object.entries(SCHEMAS).map(([type, schema]) => [type, bodyCheck(schema)]),
) as Readonly<Record<TaskMessageType, ReturnType<typeof bodyCheck>>>;
/** A first word that is this wire's own names no kind of work. */
const RESERVED = /^(?:task|resource|state|protocol)\./;
const COMMANDS = new Set(['pause', 'resume', 'cancel']);

/** What an envelope means; throws `invalid_request` listing every fault. */
export async function decode(
  received: JsonObject,
  scene: EnvelopeScene,
  authorise: Authorise,
): Promise<Decoded> {
  const { caller, headers, now, traceId } = scene;
  const envelope = withVersion(received, headers);
  requireVersion(envelope.protocol_version ?? headers['protocol-version']);
  const type = scene.again === undefined ? typeOf(envelope, headers) : (scene.again.type as TaskMessageType);
  const fields = normalized(envelope, type);
  requireSound(fields, type, now);
  const from = senderOf(fields, scene);
  const to = await authorise({ type, fields, from }, scene);
  const id = textAt(fields, 'message_id') ?? scene.again?.id ?? scene.newId();
  const taskId = (textAt(fields, 'task_id') ?? null) as TaskId | null;
  const expiresAt = textAt(fields, 'expires_at');
  const sentAt = textAt(fields, 'timestamp');
  const draft: Draft = {
    ...{
      tenant: caller.tenant,
      id: id as MessageId,
      dialect: TASK,
      type,
      from,
      to,
      taskId,
      traceId,
      envelope,
    },
    correlationId: textAt(fields, 'correlation_id') ?? taskId ?? id,
    replyTo: (textAt(fields, 'reply_to') ?? null) as MessageId | null,
    priority: typeof fields.priority === 'number' ? actingPriority(fields.priority) : DEFAULT_PRIORITY,
    sentAt: sentAt === undefined ? now : instantOf(sentAt),
    expiresAt: expiresAt === undefined ? null : instantOf(expiresAt),
    ...{ actor: caller.principal.id, agentId: caller.agentId },
    meaning: meaningOf(type, fields),
  };
  return { draft, senderInbox: inboxOfAgent(from) };
}

/** The type of a message (`TASK-1` to `TASK-4`); throws `invalid_request` naming those known. */
export function typeOf(envelope: JsonObject, headers: EnvelopeScene['headers'] = {}): TaskMessageType {
  const { type, command } = envelope;
  if (isMessageType(type)) return type;
  if (type === 'task.control' && typeof command === 'string' && COMMANDS.has(command))
    return `task.control.${command}` as TaskMessageType;
  const told = headers['x-message-type'] ?? envelope.message_type;
  if (isMessageType(told)) return told;
  const isForeign = told !== undefined || (typeof type === 'string' && RESERVED.test(type));
  if (!isForeign && typeof envelope.status === 'string') return 'task.status';
  if (!isForeign && envelope.task_id !== undefined && typeof type === 'string') return 'task.submit';
  const name = typeof (told ?? type) === 'string' ? ` ${String(told ?? type).slice(0, 200)}` : '';
  throw new DomainError('invalid_request', `there is no message type${name}`, {
    details: {
      types: Object.keys(SCHEMAS),
      errors: [{ field: 'type', message: `must be one of ${Object.keys(SCHEMAS).join(', ')}` }],
    },
  });
}

/** The same message in its full form: its type in `type`, the kind of work of a submission in `task_type`. */
export function normalized(envelope: JsonObject, type: TaskMessageType): JsonObject {
  if (type !== 'task.submit' || envelope.type === type) return { ...envelope, type };
  return { ...envelope, type, task_type: envelope.task_type ?? envelope.type };
}

/** The version a message is written in, where it says so. */
export function versionOf(envelope: unknown): string | null {
  return isJsonObject(envelope) && typeof envelope.protocol_version === 'string'
    ? envelope.protocol_version
    : null;
}

/** The text a field holds; undefined for none. */
export function textAt(fields: JsonObject, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' ? value : undefined;
}

/** The header serves messages without the field (`TASK-105`); to one that is signed or encrypted nothing may be added. */
function withVersion(envelope: JsonObject, headers: EnvelopeScene['headers']): JsonObject {
  const told = headers['protocol-version'];
  if (told === undefined || envelope.protocol_version !== undefined || isSealed(envelope)) return envelope;
  return { ...envelope, protocol_version: told };
}

function requireVersion(version: Json | undefined): void {
  if (version === undefined || (typeof version === 'string' && version.split('.')[0] === MAJOR)) return;
  throw new DomainError('invalid_request', `the version ${String(version).slice(0, 50)} is not spoken here`, {
    details: {
      versions: [VERSION],
      errors: [{ field: 'protocol_version', message: `must be ${MAJOR}.x` }],
    },
  });
}

function requireSound(fields: JsonObject, type: TaskMessageType, now: number): void {
  const faults = [...(CHECKS[type](fields) ?? []), ...contradictions(fields, type, now)];
  if (faults.length === 0) return;
  throw new DomainError('invalid_request', `the ${type} is not valid: ${worded(faults)}`, {
    details: { errors: faults.map(({ field, message }) => ({ field, message })) },
  });
}

/** What a schema cannot say. */
function contradictions(fields: JsonObject, type: TaskMessageType, now: number): readonly Fault[] {
  const faults: Fault[] = [];
  const expiresAt = instantOf(textAt(fields, 'expires_at') ?? '');
  const sentAt = instantOf(textAt(fields, 'timestamp') ?? '');
  if (expiresAt <= (Number.isNaN(sentAt) ? now : sentAt))
    faults.push({ field: 'expires_at', message: 'must be later than timestamp' });
  if (type === 'task.status' && fields.status === undefined && (fields.result ?? fields.error) !== undefined)
    faults.push({ field: 'status', message: `is required, one of ${STATUSES.join(', ')}` });
  return faults;
}

function worded(faults: readonly Fault[]): string {
  return faults
    .slice(0, 5)
    .map(({ field, message }) => `${field} ${message}`)
    .join('; ');
}

/** `from` may be left out; a name that is not the caller's own is refused unless it may speak for any agent (`TASK-82`). */
function senderOf(fields: JsonObject, { caller, again }: EnvelopeScene): string {
  if (again !== undefined) return again.from;
  const { agentId, principal, isOperator } = caller;
  const own = agentId ?? principal.id;
  const given = textAt(fields, 'from') ?? own;
  if (given === own || isOperator) return given;
  throw new DomainError('forbidden', `you are ${own}, not ${given.slice(0, 200)}`, {
    details: { from: given.slice(0, 200) },
  });
}
