// Gives messages out: to whoever reads an inbox now, or as soon as something comes. An agent that can work is also given tasks, each as
// the message that asks for it, under one lease that is the task's and the message's.

import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { InboxName, MessageId } from '../../domain/message.ts';
import { Batcher } from '../../runtime/batcher.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { MailPick, MailStore, TakenMail } from '../../store/mail.ts';
import { type Handout, handoutOf, ONCE } from './handout.ts';
import type { Handed, TaskHandout } from './task-handout.ts';
import type { Waiting } from './waiting.ts';

/** Who reads what. */
export interface ReadRequest {
  readonly tenant: TenantId;
  /** Under which name what is taken is held: nobody else is given it meanwhile. */
  readonly reader: string;
  readonly inboxes: readonly InboxName[];
  readonly limit: number;
  readonly visibilityMs: number;
  /** How long to wait where there is nothing. */
  readonly waitMs: number;
  /** Only answers to that message. */
  readonly replyTo?: MessageId;
  /** The agent that takes tasks too, by what wire it is to be asked. */
  readonly worker?: { readonly agentId: AgentId; readonly dialect: string };
  /** Ends the wait early; what comes in at that moment goes back. */
  readonly signal?: AbortSignal;
}

/** What reading is done with. */
export interface ReadingParts {
  readonly clock: Clock;
  readonly mail: MailStore;
  readonly waiting: Waiting;
  readonly tasks: TaskHandout;
  /** So often everyone who waits looks without being told. */
  readonly lookMs: number;
}

/** Where messages go out. */
export class Reading {
  readonly #parts: ReadingParts;
  readonly #takes: Batcher<MailPick, readonly TakenMail[]>;
  readonly #ends = new Set<() => void>();

  constructor(parts: ReadingParts) {
    this.#parts = parts;
    this.#takes = new Batcher(picks => parts.mail.take(picks));
  }

  /** What there is, the most urgent first; none only once the wait is over. */
  async read(request: ReadRequest): Promise<readonly Handout[]> {
    const now = await this.#now(request);
    if (now.length > 0 || request.waitMs <= 0 || request.signal?.aborted === true) return now;
    return this.#wait(request);
  }

  /** Answers all who wait, so that they ask another node. */
  endWaits(): void {
    for (const end of [...this.#ends]) end();
  }

  async #now(request: ReadRequest): Promise<readonly Handout[]> {
    const { limit, worker } = request;
    const mail = await this.#take(request);
    if (worker === undefined || mail.length >= limit) return mail;
    const tasks = await this.#parts.tasks.take({
      ...handed(request, worker),
      slots: limit - mail.length,
      waitMs: 0,
    });
    return [...mail, ...tasks].sort((one, other) => one.message.priority - other.message.priority);
  }

  async #take(request: ReadRequest): Promise<readonly Handout[]> {
    const { tenant, inboxes, reader, limit, visibilityMs, replyTo = null } = request;
    if (inboxes.length === 0) return [];
    const taken = await this.#takes.add({ tenant, inboxes, reader, limit, visibilityMs, replyTo });
    await this.#letGo(taken, request);
    const handouts = await Promise.all(
      taken.map(async one =>
        one.cause?.startsWith('task:') === true ? this.#parts.tasks.again(one, reader) : handoutOf(one),
      ),
    );
    return handouts.filter(one => one !== null);
  }

  /** What is told once is done with as it is handed over. */
  async #letGo(taken: readonly TakenMail[], { tenant, reader }: ReadRequest): Promise<void> {
    const once = taken.filter(({ cause }) => cause?.startsWith(ONCE) === true);
    if (once.length === 0) return;
    await this.#parts.mail.settle(
      once.map(({ entry, attempt }) => ({ tenant, entry, attempt, reader, verdict: { outcome: 'ack' } })),
    );
  }

  /** Waits for mail and for tasks at once; the first that comes is the answer. */
  async #wait(request: ReadRequest): Promise<readonly Handout[]> {
    const { clock, waiting } = this.#parts;
    const { tenant, inboxes, waitMs, signal, worker } = request;
    const over = new AbortController();
    let wake: () => void = () => {};
    let isWoken = true;
    const ring = (): void => {
      isWoken = true;
      wake();
    };
    const end = (): void => {
      over.abort();
      ring();
    };
    const leave = [
      waiting.join(tenant, inboxes, ring),
      clock.after(waitMs, end),
      this.#lookNowAndThen(ring),
      () => signal?.removeEventListener('abort', end),
      () => this.#ends.delete(end),
    ];
    signal?.addEventListener('abort', end, { once: true });
    this.#ends.add(end);
    let tasks: readonly Handout[] = [];
    const working =
      worker === undefined
        ? Promise.resolve()
        : this.#parts.tasks
            .take({ ...handed(request, worker), slots: request.limit, waitMs, signal: over.signal })
            .then(some => {
              tasks = some;
              if (some.length > 0) ring();
            });
    try {
      for (;;) {
        if (tasks.length > 0) return tasks;
        if (over.signal.aborted) return [];
        if (isWoken) {
          isWoken = false;
          const mail = await this.#take(request);
          if (mail.length > 0) {
            over.abort();
            await working;
            return [...mail, ...tasks];
          }
          continue;
        }
        await new Promise<void>(resolve => (wake = resolve));
      }
    } finally {
      over.abort();
      for (const one of leave) one();
      await working;
    }
  }

  #lookNowAndThen(ring: () => void): () => void {
    const { clock, lookMs } = this.#parts;
    let cancel = clock.after(lookMs, again);
    function again(): void {
      ring();
      cancel = clock.after(lookMs, again);
    }
    return () => cancel();
  }
}

function handed(
  { tenant, reader }: ReadRequest,
  worker: NonNullable<ReadRequest['worker']>,
): Omit<Handed, 'slots' | 'waitMs'> {
  return { tenant, reader, ...worker };
}
