// Envelopes in: from bytes that were parsed to a message the mailroom takes, or to every reason why not. Besides its shape an envelope is
// held against who there is, what it answers, and the table of permissions.

import { DomainError } from '../../domain/errors.ts';
import { isCallerId, type TaskId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import {
  type Draft,
  inboxOfAgent,
  type Meaning,
  type Message,
  type MessageId,
} from '../../domain/message.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { Decoded, EnvelopeScene } from '../dialect/dialect.ts';
import { fingerprintOf } from '../fingerprint.ts';
import { bodyCheck, instantOf } from '../validation.ts';
import { faultOf } from './errors.ts';
import { isOperator, isPermitted } from './permissions.ts';
import { type AgentMessage, agentMessage } from './schemas.ts';
import { isBuiltIn, PRIORITIES, VERSION } from './vocabulary.ts';

/** What envelopes are held against. */
export type DecodeParts = Pick<Mailroom, 'directory' | 'messages'>;

const checkMessage = bodyCheck(agentMessage);

/** Every fault of an envelope's shape; none where it is a message of this wire (`BLOG-75`). */
export function faultsOf(envelope: unknown): readonly { readonly field: string; readonly message: string }[] {
  return checkMessage(envelope) ?? [];
}

/** What an envelope means (`BLOG-1` to `BLOG-11`); throws what is wrong with it. */
export async function decode(
  envelope: JsonObject,
  scene: EnvelopeScene,
  parts: DecodeParts,
): Promise<Decoded> {
  refuseVersion(versionOf(envelope) ?? scene.headers['protocol-version'] ?? null);
  const faults = faultsOf(envelope);
  if (faults.length > 0) throw invalid(faults);
  const message = envelope as unknown as AgentMessage;
  const { caller } = scene;
  const to = [...new Set([message.to].flat())];
  refuseForeignSender(message.from, scene);
  await requireAgents([message.from, ...to], scene, parts);
  const answered = await answeredBy(message, scene, parts);
  for (const receiver of to) refuseUnpermitted(message, receiver, answered, scene);
  refuseUnsealed(message, scene);
  const draft = draftOf(message, { to, answered, envelope, scene });
  return {
    senderInbox: inboxOfAgent(message.from),
    draft,
    ...(answered !== null && isFinal(message) && answered.to.includes(message.from)
      ? { aliases: [{ name: finalName(caller.tenant, message), fingerprint: fingerprintOf(envelope) }] }
      : {}),
  };
}

/** The version an envelope is written in; null where it does not say (`BLOG-118`). */
export function versionOf(envelope: unknown): string | null {
  const metadata = (envelope as { readonly metadata?: { readonly protocolVersion?: unknown } } | null)
    ?.metadata;
  return typeof metadata?.protocolVersion === 'string' ? metadata.protocolVersion : null;
}

/** Throws for a version of another major (`BLOG-119`). */
export function refuseVersion(version: string | null): void {
  if (version === null || /^1(?:\.\d{1,9}){0,2}$/.test(version)) return;
  throw new DomainError('invalid_request', `version ${version.slice(0, 50)} is not spoken here`, {
    details: {
      errors: [{ field: 'metadata.protocolVersion', message: 'is not supported' }],
      supported: [VERSION],
    },
  });
}

/** Epoch milliseconds of an instant as the wire has it. */
export function millis(at: string | number | undefined, fallBack: number): number {
  if (at === undefined) return fallBack;
  return typeof at === 'number' ? at : instantOf(at);
}

/** The error that tells all faults. */
export function invalid(
  faults: readonly { readonly field: string; readonly message: string }[],
): DomainError {
  const [first] = faults;
  const what = first === undefined ? '' : `: ${first.field} ${first.message}`;
  return new DomainError('invalid_request', `the message is not valid${what}`, {
    details: { errors: faults.map(one => ({ ...one })) },
  });
}

function refuseForeignSender(from: string, { caller }: EnvelopeScene): void {
  if (caller.isOperator || caller.agentId === from) return;
  throw new DomainError('forbidden', `these credentials are not those of ${from}`, {
    details: { field: 'from' },
  });
}

async function requireAgents(
  names: readonly string[],
  { caller }: EnvelopeScene,
  { directory }: DecodeParts,
): Promise<void> {
  for (const name of names) {
    if (isBuiltIn(name) || (await directory.agent(caller.tenant, name)) !== null) continue;
    throw new DomainError('not_found', `there is no agent ${name}`, {
      details: { errors: [{ field: name === names[0] ? 'from' : 'to', message: `names nobody: ${name}` }] },
    });
  }
}

/** The message an envelope names as the one it answers; throws `not_found` for an answer to nothing. */
async function answeredBy(
  { type, correlationId }: AgentMessage,
  { caller }: EnvelopeScene,
  { messages }: DecodeParts,
): Promise<Message | null> {
  if (type === 'request' || type === 'notification') return null;
  if (correlationId === undefined)
    throw invalid([{ field: 'correlationId', message: `is required of a message of type ${type}` }]);
  const found = await messages({ tenant: caller.tenant, ids: [correlationId as MessageId], limit: 10 });
  const named = found.find(({ dialect }) => dialect === 'blog') ?? found[0];
  if (named !== undefined) return named;
  throw new DomainError('not_found', `there is no message ${correlationId} to be answered`, {
    details: { errors: [{ field: 'correlationId', message: 'names no message' }] },
  });
}

function refuseUnpermitted(
  { from, type }: AgentMessage,
  to: string,
  answered: Message | null,
  { caller }: EnvelopeScene,
): void {
  const said = { from, type, to, isOperator: isOperator(caller), answered: answered?.from ?? null };
  if (isPermitted(said)) return;
  throw new DomainError('forbidden', `${from} may not send a message of type ${type} to ${to}`, {
    details: { from, type, to },
  });
}

function refuseUnsealed({ metadata, payload }: AgentMessage, { isPrivate, again }: EnvelopeScene): void {
  if (metadata.encryption === 'tls' && !isPrivate)
    throw new DomainError('forbidden', 'the message asks for an encrypted connection and came by another', {
      details: { field: 'metadata.encryption' },
    });
  // Read again, it is plain now.
  if (metadata.encryption !== 'end-to-end' || again !== undefined) return;
  const jwe = typeof payload === 'object' && payload !== null && !Array.isArray(payload) && 'jwe' in payload;
  if (!jwe) throw invalid([{ field: 'payload.jwe', message: 'is required of an encrypted message' }]);
}

function isFinal({ type }: AgentMessage): boolean {
  return type === 'response' || type === 'error';
}

/** One final answer of each receiver to each request: the second finds the name taken (`BLOG-11`). */
function finalName(tenant: string, { correlationId, from }: AgentMessage): string {
  return `blog\n${tenant}\nfinal\n${correlationId}\n${from}`;
}

function draftOf(
  message: AgentMessage,
  more: {
    readonly to: readonly string[];
    readonly answered: Message | null;
    readonly envelope: JsonObject;
    readonly scene: EnvelopeScene;
  },
): Draft {
  const { id, from, type, metadata, correlationId } = message;
  const { to, answered, envelope, scene } = more;
  const { caller, now, traceId } = scene;
  const taskId = type === 'request' ? taskIdOf(message, to) : (answered?.taskId ?? null);
  return {
    ...{ tenant: caller.tenant, id: id as MessageId, dialect: 'blog', type, from, to, taskId, traceId },
    // A request begins an exchange; what answers it belongs to it.
    correlationId: type === 'request' ? id : (answered?.correlationId ?? correlationId ?? id),
    replyTo: (type === 'request' ? null : (correlationId ?? null)) as MessageId | null,
    priority: PRIORITIES[metadata.priority ?? 'medium'],
    sentAt: millis(metadata.timestamp, now),
    expiresAt: metadata.ttl === undefined ? null : Math.min(now + metadata.ttl, 8_640_000_000_000_000),
    ...{ actor: caller.principal.id, agentId: caller.agentId, envelope },
    meaning: meaningOf(message, taskId),
  };
}

/** A skill execution's own name, else the message's: the task a request to one agent is done by. */
function taskIdOf({ id, payload }: AgentMessage, to: readonly string[]): TaskId | null {
  const [only] = to;
  return to.length === 1 && only !== undefined && isBuiltIn(only) ? taskOf(id, payload) : null;
}

/** The task of one request (`BLOG-15`). */
export function taskOf(id: string, payload: Json): TaskId {
  const own = (payload as { readonly executionId?: unknown } | null)?.executionId;
  return (typeof own === 'string' && isCallerId(own) ? own : id) as TaskId;
}

function meaningOf({ type, payload, to, metadata }: AgentMessage, taskId: TaskId | null): Meaning {
  switch (type) {
    case 'request': {
      const taskType = [to].flat()[0] ?? '';
      if (taskId === null) return { act: 'say', body: payload };
      const description = `a request to ${taskType}`;
      const retryCount = metadata.retryCount ?? 0;
      return {
        act: 'request_task',
        task: { taskId, taskType, description, input: payload, terms: {}, retryCount },
      };
    }
    case 'response':
      return taskId === null
        ? { act: 'say', body: payload }
        : { act: 'report_outcome', taskId, status: 'completed', result: payload, error: null };
    case 'error':
      return taskId === null
        ? { act: 'refuse', taskId, fault: faultOf(payload) }
        : { act: 'report_outcome', taskId, status: 'failed', result: null, error: faultOf(payload) };
    case 'notification':
      return { act: 'notify', topic: 'notification', data: payload };
    case 'ack':
      return { act: 'accept', status: 'accepted', taskId, detail: {} };
  }
}
