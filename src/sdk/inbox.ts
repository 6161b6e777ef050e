// An agent's inbox as the agent reads it: deliveries come by long poll or socket, are held while they are handled, and settled. What is in
// them is agent.ts's.

import { TaskAborted } from './attempt.ts';
import type { Cancel, Clock } from './clock.ts';
import { Crowd } from './crowd.ts';
import type { MailDelivery, MailVerdict, VerdictOutcome } from './mail.ts';

/** What came of a delivery; null where it is no longer ours to settle. */
export type Settled = Omit<MailVerdict, 'delivery_id'> | null;

/** How deliveries come and verdicts go. */
export interface MailWay {
  /** Resolves once deliveries may come; rejects with a refusal. */
  open(desk: MailDesk): Promise<void>;
  settle(verdicts: readonly MailVerdict[]): Promise<readonly VerdictOutcome[]>;
  /** Something was settled, so that more may come. */
  freed(): void;
  /** Nothing more comes. */
  hush(): void;
  close(): void;
}

/** Where a way leaves what comes. */
export interface MailDesk {
  /** How many more deliveries may come now. */
  room(): number;
  /** Takes a delivery that is ours for so many milliseconds. */
  take(delivery: MailDelivery, visibleMs: number): void;
  /** What was held is nobody's any more: the connection that held it broke. */
  lost(): void;
  /** Something failed; the way goes on. */
  failed(error: unknown): void;
}

/** What an inbox is made of. */
export interface InboxParts {
  readonly clock: Clock;
  readonly way: MailWay;
  readonly slots: number;
  readonly visibilitySeconds: number;
  readonly onError: (error: unknown) => void;
  /** Handles a delivery to its end; never throws. The signal aborts with a `TaskAborted`. */
  handle(delivery: MailDelivery, held: Held): Promise<Settled>;
}

const SETTLES_UNDER_WAY_MAX = 2;
const SETTLES_TOGETHER_MAX = 100;
/** What a handler gets to end once it was told to stop. */
const LAST_WORDS_MS = 1_000;
/** A gone delivery's answer may have crossed with its renewal. */
const RENEWALS_A_LEASE = 3;

/** A delivery being handled. */
export class Held {
  readonly deliveryId: string;
  readonly #abort = new AbortController();
  #why: TaskAborted['why'] | null = null;
  renewal: Cancel = () => {};
  /** Of a request for work, once it was read. */
  taskId: string | null = null;

  constructor(deliveryId: string) {
    this.deliveryId = deliveryId;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Why the handler was told to stop; null where it was not. */
  get why(): TaskAborted['why'] | null {
    return this.#why;
  }

  abort(why: TaskAborted['why'], message: string): void {
    this.#why ??= why;
    this.#abort.abort(new TaskAborted(why, message));
  }
}

/** Reads an inbox from `open` to `stop`, with so many deliveries under way at once. */
export class Inbox {
  readonly #parts: InboxParts;
  readonly #held = new Map<string, Held>();
  readonly #settles: Crowd<MailVerdict, VerdictOutcome>;
  #idle: PromiseWithResolvers<void> | null = null;
  #stopping: Promise<void> | null = null;

