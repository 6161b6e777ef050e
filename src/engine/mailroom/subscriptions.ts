// Keeps subscriptions and tells them what they want, each from where it was left: copies into inboxes, of which those of webhooks are called.
// One node does it; a copy made twice is one. Who cannot be reached holds up nobody else.

import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import { inboxOfSubscription, type Message } from '../../domain/message.ts';
import type { Subscription } from '../../domain/subscription.ts';
import { pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { StoredDocument } from '../../store/rows.ts';
import type { Store } from '../../store/store.ts';
import { Calls, type CallsParts, laneOf } from './calls.ts';
import { ONCE } from './handout.ts';
import { messageOf } from './packing.ts';

/** What subscriptions are served with. */
export interface SubscriptionsParts extends CallsParts {
  readonly log: Log;
  readonly store: Pick<Store, 'documents' | 'putDocuments'>;
}

const KIND = 'mail_subscription';
const OWNED_MAX = 100;
const BATCH = 200;
const LOOK_MS = 1_000;
/** Copies that wait to be called with, at most about so many a subscription. */
const COPIES_MAX = 1_000;

/** The subscriptions of all tenants. */
export class Subscriptions {
  readonly #parts: SubscriptionsParts;
  readonly #serving = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #calls: Calls;
  #looking: Promise<void> | null = null;

  constructor(parts: SubscriptionsParts) {
    this.#parts = parts;
    this.#calls = new Calls(parts);
  }

  start(): void {
    this.#looking = this.#look();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.#looking, ...this.#serving.values()]);
  }

  /** Keeps a subscription; throws `policy_violation` where its owner has too many. */
  async create(subscription: Subscription): Promise<void> {
    const { tenant, id, owner, dialect } = subscription;
    const owned = (await this.list(tenant, dialect)).filter(one => one.owner === owner);
    if (owned.length >= OWNED_MAX)
      throw new DomainError('policy_violation', `${owner} has ${OWNED_MAX} subscriptions already`, {
        details: { limit: OWNED_MAX },
      });
    await this.#parts.store.putDocuments([
      { tenant, kind: KIND, id, body: subscription as unknown as JsonObject, expected: 'absent' },
    ]);
  }

  /** A tenant's subscriptions by one wire, oldest first. */
  async list(tenant: TenantId, dialect: string): Promise<readonly Subscription[]> {
    const documents = await this.#parts.store.documents({ kind: KIND, tenant });
    return documents.map(subscriptionOf).filter(one => one.dialect === dialect);
  }

  /** The subscription, or null. */
  async find(tenant: TenantId, dialect: string, id: string): Promise<Subscription | null> {
    const [document] = await this.#parts.store.documents({ kind: KIND, tenant, ids: [id] });
    const found = document === undefined ? null : subscriptionOf(document);
    return found?.dialect === dialect ? found : null;
  }

  async remove(tenant: TenantId, id: string): Promise<void> {
    await this.#parts.store.putDocuments([{ tenant, kind: KIND, id, body: null }]);
    await this.#calls.empty(tenant, id);
  }

  /** Notes how far a stream's reader has come; a subscription that is gone stays so. */
  async advance(tenant: TenantId, id: string, cursor: string): Promise<boolean> {
    const [document] = await this.#parts.store.documents({ kind: KIND, tenant, ids: [id] });
    if (document === undefined) return false;
    const body = { ...document.body, cursor };
    const [outcome] = await this.#parts.store.putDocuments([
      { tenant, kind: KIND, id, body, expected: document.version },
    ]);
    return outcome?.status === 'done';
  }

  async #look(): Promise<void> {
    const { store, clock, log, leads } = this.#parts;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (leads())
          for (const document of await store.documents({ kind: KIND })) {
            const one = subscriptionOf(document);
            if (one.target.by !== 'sse') this.#serve(one);
          }
      } catch (error) {
        log.warn('subscriptions could not be read', { error: String(error) });
      }
      await pause(clock, LOOK_MS, signal).catch(() => {});
    }
  }

  #serve({ tenant, id, dialect, target }: Subscription): void {
    const key = `${tenant}\n${id}`;
    if (this.#serving.has(key)) return;
    const served = { tenant, id, find: () => this.find(tenant, dialect, id) };
    const calling = target.by === 'webhook' ? this.#calls.serve(served, this.#stop.signal) : null;
    const work = Promise.all([this.#follow(tenant, dialect, id), calling])
      .then(() => {})
      .catch(error => this.#parts.log.warn('a subscription is served later', { id, error: String(error) }))
      .finally(() => this.#serving.delete(key));
    this.#serving.set(key, work);
  }

  /** Tells one subscription what comes, until it is gone or this node is no more the one that does it. */
  async #follow(tenant: TenantId, dialect: string, id: string): Promise<void> {
    const { clock, mail, waiting, leads } = this.#parts;
    const { signal } = this.#stop;
    let wake: () => void = () => {};
    const leave = waiting.join(tenant, 'log', () => wake());
    signal.addEventListener('abort', () => wake(), { once: true });
    try {
      while (!signal.aborted && leads()) {
        const subscription = await this.find(tenant, dialect, id);
        if (subscription === null) return;
        const { cursor } = subscription;
        const page = (await this.#isBehind(subscription))
          ? []
          : await mail.mail({
              tenant,
              dialect,
              limit: BATCH,
              ...(cursor === null ? {} : { after: cursor }),
            });
        for (const stored of page) {
          const message = messageOf(stored);
          if (this.#parts.wires.get(dialect)?.wants(message, subscription) === true)
            await this.#tell(subscription, message);
        }
        const last = page.at(-1);
        if (last !== undefined) {
          await this.advance(tenant, id, last.position);
          continue;
        }
        const cancel = clock.after(LOOK_MS, () => wake());
        await new Promise<void>(resolve => (wake = resolve));
        cancel();
      }
    } finally {
      leave();
    }
  }

  /** Whoever is not called for long has its messages kept in the log rather than twice. */
  async #isBehind({ tenant, id, target }: Subscription): Promise<boolean> {
    if (target.by !== 'webhook') return false;
    const [depth] = await this.#parts.mail.depths(tenant, [inboxOfSubscription(id)]);
    return depth !== undefined && depth.waiting + depth.held >= COPIES_MAX;
  }

  async #tell(subscription: Subscription, message: Message): Promise<void> {
    const { tenant, id, target } = subscription;
    if (target.by === 'inbox') {
      const cause = `${subscription.qos === 0 ? ONCE : ''}subscription:${id}`;
      const entry = { inbox: target.inbox, lane: message.from, cause };
      await this.#parts.mail.fanOut([{ tenant, position: message.position, entry }]);
      this.#parts.waiting.wake(tenant, [target.inbox]);
      return;
    }
    if (target.by !== 'webhook') return;
    const inbox = inboxOfSubscription(id);
    const entry = { inbox, lane: laneOf(message), cause: `subscription:${id}` };
    await this.#parts.mail.fanOut([{ tenant, position: message.position, entry }]);
    this.#parts.waiting.wake(tenant, [inbox]);
  }
}

function subscriptionOf({ body }: StoredDocument): Subscription {
  return body as unknown as Subscription;
}
