// How many tasks of one concurrency key run at once. What runs is counted from the leases, which alone are the truth; where several
// nodes share the store, a document per key lets one of them at a time count and claim. Its loss is harmless: whoever held it when
// it was lost gives back what it claimed.

import { hash } from 'node:crypto';
import type { AgentId, FencingToken, TaskId, TenantId } from '../domain/ids.ts';
import type { Permit } from '../domain/queue.ts';
import type { Task } from '../domain/task.ts';
import type { Clock } from '../runtime/clock.ts';
import type { DocumentWrite, LeaseRow, StoredDocument } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Attempts } from './attempts.ts';
import type { Draw, KnownQueue } from './known-queues.ts';

const KIND = 'concurrency';
/** Counting and claiming takes milliseconds; a node that holds a key for so long is taken for dead. */
const HOLD_MS = 10_000;
/** The document outlives its use, so that its version tells one holder from a later one. */
const REST_MS = 3_600_000;
/** Keys that one round holds at most. */
const KEYS_MAX = 200;

const NONE_NEEDED: Draw = { room: () => Number.POSITIVE_INFINITY, spend: () => {}, close: async () => [] };

/** Gives out permits. */
export class Permits {
  readonly #clock: Clock;
  readonly #store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'leases' | 'read'>;
  readonly #attempts: Attempts;
  readonly #node: AgentId;
  /** The key of every leased task, as of the last count: an order never changes. */
  #keys: ReadonlyMap<FencingToken, string | null> = new Map();

  constructor(
    clock: Clock,
    store: Pick<Store, 'capabilities' | 'documents' | 'putDocuments' | 'leases' | 'read'>,
    attempts: Attempts,
    options: { readonly serverId: AgentId },
  ) {
    this.#clock = clock;
    this.#store = store;
    this.#attempts = attempts;
    this.#node = options.serverId;
  }

  /**
   * Counts what may start of these queues, keeping other nodes from starting more until the draw is closed. With others on the store
   * it holds no more keys than `slots`: those that have room and whose tasks wait longest.
   */
  async draw(queues: readonly KnownQueue[], slots: number): Promise<Draw> {
    const keyed = queues.filter(({ permit, depth }) => depth > 0 && permit !== null);
    if (keyed.length === 0) return NONE_NEEDED;
    const inOrder = keyed.sort((a, b) => a.view.headRank - b.view.headRank);
    const heads = new Map<string, Permit>();
    for (const { permit } of inOrder) {
      // Whoever waits longest decides: a task that asks for more solitude is not overtaken for ever by those that ask for less.
      if (permit !== null && !heads.has(textOf(permit))) heads.set(textOf(permit), permit);
    }
    const { shared } = this.#store.capabilities;
    const before = await this.#running();
    const open = [...heads].flatMap(([key, permit]) =>
      (before.get(key)?.length ?? 0) < permit.limit ? [permit] : [],
    );
    const held = await this.#hold(shared ? open.slice(0, Math.min(slots, KEYS_MAX)) : open);
    // Counted anew under the documents: others may have claimed while they were being taken.
    const running = shared && held.size > 0 ? await this.#running() : before;
    const used = new Map([...running].map(([key, tasks]) => [key, tasks.length]));
    return {
      room: ({ permit }) => {
        if (permit === null) return Number.POSITIVE_INFINITY;
        const key = textOf(permit);
        const head = heads.get(key);
        const busy = used.get(key) ?? 0;
        if (head === undefined || !held.has(key) || busy >= head.limit) return 0;
        return Math.max(0, permit.limit - busy);
      },
      spend: ({ permit }, tasks) => {
        if (permit !== null) used.set(textOf(permit), (used.get(textOf(permit)) ?? 0) + tasks);
      },
      close: claimed => this.#release(held, claimed),
    };
  }

