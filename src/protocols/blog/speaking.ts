// What this server says on the blog wire: messages of the built-in agents and events, each with its envelope as it will be read.

import type { TaskId, TenantId } from '../../domain/ids.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Draft, Meaning, MessageId } from '../../domain/message.ts';
import { DEFAULT_PRIORITY, type Priority } from '../../domain/priority.ts';
import { type EventType, instant, type MessageType, priorityName, VERSION } from './vocabulary.ts';

/** A message as a built-in agent says it. */
export interface Utterance {
  readonly tenant: TenantId;
  readonly id: MessageId;
  readonly type: MessageType;
  readonly from: string;
  readonly to: string;
  readonly payload: Json;
  readonly meaning: Meaning;
  /** The message it names as the one it belongs to. */
  readonly correlationId: string | null;
  /** The exchange it is part of, where that is not what it names. */
  readonly exchange?: string;
  readonly taskId: TaskId | null;
  readonly priority: Priority;
  readonly traceId: string;
  readonly at: number;
  /** That of whom it is said to (`BLOG-119`). */
  readonly version: string;
  readonly retryCount?: number;
}

/** The message to send. */
export function messageDraft(said: Utterance): Draft {
  const { tenant, id, type, from, to, payload, meaning, correlationId, taskId, priority, traceId, at } = said;
  return {
    ...{ tenant, id, dialect: 'blog', type, from, to: [to], taskId, priority, traceId, meaning },
    correlationId: said.exchange ?? correlationId ?? id,
    replyTo: type === 'request' || type === 'notification' ? null : (correlationId as MessageId | null),
    ...{ sentAt: at, expiresAt: null, actor: 'system', agentId: null },
    envelope: {
      ...{ id, ...(correlationId === null ? {} : { correlationId }), from, to, type, payload },
      metadata: {
        ...{ timestamp: instant(at), priority: priorityName(priority), protocolVersion: said.version },
        ...(said.retryCount === undefined ? {} : { retryCount: said.retryCount }),
      },
    },
  };
}

/** An event as this server tells it. */
export interface Happening {
  readonly tenant: TenantId;
  readonly id: MessageId;
  readonly type: EventType;
  readonly source: string;
  readonly data: JsonObject;
  readonly correlationId: string | null;
  readonly userId: string | null;
  readonly traceId: string;
  readonly at: number;
}

/** The event to record (`BLOG-60`): addressed to nobody, told to whoever subscribed. */
export function eventDraft(told: Happening): Draft {
  const { tenant, id, type, source, data, correlationId, userId, traceId, at } = told;
  return {
    ...{ tenant, id, dialect: 'blog', type, from: source, to: [], taskId: null, traceId },
    ...{ correlationId: correlationId ?? id, replyTo: null, priority: DEFAULT_PRIORITY },
    ...{ sentAt: at, expiresAt: null, actor: 'system', agentId: null },
    meaning: { act: 'notify', topic: type, data },
    envelope: {
      ...{ id, type, source, data },
      metadata: {
        timestamp: instant(at),
        ...(correlationId === null ? {} : { correlationId }),
        ...(userId === null ? {} : { userId }),
        ...{ traceId, protocolVersion: VERSION },
      },
    },
  };
}
