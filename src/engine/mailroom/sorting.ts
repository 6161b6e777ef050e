// Takes messages in: puts each where its wire says it goes, and has the agents inside this server answer theirs before the sender is
// answered. A message is on disk before anything is made of it, and what was made of it is committed with its acknowledgement; so
// whatever dies in between is done again by whoever takes the message up.

import { asDomainError, DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { Draft, InboxName, Message } from '../../domain/message.ts';
import { Batcher } from '../../runtime/batcher.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { EntryRef, MailStore, NewEntry, NewMail, PostOutcome, TakenMail } from '../../store/mail.ts';
import type { MessageSeals } from '../ports/message-seals.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { Participant } from '../ports/participant.ts';
import type { Directory } from './directory.ts';
import { messageOf, ownSending, packed, type Sending } from './packing.ts';
import { Sealing } from './sealing.ts';
import type { Waiting } from './waiting.ts';

/** What became of a message handed in. */
export type SendOutcome =
  | { readonly status: 'accepted'; readonly message: Message }
  /** It came before; nothing was done anew. */
  | { readonly status: 'duplicate'; readonly message: Message }
  /** Nothing came of it. */
  | { readonly status: 'refused'; readonly error: DomainError };

/** What sorting is done with. */
export interface SortingParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly mail: MailStore;
  readonly directory: Directory;
  readonly waiting: Waiting;
  /** What is asked of the store after a posting sees what was posted, and is answered when both are on disk. */
  readonly inTurn: boolean;
  readonly wires: ReadonlyMap<string, MessageWire>;
  readonly participants: readonly Participant[];
  readonly seals: MessageSeals;
  /** Under which name this process holds what its own agents answer. */
  readonly self: string;
}

/** A built-in agent holds what it answers for so long, and anew while it works on it. */
const HOLD_MS = 30_000;
/** So long a sender waits for built-in agents; what they find wrong later reaches its inbox. */
const ANSWER_MS = 10_000;
const RETRY_MS = 1_000;

interface Handling extends EntryRef {
  readonly message: Message;
  readonly inbox: InboxName;
  readonly participant: Participant;
}

