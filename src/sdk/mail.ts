// Messages of one wire as the server has them: sent, found in inboxes, acknowledged, dead, and gathered by exchange. What a message says is
// left in its wire's words; agent.ts reads and writes those.

import type { Json, JsonObject } from '../domain/json.ts';
import type { DeadReason } from '../domain/message.ts';
import { type BatutaError, errorOf } from './errors.ts';
import { type FollowOptions, followEvents } from './follow.ts';
import type { Transport } from './transport.ts';
import { factsIn } from './wire-errors.ts';

/** A message that was taken in; `duplicate` where it had been before, in which case nothing happened again. */
export interface SentMessage {
  readonly message_id: string;
  readonly status: 'accepted' | 'duplicate';
  /** What was answered, where the call waited for it and it came. */
  readonly reply?: JsonObject;
}

/** What became of one message among several. */
export type SentOutcome = SentMessage | { readonly message_id: string | null; readonly error: BatutaError };

/** One delivery of a message: to be acknowledged by its `delivery_id` before `visible_until`, or it comes again. */
export interface MailDelivery {
  readonly delivery_id: string;
  /** Deliveries of it so far, this one included. */
  readonly attempt: number;
  readonly visible_until: string;
  readonly message: JsonObject;
}

/** What a reader makes of a delivery. */
export interface MailVerdict {
  readonly delivery_id: string;
  readonly outcome: 'ack' | 'nack' | 'extend' | 'reject';
  /** Of `nack`: not again earlier than so many milliseconds from now. */
  readonly delay_ms?: number;
  /** Of `extend`: for so many seconds from now. */
  readonly visibility_s?: number;
  /** Of `reject`: why it goes to the dead letters. */
  readonly reason?: string;
}

/** What became of a verdict; an error where the delivery was no longer the reader's. */
export interface VerdictOutcome {
  readonly delivery_id: string;
  readonly visible_until?: string;
  readonly error?: BatutaError;
}

/** How to read an inbox: `wait` 0–60 s, `max` 1–100 messages, `visibility` in seconds (30). */
export interface ReadOptions {
  readonly wait?: number;
  readonly max?: number;
  readonly visibility?: number;
  readonly signal?: AbortSignal | undefined;
}

/** A message nobody got, and why; `raw` in place of `message` where what came was none. */
export interface DeadLetterView {
  readonly id: number;
  readonly inbox: string | null;
  readonly reason: DeadReason;
  readonly last_error: string;
  readonly attempts: number;
  readonly sender: string;
  readonly died_at: string;
  readonly accepted_at?: string;
  readonly message?: JsonObject;
  readonly raw?: string;
}

/** Which dead letters. */
export interface DeadLetterFilter {
  readonly inbox?: string | undefined;
  readonly reason?: DeadReason | undefined;
  /** Only those that died at this instant or later (ISO 8601). */
  readonly since?: string | undefined;
}

/** A message of an exchange, with what every wire says of it in the same words. */
export interface ExchangeStep {
  readonly message_id: string;
  readonly protocol: string;
  readonly type: string;
  readonly from: string;
  readonly to: readonly string[];
  readonly reply_to: string | null;
  readonly task_id: string | null;
  readonly accepted_at: string;
  readonly message: JsonObject;
}

/** What was said under one correlation id, in the order it was accepted. */
export interface ExchangeView {
  readonly correlation_id: string;
  readonly messages: readonly ExchangeStep[];
  /** Whether there is more than is shown. */
  readonly truncated: boolean;
}

/** A message as it was accepted; `position` resumes the stream after it. */
export interface MailEvent {
  readonly position: string | null;
  readonly type: string;
  readonly message: JsonObject;
}

const ANSWER_MS = 15_000;

/** The mail of one wire (`army`, `task`, `blog`, `nooble`). */
export class Mail {
  readonly #transport: Transport;
  readonly #path: string;

  constructor(transport: Transport, protocol: string) {
    this.#transport = transport;
    this.#path = `/protocols/${encodeURIComponent(protocol)}`;
  }

  /** What is spoken here: versions, types, limits. */
  about(): Promise<JsonObject> {
    return this.#transport.json({ method: 'GET', path: this.#path, anonymous: true });
  }

  /** Sends a message; answered once it is durable. Repeating the same message is harmless. With `wait` its reply comes along if it is there in time. */
  send(
    message: JsonObject,
    { wait, signal }: { readonly wait?: number | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<SentMessage> {
    return this.#transport.json({
      method: 'POST',
      path: `${this.#path}/messages`,
      query: { wait },
      json: message,
      timeoutMs: (wait ?? 0) * 1_000 + ANSWER_MS,
      signal,
    });
  }

