// A message as whoever reads it by a dialect is shown it.

import { DomainError } from '../../domain/errors.ts';
import type { Message } from '../../domain/message.ts';
import type { Dialect } from './dialect.ts';

/** The message in the dialect's words; what it has no words for is said to be there. */
export function encoded(message: Message, dialect: Dialect): object {
  try {
    return dialect.encode(message);
  } catch (error) {
    if (!(error instanceof DomainError) || error.code !== 'unprocessable') throw error;
    return {
      untranslatable: {
        message_id: message.id,
        protocol: message.dialect,
        type: message.type,
        from: message.from,
      },
    };
  }
}
