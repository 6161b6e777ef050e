// When a worker talks to the server, and what it says: one exchange carries results, progress and renewals there and new tasks back.
// While there is work, exchanges are short and what is to be said gathers while they are under way. When there is none, one long
// poll waits for it with empty hands, so that nothing said ever waits behind it.

import type { BatutaClient } from './client.ts';
import type { Cancel, Clock } from './clock.ts';
import { BatutaError } from './errors.ts';
import type { Outbox, Word } from './outbox.ts';
import { backoffMs } from './transport.ts';
import type { WorkAnswer, WorkReference, WorkRequest } from './wire.ts';

/** What the exchanges need to know of the place where the work is done. */
export interface HeldTasks {
  /** Tasks under way. */
  readonly running: number;
  /** Leases that should be renewed now. */
  renewals(): readonly WorkReference[];
  /** Takes in an answer, with what it answers. */
  answered(answer: WorkAnswer & { readonly serverNow: number }, said: readonly Word[]): void;
}

/** Limits of the exchanges. */
export interface ExchangeOptions {
  readonly client: BatutaClient;
  /** What every exchange says of the worker. */
  readonly self: Pick<WorkRequest, 'agent_id' | 'types' | 'capabilities' | 'region' | 'labels' | 'version'>;
  readonly slots: number;
  /** Tasks asked for in one exchange at most. */
  readonly claimMax: number;
  /** Short exchanges under way at once, beside the long poll. */
  readonly exchangesMax: number;
  readonly waitSeconds: number;
  readonly onError: (error: unknown) => void;
}

const BACKOFF = { firstDelayMs: 250, delayMaxMs: 10_000 };
/** Progress and log lines wait this long for company. */
const GATHER_MS = 250;
/** A poll that comes back with nothing sooner than this was not held: asking again at once would be a storm. */
const POLL_MS_MIN = 500;

/** An exchange to begin: tasks asked for, and how long to wait for them; one that waits is the long poll. */
interface Plan {
  readonly slots: number;
  readonly waitSeconds: number;
}

/** Keeps the conversation going from `open` to `close`. */
export class Exchanges {
  readonly #options: ExchangeOptions;
  readonly #outbox: Outbox;
  readonly #heldTasks: HeldTasks;
  #asking = false;
  /** The last answer gave all that was asked for, so there may be more. */
  #plenty = true;
  /** Slots promised to exchanges under way. */
  #asked = 0;
  #short = 0;
  readonly #underWay = new Set<AbortController>();
  #poll: { readonly slots: number; readonly abort: AbortController } | null = null;
  /** Something must be said now: gathered words, or renewals. */
  #pressing = false;
  #failures = 0;
  #rest: Cancel | null = null;
  #gathering: Cancel | null = null;
  #soon: Cancel | null = null;
  #closed = false;
  #opening: PromiseWithResolvers<void> | null = null;
  #emptied: PromiseWithResolvers<void> | null = null;

  constructor(options: ExchangeOptions, outbox: Outbox, heldTasks: HeldTasks) {
    this.#options = options;
    this.#outbox = outbox;
    this.#heldTasks = heldTasks;
  }

  /** Begins to ask for work; resolves with the first answer, rejects if it is a refusal. */
  open(): Promise<void> {
    this.#asking = true;
    this.#opening = Promise.withResolvers();
    this.#pump();
    return this.#opening.promise;
  }

