// Keeps subscriptions and tells them what they want, each from where it was left: copies into inboxes, calls to webhooks. One node does
// it; a copy made twice is one, a call made twice has one id. Who cannot be reached holds up nobody else.

import { DomainError } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Message } from '../../domain/message.ts';
import type { Subscription } from '../../domain/subscription.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { MailStore } from '../../store/mail.ts';
import type { StoredDocument } from '../../store/rows.ts';
import type { Store } from '../../store/store.ts';
import type { Channel } from '../ports/channel.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { SecretKeeper } from '../ports/secrets.ts';
import { ONCE } from './handout.ts';
import { Lines } from './lines.ts';
import { messageOf } from './packing.ts';
import type { Waiting } from './waiting.ts';

/** What subscriptions are served with. */
export interface SubscriptionsParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly store: Pick<Store, 'documents' | 'putDocuments'>;
  readonly mail: MailStore;
  readonly waiting: Waiting;
  readonly wires: ReadonlyMap<string, MessageWire>;
  readonly webhooks: Channel | null;
  readonly secrets: Pick<SecretKeeper, 'webhookSecrets'>;
  readonly leads: () => boolean;
}

const KIND = 'mail_subscription';
const OWNED_MAX = 100;
const BATCH = 200;
const LOOK_MS = 1_000;
const CALL_MS = 10_000;
const TRIES_MAX = 20;

/** The subscriptions of all tenants. */
export class Subscriptions {
  readonly #parts: SubscriptionsParts;
  readonly #serving = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #lines: Lines;
  #looking: Promise<void> | null = null;

  constructor(parts: SubscriptionsParts) {
    this.#parts = parts;
    this.#lines = new Lines(parts.clock);
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

  #serve({ tenant, id, dialect }: Subscription): void {
    const key = `${tenant}\n${id}`;
    if (this.#serving.has(key)) return;
    const work = this.#follow(tenant, dialect, id)
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
        const page = await mail.mail({
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

  async #tell(subscription: Subscription, message: Message): Promise<void> {
    const { tenant, id, target } = subscription;
    if (target.by === 'inbox') {
      const cause = `${subscription.qos === 0 ? ONCE : ''}subscription:${id}`;
      const entry = { inbox: target.inbox, lane: message.from, cause };
      await this.#parts.mail.fanOut([{ tenant, position: message.position, entry }]);
      this.#parts.waiting.wake(tenant, [target.inbox]);
      return;
    }
    if (target.by === 'webhook') await this.#call(subscription, target, message);
  }

  /** Calls until it is taken or never will be; after twenty tries the message is passed over, and the log says so. */
  async #call(
    { tenant, id, dialect, owner }: Subscription,
    target: Subscription['target'] & { readonly by: 'webhook' },
    message: Message,
  ): Promise<void> {
    const { clock, log, webhooks, secrets, wires } = this.#parts;
    const wire = wires.get(dialect);
    if (webhooks === null || wire === undefined) return;
    const urls = [target.url, ...(target.backups ?? [])];
    const signing = await secrets.webhookSecrets(tenant, target.secretSealed);
    for (let attempt = 1; attempt <= TRIES_MAX; attempt++) {
      const endpoint = this.#lines.pick(urls);
      const { verdict, retryAfterMs } = await webhooks.send({
        ...{
          endpoint,
          deliveryId: `${id}:${message.id}:${attempt}`,
          notificationId: `${id}:${message.id}`,
        },
        ...{
          event: message.type,
          attempt,
          agentId: owner,
          traceparent: `00-${message.traceId}-${'0'.repeat(15)}1-01`,
        },
        ...{ secrets: signing, body: wire.encode(message), timeoutMs: CALL_MS },
      });
      this.#lines.note(endpoint, verdict === 'delivered');
      if (verdict === 'delivered') return;
      if (verdict === 'fail' && urls.length === 1) break;
      log.debug('a subscriber was not reached', { subscription: id, message: message.id, endpoint, attempt });
      // Where another endpoint is to be tried, there is nothing to wait for.
      if (this.#lines.pick(urls) !== endpoint) continue;
      await pause(clock, retryAfterMs ?? Math.min(60_000, 1_000 * 2 ** (attempt - 1)), this.#stop.signal);
    }
    log.warn('a subscription was not told of a message', {
      subscription: id,
      message: message.id,
      url: target.url,
    });
  }
}

function subscriptionOf({ body }: StoredDocument): Subscription {
  return body as unknown as Subscription;
}
