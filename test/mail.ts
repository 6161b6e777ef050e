// A store's messages in every state a message can be in, and all that can be asked about them.

import assert from 'node:assert/strict';
import type { MessageId } from '../src/domain/message.ts';
import { INBOX, letter, posted, taken } from '../src/store/conformance-mail-setup.ts';
import { ACME } from '../src/store/conformance-setup.ts';
import type { MailStore, MailVerdict } from '../src/store/mail.ts';

/** Messages that wait, for their time too, one that is held, one that died, one that was settled and one with a copy. */
export async function growMail(mail: MailStore, heldMs: number): Promise<void> {
  const [first = assert.fail()] = await posted(
    mail,
    letter('dead', { from: '1' }),
    letter('acked', { from: '2' }),
    letter('later', { from: '3' }),
    letter('kept', { from: '4', taskId: 't', replyTo: 'dead' as MessageId, expiresAt: 9e12 }),
    letter('behind', { from: '4', priority: 0 }),
  );
  const entry = { inbox: INBOX, lane: 'x', cause: 'subscription' };
  await mail.fanOut([{ tenant: ACME, position: first.position, entry }]);
  const held = await taken(mail, 'reader', { visibilityMs: heldMs });
  const settle = (id: string, verdict: MailVerdict): Promise<unknown> =>
    mail.settle(
      held
        .filter(one => one.mail.id === id && one.cause === null)
        .map(({ entry: of, attempt }) => ({ tenant: ACME, reader: 'reader', entry: of, attempt, verdict })),
    );
  await settle('dead', { outcome: 'bury', reason: 'rejected_by_receiver', error: 'no' });
  await settle('acked', { outcome: 'ack' });
  await settle('later', { outcome: 'nack', delayMs: heldMs });
  await settle('behind', { outcome: 'nack', delayMs: 0 });
}

/** All that can be asked about messages without changing any; positions are the store's own. */
export async function toldOfMail(mail: MailStore): Promise<unknown> {
  const letters = await mail.deadLetters({ tenant: ACME, limit: 10 });
  return {
    mail: (await mail.mail({ tenant: ACME, limit: 100 })).map(({ position: _, ...one }) => one),
    depths: await mail.depths(ACME),
    dead: letters.map(({ mail: of, ...one }) => ({ ...one, of: of?.id })),
  };
}