/** Where messages come in. */
export class Sorting {
  readonly #parts: SortingParts;
  readonly #participants: ReadonlyMap<InboxName, Participant>;
  readonly #posts: Batcher<NewMail, PostOutcome>;
  readonly #sealing: Sealing;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(parts: SortingParts) {
    this.#parts = parts;
    this.#participants = new Map(
      parts.participants.flatMap(one => one.inboxes.map(inbox => [inbox, one] as const)),
    );
    this.#posts = new Batcher(mail => this.#post(mail));
    this.#sealing = new Sealing(parts.mail, parts.seals);
  }

  /** The inboxes that agents inside this server read where nobody else does. */
  get ownInboxes(): readonly InboxName[] {
    return [...this.#participants.keys()];
  }

  /** Takes messages in, answering each in order; those about one task or exchange have their effects in order. */
  async send(sendings: readonly Sending[]): Promise<readonly SendOutcome[]> {
    const routed = await Promise.all(sendings.map(sending => this.#routed(sending)));
    const outcomes = await Promise.all(
      routed.map(one => (one instanceof DomainError ? one : this.#posts.add(one))),
    );
    const handlings = outcomes.map(one => (one instanceof DomainError ? [] : this.#arrived(one)));
    const isLate = { value: false };
    const refusals = await this.#answered(handlings.flat(), isLate);
    return outcomes.map((outcome, index): SendOutcome => {
      if (outcome instanceof DomainError) return { status: 'refused', error: outcome };
      const refusal = (handlings[index] ?? [])
        .map(one => refusals.get(one.entry))
        .find(one => one !== undefined);
      if (refusal !== undefined) return { status: 'refused', error: refusal };
      return sendOutcomeOf(outcome);
    });
  }

  /** Takes in what this server says, signed where it answers what was signed. */
  async say(drafts: readonly Draft[]): Promise<readonly SendOutcome[]> {
    return this.send((await this.#sealing.sealed(drafts)).map(ownSending));
  }

  /** Has the agents inside this server answer what was taken for them. */
  takeUp(taken: readonly TakenMail[]): Promise<unknown> {
    const handlings = taken.flatMap(one => {
      const participant = this.#participants.get(one.inbox);
      return participant === undefined ? [] : [{ ...one, participant, message: messageOf(one.mail) }];
    });
    return this.#track(this.#answerAll(handlings, { value: true }));
  }

  /** Whether an agent of the tenant reads what an agent inside this server reads elsewhere. */
  async isTakenOver(tenant: TenantId, inbox: InboxName): Promise<boolean> {
    return (await this.#parts.directory.readersOf(tenant, inbox)).length > 0;
  }

  /** Resolves when what is being answered has been. */
  async idle(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** Messages of this server's own as the store takes them; throws what their wires have against their receivers. */
  async pack(drafts: readonly Draft[], answered?: Message): Promise<readonly NewMail[]> {
    const sealed = await this.#sealing.sealed(drafts, answered);
    return Promise.all(sealed.map(async draft => packed(ownSending(draft), await this.#entriesOf(draft))));
  }

  /** Wakes who waits for what was posted, and answers what is for agents inside this server. */
  async posted(outcomes: readonly PostOutcome[]): Promise<void> {
    const handlings = outcomes.flatMap(one => this.#arrived(one));
    if (handlings.length > 0) await this.#track(this.#answerAll(handlings, { value: true }));
  }

  /**
   * Keeps messages. Where the store does one thing after the other, who waits for them is woken at once, so that one transaction and one
   * wait for the disk keep a message and give it out.
   */
  #post(mail: readonly NewMail[]): Promise<readonly PostOutcome[]> {
    const { waiting, inTurn } = this.#parts;
    const posting = this.#parts.mail.post(mail);
    if (inTurn)
      for (const { tenant, entries } of mail)
        waiting.wake(
          tenant,
          entries.filter(({ held }) => held === undefined).map(({ inbox }) => inbox),
        );
    return posting;
  }

  async #routed(sending: Sending): Promise<NewMail | DomainError> {
    try {
      return packed(sending, await this.#entriesOf(sending.draft));
    } catch (error) {
      if (error instanceof DomainError) return error;
      throw error;
    }
  }

  async #entriesOf(draft: Draft): Promise<readonly NewEntry[]> {
    const wire = this.#parts.wires.get(draft.dialect);
    if (wire === undefined) throw new Error(`a message came by ${draft.dialect}, which is no wire`);
    const routes = await wire.route(draft);
    return Promise.all(
      routes.map(async ({ inbox, lane, notBefore }): Promise<NewEntry> => {
        if (notBefore !== undefined) return { inbox, lane, notBefore };
        const ours = this.#participants.has(inbox) && !(await this.isTakenOver(draft.tenant, inbox));
        return ours ? { inbox, lane, held: { by: this.#parts.self, ms: HOLD_MS } } : { inbox, lane };
      }),
    );
  }

  /** What agents inside this server are to answer of what was posted; whoever waits for the rest is woken. */
  #arrived(outcome: PostOutcome): readonly Handling[] {
    if (outcome.status !== 'stored') return [];
    const { mail, entries } = outcome;
    this.#parts.waiting.wake(
      mail.tenant,
      entries.map(({ inbox }) => inbox),
    );
    return entries.flatMap(({ entry, attempt, inbox, isHeld }) => {
      const participant = isHeld ? this.#participants.get(inbox) : undefined;
      return participant === undefined
        ? []
        : [{ entry, attempt, inbox, participant, message: messageOf(mail) }];
    });
  }

  /** Why which entries were refused, as far as that is known in time. */
  async #answered(
    handlings: readonly Handling[],
    isLate: { value: boolean },
  ): Promise<ReadonlyMap<number, DomainError>> {
    if (handlings.length === 0) return new Map();
    const answering = this.#track(this.#answerAll(handlings, isLate));
    const { promise: tooLate, resolve } = Promise.withResolvers<null>();
    const cancel = this.#parts.clock.after(ANSWER_MS, () => resolve(null));
    const refusals = await Promise.race([answering, tooLate]);
    cancel();
    isLate.value = true;
    return refusals ?? new Map();
  }

  async #answerAll(
    handlings: readonly Handling[],
    isLate: { readonly value: boolean },
  ): Promise<ReadonlyMap<number, DomainError>> {
    const refusals = new Map<number, DomainError>();
    const exchanges = Map.groupBy(handlings, ({ message }) => message.taskId ?? message.correlationId);
    await Promise.all(
      [...exchanges.values()].map(async exchange => {
        for (const one of exchange) {
          const refusal = await this.#answer(one, isLate);
          if (refusal !== null) refusals.set(one.entry, refusal);
        }
      }),
    );
    return refusals;
  }

  /** Has a message answered; answers why it was refused, where that can still be told to who sent it. */
  async #answer(handling: Handling, isLate: { readonly value: boolean }): Promise<DomainError | null> {
    const letGo = this.#hold(handling);
    try {
      const { message: sealed, participant } = handling;
      const opened = await this.#parts.seals.open(sealed);
      const message = opened ?? ((await participant.handsOn?.(sealed)) === true ? sealed : null);
      if (message === null) await this.#bury(handling);
      else await this.#conclude(handling, await participant.handle(message));
      return null;
    } catch (thrown) {
      const error = asDomainError(thrown);
      this.#logUnforeseen(handling, error);
      const wasLate = isLate.value;
      await this.#refuse(handling, error, wasLate);
      return wasLate ? null : error;
    } finally {
      letGo();
    }
  }

  async #conclude(handling: Handling, drafts: readonly Draft[]): Promise<void> {
    const { entry, attempt, message } = handling;
    const [outcome] = await this.#parts.mail.settle([
      {
        ...{ tenant: message.tenant, entry, attempt, reader: this.#parts.self },
        verdict: { outcome: 'ack' },
        mail: await this.pack(drafts, message),
      },
    ]);
    // Lost: somebody else took it up, and says the same.
    if (outcome?.status === 'done') void this.posted(outcome.posted);
  }

  /** What may go better another time is tried again, unless its sender still waits to hear of it. */
  async #refuse(handling: Handling, error: DomainError, wasLate: boolean): Promise<void> {
    const { entry, attempt, message } = handling;
    const ref = { tenant: message.tenant, entry, attempt, reader: this.#parts.self };
    const { code, details } = error;
    if (wasLate && ERROR_CODES[code].retry === 'yes') {
      const delayMs = error.retryAfterMs ?? RETRY_MS * 2 ** attempt;
      await this.#parts.mail.settle([{ ...ref, verdict: { outcome: 'nack', delayMs } }]);
      return;
    }
    const told = wasLate ? (this.#parts.wires.get(message.dialect)?.refusal(message, error) ?? null) : null;
    const [outcome] = await this.#parts.mail.settle([
      {
        ...ref,
        verdict: { outcome: 'ack' },
        refusal: { code, message: error.message, details },
        mail: told === null ? [] : await this.pack([told], message),
      },
    ]);
    if (outcome?.status === 'done') void this.posted(outcome.posted);
  }

  /** What cannot be opened is a dead letter; its sender is told as of any other. */
  async #bury({ entry, attempt, message }: Handling): Promise<void> {
    const verdict = {
      outcome: 'bury',
      reason: 'undecryptable',
      error: 'this server has no key to it',
    } as const;
    await this.#parts.mail.settle([
      { tenant: message.tenant, entry, attempt, reader: this.#parts.self, verdict },
    ]);
  }

  #hold({ message, entry, attempt }: Handling): () => void {
    const { clock, mail, self } = this.#parts;
    let cancel = clock.after(HOLD_MS / 3, renew);
    function renew(): void {
      const verdict = { outcome: 'extend', visibilityMs: HOLD_MS } as const;
      mail.settle([{ tenant: message.tenant, entry, attempt, reader: self, verdict }]).catch(() => {});
      cancel = clock.after(HOLD_MS / 3, renew);
    }
    return () => cancel();
  }

  #logUnforeseen({ message, participant }: Handling, error: DomainError): void {
    if (error.code !== 'internal') return;
    this.#parts.log.error('a message was not answered', {
      ...{ participant: participant.name, dialect: message.dialect, type: message.type },
      error: error.cause ?? error,
    });
  }

  #track<Answer>(work: Promise<Answer>): Promise<Answer> {
    this.#underWay.add(work);
    const done = (): void => void this.#underWay.delete(work);
    work.then(done, error => {
      done();
      this.#parts.log.warn('messages will be answered again', { error: String(error) });
    });
    return work;
  }
}

function sendOutcomeOf(outcome: PostOutcome): SendOutcome {
  switch (outcome.status) {
    case 'stored':
      return { status: 'accepted', message: messageOf(outcome.mail) };
    case 'same':
      return { status: 'duplicate', message: messageOf(outcome.mail) };
    case 'different':
      return {
        status: 'refused',
        error: new DomainError('conflict', 'there is another message of this id', {
          details: { message_id: outcome.mail.id },
        }),
      };
    case 'full':
      return {
        status: 'refused',
        error: new DomainError('rate_limited', `the inbox ${outcome.inbox} is full`, {
          details: { inbox: outcome.inbox, hint: 'its reader must catch up' },
          retryAfterMs: RETRY_MS,
        }),
      };
  }
}
