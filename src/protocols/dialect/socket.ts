// A dialect through a WebSocket, both ways. Frames are JSON objects named by `frame`. In: `hello` (inbox, credit), `send` (ref, message or
// messages), `ack` (items), `credit` (credit). Out: `welcome`, `sent`, `deliver`, `acked`, `credit`, `error`. Neither side
// sends more than the other granted: `deliver` stops at the reader's credit, `send` at the server's.

import { asDomainError, DomainError } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Handout } from '../../engine/mailroom/handout.ts';
import { parseJson } from '../json.ts';
import type { Call, FarEnd, SocketDoor, SocketSession } from '../protocol.ts';
import { bodyCheck } from '../validation.ts';
import { deliverable } from './clear-text.ts';
import { encoded } from './encoded.ts';
import { ackFrame, creditFrame, helloFrame, sendFrame } from './frames.ts';
import { headersBeside } from './headed.ts';
import { BATCH_MAX, MESSAGE_BYTES_MAX } from './media.ts';
import { logRefusal } from './rendered.ts';
import { arrivalOf, type DialectRouteParts, openInbox, resultOf, sceneOf } from './routes.ts';
import { type AckItem, ownInboxes, verdictOf } from './verdicts.ts';

/** Messages a sender may have under way at once. */
const SEND_CREDIT = 200;
const CREDIT_MAX = 1_000;
const FRAME_BYTES_MAX = 4 * MESSAGE_BYTES_MAX;
const BUFFERED_MAX = 4 * MESSAGE_BYTES_MAX;
const WAIT_MS = 30_000;
const DRAIN_MS = 50;

const CHECKS = {
  hello: bodyCheck(helloFrame),
  send: bodyCheck(sendFrame),
  ack: bodyCheck(ackFrame),
  credit: bodyCheck(creditFrame),
} as const;

/** The path where a dialect takes sockets. */
export function socketDoor(parts: DialectRouteParts): SocketDoor {
  return {
    path: `/protocols/${parts.dialect.name}/socket`,
    access: 'authenticated',
    frameBytesMax: FRAME_BYTES_MAX,
    open: (call, farEnd) => new Session(parts, call, farEnd),
  };
}

type Opened = Awaited<ReturnType<typeof openInbox>> & { readonly visibilityMs: number };

class Session implements SocketSession {
  readonly #parts: DialectRouteParts;
  readonly #call: Call;
  readonly #farEnd: FarEnd;
  /** Everything this socket holds is held under this name, so that it can be given back together. */
  readonly #reader: string;
  readonly #over = new AbortController();
  readonly #held = new Map<string, Handout>();
  #opened: Opened | null = null;
  #credit = 0;
  #underWay = 0;
  #granted: () => void = () => {};
  #queue: Promise<void> = Promise.resolve();

  constructor(parts: DialectRouteParts, call: Call, farEnd: FarEnd) {
    this.#parts = parts;
    this.#reader = `socket:${parts.random.uuid()}`;
    this.#call = call;
    this.#farEnd = farEnd;
  }

  receive(text: string): void {
    let frame: JsonObject;
    try {
      frame = frameOf(text);
      if (frame.frame === 'send') this.#take(frame);
    } catch (error) {
      this.#fail(error, null);
      return;
    }
    // Frames have their effects in the order they came.
    this.#queue = this.#queue.then(() => this.#obey(frame)).catch(error => this.#fail(error, refOf(frame)));
  }

  ended(): void {
    this.#over.abort();
    this.#granted();
    void this.#letGo().catch(() => {});
  }

