// The agent: somebody with an inbox. It reads messages of one wire, handles each once, answers, asks, and settles what it was given; how
// the wire words all that is its wording's to know.

import type { Json, JsonObject } from '../domain/json.ts';
import { Answers } from './answers.ts';
import { TaskAborted } from './attempt.ts';
import { BatutaClient } from './client.ts';
import type { Cancel } from './clock.ts';
import { BatutaError, RecoverableError } from './errors.ts';
import { type Held, Inbox, type Settled } from './inbox.ts';
import type { Mail, MailDelivery } from './mail.ts';
import { PolledMail, SocketMail } from './mail-ways.ts';
import type { ClientOptions } from './transport.ts';
import { backoffMs } from './transport.ts';
import type {
  Heading,
  Letter,
  LetterFault,
  LetterKind,
  LetterTask,
  Memo,
  Recollection,
  Self,
  TaskWish,
  Wording,
  Words,
} from './wording.ts';
import { wordingOf } from './wordings/index.ts';

/** What an agent is made of. */
export interface AgentOptions extends ClientOptions {
  /** Its name, unique in the tenant: the one its credentials are bound to. */
  readonly id: string;
  /** The wire it speaks: `army`, `task`, `blog`, `nooble`, or a wording of your own. */
  readonly dialect: string | Wording;
  /** The roles it answers to, in the wire's words; where the wire knows roles, it speaks in the first. */
  readonly roles?: readonly string[];
  /** The work it takes, by name. */
  readonly skills?: readonly string[];
  readonly tenant?: string;
  /** Messages handled at once (10). */
  readonly slots?: number;
  /** `socket` needs a runtime whose WebSocket takes headers (Node, Bun, Deno); `poll` is for all. */
  readonly transport?: 'poll' | 'socket';
  /** How long a poll waits for something, 0–60 (25). */
  readonly waitSeconds?: number;
  /** What is not settled or renewed for so long comes again (30). */
  readonly visibilitySeconds?: number;
  /** Hears of failed exchanges; the agent itself goes on. */
  readonly onError?: (error: unknown) => void;
}

/** A letter that asks for work. */
export type TaskLetter = Letter & { readonly task: LetterTask };

/** What a handler may say and know beside its letter. */
export interface LetterContext {
  /** Aborts when the work is no longer wanted or no longer ours, and on shutdown; its reason is a `TaskAborted`. */
  readonly signal: AbortSignal;
  /** Deliveries of this letter so far, this one included. */
  readonly attempt: number;
  /** Tells whoever asked how far the work is (0–100), where the wire has words for that. */
  progress(percentage: number, note?: string): Promise<void>;
  /** Answers before the handler ends. */
  reply(payload: Json): Promise<void>;
}

/**
 * Handles a letter. Of a task, what it answers is the result and what it throws the failure (`RecoverableError`: to be tried again). Of any
 * other, what it answers is sent back, if anything; what it throws puts the letter back, to come again, and a `LetterRejected` among the
 * dead letters.
 */
export type LetterHandler<Of extends Letter = Letter> = {
  handle(letter: Of, context: LetterContext): Json | undefined | Promise<Json | undefined> | Promise<void>;
}['handle'];

/** Thrown by a handler that will never take this letter. */
export class LetterRejected extends Error {
  override readonly name = 'LetterRejected';
}

/** Something to say. */
export interface Outgoing extends Words {
  /** Yours where you may have to say it again: the same id with the same words is said once. */
  readonly id?: string;
  readonly correlationId?: string;
  readonly priority?: string | number;
  readonly answers?: Letter;
  /** After so many milliseconds nobody needs it any more. */
  readonly livesMs?: number;
}

/** How long to wait for an answer, in milliseconds (30,000). */
export interface AskOptions {
  readonly timeoutMs?: number;
}

const BEAT_MS = 30_000;
const ASK_MS = 30_000;
const AGAIN = { firstDelayMs: 500, delayMaxMs: 30_000 };
/** Nobody is bound to have a handler for what only tells. */
const TELLING: ReadonlySet<LetterKind> = new Set(['accepted', 'progress', 'outcome', 'error']);

/** Reads, answers and writes messages from `start` to `stop`. */
export class Agent {
  readonly client: BatutaClient;
  /** The wire as it is, for what the agent has no words for. */
  readonly mail: Mail;
  readonly self: Self;
  readonly #options: AgentOptions;
  readonly #wording: Wording;
  readonly #handlers = new Map<string, LetterHandler>();
  readonly #answers: Answers;
  readonly #inbox: Inbox;
  #beat: Cancel = () => {};