  /** Sends up to 1,000 messages, answering each in order; a bad one hinders no other. */
  async sendMany(messages: readonly JsonObject[]): Promise<readonly SentOutcome[]> {
    const { results } = await this.#transport.json<{
      readonly results: readonly (SentMessage & { readonly error?: JsonObject })[];
    }>({ method: 'POST', path: `${this.#path}/messages`, json: messages });
    return results.map(({ error, ...one }) =>
      error === undefined ? one : { message_id: one.message_id, error: refusalOf(error) },
    );
  }

  /** Messages in an inbox, which are the reader's until `visible_until`. */
  async read(inbox: string, options: ReadOptions = {}): Promise<readonly MailDelivery[]> {
    return (await this.readAndTime(inbox, options)).messages;
  }

  /** As `read`, with the server's clock at its answer. */
  async readAndTime(
    inbox: string,
    { wait, max, visibility, signal }: ReadOptions = {},
  ): Promise<{ readonly messages: readonly MailDelivery[]; readonly serverNow: number }> {
    const { answer, serverNow } = await this.#transport.jsonAndTime<{
      readonly messages: readonly MailDelivery[];
    }>({
      method: 'GET',
      path: `${this.#path}/inbox/${encodeURIComponent(inbox)}`,
      query: { wait, max, visibility },
      timeoutMs: (wait ?? 0) * 1_000 + ANSWER_MS,
      signal,
    });
    return { messages: answer.messages, serverNow };
  }

  /** Says what became of deliveries, answered each in order; repeating a verdict is harmless. */
  async settle(inbox: string, verdicts: readonly MailVerdict[]): Promise<readonly VerdictOutcome[]> {
    const { results } = await this.#transport.json<{
      readonly results: readonly {
        readonly delivery_id: string;
        readonly visible_until?: string;
        readonly error?: JsonObject;
      }[];
    }>({
      method: 'POST',
      path: `${this.#path}/inbox/${encodeURIComponent(inbox)}/ack`,
      json: { items: verdicts },
    });
    return results.map(outcomeOfVerdict);
  }

  /** Where the wire's WebSocket opens, and the headers its handshake needs. */
  socket(): Promise<{ readonly url: URL; readonly headers: Readonly<Record<string, string>> }> {
    return this.#transport.handshake(`${this.#path}/socket`);
  }

  /** Dead letters, oldest first, up to 100 a page; `cursor` is the `next_cursor` of the page before. */
  async deadLetters(
    filter: DeadLetterFilter & {
      readonly cursor?: number | undefined;
      readonly limit?: number | undefined;
    } = {},
  ): Promise<{ readonly dead_letters: readonly DeadLetterView[]; readonly next_cursor: number | null }> {
    return this.#transport.json({ method: 'GET', path: `${this.#path}/dead-letters`, query: filter });
  }

  /** Puts dead letters back into their inboxes; answers which. */
  async replay(
    which: { readonly ids: readonly number[] } | { readonly filter: DeadLetterFilter },
  ): Promise<readonly number[]> {
    const { replayed } = await this.#transport.json<{ readonly replayed: readonly number[] }>({
      method: 'POST',
      path: `${this.#path}/dead-letters/replay`,
      json: which,
    });
    return replayed;
  }

  /** Lets a dead letter go. */
  async drop(id: number): Promise<void> {
    await this.#transport.json({ method: 'DELETE', path: `${this.#path}/dead-letters/${id}` });
  }

  /** All that was said under a correlation id, as far as the caller may see it; throws `NotFoundError` where that is nothing. */
  exchange(correlationId: string): Promise<ExchangeView> {
    return this.#transport.json({
      method: 'GET',
      path: `${this.#path}/exchanges/${encodeURIComponent(correlationId)}`,
    });
  }

  /** The same as a Mermaid sequence diagram. */
  async diagram(correlationId: string): Promise<string> {
    const response = await this.#transport.open({
      method: 'GET',
      path: `${this.#path}/exchanges/${encodeURIComponent(correlationId)}`,
      query: { format: 'mermaid' },
    });
    return response.text();
  }

  /** Messages as they are accepted, of these types (`*` for anything), for ever; survives broken connections without gap or repeat. */
  async *events(types: readonly string[] = [], options: FollowOptions = {}): AsyncGenerator<MailEvent, void> {
    const query = { types: types.length === 0 ? undefined : types };
    const stream = { path: `${this.#path}/events`, query, ends: false };
    for await (const { id, event, data } of followEvents(this.#transport, stream, options))
      yield { position: id, type: event, message: data };
  }
}

/** A verdict's outcome as the wire tells it, its error as one of ours. */
export function outcomeOfVerdict(result: {
  readonly delivery_id: string;
  readonly visible_until?: string;
  readonly error?: Json | undefined;
}): VerdictOutcome {
  const { error, ...rest } = result;
  return error === undefined ? rest : { ...rest, error: refusalOf(error) };
}

/** An error that came inside an answer, in whatever wire's words. */
function refusalOf(body: Json): BatutaError {
  return errorOf({ code: 'REFUSED', message: 'it was refused', ...factsIn(body), status: 0 });
}