  async #obey(frame: JsonObject): Promise<void> {
    switch (frame.frame) {
      case 'hello':
        return this.#hello(frame as unknown as HelloFrame);
      case 'send':
        return this.#send(frame as unknown as SendFrame);
      case 'ack':
        return this.#ack(frame.items as unknown as readonly AckItem[], refOf(frame));
      case 'credit':
        this.#credit = Math.min(CREDIT_MAX, this.#credit + Number(frame.credit));
        this.#granted();
    }
  }

  async #hello({ inbox, credit = 0, visibility = 30 }: HelloFrame): Promise<void> {
    if (this.#opened !== null) throw new DomainError('conflict', 'hello was said already');
    if (inbox !== undefined) {
      const { caller } = await arrivalOf(this.#call, this.#parts);
      const named = await openInbox(inbox, caller, this.#parts.dialect);
      this.#opened = { ...named, visibilityMs: visibility * 1_000 };
      this.#credit = Math.min(CREDIT_MAX, credit);
    }
    this.#say({ frame: 'welcome', credit: SEND_CREDIT, inboxes: [...(this.#opened?.inboxes ?? [])] });
    if (this.#opened !== null) void this.#deliver(this.#opened).catch(error => this.#fail(error, null));
  }

  /** Takes the messages of a frame off the sender's credit; what goes beyond is not stored. */
  #take(frame: JsonObject): void {
    const { messages } = frame as unknown as SendFrame;
    const count = messages?.length ?? 1;
    if (this.#underWay + count > SEND_CREDIT)
      throw new DomainError('rate_limited', `more than the ${SEND_CREDIT} messages of credit are under way`, {
        details: { credit: SEND_CREDIT - this.#underWay, ref: refOf(frame) },
        retryAfterMs: 1_000,
      });
    this.#underWay += count;
  }

  async #send({ ref, message, messages }: SendFrame): Promise<void> {
    const { dialect, door } = this.#parts;
    const envelopes = messages ?? [message];
    try {
      const arrival = await arrivalOf(this.#call, this.#parts);
      const taken = await door.take(envelopes, arrival);
      const told = this.#call.headers['protocol-version'] ?? null;
      const results = taken.map((one, index) =>
        resultOf(one, this.#call, dialect, dialect.versionOf(envelopes[index]) ?? told),
      );
      this.#say({ frame: 'sent', ...(ref === undefined ? {} : { ref }), results, credit: envelopes.length });
    } finally {
      this.#underWay -= envelopes.length;
    }
  }

  async #ack(items: readonly AckItem[], ref: string | null): Promise<void> {
    const { dialect, mailroom } = this.#parts;
    const opened = this.#opened;
    if (opened === null) throw new DomainError('invalid_transition', 'hello names the inbox first');
    const holder = {
      tenant: this.#call.principal.tenant,
      name: this.#reader,
      agentId: opened.worker,
      inboxes: inboxesOf(opened),
    };
    const outcomes = await mailroom.settle(holder, items.map(verdictOf));
    const results = outcomes.map((outcome, index) => {
      const item = items[index];
      if (item !== undefined && item.outcome !== 'extend') this.#held.delete(item.delivery_id);
      if (outcome.status === 'done') return { delivery_id: item?.delivery_id, status: 'done' };
      return {
        delivery_id: item?.delivery_id,
        status: 'rejected',
        error: dialect.errorBody(outcome.error, sceneOf(this.#call, null)),
      };
    });
    this.#say({ frame: 'acked', ...(ref === null ? {} : { ref }), results });
  }

  /** Hands out what comes, never more than was granted, until the socket is over. */
  async #deliver(opened: Opened): Promise<void> {
    const { mailroom, dialect, clock, figures } = this.#parts;
    const { signal } = this.#over;
    while (!signal.aborted) {
      if (this.#credit <= 0 || this.#farEnd.buffered > BUFFERED_MAX) {
        const cancel = this.#credit > 0 ? clock.after(DRAIN_MS, () => this.#granted()) : () => {};
        await new Promise<void>(resolve => (this.#granted = resolve));
        cancel();
        continue;
      }
      const read = await mailroom.read({
        ...{ tenant: this.#call.principal.tenant, reader: this.#reader, inboxes: opened.inboxes, signal },
        ...{ limit: Math.min(100, this.#credit), visibilityMs: opened.visibilityMs, waitMs: WAIT_MS },
        ...(opened.worker === null ? {} : { worker: { agentId: opened.worker, dialect: dialect.name } }),
      });
      const handouts = await this.#deliverable(read, opened);
      figures.handedOut(this.#call.principal.tenant, handouts);
      for (const handout of handouts) {
        this.#credit -= 1;
        this.#held.set(handout.id, handout);
        const { id, attempt, visibleUntil, message } = handout;
        this.#say({
          ...{ frame: 'deliver', delivery_id: id, attempt },
          visible_until: new Date(visibleUntil).toISOString(),
          ...headersBeside(message, dialect),
          message: encoded(message, dialect) as JsonObject,
        });
      }
    }
    await this.#letGo();
  }

  /** What was withheld is told of once for what came together. */
  async #deliverable(read: readonly Handout[], opened: Opened): Promise<readonly Handout[]> {
    const tenant = this.#call.principal.tenant;
    const holder = { tenant, name: this.#reader, agentId: opened.worker, inboxes: inboxesOf(opened) };
    return deliverable(read, this.#call, holder, this.#parts.mailroom).catch(error => {
      this.#fail(error, null);
      return [];
    });
  }

  /** What it holds unacknowledged goes back at once, tasks included. */
  async #letGo(): Promise<void> {
    const { mailroom } = this.#parts;
    const opened = this.#opened;
    const held = [...this.#held.keys()];
    this.#held.clear();
    if (opened === null) return;
    const tenant = this.#call.principal.tenant;
    const holder = { tenant, name: this.#reader, agentId: opened.worker, inboxes: inboxesOf(opened) };
    const tasks = held.filter(id => id.split('.').length > 2);
    if (tasks.length > 0)
      await mailroom.settle(
        holder,
        tasks.map(id => ({ id, verdict: { outcome: 'nack', delayMs: 0 } })),
      );
    await mailroom.release(this.#reader);
  }

  #say(frame: JsonObject | { readonly frame: string; readonly results: readonly object[] }): void {
    this.#farEnd.send(JSON.stringify(frame));
  }

  #fail(thrown: unknown, ref: string | null): void {
    const error = asDomainError(thrown);
    const { dialect, log } = this.#parts;
    const { traceId, requestId } = this.#call;
    logRefusal(log, dialect, error, { traceId, requestId, ref });
    const about = ref ?? (typeof error.details.ref === 'string' ? error.details.ref : null);
    const told = { frame: 'error', ...(about === null ? {} : { ref: about }) };
    this.#say({ ...told, error: dialect.errorBody(error, sceneOf(this.#call, null)) });
  }
}

interface HelloFrame {
  readonly inbox?: string;
  readonly credit?: number;
  readonly visibility?: number;
}

interface SendFrame {
  readonly ref?: string;
  readonly message?: unknown;
  readonly messages?: readonly unknown[];
}

function frameOf(text: string): JsonObject {
  const frame = parseJson(Buffer.from(text));
  const name = isJsonObject(frame) ? frame.frame : undefined;
  if (!isJsonObject(frame) || typeof name !== 'string' || !isFrameName(name))
    throw new DomainError(
      'invalid_request',
      `a frame is an object whose frame is ${Object.keys(CHECKS).join(', ')}`,
    );
  const faults = CHECKS[name](frame) ?? [];
  if (faults.length > 0)
    throw new DomainError(
      'invalid_request',
      faults.map(({ field, message }) => `${field} ${message}`).join('; '),
      {
        details: { errors: faults.map(({ field, message }) => ({ field, message })), ref: refOf(frame) },
      },
    );
  if (name === 'send' && (frame.message === undefined) === (frame.messages === undefined))
    throw new DomainError('invalid_request', `send has message or messages, of which at most ${BATCH_MAX}`);
  return frame;
}

function isFrameName(name: string): name is keyof typeof CHECKS {
  return Object.hasOwn(CHECKS, name);
}

function refOf(frame: JsonObject): string | null {
  return typeof frame.ref === 'string' ? frame.ref : null;
}

function inboxesOf({ inboxes, worker }: Opened): Opened['inboxes'] {
  return ownInboxes(inboxes, worker);
}
