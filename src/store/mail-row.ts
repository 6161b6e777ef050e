// Messages and dead letters as rows: the shapes that the tables of every driver hold, and the port's nouns made of them.

import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { DeadReason, InboxName, MessageId } from '../domain/message.ts';
import type { Priority } from '../domain/priority.ts';
import type { DeadLetter, NewMail, StoredMail } from './mail.ts';

/** A message that was accepted. */
export interface MailRow {
  readonly position: number;
  readonly tenant: TenantId;
  readonly id: MessageId;
  readonly name: string;
  readonly fingerprint: string;
  readonly dialect: string;
  readonly type: string;
  readonly sender: string;
  readonly correlation: string;
  readonly reply_to: MessageId | null;
  readonly task_id: string | null;
  readonly priority: Priority;
  readonly expires_at: number | null;
  readonly accepted_at: number;
  readonly refusal: string | null;
  readonly content: string;
}

/** The message of a row; its position as its driver writes it. */
export function storedOf(row: Omit<MailRow, 'position'>, position: string): StoredMail {
  return {
    position,
    tenant: row.tenant,
    id: row.id,
    name: row.name,
    fingerprint: row.fingerprint,
    dialect: row.dialect,
    type: row.type,
    from: row.sender,
    correlationId: row.correlation,
    replyTo: row.reply_to,
    taskId: row.task_id,
    priority: row.priority,
    expiresAt: row.expires_at,
    acceptedAt: row.accepted_at,
    refusal: row.refusal === null ? null : (JSON.parse(row.refusal) as JsonObject),
    content: JSON.parse(row.content) as JsonObject,
  };
}

/** What a message is now that it was accepted. */
export function accepted(mail: NewMail, position: string, acceptedAt: number): StoredMail {
  const { entries: _, inboxMax: __, aliases: ___, tellsOf: ____, ...rest } = mail;
  return { ...rest, position, acceptedAt, refusal: null };
}

/** A dead letter. SQLite knows no truth but numbers. */
export interface DeadLetterRow {
  readonly id: number;
  readonly tenant: TenantId;
  readonly dialect: string;
  readonly inbox: InboxName | null;
  readonly reason: DeadReason;
  readonly error: string;
  readonly raw: string | null;
  readonly sender: string;
  readonly attempts: number;
  readonly died_at: number;
  readonly told: number | boolean;
}

/** The dead letter of a row and of the row of its message. */
export function letterOf(row: DeadLetterRow, mail: StoredMail | null): DeadLetter {
  return {
    id: row.id,
    tenant: row.tenant,
    dialect: row.dialect,
    inbox: row.inbox,
    reason: row.reason,
    error: row.error,
    mail,
    raw: row.raw,
    sender: row.sender,
    attempts: row.attempts,
    diedAt: row.died_at,
    told: Boolean(row.told),
  };
}
