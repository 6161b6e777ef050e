// What an envelope comes to: checked, permitted, and turned into a message. Whatever can be known to be wrong with it is said here, before
// anything is stored; what a token is worth is asked here too, so that the token itself need never be kept (`NOOB-87`).

import { asDomainError } from '../../domain/errors.ts';
import type { TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Message, MessageId } from '../../domain/message.ts';
import type { Priority } from '../../domain/priority.ts';
import type { Task } from '../../domain/task.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { Decoded, EnvelopeScene } from '../dialect/dialect.ts';
import { fingerprintOf } from '../fingerprint.ts';
import type { Checks } from './checks.ts';
import { type Envelope, instantIn, ruleIn, strictOf } from './envelope.ts';
import { inLanguage, noobleError } from './errors.ts';
import { invalid } from './faults.ts';
import { meaningOf } from './meanings.ts';
import { isSensitive, metadataOf, metadataText } from './metadata.ts';
import type { OldVersions } from './old-versions.ts';
import { requireMaySay } from './permissions.ts';
import { placesOf } from './queues.ts';
import { payloadFaults } from './schemas.ts';
import { isEncrypted, requireEncryption } from './sealing.ts';
import type { Services } from './services.ts';
import { askerOf } from './task-terms.ts';
import { ENDINGS } from './vocabulary.ts';

/** What decoding asks. */
export interface DecodeParts {
  readonly mailroom: () => Pick<Mailroom, 'messages' | 'message'>;
  readonly services: Services;
  readonly checks: Checks;
  readonly oldVersions: OldVersions;
  /** The task of that id, or null. */
  readonly task: (tenant: Message['tenant'], id: TaskId) => Promise<Task | null>;
}

/** The message an envelope is; what is wrong is told in the language of its user. */
export async function decode(
  received: JsonObject,
  scene: EnvelopeScene,
  parts: DecodeParts,
): Promise<Decoded> {
  try {
    return await decoded(received, scene, parts);
  } catch (thrown) {
    const error = asDomainError(thrown);
    if (error.code === 'internal') throw thrown;
    throw inLanguage(error, metadataText(received, 'user_locale'));
  }
}

async function decoded(received: JsonObject, scene: EnvelopeScene, parts: DecodeParts): Promise<Decoded> {
  const { caller } = scene;
  const strict = strictOf(received);
  const task = await parts.task(caller.tenant, strict.task_id as TaskId);
  requireMaySay(strict, caller, task);
  const pair = `${strict.type.domain}.${strict.type.action}`;
  requireEncryption(strict, scene);
  const faults = isEncrypted(strict) ? [] : payloadFaults(pair, strict.payload);
  if (faults.length > 0) throw invalid(faults);
  await requireTarget(strict, scene, parts);
  await requireFits(strict, task, parts);
  const envelope = await parts.checks.checked(strict, scene);
  const replyTo = await answered(envelope, scene, parts);
  const old = metadataText(envelope, 'original_schema_version');
  if (old !== null) parts.oldVersions.note(caller.tenant, envelope.source_service, old, scene.now);
  return {
    name: `nooble\n${envelope.message_id}`,
    ...aliasesOf(received, envelope, scene),
    senderInbox: senderInboxOf(envelope),
    draft: {
      ...{ tenant: caller.tenant, id: envelope.message_id as MessageId, dialect: 'nooble', type: pair },
      ...{ from: envelope.source_service, to: [envelope.target_service] },
      ...{ correlationId: envelope.correlation_id, replyTo, taskId: taskIdOf(envelope) },
      priority: Math.min(9, envelope.priority) as Priority,
      sentAt: instantIn(envelope, 'created_at') ?? scene.now,
      expiresAt: expiryOf(envelope),
      traceId: scene.traceId,
      ...{ actor: caller.principal.id, agentId: caller.agentId },
      ...{ meaning: meaningOf(envelope), envelope },
      ...(isSensitive(envelope) ? { isSensitive: true } : {}),
    },
  };
}

/** Throws where nobody of that name ever was here, or where it is not who asked (`NOOB-11`, `NOOB-133`). */
async function requireTarget(
  envelope: Envelope,
  { caller }: EnvelopeScene,
  parts: DecodeParts,
): Promise<void> {
  const { target_service: target } = envelope;
  if (!(await parts.services.isKnown(caller.tenant, target)))
    throw noobleError('resource_not_found', `there is no service ${target}`, { target_service: target });
}