  constructor(parts: InboxParts) {
    this.#parts = parts;
    const { way } = parts;
    const settle = async (verdicts: readonly MailVerdict[]) => {
      const outcomes = await way.settle(verdicts);
      return outcomes.map(value => ({ status: 'fulfilled', value }) as const);
    };
    this.#settles = new Crowd({
      alone: async verdict => {
        const [outcome] = await settle([verdict]);
        if (outcome === undefined) throw new Error('the server answered nothing to a verdict');
        return outcome.value;
      },
      together: settle,
      underWayMax: SETTLES_UNDER_WAY_MAX,
      togetherMax: SETTLES_TOGETHER_MAX,
    });
  }

  /** Deliveries being handled. */
  get held(): number {
    return this.#held.size;
  }

  /** Resolves once the inbox is read; rejects where the server refuses that. */
  open(): Promise<void> {
    const { way, slots, onError } = this.#parts;
    return way.open({
      room: () => slots - this.#held.size,
      take: (delivery, visibleMs) => {
        if (this.#stopping === null) void this.#handle(delivery, visibleMs);
      },
      lost: () => {
        // Given back by the server at once: it may come again under the same name while its handler is still ending.
        for (const held of this.#held.values()) {
          held.renewal();
          held.abort('lease_lost', 'the connection that held it broke');
        }
        this.#held.clear();
      },
      failed: onError,
    });
  }

  /** Tells whoever works on a task to stop; false where nobody here does. */
  abortTask(taskId: string, message: string): boolean {
    const working = [...this.#held.values()].filter(held => held.taskId === taskId);
    for (const held of working) held.abort('cancelled', message);
    return working.length > 0;
  }

  /** Reads no more, lets handlers end, stops those that do not and gives back what they held. Idempotent. */
  stop(graceMs: number): Promise<void> {
    this.#stopping ??= this.#stop(graceMs);
    return this.#stopping;
  }

  async #stop(graceMs: number): Promise<void> {
    this.#parts.way.hush();
    if (!(await this.#allEnded(graceMs))) {
      for (const held of this.#held.values()) held.abort('shutdown', 'the agent is stopping');
      if (!(await this.#allEnded(LAST_WORDS_MS))) {
        const left = [...this.#held.values()].filter(({ why }) => why === 'shutdown');
        await Promise.all(left.map(({ deliveryId }) => this.#settle(deliveryId, { outcome: 'nack' })));
      }
    }
    for (const held of this.#held.values()) held.renewal();
    this.#held.clear();
    this.#parts.way.close();
  }

  async #allEnded(ms: number): Promise<boolean> {
    if (this.#held.size === 0) return true;
    this.#idle = Promise.withResolvers();
    const late = Promise.withResolvers<boolean>();
    const cancel = this.#parts.clock.after(ms, () => late.resolve(false));
    const inTime = await Promise.race([this.#idle.promise.then(() => true), late.promise]);
    cancel();
    return inTime;
  }

  async #handle(delivery: MailDelivery, visibleMs: number): Promise<void> {
    const held = new Held(delivery.delivery_id);
    this.#held.set(held.deliveryId, held);
    this.#renewLater(held, visibleMs);
    const verdict = await this.#parts.handle(delivery, held);
    held.renewal();
    if (verdict !== null && this.#isHeld(held)) await this.#settle(held.deliveryId, verdict);
    if (!this.#isHeld(held)) return;
    this.#held.delete(held.deliveryId);
    this.#parts.way.freed();
    if (this.#held.size === 0) this.#idle?.resolve();
  }

  #isHeld(held: Held): boolean {
    return this.#held.get(held.deliveryId) === held;
  }

  async #settle(deliveryId: string, verdict: Omit<MailVerdict, 'delivery_id'>): Promise<void> {
    try {
      // That a task's lease is over by now is how it should be: its outcome was told before.
      await this.#settles.add({ delivery_id: deliveryId, ...verdict });
    } catch (error) {
      this.#parts.onError(error);
    }
  }

  #renewLater(held: Held, visibleMs: number): void {
    const { clock, visibilitySeconds, onError } = this.#parts;
    held.renewal = clock.after(Math.max(50, visibleMs / RENEWALS_A_LEASE), () => {
      const verdict = { outcome: 'extend', visibility_s: visibilitySeconds } as const;
      const sentAt = clock.now();
      this.#settles.add({ delivery_id: held.deliveryId, ...verdict }).then(
        ({ error, visible_until: until }) => {
          if (!this.#isHeld(held) || held.why !== null) return;
          if (error !== undefined) return held.abort('lease_lost', error.message);
          const left = until === undefined ? Number.NaN : Date.parse(until) - sentAt;
          this.#renewLater(held, Number.isNaN(left) || left <= 0 ? visibleMs : Math.min(left, visibleMs));
        },
        error => {
          onError(error);
          if (this.#isHeld(held)) this.#renewLater(held, visibleMs / RENEWALS_A_LEASE);
        },
      );
    });
  }
}
