// A delivery of a message as its reader knows it.

import type { InboxName, Message } from '../../domain/message.ts';
import type { TakenMail } from '../../store/mail.ts';
import { messageOf } from './packing.ts';

/** Begins the cause of a copy that is told once, whether or not that is acknowledged. */
export const ONCE = 'once:';

/** One delivery of a message. */
export interface Handout {
  /** Names this delivery of it: another delivery of the same message has another. */
  readonly id: string;
  readonly inbox: InboxName;
  readonly attempt: number;
  readonly visibleUntil: number;
  readonly message: Message;
}

/** A delivery as its reader knows it. */
export function handoutOf(taken: TakenMail): Handout {
  const { entry, attempt, inbox, visibleUntil, mail } = taken;
  return { id: `${entry}.${attempt}`, inbox, attempt, visibleUntil, message: messageOf(mail) };
}
