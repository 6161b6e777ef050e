// What came of an envelope at the door.

import type { DomainError } from '../../domain/errors.ts';
import type { InboxName, Message } from '../../domain/message.ts';

/** An envelope that is a message now, or was before. */
export interface Accepted {
  readonly status: 'accepted' | 'duplicate';
  readonly id: string;
  readonly message: Message;
  readonly senderInbox: InboxName | readonly InboxName[];
}

/** What one envelope came to. */
export type Taken =
  | Accepted
  | { readonly status: 'rejected'; readonly id: string | null; readonly error: DomainError };
