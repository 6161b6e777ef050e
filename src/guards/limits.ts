// How many requests a caller has (`SAM-52`, `SAM-53`): fixed windows, counted in memory so that no request waits. Nodes tell each other
// their counts every few seconds through one document each; a document outlives its node, so a restart restores the counts too. Of
// addresses they tell of those alone that use a good part of their budget, so that a flood from many writes little.

import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Principal } from '../domain/principal.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Service } from '../runtime/service.ts';
import { type Documents, everyDocument } from './documents.ts';
import { callerNetworkOf } from './network.ts';

/** The default limits; `off` lifts them all, and only keys with a limit of their own are still held to it. */
export type RateOptions =
  | 'off'
  | {
      readonly standardPerHour: number;
      readonly statusPerHour: number;
      readonly unauthenticatedPerMinute: number;
    };

/** How a caller stands in the window under way. */
export interface RateStanding {
  readonly limit: number;
  readonly remaining: number;
  /** When the window ends, epoch milliseconds. */
  readonly resetAt: number;
  readonly windowMs: number;
  /** Null where the request is admitted, else how long until the next may be. */
  readonly retryAfterMs: number | null;
}

interface Window {
  readonly name: string;
  /** Whose count is charged when there is no memory for the name's own. */
  readonly overflow: string;
  readonly limit: number;
  readonly windowMs: number;
  readonly toldFrom: number;
}

interface Count {
  /** When the window began. */
  since: number;
  count: number;
  readonly windowMs: number;
  /** From which count on the other nodes are told. */
  readonly toldFrom: number;
}

type SharedCounts = Readonly<Record<string, readonly [since: number, count: number]>>;

/** What holds unless the configuration says otherwise. */
export const DEFAULT_RATES = {
  standardPerHour: 1_000,
  statusPerHour: 10_000,
  unauthenticatedPerMinute: 100,
} as const;

const KIND = 'rate_counts';
const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const SHARE_MS = 3_000;
const COUNTS_MAX = 100_000;
/** An address is told of once it has used this share of its minute; and no more of them than so many, the busiest. */
const ADDRESS_SHARE = 0.1;
const ADDRESSES_TOLD_MAX = 1_000;

/** Counts requests; a window never admits more than its limit on one node, and over nodes only what happens within 3 s. */
export class RateLimits implements Service {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Documents;
  readonly #options: RateOptions;
  readonly #countsMax: number;
  readonly #node: string;
  readonly #counts = new Map<string, Count>();
  #others: ReadonlyMap<string, readonly (readonly [number, number])[]> = new Map();
  #cancelShare: Cancel = () => undefined;
  #running = false;
  #dirty = false;

  constructor(
    log: Log,
    clock: Clock,
    random: Random,
    store: Documents,
    options: RateOptions = DEFAULT_RATES,
    countsMax = COUNTS_MAX,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#options = options;
    this.#countsMax = countsMax;
    this.#node = random.uuid();
  }

  async start(): Promise<void> {
    this.#running = true;
    await this.#shareAndRepeat();
  }

