// Sends what the outbox holds: takes due deliveries, has them rendered and sent by their channel, and writes down what came of it,
// together with the end of the task's notify phase. A delivery is settled or comes back by itself; none is forgotten.

import { isEndNotification, noticeOf, planFor } from '../domain/delivery.ts';
import type { AgentId } from '../domain/ids.ts';
import { delayAfter, jittered } from '../domain/retry.ts';
import { Batcher } from '../runtime/batcher.ts';
import type { Cancel, Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { DeliverySettlement, DueDelivery, LogLine } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Endpoints } from './endpoints.ts';
import { unsentBefore } from './gathering.ts';
import { guardOf, type Lifecycle } from './lifecycle.ts';
import { closing, type Settled } from './notify-phase.ts';
import type {
  Channel,
  ChannelMessage,
  Instructions,
  NotificationRenderer,
  SendOutcome,
} from './ports/channel.ts';
import type { SecretKeeper } from './ports/secrets.ts';
import { replayMissed } from './replay.ts';
import type { Signals } from './signals.ts';

const IN_FLIGHT_MAX = 256;
/** How much longer than a task's lease a delivery's is, and how long before its end a try must be over. */
const SEND_LEASE_MORE_MS = 5_000;
const SETTLE_MS = 1_000;
const LOOK_MS = 1_000;
const LOG_LINES = 20;

/** What a receiver asked for in its acknowledgement (`SAM-88`); obeying it is the engine's matter. */
export type OnAcknowledged = (due: DueDelivery, instructions: Instructions) => void;

type Told = Parameters<NotificationRenderer['render']>[0];

type OutboxStore = Pick<
  Store,
  'dueDeliveries' | 'settleDeliveries' | 'logs' | 'artifacts' | 'deliveries' | 'redeliver' | 'events' | 'read'
>;

/** Drains the outbox. */
export class Outbox {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #store: OutboxStore;
  readonly #lifecycle: Lifecycle;
  readonly #signals: Signals;
  readonly #endpoints: Endpoints;
  readonly #channels: ReadonlyMap<string, Channel>;
  readonly #renderer: NotificationRenderer;
  readonly #secrets: SecretKeeper;
  readonly #onAcknowledged: OnAcknowledged;
  readonly #leaseMs: number;
  readonly #serverId: AgentId;
  readonly #settle: Batcher<DeliverySettlement, undefined>;
  readonly #flying = new Set<Promise<void>>();
  #open = false;
  #looking = false;
  #again = false;
  #timer: Cancel | null = null;