  /** The tasks of a key that run, in the order in which they started. */
  async holders(tenant: TenantId, key: string): Promise<readonly TaskId[]> {
    return (await this.#running()).get(textOf({ tenant, key })) ?? [];
  }

  /** Whether as many tasks of the key as may run do so, as far as this node remembers. */
  isSpent({ tenant, spec: { concurrency } }: Pick<Task, 'tenant' | 'spec'>): boolean {
    if (concurrency === undefined) return false;
    const key = textOf({ tenant, key: concurrency.key });
    let running = 0;
    for (const { task } of this.#attempts.all()) if (keyOf(task) === key) running++;
    return running >= concurrency.limit;
  }

  async #running(): Promise<ReadonlyMap<string, readonly TaskId[]>> {
    const leases = await this.#store.leases({});
    const keys = await this.#keysOf(leases);
    const running = new Map<string, TaskId[]>();
    for (const { token, taskId } of [...leases].sort((a, b) => a.claimedAt - b.claimedAt)) {
      const key = keys.get(token);
      if (key === undefined || key === null) continue;
      const tasks = running.get(key);
      if (tasks === undefined) running.set(key, [taskId]);
      else tasks.push(taskId);
    }
    return running;
  }

  async #keysOf(leases: readonly LeaseRow[]): Promise<ReadonlyMap<FencingToken, string | null>> {
    const keys = new Map<FencingToken, string | null>();
    const unknown: LeaseRow[] = [];
    for (const lease of leases) {
      const known = this.#keys.get(lease.token);
      const task = this.#attempts.taskOf(lease.token);
      if (known !== undefined) keys.set(lease.token, known);
      else if (task !== undefined) keys.set(lease.token, keyOf(task));
      else unknown.push(lease);
    }
    if (unknown.length > 0) {
      const tasks = await this.#store.read(unknown.map(({ tenant, taskId: id }) => ({ tenant, id })));
      for (const [index, { token }] of unknown.entries()) {
        const task = tasks[index];
        if (task !== null && task !== undefined) keys.set(token, keyOf(task));
      }
    }
    this.#keys = keys;
    return keys;
  }

  /** The documents that this node now holds, by key; of a store of its own it needs none. */
  async #hold(permits: readonly Permit[]): Promise<ReadonlyMap<string, DocumentWrite | null>> {
    if (!this.#store.capabilities.shared) return new Map(permits.map(permit => [textOf(permit), null]));
    const known = await this.#documents(permits);
    const writes: DocumentWrite[] = [];
    const keys: string[] = [];
    for (const permit of permits) {
      const document = known.get(textOf(permit));
      const { heldUntil } = document?.body ?? {};
      if (typeof heldUntil === 'number' && heldUntil > this.#clock.now()) continue;
      keys.push(textOf(permit));
      writes.push({
        ...placeOf(permit),
        body: { key: permit.key, node: this.#node, heldUntil: this.#clock.now() + HOLD_MS },
        expected: document?.version ?? 'absent',
        expiresAt: this.#clock.now() + REST_MS,
      });
    }
    const outcomes = writes.length === 0 ? [] : await this.#store.putDocuments(writes);
    const held = new Map<string, DocumentWrite | null>();
    for (const [index, outcome] of outcomes.entries()) {
      const [key, write] = [keys[index], writes[index]];
      if (outcome.status !== 'done' || key === undefined || write === undefined) continue;
      held.set(key, { ...write, expected: outcome.version });
    }
    return held;
  }

  async #documents(permits: readonly Permit[]): Promise<ReadonlyMap<string, StoredDocument>> {
    const byTenant = Map.groupBy(permits, ({ tenant }) => tenant);
    const pages = await Promise.all(
      [...byTenant].map(([tenant, own]) =>
        this.#store.documents({ kind: KIND, tenant, ids: own.map(permit => placeOf(permit).id) }),
      ),
    );
    return new Map(
      pages.flat().map(document => {
        const { tenant, body } = document;
        return [textOf({ tenant, key: String(body.key) }), document];
      }),
    );
  }

  async #release(
    held: ReadonlyMap<string, DocumentWrite | null>,
    claimed: readonly Task[],
  ): Promise<readonly Task[]> {
    const lost = new Set<string>();
    const mine = [...held].flatMap(([key, write]) => (write === null ? [] : [{ key, write }]));
    if (mine.length > 0) {
      const now = this.#clock.now();
      const outcomes = await this.#store
        .putDocuments(
          mine.map(({ write }) => ({
            ...write,
            body: { ...write.body, heldUntil: 0 },
            expiresAt: now + REST_MS,
          })),
        )
        .catch(() => mine.map(() => ({ status: 'conflict' }) as const));
      for (const [index, { key }] of mine.entries()) if (outcomes[index]?.status !== 'done') lost.add(key);
    }
    return claimed.filter(task => lost.has(keyOf(task) ?? ''));
  }
}

function keyOf({ tenant, spec: { concurrency } }: Pick<Task, 'tenant' | 'spec'>): string | null {
  return concurrency === undefined ? null : textOf({ tenant, key: concurrency.key });
}

function textOf({ tenant, key }: Pick<Permit, 'tenant' | 'key'>): string {
  return `${tenant}\n${key}`;
}

function placeOf({ tenant, key }: Permit): Pick<DocumentWrite, 'tenant' | 'kind' | 'id'> {
  return { tenant, kind: KIND, id: hash('sha256', key, 'hex') };
}
