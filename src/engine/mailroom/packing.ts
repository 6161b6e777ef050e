// Messages as the store keeps them: what it looks for in fields, the rest as content.

import type { JsonObject } from '../../domain/json.ts';
import type { Draft, Message } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { NewEntry, NewMail, StoredMail } from '../../store/mail.ts';

/** An inbox holds about so many at most; who sends more is refused until it is read. */
export const INBOX_MAX = 100_000;

/** A message to hand in, and how repeats of it are known. */
export interface Sending {
  readonly draft: Draft;
  /** Digest of the message as its sender wrote it; the same id with another is a conflict. */
  readonly fingerprint: string;
  /** The name it is known by, where not that of its tenant and wire. */
  readonly name?: string;
  readonly aliases?: NewMail['aliases'];
}

/** What the server says itself: its id alone tells repeats. */
export function ownSending(draft: Draft): Sending {
  return { draft, fingerprint: '' };
}

/** The message that asks an agent for a task: as sensitive as the task is. */
export function taskSending(draft: Draft, { spec }: Pick<Task, 'spec'>): Sending {
  return ownSending(spec.sensitive === true ? { ...draft, isSensitive: true } : draft);
}

/** A message as it is stored. */
export function packed(sending: Sending, entries: readonly NewEntry[]): NewMail {
  const { draft, fingerprint, aliases } = sending;
  const { to, sentAt, traceId, actor, agentId, meaning, envelope, manner, ...fields } = draft;
  const kept = { to, sentAt, traceId, actor, agentId, meaning, envelope };
  return {
    ...fields,
    name: sending.name ?? nameOf(draft),
    fingerprint,
    ...(aliases === undefined ? {} : { aliases }),
    content: (manner === undefined ? kept : { ...kept, manner }) as unknown as JsonObject,
    entries,
    inboxMax: INBOX_MAX,
  };
}

/** A stored message as it was handed in, with its place. */
export function messageOf(mail: StoredMail): Message {
  const content = mail.content as unknown as Pick<
    Draft,
    'to' | 'sentAt' | 'traceId' | 'actor' | 'agentId' | 'meaning' | 'envelope' | 'manner'
  >;
  const { tenant, id, dialect, type, from, correlationId, replyTo, taskId, priority, expiresAt } = mail;
  return {
    ...{ tenant, id, dialect, type, from, correlationId, replyTo, priority, expiresAt },
    taskId: taskId as Message['taskId'],
    ...content,
    ...(mail.isSensitive === true ? { isSensitive: true } : {}),
    position: mail.position,
    acceptedAt: mail.acceptedAt,
  };
}

function nameOf({ dialect, tenant, id }: Draft): string {
  return `${dialect}\n${tenant}\n${id}`;
}