  constructor(
    log: Log,
    clock: Clock,
    random: Random,
    store: OutboxStore,
    parts: {
      readonly lifecycle: Lifecycle;
      readonly signals: Signals;
      readonly endpoints: Endpoints;
      readonly channels: ReadonlyMap<string, Channel>;
      readonly renderer: NotificationRenderer;
      readonly secrets: SecretKeeper;
      readonly onAcknowledged: OnAcknowledged;
    },
    options: { readonly leaseMs: number; readonly serverId: AgentId },
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#random = random;
    this.#store = store;
    this.#lifecycle = parts.lifecycle;
    this.#signals = parts.signals;
    this.#endpoints = parts.endpoints;
    this.#channels = parts.channels;
    this.#renderer = parts.renderer;
    this.#secrets = parts.secrets;
    this.#onAcknowledged = parts.onAcknowledged;
    this.#leaseMs = options.leaseMs + SEND_LEASE_MORE_MS;
    this.#serverId = options.serverId;
    this.#settle = new Batcher(async settlements => {
      await this.#store.settleDeliveries(settlements);
      return settlements.map(() => undefined);
    });
  }

  /** Begins to send. */
  start(): void {
    this.#open = true;
    this.wake();
  }

  /** Starts nothing more; resolves when what is under way is settled. */
  async stop(): Promise<void> {
    this.#open = false;
    this.#timer?.();
    await Promise.all(this.#flying);
  }

  /** A delivery may be due: look now. */
  wake(): void {
    this.#again = true;
    if (!this.#open || this.#looking) return;
    this.#looking = true;
    queueMicrotask(() => void this.#look());
  }

  async #look(): Promise<void> {
    let nextInMs = LOOK_MS;
    while (this.#again && this.#open && this.#flying.size < IN_FLIGHT_MAX) {
      this.#again = false;
      try {
        const room = IN_FLIGHT_MAX - this.#flying.size;
        const { due, nextDueInMs } = await this.#store.dueDeliveries(room, this.#leaseMs);
        nextInMs = Math.min(LOOK_MS, nextDueInMs ?? LOOK_MS);
        for (const one of due) this.#launch(one);
        if (due.length === room) this.#again = true;
      } catch (error) {
        this.#log.warn('the outbox could not be read; trying again', { error: String(error) });
      }
    }
    this.#looking = false;
    this.#timer?.();
    if (this.#open) this.#timer = this.#clock.after(Math.max(5, nextInMs), () => this.wake());
  }

  #launch(due: DueDelivery): void {
    const flight = this.#send(due)
      .catch(error =>
        this.#log.error('a delivery could not be settled', {
          delivery: due.delivery.id,
          error: String(error),
        }),
      )
      .finally(() => {
        this.#flying.delete(flight);
        // A settled delivery may let the next of its task start, and makes room for others.
        this.wake();
      });
    this.#flying.add(flight);
  }

  async #send(due: DueDelivery): Promise<void> {
    const { delivery, task } = due;
    const isEnd = isEndNotification(delivery.event);
    const clearance = await this.#endpoints.clear(task.tenant, delivery.endpoint, isEnd);
    if (!clearance.go) {
      await this.#settle.add({ id: delivery.id, next: { status: 'pending', dueInMs: clearance.waitMs } });
      return;
    }
    const at = this.#clock.now();
    // A try never outlives its lease: whoever takes the delivery up after a crash is alone with it.
    const outcome = await this.#post(due, Math.min(clearance.timeoutMs, this.#leaseMs - SETTLE_MS));
    const { endpoint } = delivery;
    const recovered = this.#endpoints.note(
      task.tenant,
      endpoint,
      outcome.verdict === 'delivered',
      outcome.durationMs,
    );
    const next = this.#next(due, outcome);
    const { status, durationMs, answer } = outcome;
    const refused = outcome.verdict === 'fail';
    const settled: Settled = { delivery, status: next.status, answer: outcome.answer };
    const draft = isEnd ? await closing(this.#store, task, settled, this.#lifecycle) : null;
    const change = draft === null ? null : { key: task.key, guard: guardOf(task), ...draft };
    await this.#settle.add({
      id: delivery.id,
      attempt: { at, status, durationMs, answer, ...(refused ? { refused } : {}) },
      next,
      ...(change === null ? {} : { change }),
    });
    if (change !== null) {
      this.#signals.publish(task.tenant, task.key);
      for (const timer of change.timers ?? []) this.#lifecycle.timerSet(timer.dueInMs);
    }
    if (isEnd && change === null && task.spec.notices !== undefined) await this.#closeLate(due);
    if (recovered)
      await replayMissed(this.#clock, this.#random, this.#store, { tenant: task.tenant, endpoint });
    if (next.status === 'failed') {
      this.#log.warn('a notification was given up', { delivery: delivery.id, task: task.id, answer });
    }
    // Who is only told of an end has no say in the task.
    const hasSay = noticeOf(task.spec, delivery) === undefined;
    if (hasSay && outcome.acknowledgement !== undefined && outcome.verdict === 'delivered') {
      this.#onAcknowledged(due, this.#renderer.instructionsIn(outcome.acknowledgement));
    }
  }

  async #post(due: DueDelivery, timeoutMs: number): Promise<SendOutcome> {
    const { delivery, task } = due;
    const channel = this.#channels.get(delivery.channel);
    if (channel === undefined) {
      return {
        status: null,
        durationMs: 0,
        answer: `there is no channel ${delivery.channel} here`,
        verdict: 'fail',
      };
    }
    const plan = planFor(task.spec, delivery);
    const isEnd = isEndNotification(delivery.event);
    const [secrets, artifacts, logs] = await Promise.all([
      this.#secrets.webhookSecrets(task.tenant, plan.secretSealed),
      isEnd ? this.#store.artifacts({ tenant: task.tenant, taskId: task.id }) : [],
      this.#store.logs({
        key: task.key,
        levelMin: 'WARN',
        last: true,
        until: due.event.at + 1,
        limit: LOG_LINES,
      }),
    ]);
    const [, parent = ''] = /^00-[0-9a-f]{32}-([0-9a-f]{16})/.exec(task.spec.traceparent ?? '') ?? [];
    const span = parent === '' ? Buffer.from(this.#random.bytes(8)).toString('hex') : parent;
    return channel.send({
      endpoint: delivery.endpoint,
      deliveryId: delivery.id,
      notificationId: `${task.executionId}.${delivery.sequence}`,
      event: delivery.event,
      attempt: delivery.attempts.length + 1,
      agentId: task.agentId ?? this.#serverId,
      traceparent: `00-${task.spec.traceId}-${span}-01`,
      secrets,
      body: await this.#bodyOf({ ...due, artifacts }, logs),
      words: () => this.#renderer.words(due),
      ...(plan.encoding === undefined ? {} : { encoding: plan.encoding }),
      ...(plan.format === undefined ? {} : { format: plan.format }),
      timeoutMs,
    });
  }

  async #bodyOf(due: Told, logs: readonly LogLine[]): Promise<ChannelMessage['body']> {
    const body = this.#renderer.render(due, logs);
    const { batch } = planFor(due.task.spec, due.delivery);
    if (batch === undefined) return body;
    const before = await unsentBefore(this.#store, due, batch.itemsMax - 1);
    // What happened around the others is told with the last.
    return [...before.map(one => this.#renderer.render({ ...one, artifacts: [] }, [])), body];
  }

  #next({ delivery, task }: DueDelivery, outcome: SendOutcome): DeliverySettlement['next'] {
    if (outcome.verdict === 'delivered') return { status: 'delivered' };
    const { retry: policy } = planFor(task.spec, delivery);
    const tried = delivery.attempts.length + 1;
    if (outcome.verdict === 'fail' || policy === undefined || tried >= policy.attemptsMax)
      return { status: 'failed' };
    const delayMs = jittered(delayAfter(policy, tried), this.#random.fraction());
    return { status: 'pending', dueInMs: Math.max(delayMs, outcome.retryAfterMs ?? 0) };
  }

  /** Two that were settled at once each found the other open: whoever looks last finds neither. */
  async #closeLate({ task: { tenant, id } }: DueDelivery): Promise<void> {
    const [task] = await this.#store.read([{ tenant, id }]);
    const draft = task == null ? null : await closing(this.#store, task, null, this.#lifecycle);
    if (task != null && draft !== null) await this.#lifecycle.apply(task, draft);
  }
}
