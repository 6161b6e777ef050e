// What the engine needs of whoever keeps messages true and confidential: to read what is encrypted to this server, and to sign what it
// says to those who sign.

import type { Draft, Message } from '../../domain/message.ts';

/** Opens and signs, by whatever wire. */
export interface MessageSeals {
  /** Whether its sender signed it; that the signature holds was seen when it came. */
  isSigned(message: Message): boolean;
  /** Whether parts of it are encrypted. */
  isConfidential(message: Message): boolean;
  /**
   * The message with its confidential parts plain, and what it means then; null where this server cannot open them. Throws what is
   * wrong with what was in them.
   */
  open(message: Message): Promise<Message | null>;
  /** What this server says, as its wire words it, with this server's signature. */
  sign(draft: Draft): Promise<Draft>;
}
