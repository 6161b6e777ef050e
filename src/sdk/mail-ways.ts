// The two ways mail comes to an agent: long polls, which any runtime can do, and a WebSocket, where the runtime lets a program give it headers.

import type { JsonObject } from '../domain/json.ts';
import { type Cancel, type Clock, pause } from './clock.ts';
import { BatutaError, ConnectionError } from './errors.ts';
import type { MailDesk, MailWay } from './inbox.ts';
import {
  type Mail,
  type MailDelivery,
  type MailVerdict,
  outcomeOfVerdict,
  type VerdictOutcome,
} from './mail.ts';
import { backoffMs } from './transport.ts';
import { factsIn } from './wire-errors.ts';

/** What both ways are made of. */
export interface WayParts {
  readonly clock: Clock;
  readonly mail: Mail;
  readonly inbox: string;
  readonly slots: number;
  readonly waitSeconds: number;
  readonly visibilitySeconds: number;
}

const RETRY = { firstDelayMs: 250, delayMaxMs: 10_000 };
const ASK_MAX = 100;
/** The server tells the time in whole seconds. */
const TIME_ERROR_MS = 1_000;

/** Reads by long polls, as many at a time as there is room for. */
export class PolledMail implements MailWay {
  readonly #parts: WayParts;
  readonly #over = new AbortController();
  #freed: () => void = () => {};

  constructor(parts: WayParts) {
    this.#parts = parts;
  }

  /** Polls once before it promises: what this refuses no later poll will be given. */
  async open(desk: MailDesk): Promise<void> {
    await this.#ask(desk, 0);
    void this.#poll(desk);
  }

  settle(verdicts: readonly MailVerdict[]): Promise<readonly VerdictOutcome[]> {
    return this.#parts.mail.settle(this.#parts.inbox, verdicts);
  }

  freed(): void {
    this.#freed();
  }

  hush(): void {
    this.#over.abort(new Error('the agent is stopping'));
    this.#freed();
  }

  close(): void {}

  async #poll(desk: MailDesk): Promise<void> {
    const { clock, waitSeconds } = this.#parts;
    const { signal } = this.#over;
    let failures = 0;
    while (!signal.aborted) {
      if (desk.room() <= 0) {
        await new Promise<void>(resolve => (this.#freed = resolve));
        continue;
      }
      try {
        await this.#ask(desk, waitSeconds);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        failures += 1;
        desk.failed(error);
        await pause(clock, backoffMs(failures, RETRY), signal).catch(() => undefined);
      }
    }
  }

  async #ask(desk: MailDesk, wait: number): Promise<void> {
    const { mail, inbox, visibilitySeconds: visibility } = this.#parts;
    const max = Math.min(desk.room(), ASK_MAX);
    const { signal } = this.#over;
    const { messages, serverNow } = await mail.readAndTime(inbox, { wait, max, visibility, signal });
    for (const delivery of messages)
      desk.take(delivery, visibleMs(delivery, serverNow + TIME_ERROR_MS, visibility));
  }
}

