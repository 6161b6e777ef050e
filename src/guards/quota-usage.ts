// What is used of quotas: what is held at once, and what was used up today. Both are kept in memory, so that no task waits for
// them; a day's use is written behind as one document a scope, added to what other nodes wrote, and outlives a restart.

import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Clock } from '../runtime/clock.ts';
import { changeDocument, createDocument, type Documents, everyDocument } from './documents.ts';

/** Whose quota it is. */
export interface Scope {
  readonly tenant: TenantId;
  readonly of: 'tenant' | 'credential' | 'user';
  /** The principal's or user's id; the tenant's own for its own. */
  readonly name: string;
}

/** A scope's name among all. */
export type ScopeKey = `${TenantId}\n${Scope['of']}\n${string}`;

/** What is used up, not held. */
export interface Use {
  readonly cpuSeconds: number;
  readonly cost: number;
  readonly tokens: number;
}

/** What is held at once. */
export interface Hold {
  readonly tasks: number;
  readonly memoryMb: number;
}

const KIND = 'quota_use';
const DAY_MS = 86_400_000;
const READ_AT_ONCE = 500;
const KEPT_MS = 8 * DAY_MS;
const UNUSED: Use = { cpuSeconds: 0, cost: 0, tokens: 0 };
const NOTHING: Hold = { tasks: 0, memoryMb: 0 };

/** Who holds something: what, in which scopes, and since when (epoch milliseconds). */
export interface Holder {
  readonly scopes: readonly ScopeKey[];
  readonly memoryMb: number;
  readonly since: number;
}

/** Holdings by scope, each of a named holder that counts once. */
export class Holdings<Name extends string | number> {
  readonly #holders = new Map<Name, Holder>();
  readonly #held = new Map<ScopeKey, Hold>();

  get(name: Name): Holder | undefined {
    return this.#holders.get(name);
  }

  /** Harmless where the holder counts already. */
  add(name: Name, holder: Holder): void {
    if (this.#holders.has(name)) return;
    this.#holders.set(name, holder);
    for (const key of holder.scopes) this.#move(key, 1, holder.memoryMb);
  }

  /** Harmless where there is no such holder. */
  remove(name: Name): void {
    const found = this.#holders.get(name);
    if (found === undefined) return;
    this.#holders.delete(name);
    for (const key of found.scopes) this.#move(key, -1, -found.memoryMb);
  }

  of(scope: Scope): Hold {
    return this.#held.get(scopeKeyOf(scope)) ?? NOTHING;
  }

  [Symbol.iterator](): Iterator<readonly [Name, Holder]> {
    return this.#holders.entries();
  }

  #move(key: ScopeKey, tasks: number, memoryMb: number): void {
    const before = this.#held.get(key) ?? NOTHING;
    const after = { tasks: before.tasks + tasks, memoryMb: before.memoryMb + memoryMb };
    if (after.tasks === 0) this.#held.delete(key);
    else this.#held.set(key, after);
  }
}

/** What was used up in the UTC day under way. */
export class DailyUse {
  readonly #clock: Clock;
  readonly #store: Documents;
  /** Written, and not yet written. */
  readonly #used = new Map<string, Use>();
  readonly #pending = new Map<string, { readonly scope: Scope; readonly use: Use }>();
  /** The scopes anybody asked about today. */
  readonly #asked = new Map<ScopeKey, Scope>();
  #day: string;

  constructor(clock: Clock, store: Documents) {
    this.#clock = clock;
    this.#store = store;
    this.#day = this.#today();
  }

  /** Reads what was used today before this process began. */
  async load(): Promise<void> {
    for (const { tenant, body } of await everyDocument(this.#store, { kind: KIND })) {
      const { day, of, name, use } = body as unknown as Scope & { readonly day: string; readonly use: Use };
      if (day === this.#day) this.#used.set(scopeKeyOf({ tenant, of, name }), use);
    }
  }

  add(scope: Scope, use: Use): void {
    this.#turn();
    const key = scopeKeyOf(scope);
    const before = this.#pending.get(key)?.use ?? UNUSED;
    this.#pending.set(key, { scope, use: sum(before, use) });
  }

  of(scope: Scope): Use {
    this.#turn();
    const key = scopeKeyOf(scope);
    this.#asked.set(key, scope);
    return sum(this.#used.get(key) ?? UNUSED, this.#pending.get(key)?.use ?? UNUSED);
  }

  /** When the day ends, epoch milliseconds. */
  get resetsAt(): number {
    const now = this.#clock.now();
    return now - (now % DAY_MS) + DAY_MS;
  }

  /** Writes what was not written yet; rejects like the store, keeping it for the next time. */
  async flush(): Promise<void> {
    this.#turn();
    const day = this.#day;
    for (const [key, { scope, use }] of [...this.#pending]) {
      const before = this.#used.get(key) ?? UNUSED;
      this.#pending.delete(key);
      this.#used.set(key, sum(before, use));
      try {
        const written = await this.#write(day, scope, use);
        if (this.#day === day) this.#used.set(key, written);
      } catch (error) {
        if (this.#day === day) {
          this.#used.set(key, before);
          this.add(scope, use);
        }
        throw error;
      }
      if (this.#day !== day) return;
    }
  }

  /** Reads anew what was used in the scopes that were asked about: what other nodes wrote counts from now on. */
  async refresh(): Promise<void> {
    this.#turn();
    const day = this.#day;
    const asked = [...new Set([...this.#asked.values()].map(scope => documentIdOf(day, scope)))];
    for (let at = 0; at < asked.length; at += READ_AT_ONCE) {
      const ids = asked.slice(at, at + READ_AT_ONCE);
      for (const { tenant, body } of await this.#store.documents({ kind: KIND, ids })) {
        if (this.#day !== day) return;
        const { of, name, use } = body as unknown as Scope & { readonly use: Use };
        this.#used.set(scopeKeyOf({ tenant, of, name }), use);
      }
    }
  }

  async #write(day: string, scope: Scope, use: Use): Promise<Use> {
    const { tenant, of, name } = scope;
    const ref = { tenant, kind: KIND, id: documentIdOf(day, scope) };
    const body = (used: Use) => ({ day, of, name, use: used }) as unknown as JsonObject;
    if (await createDocument(this.#store, ref, body(use), this.#clock.now() + KEPT_MS)) return use;
    const changed = await changeDocument(this.#store, ref, found =>
      body(sum(found.use as unknown as Use, use)),
    );
    return changed.use as unknown as Use;
  }

  /** What the day before left unwritten is let go: nothing will ask for it again. */
  #turn(): void {
    const today = this.#today();
    if (today === this.#day) return;
    this.#day = today;
    this.#used.clear();
    this.#pending.clear();
    this.#asked.clear();
  }

  #today(): string {
    return new Date(this.#clock.now()).toISOString().slice(0, 10);
  }
}

function documentIdOf(day: string, { of, name }: Scope): string {
  return `${day} ${of} ${name}`;
}

/** Names a scope among all. */
export function scopeKeyOf({ tenant, of, name }: Scope): ScopeKey {
  return `${tenant}\n${of}\n${name}`;
}

function sum(one: Use, other: Use): Use {
  return {
    cpuSeconds: one.cpuSeconds + other.cpuSeconds,
    cost: one.cost + other.cost,
    tokens: one.tokens + other.tokens,
  };
}
