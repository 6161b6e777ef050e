// Who gets which task, and when. Workers of this process and long-polling remote ones leave their asks here; whenever a task may
// be ready, tenants are served by stride (domain/fairness.ts) and the store takes the heads of their queues. What is known of
// queues here is a hint that saves looking; the store's answer is the truth.

import type { TenantId } from '../domain/ids.ts';
import { queueOf } from '../domain/queue.ts';
import type { Task, WorkType } from '../domain/task.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Claimed, ClaimPick } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Ask } from './ask.ts';
import type { Attempts, RunningAttempt } from './attempts.ts';
import {
  type Draw,
  type KnownQueue,
  knownQueues,
  nameKey,
  noteReady,
  noteTaken,
  portionsOf,
  takable,
  waitingIn,
  within,
} from './known-queues.ts';
import type { Permits } from './permits.ts';
import type { QuotaRoom, Quotas } from './ports/quotas.ts';
import type { Reuse } from './reuse.ts';
import type { Roster } from './roster.ts';
import type { Shares } from './shares.ts';
import type { Steering } from './steering.ts';

const REFRESH_MS = 1_000;
const CLAIM_MAX = 500;

/** The one place where asks and queues meet. */
export class Dispatcher {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'queues' | 'claim'>;
  readonly #roster: Roster;
  readonly #attempts: Attempts;
  readonly #shares: Shares;
  readonly #quotas: Quotas;
  readonly #permits: Pick<Permits, 'draw' | 'isSpent'>;
  readonly #reuse: Pick<Reuse, 'sieve'>;
  readonly #steering: Pick<Steering, 'permits' | 'offersTo'>;
  readonly #leaseMs: number;
  readonly #asks = new Set<Ask>();
  #queues = new Map<string, KnownQueue>();
  /** Tasks that became ready in queues not looked at yet, by tenant and work type. */
  readonly #unseen = new Map<string, number>();
  #stale = true;
  #lookedAt = 0;
  #running = false;
  #again = false;
  #open = true;
  #onClaimed: (task: Task) => void = () => {};
  #timer: Cancel | null = null;
  #waitingSince: number | null = null;
  #onRoundEnd: (() => void)[] = [];
  readonly #rounds = { begun: 0, ended: 0 };

  constructor(
    log: Log,
    clock: Clock,
    store: Pick<Store, 'queues' | 'claim'>,
    roster: Roster,
    attempts: Attempts,
    guards: {
      readonly shares: Shares;
      readonly quotas: Quotas;
      readonly permits: Pick<Permits, 'draw' | 'isSpent'>;
      readonly reuse: Pick<Reuse, 'sieve'>;
      readonly steering: Pick<Steering, 'permits' | 'offersTo'>;
    },
    options: { readonly leaseMs: number },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#store = store;
    this.#roster = roster;
    this.#attempts = attempts;
    this.#shares = guards.shares;
    this.#quotas = guards.quotas;
    this.#permits = guards.permits;
    this.#reuse = guards.reuse;
    this.#steering = guards.steering;
    this.#leaseMs = options.leaseMs;
  }

  /** Set once by the engine: told of every task the moment it is leased. */
  set onClaimed(tell: (task: Task) => void) {
    this.#onClaimed = tell;
  }

