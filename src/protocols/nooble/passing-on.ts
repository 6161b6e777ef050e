// Passing a task on to a service or agent elsewhere: the first time the very message that asked for it, later a new one with its retries
// counted (`NOOB-22`, `NOOB-39`, `NOOB-136`); and the word that it is not wanted any more.

import type { TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { type Draft, inboxOfAgent, type MessageId } from '../../domain/message.ts';
import type { Priority } from '../../domain/priority.ts';
import type { Task } from '../../domain/task.ts';
import type { Mailroom } from '../../engine/mailroom/mailroom.ts';
import type { Store } from '../../store/store.ts';
import type { Envelope } from './envelope.ts';
import { meaningOf } from './meanings.ts';
import { isSensitive, metadataOf } from './metadata.ts';
import { placeOf } from './queues.ts';
import { type Request, uuidOf } from './replies.ts';
import { type Delegate, delegateOf } from './task-terms.ts';

/** What passing on needs. */
export interface PassingParts {
  readonly mailroom: () => Pick<Mailroom, 'message' | 'copy' | 'say'>;
  readonly store: Pick<Store, 'events'>;
}

/** Hands the task's message to who is to do it; done again for the same attempt, nothing more is said. */
export async function passOn(task: Task, request: Request, now: number, parts: PassingParts): Promise<void> {
  const delegate = delegateOf(task);
  if (delegate === null) return;
  const mailroom = parts.mailroom();
  const original = await mailroom.message(task.tenant, 'nooble', request.id);
  if (original === null) return mailroom.say([asked(task, request, delegate, now)]);
  const { envelope } = request;
  const { priority, correlation_id: lane, session_id: session = null } = envelope;
  const inbox =
    delegate.agent === null
      ? placeOf(delegate.service, { pair: original.type, priority, session })
      : inboxOfAgent(delegate.agent);
  await mailroom.copy(original, { inbox, lane });
  if (task.attempt > 1 && (await wasReported(task, parts.store)))
    await mailroom.say([asked(task, request, delegate, now)]);
}

/** The order to stop, to whoever a task was passed on to; null where it was to nobody. */
export function stopOf(task: Task, request: Request, now: number, reason: string): Draft | null {
  const delegate = delegateOf(task);
  const { domain } = request.envelope.type;
  if (delegate === null || (domain !== 'agent' && domain !== 'workflow')) return null;
  return ordered(task, request, delegate, {
    as: `stop.${task.attempt}`,
    now,
    type: { domain, action: 'update' },
    payload: { command: 'cancel', reason },
  });
}

/** The same request once more, under an id of its own. */
function asked(task: Task, request: Request, delegate: Delegate, now: number): Draft {
  const { type, payload } = request.envelope;
  return ordered(task, request, delegate, { as: attemptName(task.attempt), now, type, payload });
}

function attemptName(attempt: number): string {
  return `attempt.${attempt}`;
}

/** The id of the message that asks for an attempt, where it is not that which came. */
export function attemptId(task: Pick<Task, 'tenant' | 'executionId'>, attempt: number): MessageId {
  return orderId(task, attemptName(attempt));
}

function orderId({ tenant, executionId }: Pick<Task, 'tenant' | 'executionId'>, as: string): MessageId {
  return uuidOf(`${tenant}\n${executionId}\n${as}`) as MessageId;
}

function ordered(
  task: Task,
  request: Request,
  delegate: Delegate,
  said: {
    readonly as: string;
    readonly now: number;
    readonly type: Envelope['type'];
    readonly payload: JsonObject;
  },
): Draft {
  const { envelope, tenant, traceId } = request;
  const id = orderId(task, said.as);
  const metadata = metadataOf(envelope);
  const before = typeof metadata.retry_count === 'number' ? metadata.retry_count : 0;
  const { deduplication_key: _, idempotency_key: __, ...kept } = metadata;
  const written = {
    ...envelope,
    ...{
      message_id: id,
      created_at: new Date(said.now).toISOString(),
      type: said.type,
      payload: said.payload,
    },
    metadata: { ...kept, source: 'system', retry_count: before + Math.max(0, task.attempt - 1) },
  } as Envelope;
  return {
    ...{ tenant, id, dialect: 'nooble', type: `${said.type.domain}.${said.type.action}` },
    from: envelope.source_service,
    to: [delegate.agent === null ? delegate.service : `agent:${delegate.agent}`],
    ...{ correlationId: envelope.correlation_id, replyTo: null, taskId: task.id as TaskId, traceId },
    priority: Math.min(9, envelope.priority) as Priority,
    ...{ sentAt: said.now, expiresAt: null, actor: 'system', agentId: null },
    ...{ meaning: meaningOf(written), envelope: written },
    ...(isSensitive(written) ? { isSensitive: true } : {}),
  };
}

/** Whether the attempt before ended by the word of who did it, and not because a server died. */
async function wasReported({ key }: Task, store: PassingParts['store']): Promise<boolean> {
  const events = await store.events({ of: 'task', key, afterSequence: 0, limit: 1_000 });
  const last = events.findLast(
    event => event.kind === 'agent_error' || (event.kind === 'state' && event.error !== undefined),
  );
  return last !== undefined && 'error' in last && last.error?.details?.reported_by !== undefined;
}
