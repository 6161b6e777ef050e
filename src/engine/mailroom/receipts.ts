// Receipts: the word to a sender that its message was acknowledged, where its wire has one for that message. It goes out in the transaction
// of the acknowledgement. And the other way round: a receiver's own word of receipt acknowledges the delivery it was given.

import { hash } from 'node:crypto';
import type { TenantId } from '../../domain/ids.ts';
import type { Draft, InboxName, MessageId } from '../../domain/message.ts';
import type { MailStore } from '../../store/mail.ts';
import type { Store } from '../../store/store.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { Handout } from './handout.ts';
import { messageOf } from './packing.ts';
import type { ReadRequest } from './reading.ts';

/** A message a receipt is wanted for. */
export interface Received {
  readonly dialect: string;
  readonly messageId: MessageId;
}

/** Who was given which delivery of a message. */
export interface GivenOut {
  readonly delivery: string;
  readonly reader: string;
  readonly agentId: string | null;
}

const KIND = 'mail_given_out';
const KEPT_MS = 30 * 86_400_000;

/** Keeps account of deliveries that receipts are wanted for; all others cost nothing. */
export class Receipts {
  readonly #wires: ReadonlyMap<string, MessageWire>;
  readonly #mail: Pick<MailStore, 'mail'>;
  readonly #store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly #now: () => number;

  constructor(
    wires: ReadonlyMap<string, MessageWire>,
    mail: Pick<MailStore, 'mail'>,
    store: Pick<Store, 'documents' | 'putDocuments'>,
    now: () => number,
  ) {
    this.#wires = wires;
    this.#mail = mail;
    this.#store = store;
    this.#now = now;
  }

  /** The deliveries as they are given out: the ids of those with a receipt say for which message. */
  async noted(request: ReadRequest, handouts: readonly Handout[]): Promise<readonly Handout[]> {
    const wanted = handouts.filter(one => this.#draft(one.message, one.inbox) !== null);
    if (wanted.length === 0) return handouts;
    const { tenant, reader, worker } = request;
    await this.#store.putDocuments(
      wanted.map(({ id: delivery, inbox, message: { dialect, id } }) => ({
        ...{ tenant, kind: KIND, id: nameOf({ dialect, messageId: id }, inbox) },
        body: { delivery, reader, agentId: worker?.agentId ?? null },
        expiresAt: this.#now() + KEPT_MS,
      })),
    );
    const marks = new Set(wanted);
    return handouts.map(one =>
      marks.has(one) ? { ...one, id: `${one.id}~${one.message.dialect}~${one.message.id}` } : one,
    );
  }

  /** What is said to the sender of a message that was acknowledged in an inbox; null for nothing. */
  async for(
    tenant: TenantId,
    { dialect, messageId }: Received,
    inboxes: readonly InboxName[],
  ): Promise<Draft | null> {
    const [found] = await this.#mail.mail({ tenant, dialect, ids: [messageId], limit: 1 });
    if (found === undefined) return null;
    const message = messageOf(found);
    for (const inbox of inboxes) {
      const draft = this.#draft(message, inbox);
      if (draft !== null) return draft;
    }
    return null;
  }

  /** The last delivery of a message from an inbox; null where there was none. */
  async givenOut(tenant: TenantId, received: Received, inbox: InboxName): Promise<GivenOut | null> {
    const ids = [nameOf(received, inbox)];
    const [found] = await this.#store.documents({ tenant, kind: KIND, ids });
    return found === undefined ? null : (found.body as unknown as GivenOut);
  }

  #draft(message: Handout['message'], inbox: InboxName): Draft | null {
    return this.#wires.get(message.dialect)?.receipt?.(message, inbox) ?? null;
  }
}

/** A delivery's id without the mark, and for which message a receipt is wanted. */
export function unmarked(id: string): { readonly id: string; readonly received: Received | null } {
  const [plain = '', dialect, messageId, more] = id.split('~');
  if (dialect === undefined || messageId === undefined || more !== undefined) return { id, received: null };
  return { id: plain, received: { dialect, messageId: messageId as MessageId } };
}

function nameOf({ dialect, messageId }: Received, inbox: InboxName): string {
  return hash('sha256', `${dialect}\n${messageId}\n${inbox}`, 'hex');
}
