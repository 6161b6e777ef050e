// What is to be done about mail now and then by one node: what was held too long goes back, what nobody took dies, its senders are
// told, and what is long settled is forgotten.

import { DomainError } from '../../domain/errors.ts';
import { DEFAULT_TENANT, type TenantId } from '../../domain/ids.ts';
import { type Draft, type InboxName, isOfSubscription } from '../../domain/message.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { DeadLetter, MailStore, MailTerms } from '../../store/mail.ts';
import type { Store } from '../../store/store.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import { messageOf } from './packing.ts';
import type { Sorting } from './sorting.ts';
import type { Waiting } from './waiting.ts';

/** A message is a dead letter once it was delivered so often in vain. */
export const DELIVERIES_MAX = 5;

const LIMIT = 500;
const LOOK_MS = 1_000;
const PURGE_MS = 600_000;
const HOLD_MS = 30_000;
/** So often it is looked what agents that are gone left behind. */
const INHERIT_MS = 10_000;
const DAY_MS = 86_400_000;
const TERMS: MailTerms = { messagesMs: 30 * DAY_MS, deadLettersMs: 7 * DAY_MS, namesMs: 2 * DAY_MS };

/** What the chores need. */
export interface ChoresParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Pick<Store, 'documents'>;
  readonly mail: MailStore;
  readonly wires: ReadonlyMap<string, MessageWire>;
  readonly sorting: Sorting;
  readonly waiting: Waiting;
  readonly self: string;
  readonly leads: () => boolean;
}

/** Does the chores until stopped. */
export class Chores {
  readonly #parts: ChoresParts;
  readonly #stop = new AbortController();
  #working: Promise<void> | null = null;
  #purgedAt = Number.NEGATIVE_INFINITY;
  #inheritedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: ChoresParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#working = this.#work();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#working;
  }

  async #work(): Promise<void> {
    const { clock, log, leads } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let waitMs = LOOK_MS;
      try {
        if (leads()) waitMs = Math.min(LOOK_MS, await this.#once());
      } catch (error) {
        log.warn('the chores of the mailroom are done later', { error: String(error) });
      }
      await pause(clock, Math.max(10, waitMs), signal).catch(() => {});
    }
  }

  /** Answers when there is more to do. */
  async #once(): Promise<number> {
    const { clock, mail, waiting } = this.#parts;
    const { moved, ready, nextDueInMs } = await mail.sweep(LIMIT, DELIVERIES_MAX);
    for (const { tenant, inbox } of ready) waiting.wake(tenant, [inbox]);
    for (const { tenant, inbox } of ready) await this.#takeUp(tenant, inbox);
    if (clock.monotonic() - this.#inheritedAt > INHERIT_MS) {
      this.#inheritedAt = clock.monotonic();
      await this.#inherit();
    }
    const told = await this.#tellTheBereaved();
    if (clock.monotonic() - this.#purgedAt > PURGE_MS) {
      this.#purgedAt = clock.monotonic();
      while ((await mail.purge(TERMS, LIMIT)) === LIMIT && !this.#stop.signal.aborted);
    }
    return moved >= LIMIT || told >= LIMIT ? 0 : (nextDueInMs ?? LOOK_MS);
  }

  /** Has the agents inside this server answer what is for them, unless agents of the tenant took that over. */
  async #takeUp(tenant: TenantId, inbox: InboxName): Promise<void> {
    const { mail, sorting, self } = this.#parts;
    if (!sorting.ownInboxes.includes(inbox) || (await sorting.isTakenOver(tenant, inbox))) return;
    const pick = {
      tenant,
      inboxes: [inbox],
      reader: self,
      limit: LIMIT,
      visibilityMs: HOLD_MS,
      replyTo: null,
    };
    const [taken = []] = await mail.take([pick]);
    void sorting.takeUp(taken);
  }

  /** What waits for an agent that had taken the place of one inside this server, and is gone, is answered by that one. */
  async #inherit(): Promise<void> {
    const { mail, sorting, store } = this.#parts;
    const tenants = (await store.documents({ kind: 'tenant' })).map(({ id }) => id as TenantId);
    for (const tenant of new Set([DEFAULT_TENANT, ...tenants]))
      for (const { inbox, waiting } of await mail.depths(tenant, sorting.ownInboxes))
        if (waiting > 0) await this.#takeUp(tenant, inbox);
  }

  /** Tells the senders of dead letters, and whoever watches, each once. */
  async #tellTheBereaved(): Promise<number> {
    const { mail, sorting } = this.#parts;
    const letters = await mail.untold(LIMIT);
    const silent: number[] = [];
    for (const letter of letters) {
      const drafts = this.#obituaries(letter);
      if (drafts.length === 0) {
        silent.push(letter.id);
        continue;
      }
      const packed = await sorting.pack(drafts);
      // Only once all of it is said, the letter is told of.
      const last = packed.length - 1;
      const posts = packed.map((one, index) => (index === last ? { ...one, tellsOf: letter.id } : one));
      await sorting.posted(await mail.post(posts));
    }
    if (silent.length > 0) await mail.told(silent);
    return letters.length;
  }

  /** To its sender, who does not know of a subscriber's copy; and to whoever watches what is lost. */
  #obituaries(letter: DeadLetter): readonly Draft[] {
    if (letter.mail === null) return [];
    const message = messageOf(letter.mail);
    const wire = this.#parts.wires.get(message.dialect);
    const error = errorOf(letter);
    const told = isOfSubscription(letter.inbox)
      ? null
      : this.#worded(letter, () => wire?.refusal(message, error));
    const event = this.#worded(letter, () => wire?.unrecoverable?.(message, error));
    return [told, event].filter(one => one !== null);
  }

  /** What a wire has no words for is not said, or it would hold up all that died later. */
  #worded({ id, dialect }: DeadLetter, word: () => Draft | null | undefined): Draft | null {
    try {
      return word() ?? null;
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'unprocessable') throw error;
      this.#parts.log.error('a dead letter cannot be told of', { letter: id, dialect, error: error.message });
      return null;
    }
  }
}

function errorOf({ reason, error, inbox, attempts }: DeadLetter): DomainError {
  const details = { reason, inbox, attempts };
  switch (reason) {
    case 'expired':
      return new DomainError('task_timeout', 'the message expired before anybody took it', { details });
    case 'max_deliveries':
      return new DomainError(
        'upstream_timeout',
        `nobody acknowledged the message in ${attempts} deliveries`,
        { details },
      );
    case 'no_receiver':
      return new DomainError('unavailable', 'there is nobody to take the message', { details });
    case 'undecryptable':
      return new DomainError('invalid_request', 'the receiver cannot open the message', { details });
    case 'rejected_by_receiver':
    case 'invalid':
      return new DomainError('unprocessable', error === '' ? 'the receiver rejected the message' : error, {
        details,
      });
  }
}
