// Reads an envelope: what is wrong with it is said in full, who speaks is proven by credentials, whom it is for is looked up, and what the
// rules forbid is refused before anything is made of it.

import { DomainError } from '../../domain/errors.ts';
import type { AgentId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { type Draft, inboxOfAgent, type Message, type MessageId } from '../../domain/message.ts';
import { allows } from '../../domain/principal.ts';
import type { Priority } from '../../domain/priority.ts';
import type { Decoded, EnvelopeScene } from '../dialect/dialect.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { bodyCheck, type Check, type Fault, instantOf } from '../validation.ts';
import { type Address, addressOf, inboxOf, rolesOf, SELF, textOf } from './address.ts';
import { durationMs } from './durations.ts';
import { invalid } from './errors.ts';
import { meaningOf } from './meanings.ts';
import { isAnswer, permits } from './permissions.ts';
import { envelope as envelopeSchema, PAYLOADS } from './schemas.ts';
import { isSealed } from './sealed.ts';
import type { Settings } from './settings.ts';
import { isKnown, requireWithinLimits } from './task-terms.ts';
import { isToolCall, type Tools } from './tools.ts';
import { ARMY, FINAL_RESPONSE, PRIORITIES, type PriorityWord, TYPES, type Type, VERSION } from './words.ts';

/** What reading needs to look things up. */
export interface ReadingParts extends Pick<DialectHands, 'engine' | 'store' | 'mailroom'> {
  readonly settings: Settings;
  readonly tools: Pick<Tools, 'requireWell' | 'hear'>;
}

/** Any version of our major one. */
const LIKE_OURS = /^1\.\d{1,6}(?:\.\d{1,6})?(?:[-+][0-9A-Za-z.+-]{1,64})?$/;

const checkEnvelope = bodyCheck(envelopeSchema);
const CHECKS: Readonly<Record<Type, Check>> = Object.fromEntries(
  TYPES.map(type => [type, bodyCheck(PAYLOADS[type])]),
) as Record<Type, Check>;

interface Written {
  readonly id: string;
  readonly timestamp: string;
  readonly from: string;
  readonly to: string | readonly string[];
  readonly type: Type;
  readonly payload: JsonObject;
  readonly correlation_id?: string;
  readonly reply_to?: string;
  readonly metadata: Metadata;
  readonly signature?: string;
  readonly encryption?: 'none' | 'tls' | 'end-to-end';
}

interface Metadata {
  readonly priority?: PriorityWord;
  readonly retry_count?: number;
  readonly deadline?: string;
  readonly to_agent?: string;
  readonly from_agent?: string;
}

/** The message an envelope is; throws what is wrong with it, or why it may not be said. */
export async function decode(
  envelope: JsonObject,
  scene: EnvelopeScene,
  parts: ReadingParts,
): Promise<Decoded> {
  requireVersion(envelope);
  const written = await writtenIn(envelope, scene, parts);
  requirePrivacy(written, scene);
  const { caller } = scene;
  const from = await senderOf(written, scene, parts);
  const answered = await answeredBy(written, scene, parts);
  const asker = await askerOf(written, answered, scene, parts);
  const to = await receiversOf(written, from, asker, scene, parts);
  const meaning = isSealed(written)
    ? { act: 'say' as const, body: written.payload }
    : meaningOf(written.type, written.payload, written.metadata.retry_count ?? 0);
  const { metadata } = written;
  const expiresAt = metadata.deadline === undefined ? null : instantOf(metadata.deadline);
  const draft: Draft = {
    ...{ tenant: caller.tenant, id: written.id as MessageId, dialect: ARMY, type: written.type },
    ...{ from: textOf(from), to: to.map(textOf) },
    correlationId: written.correlation_id ?? answered?.correlationId ?? written.id,
    replyTo: (written.reply_to ?? null) as MessageId | null,
    taskId:
      'taskId' in meaning ? meaning.taskId : meaning.act === 'request_task' ? meaning.task.taskId : null,
    priority: priorityOf(written),
    sentAt: instantOf(written.timestamp),
    ...{
      expiresAt,
      traceId: scene.traceId,
      actor: caller.principal.id,
      agentId: from.agent as AgentId | null,
    },
    ...{ meaning, envelope },
    ...mannerOf(written, envelope),
  };
  if (meaning.act === 'request_task') {
    await requireWithinLimits(draft, meaning.task, scene.now, parts);
    if (isToolCall(draft) && !(await isKnown(draft, parts))) await parts.tools.requireWell(draft);
  }
  return { draft, senderInbox: from.agent === null ? inboxOf(from) : inboxOfAgent(from.agent) };
}

/** What answers it is said likewise: in its version, and under TLS where it was (`ARMY-8`, `ARMY-129`). */
function mannerOf({ encryption }: Written, { protocol_version: version }: JsonObject): Pick<Draft, 'manner'> {
  const manner = {
    ...(encryption === 'tls' ? { tlsOnly: true } : {}),
    ...(typeof version === 'string' && version !== VERSION ? { version } : {}),
  };
  return Object.keys(manner).length === 0 ? {} : { manner };
}

function requireVersion({ protocol_version: version }: JsonObject): void {
  if (version === undefined || (typeof version === 'string' && LIKE_OURS.test(version))) return;
  throw new DomainError('invalid_request', 'this version is not spoken here', {
    details: {
      errors: [{ field: 'protocol_version', message: `must be of major version 1, such as ${VERSION}` }],
      supported: [VERSION],
    },
  });
}

async function writtenIn(envelope: JsonObject, scene: EnvelopeScene, parts: ReadingParts): Promise<Written> {
  const said = envelope.type === FINAL_RESPONSE ? await asTaskResponse(envelope, scene, parts) : envelope;
  const known = TYPES.find(one => one === said.type);
  const faults = [...(checkEnvelope(said) ?? [])];
  if (known === undefined && typeof said.type === 'string')
    faults.push({ field: 'type', message: `must be one of ${TYPES.join(', ')}` });
  faults.push(...payloadFaults(said, known, scene.again !== undefined));
  if (faults.length > 0) throw invalid(faults);
  return { metadata: {}, payload: {}, ...said } as unknown as Written;
}

/** `isOpened`: what was encrypted is plain by now. */
function payloadFaults(
  { payload, encryption }: JsonObject,
  type: Type | undefined,
  isOpened: boolean,
): readonly Fault[] {
  if (payload === undefined)
    return type === 'heartbeat' ? [] : [{ field: 'payload', message: 'is required' }];
  if (!isJsonObject(payload)) return [{ field: 'payload', message: 'must be an object' }];
  if (type !== 'heartbeat' && Object.keys(payload).length === 0)
    return [{ field: 'payload', message: 'must not be empty' }];
  if (encryption === 'end-to-end' && !isOpened)
    return isJsonObject(payload.jwe)
      ? []
      : [{ field: 'payload.jwe', message: 'is required in a message that is encrypted' }];
  if (type === undefined) return [];
  const faults = CHECKS[type](payload) ?? [];
  return [...faults, ...emptyTimes(type, payload)].map(({ field, message }) => ({
    field: field === '' ? 'payload' : `payload.${field}`,
    message,
  }));
}

/** What may last as long as one likes, but not no time at all. */
function emptyTimes(type: Type, payload: JsonObject): readonly Fault[] {
  const { settings } = payload;
  const times: Readonly<Record<string, Json | undefined>> =
    type === 'memory_store'
      ? { ttl: payload.ttl }
      : type === 'config_update' && isJsonObject(settings)
        ? { 'settings.default_timeout': settings.default_timeout, 'settings.max_time': settings.max_time }
        : {};
  return Object.entries(times).flatMap(([field, text]) =>
    typeof text === 'string' && durationMs(text) === 0
      ? [{ field, message: 'must be more than nothing' }]
      : [],
  );
}

/** The last word of a remote coordinator to whoever asked it (`ARMY-64`). */
async function asTaskResponse(
  envelope: JsonObject,
  { caller }: EnvelopeScene,
  { mailroom, engine }: ReadingParts,
): Promise<JsonObject> {
  const payload = isJsonObject(envelope.payload) ? envelope.payload : {};
  let taskId = payload.task_id;
  if (typeof taskId !== 'string' && typeof envelope.correlation_id === 'string') {
    const [root] = await mailroom().messages({
      ...{ tenant: caller.tenant, dialect: ARMY, type: 'task_request' },
      ...{ correlationId: envelope.correlation_id, limit: 1 },
    });
    taskId = root?.taskId ?? undefined;
  }
  if (typeof taskId !== 'string')
    throw invalid([
      { field: 'payload.task_id', message: 'is required, or a correlation_id that leads to one' },
    ]);
  const task = await engine.task(caller.tenant, taskId as Message['taskId'] & string);
  const metadata = isJsonObject(envelope.metadata) ? envelope.metadata : {};
  const { result = payload, status = 'completed' } = payload;
  return {
    ...envelope,
    ...{ type: 'task_response', to: task.spec.origin?.from ?? 'coordinator' },
    payload: { ...payload, task_id: taskId, status, result },
    metadata: { ...metadata, tags: [...(Array.isArray(metadata.tags) ? metadata.tags : []), FINAL_RESPONSE] },
  };
}

function requirePrivacy({ encryption }: Written, { isPrivate }: EnvelopeScene): void {
  if (encryption === 'tls' && !isPrivate)
    throw new DomainError('policy_violation', 'a message that wants TLS came without', {
      details: { rule: 'encryption', encryption },
    });
}

/** Who speaks; a role that was not granted is nobody's to claim (`ARMY-106`). */
async function senderOf(
  { from, metadata }: Written,
  { caller }: EnvelopeScene,
  { mailroom }: ReadingParts,
): Promise<Address> {
  const { role, agent } = addressIn(from, 'from');
  const claimed = agent ?? metadata.from_agent ?? null;
  if (agent !== null && metadata.from_agent !== undefined && metadata.from_agent !== agent)
    throw invalid([{ field: 'metadata.from_agent', message: `must be ${agent}, as from says` }]);
  const denied = (): DomainError =>
    new DomainError('forbidden', `these credentials do not speak as ${from}`, {
      details: { from, ...(claimed === null ? {} : { from_agent: claimed }) },
    });
  if (caller.agentId !== null) {
    const isOwn = claimed === null || claimed === caller.agentId;
    if (!isOwn || !rolesOf(caller.agent?.agent.roles).includes(role)) throw denied();
    return { role, agent: caller.agentId };
  }
  const isPerson = role === 'supervisor' && claimed === null && allows(caller.principal, 'approval:decide');
  if (!caller.isOperator && !isPerson) throw denied();
  if (claimed === null) return { role, agent: null };
  const known = await mailroom().directory.agent(caller.tenant, claimed);
  if (known === null || !rolesOf(known.agent.roles).includes(role)) throw denied();
  return { role, agent: claimed };
}

async function answeredBy(
  { reply_to: id }: Written,
  { caller }: EnvelopeScene,
  { mailroom }: ReadingParts,
): Promise<Message | null> {
  if (id === undefined) return null;
  const found = await mailroom().message(caller.tenant, ARMY, id as MessageId);
  if (found === null)
    throw new DomainError('not_found', `there is no message ${id} to answer`, { details: { reply_to: id } });
  return found;
}

/** Who is answered: whoever asked for the task, or sent the message. */
async function askerOf(
  written: Written,
  answered: Message | null,
  { caller }: EnvelopeScene,
  { engine }: ReadingParts,
): Promise<Address | null> {
  const { type, payload } = written;
  if (!isAnswer(type)) return null;
  const context = isJsonObject(payload.context) ? payload.context : {};
  const isOfTask = type === 'task_response' || type === 'task_update' || type === 'error';
  const taskId = type === 'error' ? context.task_id : payload.task_id;
  if (!isSealed(written) && isOfTask && typeof taskId === 'string') {
    const { spec } = await engine.task(caller.tenant, taskId as Message['taskId'] & string);
    const asked = spec.origin?.dialect === ARMY ? addressOf(spec.origin.from) : null;
    return asked ?? { role: 'coordinator', agent: SELF };
  }
  return answered === null ? null : addressOf(answered.from);
}

/** Whom it is for, each once; throws `forbidden` for whom the sender may not say that to, `not_found` for agents there are not. */
async function receiversOf(
  { to: said, type, metadata, payload }: Written,
  { role: from }: Address,
  asker: Address | null,
  { caller }: EnvelopeScene,
  { mailroom }: ReadingParts,
): Promise<readonly Address[]> {
  const { to_agent: named } = metadata;
  const all = [said].flat().map((one, at) => addressIn(one, Array.isArray(said) ? `to.${at}` : 'to'));
  const to = [...new Map(all.map(one => [textOf(one), one])).values()];
  for (const { role } of to)
    if (!permits({ from, type, to: role, asker: asker?.role ?? null }))
      throw new DomainError('forbidden', `a ${from} may not send ${type} to ${role}`, {
        details: { from, type, to: role, ...(asker === null ? {} : { asked_by: asker.role }) },
      });
  if (named !== undefined && (to.length > 1 || (to[0]?.agent ?? named) !== named))
    throw invalid([{ field: 'metadata.to_agent', message: 'goes with one role in to' }]);
  if (type === 'task_request' && to.length > 1)
    throw new DomainError('unprocessable', `the task ${String(payload.task_id)} can only be one role’s`, {
      details: { errors: [{ field: 'to', message: 'must be one role' }] },
    });
  return Promise.all(
    to.map(async one => {
      const agent = one.agent ?? named ?? (asker?.role === one.role ? asker.agent : null);
      if (agent === null || agent === SELF || agent === asker?.agent) return { role: one.role, agent };
      const known = await mailroom().directory.agent(caller.tenant, agent);
      if (known === null || !rolesOf(known.agent.roles).includes(one.role))
        throw new DomainError('not_found', `there is no agent ${agent} in the role ${one.role}`, {
          details: { role: one.role, agent },
        });
      return { role: one.role, agent };
    }),
  );
}

function addressIn(text: string, field: string): Address {
  const address = addressOf(text);
  if (address === null) throw invalid([{ field, message: 'must be a role' }]);
  return address;
}

/** A heartbeat is low whatever it says; what has a deadline is at least high (`ARMY-57`, `ARMY-58`). */
function priorityOf({ type, metadata: { priority = 'normal', deadline } }: Written): Priority {
  if (type === 'heartbeat') return PRIORITIES.low;
  const said = PRIORITIES[priority];
  return deadline !== undefined && said > PRIORITIES.high ? PRIORITIES.high : said;
}