  /** A task ended: its result goes at once, together with those that end in the same moment. */
  ended(): void {
    if (this.#heldTasks.running === 0) this.#pump();
    else this.#pumpSoon();
  }

  /** Something less urgent was said. */
  said(): void {
    this.#gathering ??= this.#clock.after(GATHER_MS, () => {
      this.#gathering = null;
      this.press();
    });
  }

  /** Says now what there is to say, and renews what is due. */
  press(): void {
    this.#pressing = true;
    this.#pump();
  }

  /** Asks for no more work; what is to be said still goes. */
  stopAsking(): void {
    this.#asking = false;
    this.#poll?.abort.abort();
  }

  /** Resolves when everything said so far was heard. */
  emptied(): Promise<void> {
    this.#emptied ??= Promise.withResolvers();
    if (!this.#outbox.empty) this.press();
    this.#settle();
    return this.#emptied.promise;
  }

  /** Falls silent for ever, whatever is left to say. */
  close(): void {
    this.#closed = true;
    this.stopAsking();
    for (const abort of this.#underWay) abort.abort();
    for (const cancel of [this.#rest, this.#gathering, this.#soon]) cancel?.();
  }

  get #clock(): Clock {
    return this.#options.client.clock;
  }

  #pumpSoon(): void {
    this.#soon ??= this.#clock.after(0, () => {
      this.#soon = null;
      this.#pump();
    });
  }

  #pump(): void {
    for (let plan = this.#plan(); plan !== null; plan = this.#plan()) void this.#exchange(plan);
  }

  /** The next exchange to begin now, or null. */
  #plan(): Plan | null {
    if (this.#rest !== null || this.#closed) return null;
    const { slots: all, claimMax, exchangesMax, waitSeconds } = this.#options;
    const { running } = this.#heldTasks;
    const slots = this.#asking ? Math.max(0, Math.min(all - running - this.#asked, claimMax)) : 0;
    const speaking = this.#pressing || this.#outbox.urgent;
    if (this.#short < exchangesMax && (speaking || (this.#plenty && slots > 0)))
      return { slots, waitSeconds: 0 };
    if (this.#short > 0 || !this.#asking) return null;
    // A worker with no slot left still listens for cancellations, until it has one to offer.
    if (this.#poll !== null && this.#poll.slots === 0 && slots > 0) this.#poll.abort.abort();
    const useful = slots > 0 || running > 0;
    return this.#poll === null && useful ? { slots, waitSeconds } : null;
  }

  async #exchange(plan: Plan): Promise<void> {
    const long = plan.waitSeconds > 0;
    const abort = new AbortController();
    const said = long ? [] : this.#outbox.take();
    this.#begin(plan, abort);
    const begun = this.#clock.monotonic();
    let begins = false;
    try {
      const request = this.#request(said, plan);
      const answer = await this.#options.client.work(request, { signal: abort.signal });
      this.#end(plan, abort);
      this.#heard(answer, said, plan);
      begins = answer.leases.length > 0;
      const brief = long && this.#clock.monotonic() - begun < POLL_MS_MIN;
      if (brief && isEmpty(answer)) this.#restFor(backoffMs(1, BACKOFF));
    } catch (error) {
      this.#end(plan, abort);
      if (abort.signal.aborted) this.#outbox.unheard(said);
      else this.#failed(error, said);
    }
    if (!this.#outbox.empty && !this.#outbox.urgent) this.said();
    this.#settle();
    // Tasks that end as soon as they begin go with the next exchange rather than the one after.
    if (begins) this.#pumpSoon();
    else this.#pump();
  }

  #begin(plan: Plan, abort: AbortController): void {
    this.#underWay.add(abort);
    this.#asked += plan.slots;
    if (plan.waitSeconds > 0) this.#poll = { slots: plan.slots, abort };
    else {
      this.#short += 1;
      this.#pressing = false;
    }
  }

  #end(plan: Plan, abort: AbortController): void {
    if (!this.#underWay.delete(abort)) return;
    this.#asked -= plan.slots;
    if (plan.waitSeconds > 0) this.#poll = null;
    else this.#short -= 1;
  }

  #request(said: readonly Word[], plan: Plan): WorkRequest {
    return {
      ...this.#options.self,
      slots: plan.slots,
      wait_seconds: plan.waitSeconds,
      results: said.flatMap(word => (word.kind === 'result' ? [word.item] : [])),
      progress: said.flatMap(word => (word.kind === 'progress' ? [word.item] : [])),
      logs: said.flatMap(word => (word.kind === 'log' ? [word.item] : [])),
      heartbeats: plan.waitSeconds > 0 ? [] : this.#heldTasks.renewals(),
    };
  }

  #heard(answer: WorkAnswer & { readonly serverNow: number }, said: readonly Word[], plan: Plan): void {
    this.#failures = 0;
    this.#outbox.heard(said);
    if (plan.slots > 0) this.#plenty = answer.leases.length >= plan.slots;
    this.#heldTasks.answered(answer, said);
    this.#opening?.resolve();
    this.#opening = null;
  }

  #failed(error: unknown, said: readonly Word[]): void {
    const refusal = error instanceof BatutaError && [400, 413, 422].includes(error.status) ? error : null;
    if (refusal !== null && said.length > 0) this.#outbox.refused(said, refusal.message);
    else {
      this.#outbox.unheard(said);
      this.#failures += 1;
      const asked = error instanceof BatutaError ? (error.retryAfterMs ?? 0) : 0;
      this.#restFor(Math.max(asked, backoffMs(this.#failures, BACKOFF)));
    }
    if (this.#opening !== null && error instanceof BatutaError && !error.retryable) {
      this.#opening.reject(error);
      this.#opening = null;
      this.close();
    } else this.#options.onError(error);
  }

  #restFor(ms: number): void {
    this.#rest ??= this.#clock.after(Math.min(ms, 60_000), () => {
      this.#rest = null;
      this.#pump();
    });
  }

  #settle(): void {
    if (this.#outbox.empty && this.#short === 0) this.#emptied?.resolve();
  }
}

function isEmpty(answer: WorkAnswer): boolean {
  return (
    answer.leases.length + answer.cancellations.length + answer.extensions.length + answer.rejected.length ===
    0
  );
}
