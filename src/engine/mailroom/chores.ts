// What is to be done about mail now and then by one node: what was held too long goes back, what nobody took dies, its senders are
// told, and what is long settled is forgotten.

import { DomainError } from '../../domain/errors.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { DeadLetter, MailStore, MailTerms } from '../../store/mail.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import { messageOf } from './packing.ts';
import type { Sorting } from './sorting.ts';
import type { Waiting } from './waiting.ts';

/** A message is a dead letter once it was delivered so often in vain. */
export const DELIVERIES_MAX = 5;

const LIMIT = 500;
const LOOK_MS = 1_000;
const PURGE_MS = 600_000;
const DAY_MS = 86_400_000;
const TERMS: MailTerms = { messagesMs: 30 * DAY_MS, deadLettersMs: 7 * DAY_MS, namesMs: 2 * DAY_MS };

/** What the chores need. */
export interface ChoresParts {
  readonly log: Log;
  readonly clock: Clock;
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
    const { clock, mail, waiting, sorting, self } = this.#parts;
    const { moved, ready, nextDueInMs } = await mail.sweep(LIMIT, DELIVERIES_MAX);
    for (const { tenant, inbox } of ready) waiting.wake(tenant, [inbox]);
    const own = new Set(sorting.ownInboxes);
    for (const { tenant, inbox } of ready) {
      if (!own.has(inbox) || (await sorting.isTakenOver(tenant, inbox))) continue;
      const pick = {
        tenant,
        inboxes: [inbox],
        reader: self,
        limit: 100,
        visibilityMs: 30_000,
        replyTo: null,
      };
      const [taken = []] = await mail.take([pick]);
      void sorting.takeUp(taken);
    }
    const told = await this.#tellTheBereaved();
    if (clock.monotonic() - this.#purgedAt > PURGE_MS) {
      this.#purgedAt = clock.monotonic();
      while ((await mail.purge(TERMS, LIMIT)) === LIMIT && !this.#stop.signal.aborted);
    }
    return moved >= LIMIT || told >= LIMIT ? 0 : (nextDueInMs ?? LOOK_MS);
  }

  /** Tells the senders of dead letters, each once. */
  async #tellTheBereaved(): Promise<number> {
    const { mail, sorting } = this.#parts;
    const letters = await mail.untold(LIMIT);
    const silent: number[] = [];
    for (const letter of letters) {
      const draft = this.#obituary(letter);
      if (draft === null) {
        silent.push(letter.id);
        continue;
      }
      const [packed] = await sorting.pack([draft]);
      if (packed !== undefined) await sorting.posted(await mail.post([{ ...packed, tellsOf: letter.id }]));
    }
    if (silent.length > 0) await mail.told(silent);
    return letters.length;
  }

  #obituary(letter: DeadLetter): ReturnType<MessageWire['refusal']> {
    if (letter.mail === null) return null;
    const message = messageOf(letter.mail);
    return this.#parts.wires.get(message.dialect)?.refusal(message, errorOf(letter)) ?? null;
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
