// What the engine needs of a built-in agent: it reads inboxes of every tenant and answers. One folder under participants/ each, or a
// wire's own where it speaks of things only that wire has.

import type { Draft, InboxName, Message } from '../../domain/message.ts';

/** An agent inside this server. */
export interface Participant {
  readonly name: string;
  /** What it reads, in every tenant in which no agent took that over. */
  readonly inboxes: readonly InboxName[];
  /**
   * What it says to a message, committed with the message's acknowledgement. It must bear being asked twice, since a crash in between
   * asks again. What it throws as a `DomainError` refuses the message, unless trying again may help.
   */
  handle(message: Message): Promise<readonly Draft[]>;
  /** Whether what cannot be read here is for somebody else, to whom it hands the message on; never, where this is absent. */
  handsOn?(message: Message): Promise<boolean>;
}
