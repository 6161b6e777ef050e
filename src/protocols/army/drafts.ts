// What this server says by this wire, with everything a message needs beside what it says.

import type { TaskId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Draft, Meaning, Message, MessageId } from '../../domain/message.ts';
import { SELF } from './address.ts';
import { ARMY, type Role, type Type } from './words.ts';

/** What is to be said. */
export interface Saying {
  readonly id: MessageId;
  readonly type: Type;
  /** Addresses. */
  readonly from: string;
  readonly to: readonly string[];
  readonly meaning: Meaning;
  readonly replyTo?: MessageId | null;
  readonly taskId?: TaskId | null;
  readonly priority?: Draft['priority'];
  readonly expiresAt?: number | null;
}

/** The address under which this server plays a role. */
export function ownAddress(role: Role): string {
  return `${role}:${SELF}`;
}

/** The saying as a message of the exchange that `of` belongs to. */
export function say(
  of: Pick<Message, 'tenant' | 'correlationId' | 'traceId' | 'priority' | 'manner'> & {
    readonly sentAt?: number;
  },
  saying: Saying,
): Draft {
  const { id, type, from, to, meaning, replyTo = null, taskId = null, priority, expiresAt = null } = saying;
  return {
    ...{ tenant: of.tenant, dialect: ARMY, id, type, from, to, meaning, replyTo, taskId, expiresAt },
    ...{ correlationId: of.correlationId, traceId: of.traceId, priority: priority ?? of.priority },
    // Zero: said when it is taken in.
    ...{ sentAt: 0, actor: 'system', agentId: null, envelope: null },
    ...(of.manner === undefined ? {} : { manner: of.manner }),
  };
}

/** An answer to a message, to whoever sent it. */
export function answer(
  to: Message,
  saying: Pick<Saying, 'id' | 'type' | 'from' | 'meaning'> & { readonly taskId?: TaskId | null },
): Draft {
  return say(to, { ...saying, to: [to.from], replyTo: to.id, taskId: saying.taskId ?? to.taskId });
}

/** A status as an answer says it. */
export function status(body: JsonObject): Meaning {
  return { act: 'say', body };
}
