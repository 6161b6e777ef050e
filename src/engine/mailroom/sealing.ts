// Has what this server says to a signed message signed, whoever says it and whenever: at once, or when the task it asked for has ended.

import type { Draft, Message, MessageId } from '../../domain/message.ts';
import { Batcher } from '../../runtime/batcher.ts';
import type { MailStore } from '../../store/mail.ts';
import type { MessageSeals } from '../ports/message-seals.ts';
import { messageOf } from './packing.ts';

type Asked = Pick<Message, 'tenant' | 'dialect' | 'id'>;

/** Signs replies. */
export class Sealing {
  readonly #seals: MessageSeals;
  readonly #reader: Batcher<Asked, Message | null>;

  constructor(mail: Pick<MailStore, 'mail'>, seals: MessageSeals) {
    this.#seals = seals;
    this.#reader = new Batcher(asked => readAll(mail, asked));
  }

  /** The drafts, signed where they answer a signed message; `answered` need not be looked up. */
  sealed(drafts: readonly Draft[], answered: Message | null = null): Promise<readonly Draft[]> {
    return Promise.all(
      drafts.map(async draft => {
        const { tenant, dialect, replyTo, envelope, actor } = draft;
        // What an agent said stays as it said it.
        if (replyTo === null || (envelope !== null && actor !== 'system')) return draft;
        const isKnown = answered?.id === replyTo && answered.dialect === dialect;
        const asked = isKnown ? answered : await this.#reader.add({ tenant, dialect, id: replyTo });
        return asked !== null && this.#seals.isSigned(asked) ? this.#seals.sign(draft) : draft;
      }),
    );
  }
}

async function readAll(
  mail: Pick<MailStore, 'mail'>,
  asked: readonly Asked[],
): Promise<readonly (Message | null)[]> {
  const places = Map.groupBy(asked, ({ tenant, dialect }) => `${tenant}\n${dialect}`);
  const found = new Map<string, Message>();
  await Promise.all(
    [...places].map(async ([place, some]) => {
      const [{ tenant, dialect } = some[0] as Asked] = some;
      const ids: readonly MessageId[] = [...new Set(some.map(({ id }) => id))];
      for (const one of await mail.mail({ tenant, dialect, ids, limit: ids.length }))
        found.set(`${place}\n${one.id}`, messageOf(one));
    }),
  );
  return asked.map(({ tenant, dialect, id }) => found.get(`${tenant}\n${dialect}\n${id}`) ?? null);
}
