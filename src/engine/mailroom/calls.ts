// Calls subscribers by HTTP with the copies that wait in a subscription's own inbox: one after the other, in order per task or exchange. A call
// that fails is made again by the canonical policy; after its last try the copy is a dead letter. While no endpoint may be called, none is.

import type { TenantId } from '../../domain/ids.ts';
import { inboxOfSubscription, type Message } from '../../domain/message.ts';
import { delayAfter, jittered, RETRY_POLICIES } from '../../domain/retry.ts';
import type { Subscription, SubscriptionTarget } from '../../domain/subscription.ts';
import { type Clock, pause } from '../../runtime/clock.ts';
import type { Random } from '../../runtime/random.ts';
import type { MailStore, MailVerdict, TakenMail } from '../../store/mail.ts';
import type { Channel, SendOutcome } from '../ports/channel.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { SecretKeeper } from '../ports/secrets.ts';
import { Lines } from './lines.ts';
import { messageOf } from './packing.ts';
import type { Sorting } from './sorting.ts';
import type { Waiting } from './waiting.ts';

/** What calling needs. */
export interface CallsParts {
  readonly clock: Clock;
  readonly random: Pick<Random, 'fraction'>;
  readonly mail: MailStore;
  readonly waiting: Waiting;
  readonly wires: ReadonlyMap<string, MessageWire>;
  readonly webhooks: Channel | null;
  readonly secrets: Pick<SecretKeeper, 'webhookSecrets'>;
  readonly sorting: Pick<Sorting, 'pack' | 'posted'>;
  readonly leads: () => boolean;
  /** This process among others of the store. */
  readonly self: string;
}

/** A subscription that is served; `find` answers it as it is now, null once it is gone. */
export interface Served {
  readonly tenant: TenantId;
  readonly id: string;
  readonly find: () => Promise<Subscription | null>;
}

type Called = Subscription & { readonly target: SubscriptionTarget & { readonly by: 'webhook' } };

const POLICY = RETRY_POLICIES.exponential;
const BATCH = 10;
const CALL_MS = 10_000;
/** Longer than a batch of calls can take. */
const HOLD_MS = BATCH * CALL_MS + 20_000;
const LOOK_MS = 1_000;
const DRAIN = 500;

/** Calls of all subscriptions that this node serves. */
export class Calls {
  readonly #parts: CallsParts;
  readonly #lines: Lines;

  constructor(parts: CallsParts) {
    this.#parts = parts;
    this.#lines = new Lines(parts.clock);
  }

  /** Makes a subscription's calls until it is gone, this node is no more the one that does it, or the signal aborts. */
  async serve({ tenant, id, find }: Served, signal: AbortSignal): Promise<void> {
    const { clock, mail, waiting, leads, self, webhooks } = this.#parts;
    if (webhooks === null) return;
    const reader = `call:${self}:${id}`;
    let bell = new AbortController();
    const leave = waiting.join(tenant, [inboxOfSubscription(id)], () => bell.abort());
    try {
      // What this node held when it died.
      await mail.release(reader);
      while (!signal.aborted && leads()) {
        const found = await find();
        if (found === null) return await this.#outlast({ tenant, id, find }, signal);
        if (!isCalled(found)) return;
        bell = new AbortController();
        const restMs = this.#lines.restMs(urlsOf(found));
        const taken = restMs > 0 ? [] : await this.#take(found, reader);
        if (taken.length > 0) await this.#callAll(found, taken, reader, signal);
        else if (restMs > 0) await pause(clock, Math.min(restMs, LOOK_MS), signal).catch(() => {});
        else await pause(clock, LOOK_MS, AbortSignal.any([signal, bell.signal])).catch(() => {});
      }
    } finally {
      leave();
      await mail.release(reader);
    }
  }

  /** Takes out what waits for a subscription that is gone. */
  async empty(tenant: TenantId, id: string): Promise<void> {
    const { mail } = this.#parts;
    const reader = `gone:${id}`;
    for (;;) {
      const inboxes = [inboxOfSubscription(id)];
      const pick = { tenant, inboxes, reader, limit: DRAIN, visibilityMs: HOLD_MS, replyTo: null };
      const [taken = []] = await mail.take([pick]);
      if (taken.length === 0) return;
      await mail.settle(
        taken.map(({ entry, attempt }) => ({ tenant, entry, attempt, reader, verdict: { outcome: 'ack' } })),
      );
    }
  }

