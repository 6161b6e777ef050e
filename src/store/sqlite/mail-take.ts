// What a reader gets: the first entries of the lines whose turn it is, of several inboxes merged by urgency and age.

import type { TenantId } from '../../domain/ids.ts';
import type { MessageId } from '../../domain/message.ts';
import type { DeadLetters } from './dead-letters.ts';
import type { HeldEntry } from './held.ts';
import type { Holding, Inboxes, WaitingEntry } from './inboxes.ts';

/** Entries read at a time. */
const PAGE = 32;

/** How many expired entries a take clears out of its way; the rest wait for the sweep. */
const EXPIRED_MAX = 256;

/** What is said of a message that expired in its inbox. */
export const EXPIRED = 'it was not taken in time';

/** Who takes how much, of which inboxes. */
export interface Taking {
  readonly tenant: TenantId;
  readonly boxes: readonly number[];
  /** Only answers to it. */
  readonly replyTo: MessageId | null;
  readonly reader: string;
  readonly limit: number;
  readonly visibleUntil: number;
  readonly now: number;
}

interface Rooms {
  readonly inboxes: Inboxes;
  readonly dead: DeadLetters;
}

/** Takes entries for a reader, in order; they are as they are now: held, under one delivery more. */
export function takeEntries(taking: Taking, rooms: Rooms): readonly HeldEntry[] {
  const { tenant, boxes, replyTo, limit } = taking;
  if (replyTo === null) return takeInTurn(taking, rooms);
  return rooms.inboxes
    .answers(boxes, { tenant, message: replyTo }, limit)
    .map(entry => holdFor(taking, entry, rooms.inboxes).held);
}

function holdFor({ reader, visibleUntil }: Taking, entry: WaitingEntry, inboxes: Inboxes): Holding {
  return inboxes.hold(entry, { reader, visibleUntil, attempt: entry.attempt + 1 });
}

function takeInTurn(taking: Taking, { inboxes, dead }: Rooms): readonly HeldEntry[] {
  const { boxes, reader, limit, now } = taking;
  const heads = boxes.map(box => new Head(box, { inboxes, reader, pageSize: Math.min(limit, PAGE) }));
  const taken: HeldEntry[] = [];
  let expired = 0;
  while (taken.length < limit && expired < EXPIRED_MAX) {
    const head = foremost(heads);
    const entry = head?.peek();
    if (head === undefined || entry == null) break;
    if (entry.expiresAt !== null && entry.expiresAt <= now) {
      dead.die(entry, 'expired', EXPIRED);
      expired += 1;
      head.reset();
      continue;
    }
    const { held, turnsChanged } = holdFor(taking, entry, inboxes);
    taken.push(held);
    head.taken(entry, turnsChanged);
  }
  return taken;
}

/** The lines of one inbox that are anybody's or the reader's. */
class Head {
  readonly #box: number;
  readonly #inboxes: Inboxes;
  readonly #reader: string;
  readonly #pageSize: number;
  /** Lines that are anybody's; one whose lane became the reader's meanwhile is among its own now. */
  #free: readonly WaitingEntry[] | null = null;
  #index = 0;
  /** The first of the reader's own; undefined where that is to be read. */
  #own: WaitingEntry | null | undefined;

  constructor(
    box: number,
    by: { readonly inboxes: Inboxes; readonly reader: string; readonly pageSize: number },
  ) {
    this.#box = box;
    this.#inboxes = by.inboxes;
    this.#reader = by.reader;
    this.#pageSize = by.pageSize;
  }

  peek(): WaitingEntry | null {
    if (this.#own === undefined) this.#own = this.#inboxes.turns(this.#box, this.#reader, 1)[0] ?? null;
    const free = this.#nextFree();
    if (free === null || this.#own === null) return free ?? this.#own;
    return precedes(this.#own, free) ? this.#own : free;
  }

  /** Goes on after an entry that was taken, whose lane is the reader's now: what else waits there may be among its own. */
  taken(entry: WaitingEntry, turnsChanged: boolean): void {
    if (entry.turn === '') this.#index += 1;
    if (turnsChanged || entry.turn !== '') this.#own = undefined;
  }

  reset(): void {
    this.#free = null;
    this.#own = undefined;
  }

  #nextFree(): WaitingEntry | null {
    for (;;) {
      if (
        this.#free === null ||
        (this.#index === this.#free.length && this.#free.length === this.#pageSize)
      ) {
        this.#free = this.#inboxes.turns(this.#box, '', this.#pageSize);
        this.#index = 0;
      }
      const entry = this.#free[this.#index];
      if (entry === undefined) return null;
      if (this.#inboxes.held.turnOf(entry.box, entry.lane) === '') return entry;
      this.#index += 1;
    }
  }
}

function foremost(heads: readonly Head[]): Head | undefined {
  let first: Head | undefined;
  let least: WaitingEntry | null = null;
  for (const head of heads) {
    const entry = head.peek();
    if (entry === null || (least !== null && !precedes(entry, least))) continue;
    first = head;
    least = entry;
  }
  return first;
}

function precedes(one: WaitingEntry, other: WaitingEntry): boolean {
  return one.priority < other.priority || (one.priority === other.priority && one.entry < other.entry);
}