  async stop(): Promise<void> {
    if (!this.#running) return;
    this.#running = false;
    this.#cancelShare();
    await this.share();
  }

  /** What a token's own limit cannot exceed. */
  get standardPerHour(): number {
    return this.#options === 'off' ? Infinity : this.#options.standardPerHour;
  }

  /** Charges a request of a known caller; `free` charges nothing and shows the standard budget. Null where there is no limit. */
  charge(principal: Principal, rate: 'standard' | 'status' | 'free'): RateStanding | null {
    const budget = rate === 'status' ? 'status' : 'standard';
    const limit = this.#limitOf(principal, budget);
    if (limit === null) return null;
    // Status routes are counted by user, whichever of their credentials they show.
    const who = budget === 'status' ? (principal.userId ?? principal.id) : principal.id;
    const name = `${budget} ${principal.tenant} ${who}`;
    const overflow = `overflow ${budget} ${principal.tenant}`;
    return this.#take({ name, overflow, limit, windowMs: HOUR_MS, toldFrom: 1 }, rate === 'free' ? 0 : 1);
  }

  /** Charges a request that showed no valid credential to its address (IPv6: its /64). */
  chargeAddress(address: string): RateStanding | null {
    if (this.#options === 'off') return null;
    const limit = this.#options.unauthenticatedPerMinute;
    const name = `address ${callerNetworkOf(address)}`;
    const toldFrom = Math.ceil(limit * ADDRESS_SHARE);
    return this.#take({ name, overflow: 'overflow address', limit, windowMs: MINUTE_MS, toldFrom }, 1);
  }

  /** Tells the other nodes what was counted here and learns what they counted. */
  async share(): Promise<void> {
    if (this.#dirty) await this.#tell();
    const documents = await everyDocument(this.#store, { kind: KIND });
    const others = new Map<string, (readonly [number, number])[]>();
    for (const { id, body } of documents) {
      if (id === this.#node) continue;
      for (const [name, entry] of Object.entries(body.counts as unknown as SharedCounts))
        others.set(name, [...(others.get(name) ?? []), entry]);
    }
    this.#others = others;
  }

  #limitOf({ rateLimit }: Principal, budget: 'standard' | 'status'): number | null {
    if (budget === 'standard' && rateLimit !== undefined) return rateLimit;
    if (this.#options === 'off') return null;
    return budget === 'status' ? this.#options.statusPerHour : this.#options.standardPerHour;
  }

  #take(window: Window, charge: 0 | 1): RateStanding {
    const { limit, windowMs } = window;
    const now = this.#clock.now();
    const { name, counted } = this.#countOf(window, now - (now % windowMs));
    const elsewhere = (this.#others.get(name) ?? [])
      .filter(([since]) => since === counted.since)
      .reduce((total, [, count]) => total + count, 0);
    const left = limit - counted.count - elsewhere;
    const isAdmitted = left >= charge;
    if (isAdmitted && charge > 0) {
      counted.count += charge;
      this.#dirty ||= counted.count >= counted.toldFrom;
    }
    const resetAt = counted.since + windowMs;
    return {
      limit,
      remaining: Math.max(0, isAdmitted ? left - charge : left),
      resetAt,
      windowMs,
      retryAfterMs: isAdmitted ? null : Math.max(1, resetAt - now),
    };
  }

  /** The caller's count, or when memory is full the one all newcomers share: a flood of names must not buy anybody more. */
  #countOf(window: Window, since: number): { readonly name: string; readonly counted: Count } {
    const { name, overflow, windowMs, toldFrom } = window;
    const known = this.#counts.get(name);
    if (known !== undefined) {
      // Only forwards: a clock set back must not open a spent window again.
      if (since > known.since) Object.assign(known, { since, count: 0 });
      return { name, counted: known };
    }
    if (this.#counts.size >= this.#countsMax) this.#dropEnded();
    if (this.#counts.size >= this.#countsMax && name !== overflow)
      return this.#countOf({ ...window, name: overflow }, since);
    const counted = { since, count: 0, windowMs, toldFrom };
    this.#counts.set(name, counted);
    return { name, counted };
  }

  #dropEnded(): void {
    const now = this.#clock.now();
    for (const [name, { since, windowMs }] of this.#counts)
      if (since + windowMs <= now) this.#counts.delete(name);
  }

  async #tell(): Promise<void> {
    this.#dirty = false;
    const now = this.#clock.now();
    const told = [...this.#counts].filter(
      ([, { since, count, windowMs, toldFrom }]) => count >= toldFrom && since + windowMs > now,
    );
    const [callers, addresses] = [HOUR_MS, MINUTE_MS].map(ms =>
      told.filter(([, { windowMs }]) => windowMs === ms),
    );
    const busiest = addresses?.sort(([, one], [, other]) => other.count - one.count);
    const entries = [...(callers ?? []), ...(busiest?.slice(0, ADDRESSES_TOLD_MAX) ?? [])];
    const body: JsonObject = {
      counts: Object.fromEntries(entries.map(([name, { since, count }]) => [name, [since, count]])),
    };
    const ref = { tenant: DEFAULT_TENANT, kind: KIND, id: this.#node };
    try {
      await this.#store.putDocuments([{ ...ref, body, expiresAt: now + HOUR_MS }]);
    } catch (error) {
      this.#dirty = true;
      throw error;
    }
  }

  async #shareAndRepeat(): Promise<void> {
    try {
      await this.share();
    } catch (error) {
      this.#log.warn('rate counts could not be shared', { error: String(error) });
    }
    if (this.#running) this.#cancelShare = this.#clock.after(SHARE_MS, () => void this.#shareAndRepeat());
  }
}