/** Throws where the task it speaks of is another's, is over, or never was (`NOOB-14`, `NOOB-135`, `NOOB-48`). */
async function requireFits(envelope: Envelope, task: Task | null, parts: DecodeParts): Promise<void> {
  const { task_id: taskId, correlation_id: correlation, target_service: target } = envelope;
  const { kind, to } = ruleIn(envelope);
  if (task === null) {
    if (kind === 'control')
      throw noobleError('resource_not_found', `there is no task ${taskId}`, { task_id: taskId });
    return;
  }
  const asker = askerOf(task);
  if (kind !== 'tell' || to !== 'requester' || asker === null) return;
  if (task.spec.requester.correlationId !== correlation)
    throw noobleError('VAL_005', `task ${taskId} has another correlation_id`, {
      task_id: taskId,
      field: 'correlation_id',
    });
  if (target !== asker && !(envelope.type.action === 'error' && target === 'agent_orchestrator'))
    throw noobleError('AUTH_003', `task ${taskId} was not asked for by ${target}`, {
      target_service: target,
    });
  const isOwn = asker === envelope.source_service;
  if (isOwn || task.outcome === null) return;
  // Said once more, it is answered as the first time.
  const id = envelope.message_id as MessageId;
  if ((await parts.mailroom().message(task.tenant, 'nooble', id)) === null)
    throw noobleError('WF_005', `task ${taskId} has ended: ${task.outcome}`, {
      task_id: taskId,
      state: task.state,
    });
}

/** The message it answers: the one it names, else what was asked about its task. */
async function answered(
  envelope: Envelope,
  { caller }: EnvelopeScene,
  { mailroom }: DecodeParts,
): Promise<MessageId | null> {
  const named = metadataText(envelope, 'reply_to');
  if (named !== null) return named as MessageId;
  const { action } = envelope.type;
  if (!ENDINGS.includes(action) && action !== 'error' && envelope.status !== 'completed') return null;
  if (ruleIn(envelope).kind !== 'tell') return null;
  const { tenant } = caller;
  const about = { tenant, dialect: 'nooble', taskId: envelope.task_id, limit: 50 };
  const asked = await mailroom().messages(about);
  const asking = asked.find(
    one =>
      one.from === envelope.target_service &&
      one.meaning.act === 'request_task' &&
      one.id !== envelope.message_id,
  );
  return asking?.id ?? null;
}

/** The keys by which other messages are repeats of it (`NOOB-24`, `NOOB-25`). */
function aliasesOf(
  received: JsonObject,
  envelope: Envelope,
  { caller }: EnvelopeScene,
): Pick<Decoded, 'aliases'> {
  const { deduplication_key: dedup, idempotency_key: idempotency } = metadataOf(envelope);
  const { type, target_service: target, source_service: source } = envelope;
  const scope = `${caller.tenant}\n${target}\n${type.domain}.${type.action}`;
  const aliases = [
    ...(typeof dedup === 'string' ? [{ name: `nooble dedup\n${scope}\n${dedup}`, fingerprint: '' }] : []),
    ...(typeof idempotency === 'string'
      ? [
          {
            name: `nooble idempotency\n${scope}\n${source}\n${idempotency}`,
            fingerprint: fingerprintOf(received.payload),
          },
        ]
      : []),
  ];
  return aliases.length === 0 ? {} : { aliases };
}

/** Where answers to a message wait: anywhere with whoever sent it. */
function senderInboxOf({ source_service: service, session_id: session }: Envelope): Decoded['senderInbox'] {
  const all = { service, part: 'all', band: null, domain: null, action: null, session: null } as const;
  return placesOf(all, { services: [], sessions: session === undefined ? [] : [session] });
}

/** The task it is about; what is answered by nobody is about none of ours. */
function taskIdOf(envelope: Envelope): TaskId | null {
  const { kind } = ruleIn(envelope);
  return kind === 'notify' || kind === 'beat' ? null : (envelope.task_id as TaskId);
}

/** The earlier of `expires_at` and `valid_until` (`NOOB-122`). */
function expiryOf(envelope: Envelope): number | null {
  const instants = ['expires_at', 'valid_until'].flatMap(field => instantIn(envelope, field) ?? []);
  return instants.length === 0 ? null : Math.min(...instants);
}