  constructor(options: AgentOptions) {
    const { id, dialect, roles = [], tenant = 'default', slots = 10, onError = () => undefined } = options;
    this.#options = options;
    this.#wording = wordingOf(dialect);
    this.client = new BatutaClient({ ...options, agentId: id });
    this.mail = this.client.mail(this.#wording.name);
    this.self = { id, roles, tenant };
    const { clock } = this.client;
    this.#answers = new Answers(clock);
    const { waitSeconds = 25, visibilitySeconds = 30 } = options;
    const parts = { clock, mail: this.mail, inbox: id, slots, waitSeconds, visibilitySeconds };
    this.#inbox = new Inbox({
      ...{ clock, slots, visibilitySeconds, onError },
      way: options.transport === 'socket' ? new SocketMail(parts) : new PolledMail(parts),
      handle: (delivery, held) => this.#handle(delivery, held),
    });
  }

  /** Messages being handled. */
  get running(): number {
    return this.#inbox.held;
  }

  /**
   * Says who handles what: letters of a type in the wire's words, of a kind (`task_request`, `message`, …), or `*` for what nobody else
   * does. The most specific one gets the letter, and it alone.
   */
  on(what: 'task_request', handler: LetterHandler<TaskLetter>): this;
  on(what: LetterKind | '*' | (string & {}), handler: LetterHandler): this;
  on(what: string, handler: LetterHandler<never>): this {
    this.#handlers.set(what, handler as LetterHandler);
    return this;
  }

  /** Registers with its roles and work, and reads its inbox from then on; rejects where the server refuses either. */
  async start(): Promise<void> {
    await this.#register();
    await this.#inbox.open();
    this.#beatLater();
  }

  /** Reads no more, lets handlers end for so long (30,000 ms), and gives the rest back. Idempotent. */
  async stop({ graceMs = 30_000 }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#beat();
    await this.#inbox.stop(graceMs);
    this.#answers.end();
  }

  /** Says something; answers its id once it is durable. */
  async send(outgoing: Outgoing): Promise<string> {
    const { id = crypto.randomUUID(), ...rest } = outgoing;
    await this.mail.send(this.#wording.envelope(rest, this.#heading({ ...rest, id })));
    return id;
  }

  /** Says something and waits for the answer; rejects with what was told to have gone wrong, or a `WaitTimeoutError`. */
  ask(outgoing: Outgoing, options: AskOptions = {}): Promise<Letter> {
    return this.#ask(outgoing, 'answer', options);
  }

  /** Asks somebody for work and waits for what it gives; rejects as `ask` does. */
  async request(
    wish: Omit<TaskWish, 'id'> & Pick<Partial<TaskWish>, 'id'> & Pick<Outgoing, 'correlationId' | 'priority'>,
    options: AskOptions = {},
  ): Promise<Json> {
    const { correlationId, priority, id = crypto.randomUUID() } = wish;
    const more = {
      ...(correlationId === undefined ? {} : { correlationId }),
      ...(priority === undefined ? {} : { priority }),
    };
    const words = this.#wording.request({ ...wish, id });
    return (await this.#ask({ ...words, ...more }, 'outcome', options)).result;
  }

  /** Answers a letter. */
  async reply(letter: Letter, payload: Json): Promise<void> {
    await this.send({ ...this.#wording.reply(letter, payload), answers: letter });
  }

  /** Tells everyone who wants to know that something happened; throws where the wire has no words for events. */
  async publish(topic: string, data: Json = {}): Promise<void> {
    await this.send(this.#worded(this.#wording.event(topic, data), 'events'));
  }

  /** Keeps something under a key for all agents of the tenant; throws where the wire has no words for memory. */
  async remember(memo: Memo, options: AskOptions = {}): Promise<Json> {
    return (await this.ask(this.#worded(this.#wording.remember(memo), 'memory'), options)).payload;
  }

  /** What was kept that has to do with a text, in the wire's words; throws as `remember` does. */
  async recall(recollection: Recollection, options: AskOptions = {}): Promise<Json> {
    return (await this.ask(this.#worded(this.#wording.recall(recollection), 'memory'), options)).payload;
  }

  async #ask(
    outgoing: Outgoing,
    until: 'answer' | 'outcome',
    { timeoutMs = ASK_MS }: AskOptions,
  ): Promise<Letter> {
    const { id = crypto.randomUUID(), taskId = null } = outgoing;
    const answer = this.#answers.expect({ id, taskId, until, timeoutMs });
    try {
      await this.send({ ...outgoing, id });
    } catch (error) {
      this.#answers.forget(id, error);
    }
    return answer;
  }

  async #handle(delivery: MailDelivery, held: Held): Promise<Settled> {
    try {
      const letter = this.#wording.read(delivery.message);
      if (letter.kind === 'task_request') held.taskId = letter.taskId;
      const handler = this.#handlerOf(letter);
      if (this.#answers.take(letter)) return { outcome: 'ack' };
      if (handler === undefined) return await this.#unhandled(letter);
      const context = this.#context(letter, delivery, held);
      return letter.kind === 'task_request'
        ? await this.#work(letter, handler, context, held)
        : await this.#hear(letter, handler, context);
    } catch (error) {
      if (error instanceof LetterRejected) return { outcome: 'reject', reason: error.message };
      this.#failed(error);
      if (held.why !== null && held.why !== 'shutdown') return null;
      return { outcome: 'nack', delay_ms: held.why === null ? backoffMs(delivery.attempt, AGAIN) : 0 };
    }
  }

  #handlerOf({ type, kind }: Letter): LetterHandler | undefined {
    return this.#handlers.get(type) ?? this.#handlers.get(kind) ?? this.#handlers.get('*');
  }

  async #unhandled(letter: Letter): Promise<Settled> {
    if (letter.kind === 'task_control' && letter.taskId !== null) {
      const wasHeld = this.#inbox.abortTask(letter.taskId, `${letter.from} asked for it: ${letter.type}`);
      if (wasHeld && this.#wording.confirm !== undefined)
        await this.send({ ...this.#wording.confirm(letter), answers: letter });
      return { outcome: 'ack' };
    }
    if (TELLING.has(letter.kind)) return { outcome: 'ack' };
    return { outcome: 'reject', reason: `${this.self.id} has no handler for ${letter.type}` };
  }

  async #hear(letter: Letter, handler: LetterHandler, context: LetterContext): Promise<Settled> {
    const answer = await handler(letter, context);
    if (answer !== undefined) await this.reply(letter, answer);
    return { outcome: 'ack' };
  }

  async #work(letter: Letter, handler: LetterHandler, context: LetterContext, held: Held): Promise<Settled> {
    let words: Words;
    try {
      words = this.#wording.completed(letter, (await handler(letter, context)) ?? null);
    } catch (error) {
      if (held.why === 'shutdown') return { outcome: 'nack', delay_ms: 0 };
      if (held.why !== null) return held.why === 'cancelled' ? { outcome: 'ack' } : null;
      if (error instanceof LetterRejected) throw error;
      words = this.#wording.failed(letter, faultFrom(error));
    }
    if (held.why === 'lease_lost') return null;
    await this.#tellOutcome(letter, words);
    return { outcome: 'ack' };
  }

  /** What the server will not take as a result is told as a failure; that the task is over or another's is nothing to be told. */
  async #tellOutcome(letter: Letter, words: Words): Promise<void> {
    try {
      await this.send({ ...words, answers: letter });
    } catch (error) {
      if (!(error instanceof BatutaError) || error.retryable) throw error;
      this.#failed(error);
      if ([401, 403, 404, 409].includes(error.status)) return;
      const fault = faultFrom(new Error(`the result was refused: ${error.message}`));
      await this.send({ ...this.#wording.failed(letter, fault), answers: letter });
    }
  }

  #context(letter: Letter, delivery: MailDelivery, held: Held): LetterContext {
    return {
      signal: held.signal,
      attempt: delivery.attempt,
      progress: async (percentage, note = '') => {
        const words = this.#wording.progress(letter, { percentage, note });
        if (words === null || held.signal.aborted) return;
        await this.send({ ...words, answers: letter }).catch(error => this.#failed(error));
      },
      reply: payload => this.reply(letter, payload),
    };
  }

  #heading(outgoing: Outgoing & { readonly id: string }): Heading {
    const now = this.client.clock.now();
    const { id, answers, correlationId, priority, livesMs } = outgoing;
    return {
      ...{ id, now, answers, priority, self: this.self },
      correlationId: correlationId ?? answers?.correlationId,
      expiresAt: livesMs === undefined ? undefined : now + livesMs,
    };
  }

  #worded(words: Words | null, what: string): Words {
    if (words !== null) return words;
    throw new TypeError(`the ${this.#wording.name} wire has no words for ${what}`);
  }

  async #register(): Promise<void> {
    const { id, skills = [], roles = [], slots = 10 } = this.#options;
    const { name, skillTypes } = this.#wording;
    const types = (skillTypes?.(skills, this.self) ?? skills).map(skill => `custom:${skill}`);
    const wireRoles = roles.map(role => `${name}:${role}`);
    await this.client.agents.register({
      ...{ agent_id: id, types, roles: wireRoles, capacity: { slots } },
      skills: [...new Set([...skills, ...wireRoles])],
    });
  }

  /** Reading alone does not keep an agent that takes no work in the roster. */
  #beatLater(): void {
    this.#beat = this.client.clock.after(BEAT_MS, () => {
      this.#register().catch(error => this.#failed(error));
      this.#beatLater();
    });
  }

  #failed(error: unknown): void {
    if (!(error instanceof TaskAborted)) this.#options.onError?.(error);
  }
}

function faultFrom(error: unknown): LetterFault {
  if (error instanceof RecoverableError) {
    const { code, message, details } = error;
    return { code, message, recoverable: true, details: (details ?? {}) as JsonObject };
  }
  const message = error instanceof Error ? error.message || error.name : String(error);
  return {
    code: 'EXECUTION_ERROR',
    message,
    recoverable: error instanceof BatutaError && error.retryable,
    details: {},
  };
}