  /**
   * Leaves an ask until it is taken or withdrawn by the function answered. Withdrawing resolves once the ask has been looked at
   * and no claim is under way for it: until then it may still be taken.
   */
  ask(ask: Ask): () => Promise<void> {
    this.#asks.add(ask);
    this.#wake();
    const joined = this.#rounds.begun;
    return async () => {
      while (this.#running && this.#asks.has(ask) && this.#rounds.ended <= joined) {
        await new Promise<void>(resolve => this.#onRoundEnd.push(resolve));
      }
      this.#asks.delete(ask);
    };
  }

  /** A task entered its queue: look again. */
  ready(task: Pick<Task, 'tenant' | 'spec'>): void {
    const name = queueOf(task.tenant, task.spec);
    const known = this.#queues.get(nameKey(name));
    if (known !== undefined) noteReady(known, this.#clock.now());
    else this.#noteUnseen(`${name.tenant}\n${name.workType}`);
    this.#wake();
  }

  /** Slots fell free, or an agent became able to take more: look again. */
  wake(): void {
    this.#wake();
  }

  /** Another process may have put something into a queue: look at them all. */
  look(): void {
    this.#stale = true;
    this.#wake();
  }

  /** Takes no task any more. */
  close(): void {
    this.#open = false;
    this.#timer?.();
    this.#asks.clear();
  }

  /** Milliseconds that tasks have waited here beside a willing worker without one being claimed; null when none waits so. */
  get stalledMs(): number | null {
    return this.#waitingSince === null ? null : this.#clock.now() - this.#waitingSince;
  }

  /** Ready tasks of a tenant and work type, as last known. */
  depthOf(tenant: TenantId, workType: WorkType): number {
    let depth = this.#unseen.get(`${tenant}\n${workType}`) ?? 0;
    for (const { view, depth: waiting } of this.#queues.values())
      if (view.name.tenant === tenant && view.name.workType === workType) depth += waiting;
    return depth;
  }

  /** Whether agents can take more such tasks than stand ahead; those elsewhere poll when they please, so the roster knows (`SAM-40`). */
  couldStartNow(tenant: TenantId, { spec }: Pick<Task, 'spec'>, ahead: number): boolean {
    if (this.#quotas.room(tenant)?.tasks === 0 || this.#permits.isSpent({ tenant, spec })) return false;
    const name = queueOf(tenant, spec);
    let spare = 0;
    for (const ask of this.#asks)
      if (this.#roster.isLocal(ask.agentTenant, ask.agentId) && this.#steering.permits(ask, name))
        spare += this.#room(ask);
    return spare > ahead || spare + this.#roster.spareFor(tenant, spec) > ahead;
  }

  #noteUnseen(kind: string): void {
    this.#stale = true;
    this.#unseen.set(kind, (this.#unseen.get(kind) ?? 0) + 1);
  }

  #wake(): void {
    if (!this.#open) return;
    this.#again = true;
    if (this.#running) return;
    this.#running = true;
    queueMicrotask(() => void this.#run());
  }

  async #run(): Promise<void> {
    while (this.#again && this.#open && this.#asks.size > 0) {
      this.#again = false;
      this.#rounds.begun++;
      try {
        if (this.#stale || this.#clock.monotonic() - this.#lookedAt > REFRESH_MS) await this.#refresh();
        if (await this.#round()) this.#again = true;
      } catch (error) {
        this.#log.warn('claiming failed; trying again in a second', { error: String(error) });
        this.#stale = true;
        break;
      } finally {
        await this.#endRound();
      }
    }
    this.#running = false;
    await this.#endRound();
    this.#schedule();
  }

  /** Resolves when whoever waited to withdraw has done so, before another round could include them. */
  async #endRound(): Promise<void> {
    this.#rounds.ended = this.#rounds.begun;
    const waiting = this.#onRoundEnd;
    this.#onRoundEnd = [];
    for (const resolve of waiting) resolve();
    await undefined;
  }

  /** Polling is the truth, waking only a hint: tasks may come from another node or become claimable by the passing of time. */
  #schedule(): void {
    this.#timer?.();
    if (!this.#open || this.#asks.size === 0) return;
    this.#timer = this.#clock.after(REFRESH_MS, () => {
      this.#stale = true;
      this.#wake();
    });
  }

  async #refresh(): Promise<void> {
    this.#stale = false;
    this.#lookedAt = this.#clock.monotonic();
    const views = await this.#store.queues();
    this.#unseen.clear();
    this.#queues = knownQueues(views, this.#clock.now(), this.#queues);
  }

  /** One claim for all asks at once; true if anything was claimed. */
  async #round(): Promise<boolean> {
    const draw = await this.#draw();
    const picks: ClaimPick[] = [];
    const owners: Ask[] = [];
    const planned = new Map<KnownQueue, number>();
    const rationed = new Set<TenantId>();
    for (const ask of this.#byLoad()) {
      for (const pick of this.#plan(ask, draw, planned, rationed)) {
        picks.push(pick);
        owners.push(ask);
      }
    }
    if (picks.length === 0) {
      this.#waitingSince = null;
      await draw.close([]);
      return false;
    }
    this.#waitingSince ??= this.#clock.now();
    const answers = await this.#store.claim(picks).catch(async error => {
      await draw.close([]);
      throw error;
    });
    const unpermitted = await draw.close(answers.flatMap(claims => claims.map(({ task }) => task)));
    const byAsk = new Map<Ask, RunningAttempt[]>();
    answers.forEach((claims, index) => {
      const [ask, pick] = [owners[index], picks[index]];
      if (ask === undefined || pick === undefined) return;
      this.#count(pick, claims);
      const taken = byAsk.get(ask) ?? [];
      for (const { task, token } of claims) {
        taken.push(this.#attempts.begin(task, token, ask.agentId, ask.agentTenant));
        this.#onClaimed(task);
      }
      byAsk.set(ask, taken);
    });
    return this.#hand(byAsk, new Set(unpermitted));
  }

  async #hand(
    byAsk: ReadonlyMap<Ask, readonly RunningAttempt[]>,
    unpermitted: ReadonlySet<Task>,
  ): Promise<boolean> {
    const all = [...byAsk.values()].flat();
    if (all.length === 0) return false;
    this.#waitingSince = null;
    const toRun = await this.#reuse.sieve(all, unpermitted);
    for (const [ask, claimed] of byAsk) {
      const taken = claimed.filter(attempt => toRun.has(attempt));
      if (taken.length === 0) continue;
      this.#asks.delete(ask);
      ask.take(taken);
    }
    return true;
  }

  /** Permits for the queues of whose tasks no more than so many may run, and that somebody with a free slot asks for. */
  #draw(): Promise<Draw> {
    const keyed = [...this.#queues.values()].filter(({ permit, depth }) => depth > 0 && permit !== null);
    const asks = keyed.length === 0 ? [] : [...this.#asks].filter(ask => this.#room(ask) > 0);
    const slots = asks.reduce((sum, ask) => sum + this.#room(ask), 0);
    const wanted = keyed.filter(({ view, needs }) =>
      asks.some(ask => this.#steering.permits(ask, view.name, needs)),
    );
    return this.#permits.draw(wanted, slots);
  }

  /** What one ask should try to claim: tenants in stride order, a slot at a time, then one pick per tenant. */
  #plan(
    ask: Ask,
    draw: Draw,
    planned: Map<KnownQueue, number>,
    rationed: Set<TenantId>,
  ): readonly ClaimPick[] {
    const slots = Math.min(CLAIM_MAX, this.#room(ask));
    if (slots <= 0) return [];
    const isOffered = this.#steering.offersTo(ask);
    const byTenant = new Map<TenantId, KnownQueue[]>();
    for (const queue of this.#queues.values()) {
      if (takable([queue], planned, draw) <= 0 || !isOffered(queue)) continue;
      const { tenant } = queue.view.name;
      byTenant.set(tenant, [...(byTenant.get(tenant) ?? []), queue]);
    }
    const rooms = this.#ration(byTenant, rationed);
    const waiting = new Map(
      [...byTenant].map(([tenant, queues]) => [tenant, waitingIn(queues, planned, draw)]),
    );
    const limits = this.#shares.of(ask.types, waiting, slots, rooms);
    const free = this.#roster.free(ask.agentTenant, ask.agentId);
    return [...limits].flatMap(([tenant, slotsOfTenant]) => {
      const room = rooms.get(tenant);
      if (room !== undefined) rationed.add(tenant);
      const wish = { draw, alone: room !== undefined };
      const portions = portionsOf(byTenant.get(tenant) ?? [], slotsOfTenant, planned, wish);
      return portions.map(({ queues, limit }) => {
        const requesters = new Set(queues.map(queue => queue.view.name.requester));
        return {
          agentId: ask.agentId,
          queues: queues.map(queue => queue.view.id),
          limit,
          leaseMs: this.#leaseMs,
          free: room === undefined ? free : within(free, room),
          ...(requesters.size > 1 ? { held: this.#attempts.heldIn(tenant) } : {}),
        };
      });
    });
  }

  /** What quotas leave each tenant, dropping who has nothing left. Such a tenant gets one pick a round: the next must know of it. */
  #ration(
    byTenant: Map<TenantId, readonly KnownQueue[]>,
    rationed: ReadonlySet<TenantId>,
  ): ReadonlyMap<TenantId, QuotaRoom> {
    const rooms = new Map<TenantId, QuotaRoom>();
    for (const tenant of byTenant.keys()) {
      const room = this.#quotas.room(tenant);
      if (room === null) continue;
      if (room.tasks > 0 && !rationed.has(tenant)) rooms.set(tenant, room);
      else byTenant.delete(tenant);
    }
    return rooms;
  }

  #count(pick: ClaimPick, claims: readonly Claimed[]): void {
    const now = this.#clock.now();
    const byId = new Map([...this.#queues.values()].map(queue => [queue.view.id, queue]));
    for (const { queue } of claims) {
      const known = byId.get(queue);
      if (known !== undefined) noteTaken(known, now);
    }
    // Fewer than believed: the rest does not fit or is gone. Look before believing again; also who is next for a permit.
    if (claims.length < pick.limit || claims.some(({ task }) => task.spec.concurrency !== undefined))
      this.#stale = true;
  }

  #room(ask: Ask): number {
    return Math.min(ask.slots(), this.#roster.room(ask.agentTenant, ask.agentId));
  }

  #byLoad(): readonly Ask[] {
    if (this.#asks.size === 1) return [...this.#asks];
    const waiting = [...this.#queues.values()].filter(({ depth }) => depth > 0);
    const wanted = new Set(waiting.map(({ view }) => view.name.workType));
    return [...this.#asks]
      .map(ask => ({ ask, ...this.#roster.standing(ask.agentTenant, ask.agentId, wanted) }))
      .sort((a, b) => a.busyShare - b.busyShare || a.coldness - b.coldness || a.errorRate - b.errorRate)
      .map(({ ask }) => ask);
  }
}
