// A dead letter as an inbox shows it: where it died, and why.

import type { Message } from '../../domain/message.ts';
import { messageOf } from '../../engine/mailroom/packing.ts';
import type { DeadLetter } from '../../store/mail.ts';
import type { Dialect } from './dialect.ts';

/** A message among dead letters, without what its dialect shows to nobody but its receiver. */
export function keepable(shown: object, dialect: Pick<Dialect, 'keepable'>): object {
  return (dialect.keepable?.(shown) as object | undefined) ?? shown;
}

/** A dead letter in the place of a delivery; it can be read and not acknowledged. */
export function deadHandout(letter: DeadLetter, encode: (message: Message) => object): object {
  const { id, attempts, diedAt, inbox, reason, error, mail, raw } = letter;
  return {
    ...{ delivery_id: `dead-${id}`, attempt: attempts, visible_until: new Date(diedAt).toISOString() },
    ...{ queue: inbox, reason, last_error: error },
    ...(mail === null ? { raw } : { message: encode(messageOf(mail)) }),
  };
}