interface Asking {
  readonly resolve: (outcomes: readonly VerdictOutcome[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Reads through a WebSocket, which is opened anew when it breaks; the server gives back at once what a broken one held. */
export class SocketMail implements MailWay {
  readonly #parts: WayParts;
  readonly #asking = new Map<string, Asking>();
  #socket: WebSocket | null = null;
  #isOver = false;
  #failures = 0;
  #refs = 0;
  #cancelRetry: Cancel = () => {};

  constructor(parts: WayParts) {
    this.#parts = parts;
  }

  open(desk: MailDesk): Promise<void> {
    return this.#connect(desk);
  }

  settle(verdicts: readonly MailVerdict[]): Promise<readonly VerdictOutcome[]> {
    const ref = String(++this.#refs);
    return new Promise((resolve, reject) => {
      if (this.#socket?.readyState !== WebSocket.OPEN) return reject(broken('the socket is not open'));
      this.#asking.set(ref, { resolve, reject });
      this.#say({ frame: 'ack', ref, items: verdicts as unknown as JsonObject[] });
    });
  }

  freed(): void {
    if (!this.#isOver && this.#socket?.readyState === WebSocket.OPEN)
      this.#say({ frame: 'credit', credit: 1 });
  }

  /** Credit is given only for what was settled, so nothing comes beyond what is under way. */
  hush(): void {
    this.#isOver = true;
    this.#cancelRetry();
  }

  close(): void {
    this.#socket?.close(1000);
  }

  async #connect(desk: MailDesk): Promise<void> {
    const { mail, inbox, slots: credit, visibilitySeconds: visibility } = this.#parts;
    const { url, headers } = await mail.socket();
    const opened = Promise.withResolvers<void>();
    // Standard WebSockets take no headers; Node, Bun and Deno do.
    const socket = new WebSocket(url, { headers } as unknown as string[]);
    this.#socket = socket;
    socket.addEventListener('open', () => this.#say({ frame: 'hello', inbox, credit, visibility }));
    socket.addEventListener('message', ({ data }) => {
      const frame = JSON.parse(String(data)) as JsonObject;
      if (frame.frame === 'welcome') {
        this.#failures = 0;
        opened.resolve();
      } else if (frame.frame === 'error') this.#failed(frame, desk, opened.reject);
      else this.#heard(frame, desk);
    });
    socket.addEventListener('close', ({ code, reason }) => {
      const error = broken(`the socket closed with ${code}${reason === '' ? '' : `: ${reason}`}`);
      opened.reject(error);
      for (const { reject } of this.#asking.values()) reject(error);
      this.#asking.clear();
      if (this.#socket !== socket || this.#isOver) return;
      this.#socket = null;
      desk.lost();
      desk.failed(error);
      this.#reconnect(desk);
    });
    return opened.promise;
  }

  #reconnect(desk: MailDesk): void {
    this.#failures += 1;
    this.#cancelRetry = this.#parts.clock.after(backoffMs(this.#failures, RETRY), () => {
      this.#connect(desk).catch(() => undefined);
    });
  }

  #heard(frame: JsonObject, desk: MailDesk): void {
    if (frame.frame === 'deliver') {
      const delivery = frame as unknown as MailDelivery;
      // A socket tells no time, and clocks differ: what is too long is told by the first renewal.
      const now = this.#parts.clock.now();
      desk.take(delivery, visibleMs(delivery, now, this.#parts.visibilitySeconds));
      return;
    }
    if (frame.frame !== 'acked') return;
    const asking = this.#asking.get(String(frame.ref));
    this.#asking.delete(String(frame.ref));
    asking?.resolve(
      (frame.results as unknown as Parameters<typeof outcomeOfVerdict>[0][]).map(outcomeOfVerdict),
    );
  }

  #failed(frame: JsonObject, desk: MailDesk, refuse: (error: unknown) => void): void {
    const error = new BatutaError({
      code: 'REFUSED',
      message: 'refused',
      ...factsIn(frame.error),
      status: 0,
    });
    const asking = this.#asking.get(String(frame.ref));
    this.#asking.delete(String(frame.ref));
    if (asking === undefined) {
      refuse(error);
      desk.failed(error);
    } else asking.reject(error);
  }

  #say(frame: JsonObject): void {
    this.#socket?.send(JSON.stringify(frame));
  }
}

function broken(message: string): ConnectionError {
  return new ConnectionError({ code: 'CONNECTION_FAILED', message, status: 0 });
}

/** How long a delivery is ours, by the server's clock where it is known; never longer than was asked. */
function visibleMs({ visible_until: until }: MailDelivery, now: number, visibilitySeconds: number): number {
  const left = Date.parse(until) - now;
  const asked = visibilitySeconds * 1_000;
  return Number.isNaN(left) || left <= 0 ? Math.min(1_000, asked) : Math.min(left, asked);
}