  /** What is to be tried again later can only be taken out then. */
  async #outlast({ tenant, id, find }: Served, signal: AbortSignal): Promise<void> {
    const { clock, mail, leads } = this.#parts;
    while (!signal.aborted && leads() && (await find()) === null) {
      await this.empty(tenant, id);
      if ((await mail.depths(tenant, [inboxOfSubscription(id)])).length === 0) return;
      await pause(clock, LOOK_MS, signal).catch(() => {});
    }
  }

  async #take({ tenant, id }: Called, reader: string): Promise<readonly TakenMail[]> {
    const inboxes = [inboxOfSubscription(id)];
    const pick = { tenant, inboxes, reader, limit: BATCH, visibilityMs: HOLD_MS, replyTo: null };
    const [taken = []] = await this.#parts.mail.take([pick]);
    return taken;
  }

  /** What comes after a call that failed, of the same task, waits for it; it is given back as if never taken. */
  async #callAll(
    subscription: Called,
    taken: readonly TakenMail[],
    reader: string,
    signal: AbortSignal,
  ): Promise<void> {
    const stuck = new Set<string>();
    let called = 0;
    for (const one of taken) {
      const lane = laneOf(one.mail);
      if (signal.aborted || this.#lines.restMs(urlsOf(subscription)) > 0) break;
      if (stuck.has(lane)) continue;
      called += 1;
      if (!(await this.#call(subscription, one, reader))) stuck.add(lane);
    }
    if (called < taken.length) await this.#parts.mail.release(reader);
  }

  /** Answers whether the copy is done with. */
  async #call(subscription: Called, taken: TakenMail, reader: string): Promise<boolean> {
    const { tenant, id, dialect, target, owner } = subscription;
    const { webhooks, secrets, wires, mail, sorting } = this.#parts;
    const wire = wires.get(dialect);
    if (webhooks === null || wire === undefined) throw new Error(`nobody calls subscribers by ${dialect}`);
    const { entry, attempt } = taken;
    const message = messageOf(taken.mail);
    const endpoint = this.#lines.pick(urlsOf(subscription));
    const outcome = await webhooks.send({
      endpoint,
      deliveryId: `${id}:${message.id}:${attempt}`,
      notificationId: `${id}:${message.id}`,
      event: message.type,
      attempt,
      agentId: owner,
      traceparent: `00-${message.traceId}-${'0'.repeat(15)}1-01`,
      secrets: await secrets.webhookSecrets(tenant, target.secretSealed),
      headers: httpHeadersOf(wire.headersOf?.(message) ?? {}),
      body: wire.encode(message),
      timeoutMs: CALL_MS,
    });
    // Who refuses this message for good is there for the next, unless another endpoint may take it.
    const isThere = outcome.verdict === 'fail' && urlsOf(subscription).length === 1;
    this.#lines.note(endpoint, isThere || outcome.verdict === 'delivered');
    const verdict = this.#verdictOn(subscription, attempt, outcome, endpoint);
    const event = this.#eventOf(wire, message, { subscription: id, attempt, endpoint, outcome, verdict });
    const [settled] = await mail.settle([
      { tenant, entry, attempt, reader, verdict, mail: event === null ? [] : await sorting.pack([event]) },
    ]);
    if (settled?.status === 'done') void sorting.posted(settled.posted);
    return verdict.outcome !== 'nack';
  }

  #verdictOn(
    subscription: Called,
    attempt: number,
    { verdict, retryAfterMs, status, answer }: SendOutcome,
    endpoint: string,
  ): MailVerdict {
    if (verdict === 'delivered') return { outcome: 'ack' };
    const urls = urlsOf(subscription);
    const error = `${status ?? 'no answer'}: ${answer}`.slice(0, 500);
    if (verdict === 'fail' && urls.length === 1)
      return { outcome: 'bury', reason: 'rejected_by_receiver', error };
    if (attempt >= POLICY.attemptsMax) return { outcome: 'bury', reason: 'max_deliveries', error };
    // Where another endpoint is to be tried, there is nothing to wait for.
    const isElsewhere = this.#lines.restMs(urls) === 0 && this.#lines.pick(urls) !== endpoint;
    const delayMs = jittered(delayAfter(POLICY, attempt), this.#parts.random.fraction());
    return { outcome: 'nack', delayMs: isElsewhere ? 0 : (retryAfterMs ?? delayMs) };
  }

  /** A call that went well at once is worth no event. */
  #eventOf(
    wire: MessageWire,
    message: Message,
    tried: {
      readonly subscription: string;
      readonly attempt: number;
      readonly endpoint: string;
      readonly outcome: SendOutcome;
      readonly verdict: MailVerdict;
    },
  ): ReturnType<NonNullable<MessageWire['callTried']>> {
    const { subscription, attempt, outcome, verdict } = tried;
    if (outcome.verdict === 'delivered' && attempt === 1) return null;
    const { origin, pathname } = new URL(tried.endpoint);
    const retryInMs = verdict.outcome === 'nack' ? verdict.delayMs : null;
    const { status } = outcome;
    const call = { subscription, attempt, status, retryInMs, outcome: outcome.verdict };
    // What a query holds may be a secret.
    return wire.callTried?.(message, { ...call, endpoint: `${origin}${pathname}` }) ?? null;
  }
}

/** What keeps the order of a subscriber's copies: the task, or else the exchange. */
export function laneOf({
  taskId,
  correlationId,
}: {
  readonly taskId: string | null;
  readonly correlationId: string;
}): string {
  return taskId ?? correlationId;
}

function isCalled(subscription: Subscription | null): subscription is Called {
  return subscription?.target.by === 'webhook';
}

function urlsOf({ target }: Called): readonly string[] {
  return [target.url, ...(target.backups ?? [])];
}

/** `correlation_id` goes as `X-Correlation-Id`, `type` as `X-Message-Type`; what no header can hold is percent-encoded. */
function httpHeadersOf(headers: ReturnType<NonNullable<MessageWire['headersOf']>>): Record<string, string> {
  const named: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== null)
      named[name.includes('_') ? `x-${name.replaceAll('_', '-')}` : `x-message-${name}`] =
        /^[\x20-\x7e]*$/.test(value) ? value : encodeURIComponent(value.toWellFormed());
  return named;
}
