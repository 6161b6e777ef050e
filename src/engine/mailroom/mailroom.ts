// The mailroom: durable messages between agents, whatever wire they speak. Answers for its rooms: sorting takes messages in, reading
// gives them out, the task desk does what they ask of tasks, the herald tells what became of those, the chores keep order.

import { DomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import type { Draft, InboxName, Message, MessageId } from '../../domain/message.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Random } from '../../runtime/random.ts';
import type { Service } from '../../runtime/service.ts';
import type {
  DeadLetter,
  DeadLetterQuery,
  InboxDepth,
  MailQuery,
  MailSettlement,
  MailStore,
  MailVerdict,
  NewDeadLetter,
  NewEntry,
} from '../../store/mail.ts';
import type { Store } from '../../store/store.ts';
import type { EngineApi } from '../api.ts';
import type { Channel } from '../ports/channel.ts';
import type { GuardrailKeeper } from '../ports/guardrails.ts';
import type { MessageSeals } from '../ports/message-seals.ts';
import type { MessageWire } from '../ports/message-wire.ts';
import type { Participant } from '../ports/participant.ts';
import type { SecretKeeper } from '../ports/secrets.ts';
import type { Validator } from '../ports/validator.ts';
import type { Reviews } from '../reviews.ts';
import { Chores } from './chores.ts';
import { Conditions } from './conditions.ts';
import { Directory } from './directory.ts';
import { HandingOn } from './handing-on.ts';
import type { Handout } from './handout.ts';
import { Herald } from './herald.ts';
import { messageOf, type Sending } from './packing.ts';
import { Reading, type ReadRequest } from './reading.ts';
import { Receipts, type Received, unmarked } from './receipts.ts';
import { Release } from './release.ts';
import { type SendOutcome, Sorting } from './sorting.ts';
import { Subscriptions } from './subscriptions.ts';
import { TaskDesk } from './task-desk.ts';
import { partsOf, TaskHandout } from './task-handout.ts';
import { Waiting } from './waiting.ts';

/** What a reader makes of a delivery. */
export type Verdict =
  | { readonly outcome: 'ack' }
  | { readonly outcome: 'nack'; readonly delayMs: number }
  | { readonly outcome: 'extend'; readonly visibilityMs: number }
  | { readonly outcome: 'reject'; readonly reason: string };

/** A verdict on one delivery. */
export interface Verdicted {
  readonly id: string;
  readonly verdict: Verdict;
}

/** What became of a verdict; a repeated one is answered as the first time. */
export type VerdictOutcome =
  | { readonly status: 'done'; readonly visibleUntil: number | null }
  | { readonly status: 'refused'; readonly error: DomainError };

/** What a mailroom is made of. */
export interface MailroomParts {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Pick<Random, 'fraction'>;
  readonly store: Store;
  readonly engine: EngineApi;
  readonly wires: readonly MessageWire[];
  readonly participants: readonly Participant[];
  /** Who calls subscribers; null where nobody can. */
  readonly webhooks: Channel | null;
  readonly secrets: Pick<SecretKeeper, 'webhookSecrets'>;
  readonly validator: Validator;
  readonly guardrails: GuardrailKeeper;
  readonly reviews: Reviews;
  readonly seals: MessageSeals;
  readonly options: {
    /** This process among others of the store. */
    readonly self: string;
    /** Whether this node does what one node suffices for. */
    readonly leads: () => boolean;
  };
}

const LOOK_MS = { shared: 1_000, alone: 5_000 } as const;

/** A mailroom at work. */
export class Mailroom implements Service {
  readonly directory: Directory;
  readonly desk: TaskDesk;
  readonly subscriptions: Subscriptions;
  readonly releases: Release;
  readonly handing: HandingOn;
  readonly #mail: MailStore;
  readonly #store: Store;
  readonly #waiting = new Waiting();
  readonly #sorting: Sorting;
  readonly #reading: Reading;
  readonly #receipts: Receipts;
  readonly #handout: TaskHandout;
  readonly #conditions: Conditions;
  readonly #herald: Herald;
  readonly #chores: Chores;
  readonly #self: string;
  readonly #log: Log;
  #deafen: () => void = () => {};

  constructor(parts: MailroomParts) {
    const { log, clock, store, engine, seals, options } = parts;
    const { mail } = store;
    const wires = new Map(parts.wires.map(wire => [wire.name, wire]));
    const say = (drafts: readonly Draft[]): Promise<void> => this.say(drafts);
    const waiting = this.#waiting;
    this.#self = options.self;
    this.#log = log;
    this.#mail = mail;
    this.#store = store;
    this.directory = new Directory(clock, engine);
    const { directory } = this;
    const { validator, guardrails, reviews } = parts;
    const { leads } = options;
    const common = { clock, store, engine, mail, directory, wires, seals, say };
    this.#conditions = new Conditions({ clock, store, guardrails });
    this.releases = new Release({ ...common, log, reviews, validator, guardrails, leads });
    this.#handout = new TaskHandout({ ...common, conditions: this.#conditions });
    this.handing = new HandingOn({ ...common, conditions: this.#conditions, waiting });
    const release = this.releases;
    this.#herald = new Herald({ ...common, log, leads, release });
    this.desk = new TaskDesk({ ...common, handout: this.#handout, herald: this.#herald, release });
    const { participants } = parts;
    const inTurn = !store.capabilities.shared;
    this.#sorting = new Sorting({ ...common, log, waiting, inTurn, participants, self: options.self });
    const lookMs = store.capabilities.shared ? LOOK_MS.shared : LOOK_MS.alone;
    this.#reading = new Reading({ clock, mail, waiting, tasks: this.#handout, lookMs });
    this.#receipts = new Receipts(wires, mail, store, () => clock.now());
    const { webhooks, secrets } = parts;
    const sorting = this.#sorting;
    const calling = { random: parts.random, webhooks, secrets, sorting, ...options };
    this.subscriptions = new Subscriptions({ ...common, log, waiting, ...calling });
    this.#chores = new Chores({ log, clock, store, mail, wires, sorting, waiting, ...options });
  }

  async start(): Promise<void> {
    await this.#mail.release(this.#self);
    this.#deafen = this.#store.hear(({ mail }) => this.#waiting.wakeNamed(mail));
    this.#herald.start();
    this.releases.start();
    this.#chores.start();
    this.subscriptions.start();
  }

  /** Answers everyone who waits, lets what is being answered be answered, and stops. */
  async stop(): Promise<void> {
    this.#deafen();
    this.endWaits();
    await this.subscriptions.stop();
    await this.#chores.stop();
    await this.#herald.stop();
    await this.releases.stop();
    await this.#sorting.idle();
  }

  /** Takes messages in; answers once they are on disk and agents inside this server have answered theirs. */
  async send(sendings: readonly Sending[]): Promise<readonly SendOutcome[]> {
    const outcomes = await this.#sorting.send(sendings);
    for (const outcome of outcomes)
      if (outcome.status === 'accepted') await this.#conditions.hear(outcome.message);
    return outcomes;
  }

  /**
   * Sends what this server says; said before, it is not said again. What can be said to nobody is dropped and logged, or one such message
   * would hold up all that come after it; throws where trying again may help.
   */
  async say(drafts: readonly Draft[]): Promise<void> {
    const outcomes = await this.#sorting.say(drafts);
    for (const [index, outcome] of outcomes.entries()) {
      if (outcome.status !== 'refused') continue;
      const { error } = outcome;
      if (ERROR_CODES[error.code].retry === 'yes') throw error;
      const { dialect, type, to } = drafts[index] ?? {};
      this.#log.warn('a message was said to nobody', { dialect, type, to, error: error.message });
    }
  }

  /** Deliveries for a reader, the most urgent first; waits for some where there are none. */
  async read(request: ReadRequest): Promise<readonly Handout[]> {
    return this.#receipts.noted(request, await this.#reading.read(request));
  }

  /** Takes a receiver's own word that it has a message for the acknowledgement of its delivery; what was never given out stays. */
  async acknowledge(tenant: TenantId, received: Received, inbox: InboxName): Promise<void> {
    const given = await this.#receipts.givenOut(tenant, received, inbox);
    if (given === null) return;
    const { delivery: id, reader: name, agentId } = given;
    const reader = { tenant, name, agentId: agentId as AgentId | null, inboxes: [inbox] };
    await this.#settle(reader, { id, verdict: { outcome: 'ack' } });
  }

  /** Answers all who wait, so that they ask another node. */
  endWaits(): void {
    this.#reading.endWaits();
  }

  /** Applies a reader's verdicts on deliveries from these inboxes, each for itself. */
  settle(
    reader: {
      readonly tenant: TenantId;
      readonly name: string;
      readonly agentId: AgentId | null;
      readonly inboxes: readonly InboxName[];
    },
    verdicts: readonly Verdicted[],
  ): Promise<readonly VerdictOutcome[]> {
    return Promise.all(verdicts.map(one => this.#settle(reader, one)));
  }

  /** Gives back at once what a reader holds. */
  release(reader: string): Promise<void> {
    return this.#mail.release(reader);
  }

  /** Messages of a tenant's log. */
  async messages(query: MailQuery): Promise<readonly Message[]> {
    return (await this.#mail.mail(query)).map(messageOf);
  }

  /** The message of that id that came by the wire, or null. */
  async message(tenant: TenantId, dialect: string, id: MessageId): Promise<Message | null> {
    const [found] = await this.messages({ tenant, dialect, ids: [id], limit: 1 });
    return found ?? null;
  }

  /** Puts a message that was kept before into a further inbox, once. */
  async copy(message: Message, entry: NewEntry): Promise<void> {
    const { tenant, position } = message;
    await this.#mail.fanOut([{ tenant, position, entry }]);
    this.#waiting.wake(tenant, [entry.inbox]);
  }

  /** Calls back whenever something may have entered a tenant's log, until what is answered is called. */
  watchLog(tenant: TenantId, wake: () => void): () => void {
    return this.#waiting.join(tenant, 'log', wake);
  }

  depths(tenant: TenantId, inboxes?: readonly InboxName[]): Promise<readonly InboxDepth[]> {
    return this.#mail.depths(tenant, inboxes);
  }

  /** Keeps what was refused for a while. */
  bury(letters: readonly NewDeadLetter[]): Promise<void> {
    return this.#mail.bury(letters);
  }

  deadLetters(query: DeadLetterQuery): Promise<readonly DeadLetter[]> {
    return this.#mail.deadLetters(query);
  }

  deadCounts(tenant: TenantId): ReturnType<MailStore['deadCounts']> {
    return this.#mail.deadCounts(tenant);
  }

  /** Puts dead letters back into their inboxes; answers which. */
  async replay(tenant: TenantId, ids: readonly number[]): Promise<readonly number[]> {
    const replayed = await this.#mail.replay(tenant, ids);
    this.#waiting.wakeAll();
    return replayed;
  }

  drop(tenant: TenantId, ids: readonly number[]): Promise<readonly number[]> {
    return this.#mail.drop(tenant, ids);
  }

  async #settle(
    { tenant, name, agentId, inboxes }: Parameters<Mailroom['settle']>[0],
    { id: marked, verdict }: Verdicted,
  ): Promise<VerdictOutcome> {
    const { id, received } = unmarked(marked);
    const parts = partsOf(id);
    if (parts === null)
      return {
        status: 'refused',
        error: new DomainError('not_found', `there is no delivery ${id}`, { details: { delivery_id: id } }),
      };
    const { entry, attempt, lease } = parts;
    const settlement: MailSettlement = {
      tenant,
      entry,
      attempt,
      inboxes,
      reader: name,
      verdict: storedVerdictOf(verdict, lease !== null),
      ...(received === null || verdict.outcome !== 'ack'
        ? {}
        : { mail: await this.#receiptFor(tenant, received, inboxes) }),
    };
    const [outcome] = await this.#mail.settle([settlement]);
    if (outcome === undefined) throw new Error('a settlement was not answered');
    if (outcome.status === 'done' && outcome.posted.length > 0) void this.#sorting.posted(outcome.posted);
    if (outcome.status === 'lost')
      return {
        status: 'refused',
        error: new DomainError('lease_lost', `the delivery ${id} is over`, { details: { delivery_id: id } }),
      };
    try {
      if (lease !== null && agentId !== null) await this.#settleTask({ tenant, agentId, lease }, verdict);
    } catch (error) {
      if (outcome.status === 'repeated') return { status: 'done', visibleUntil: null };
      if (error instanceof DomainError) return { status: 'refused', error };
      throw error;
    }
    if (verdict.outcome !== 'ack') this.#waiting.wake(tenant, inboxes);
    return { status: 'done', visibleUntil: outcome.status === 'done' ? outcome.visibleUntil : null };
  }

  async #receiptFor(tenant: TenantId, received: Received, inboxes: readonly InboxName[]) {
    const draft = await this.#receipts.for(tenant, received, inboxes);
    return draft === null ? [] : this.#sorting.pack([draft]);
  }

  async #settleTask(
    held: {
      readonly tenant: TenantId;
      readonly agentId: AgentId;
      readonly lease: NonNullable<NonNullable<ReturnType<typeof partsOf>>['lease']>;
    },
    verdict: Verdict,
  ): Promise<void> {
    const { tenant, agentId, lease } = held;
    switch (verdict.outcome) {
      case 'ack':
      case 'extend':
        return this.#handout.keep(tenant, agentId, lease);
      case 'nack':
        if (await this.handing.takeBack(tenant, agentId, lease, 'given back')) return;
        return this.#handout.giveBack(tenant, agentId, lease, 'the agent gave the task back');
      case 'reject': {
        if (await this.handing.takeBack(tenant, agentId, lease, verdict.reason)) return;
        const error = { code: 'task_failed', message: verdict.reason, recoverable: false } as const;
        await this.#handout.requireHolder(tenant, agentId, lease.taskId, lease.token);
        return this.#handout.tell(tenant, agentId, { results: [{ ...lease, status: 'failed', error }] });
      }
    }
  }
}

/** A task that is given back or failed is asked for anew by another message: this one is done with. */
function storedVerdictOf(verdict: Verdict, isTask: boolean): MailVerdict {
  switch (verdict.outcome) {
    case 'ack':
    case 'extend':
      return verdict;
    case 'nack':
      return isTask ? { outcome: 'ack' } : verdict;
    case 'reject':
      return isTask
        ? { outcome: 'ack' }
        : { outcome: 'bury', reason: 'rejected_by_receiver', error: verdict.reason };
  }
}
