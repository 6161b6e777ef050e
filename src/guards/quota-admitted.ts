// What tasks hold from their admission to their end, over all nodes. Each node tells through one document what it admitted and what
// ended at it; what a node that vanished had admitted the others hold on to, so nothing is forgotten and nothing counts twice.

import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import type { Store } from '../store/store.ts';
import { everyDocument } from './documents.ts';
import { type Hold, type Holder, Holdings, type Scope, type ScopeKey } from './quota-usage.ts';

/** What a node tells: by name memory, instant and scopes of what is held, and when what ended did. */
interface Told {
  readonly held: Readonly<Record<string, readonly [memoryMb: number, since: number, ...ScopeKey[]]>>;
  readonly ended: Readonly<Record<string, number>>;
}

const KIND = 'quota_admitted';
/** A node is told of again and again, for its document does not outlive it by much. */
const TELL_MS = 3_000;
const LIFE_MS = 10_000;
/** So long does everyone have to hear of an end; who was away for half of it must count anew. */
const ENDED_MS = 20_000;
const AWAY_MS = 10_000;
const TOLD_MAX = 10_000;

/** Holders by name, of this node and the others; what happened there is known here once `share` was called on both. */
export class Admitted {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments'>;
  readonly #node: string;
  #own = new Holdings<string>();
  #elsewhere = new Holdings<string>();
  /** Of ours, those that the others must know of. */
  readonly #limited = new Set<string>();
  readonly #ended = new Map<string, number>();
  #others: ReadonlyMap<string, Told> = new Map();
  #isUntold = false;
  #toldAt = Number.NEGATIVE_INFINITY;
  #sharedAt: number;

  constructor(
    clock: Clock,
    random: Random,
    store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments'>,
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#node = random.uuid();
    this.#sharedAt = clock.monotonic();
  }

  has(name: string): boolean {
    return this.#own.get(name) !== undefined || this.#elsewhere.get(name) !== undefined;
  }

  /** Holds, unless it holds already or ended since; `isLimited` where there is a limit that it counts against. */
  add(name: string, holder: Holder, isLimited: boolean): void {
    if ((this.#ended.get(name) ?? Number.NEGATIVE_INFINITY) >= holder.since) return;
    this.#own.add(name, holder);
    if (!isLimited) return;
    this.#limited.add(name);
    this.#isUntold = true;
  }

  /** Lets go of what was admitted here a moment ago but is not there after all. */
  undo(name: string): void {
    this.#own.remove(name);
    if (this.#limited.delete(name)) this.#isUntold = true;
  }

  /** Lets go of what ended, wherever it was admitted. */
  end(name: string): void {
    this.undo(name);
    this.#elsewhere.remove(name);
    if (!this.#store.capabilities.shared) return;
    this.#ended.set(name, this.#clock.now());
    this.#isUntold = true;
  }

  of(scope: Scope): Hold {
    const [own, elsewhere] = [this.#own.of(scope), this.#elsewhere.of(scope)];
    return { tasks: own.tasks + elsewhere.tasks, memoryMb: own.memoryMb + elsewhere.memoryMb };
  }

  /** Forgets all that this node holds, for it to be counted anew. */
  clear(): void {
    this.#own = new Holdings();
    this.#limited.clear();
    this.#isUntold = true;
  }

  /** Tells the others and hears from them; false where this node was away for so long that it must count anew. */
  async share(): Promise<boolean> {
    const now = this.#clock.now();
    for (const [name, at] of this.#ended) if (at < now - ENDED_MS) this.#ended.delete(name);
    const isDue = this.#limited.size + this.#ended.size > 0 && now - this.#toldAt >= TELL_MS;
    if (this.#isUntold || isDue) await this.#tell(now);
    const documents = await everyDocument(this.#store, { kind: KIND, tenant: DEFAULT_TENANT });
    const told = documents.filter(({ id }) => id !== this.#node);
    this.#take(new Map(told.map(({ id, body }) => [id, body as unknown as Told])));
    const isInTime = this.#clock.monotonic() - this.#sharedAt < AWAY_MS;
    this.#sharedAt = this.#clock.monotonic();
    return isInTime;
  }

  /** Leaves what this node holds to the others, who hear of it until its document expires and then hold on to it. */
  async leave(): Promise<void> {
    if (this.#isUntold && this.#store.capabilities.shared) await this.#tell(this.#clock.now());
  }

  #take(others: ReadonlyMap<string, Told>): void {
    const ended = new Map(this.#ended);
    for (const told of [...this.#others.values(), ...others.values()])
      for (const [name, at] of Object.entries(told.ended))
        ended.set(name, Math.max(at, ended.get(name) ?? at));
    const isOver = (name: string, { since }: Holder): boolean =>
      (ended.get(name) ?? Number.NEGATIVE_INFINITY) >= since;
    for (const [name, holder] of [...this.#own]) if (isOver(name, holder)) this.undo(name);
    for (const [node, told] of this.#others) {
      if (others.has(node)) continue;
      for (const [name, holder] of holdersIn(told)) if (!isOver(name, holder)) this.add(name, holder, true);
    }
    const elsewhere = new Holdings<string>();
    for (const told of others.values())
      for (const [name, holder] of holdersIn(told))
        if (this.#own.get(name) === undefined && !isOver(name, holder)) elsewhere.add(name, holder);
    this.#elsewhere = elsewhere;
    this.#others = others;
  }

  async #tell(now: number): Promise<void> {
    this.#isUntold = false;
    const held: Record<string, readonly (number | string)[]> = {};
    for (const name of [...this.#limited].slice(0, TOLD_MAX)) {
      const holder = this.#own.get(name);
      if (holder !== undefined) held[name] = [holder.memoryMb, holder.since, ...holder.scopes];
    }
    const body: JsonObject = { held, ended: Object.fromEntries([...this.#ended].slice(-TOLD_MAX)) };
    const ref = { tenant: DEFAULT_TENANT, kind: KIND, id: this.#node };
    try {
      await this.#store.putDocuments([{ ...ref, body, expiresAt: now + LIFE_MS }]);
      this.#toldAt = now;
    } catch (error) {
      this.#isUntold = true;
      throw error;
    }
  }
}

function holdersIn({ held }: Told): readonly (readonly [string, Holder])[] {
  return Object.entries(held).map(([name, [memoryMb, since, ...scopes]]) => [
    name,
    { memoryMb, since, scopes },
  ]);
}
