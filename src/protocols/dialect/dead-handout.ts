// A dead letter as an inbox shows it: where it died, and why.

import type { Message } from '../../domain/message.ts';
import { messageOf } from '../../engine/mailroom/packing.ts';
import type { DeadLetter } from '../../store/mail.ts';
import type { Dialect } from './dialect.ts';
import { encoded } from './encoded.ts';

/** A message among dead letters, in the dialect's words but for what is shown to nobody but its receiver. */
export function keepable(message: Message, dialect: Dialect): object {
  const shown = encoded(message, dialect);
  const { confidential = ['payload'] } = dialect;
  const withheld = Object.fromEntries(
    confidential.filter(member => member in shown).map(member => [member, { withheld: 'sensitive_data' }]),
  );
  const told = message.isSensitive === true ? { ...shown, ...withheld } : shown;
  return (dialect.keepable?.(told) as object | undefined) ?? told;
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
