// One request under way: what a handler sees of it as its `Call`, and what the server remembers to answer it. Whatever costs
// something (trace, abort signal, origin) is made when first asked for.

import type { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { Principal } from '../domain/principal.ts';
import type { Authenticated } from '../guards/authentication.ts';
import type { RateStanding } from '../guards/limits.ts';
import type { AddressRange } from '../guards/network.ts';
import type { Call, ErrorScene } from '../protocols/protocol.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Random } from '../runtime/random.ts';
import { isPrivate } from './privacy.ts';
import { type Trace, traceOf } from './trace.ts';

declare module 'fastify' {
  interface FastifyRequest {
    exchange: Exchange | null;
  }
}

/** What every exchange of a server shares. */
export interface ExchangeSetting {
  readonly clock: Clock;
  readonly random: Random;
  /** Where callers are told to reach us; null means where this one did. */
  readonly publicUrl: string | null;
  /** Whose word on how callers came is believed. */
  readonly proxies: readonly AddressRange[];
  /** The signals handed out and not yet over, so that shutting down can end what waits on them. */
  readonly openSignals: Set<AbortController>;
}

/** Who calls a public route. */
const NOBODY: Principal = {
  tenant: DEFAULT_TENANT,
  id: 'anonymous',
  method: 'system',
  permissions: new Set(),
};

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/;

/** A request from its first byte to its answer. */
export class Exchange implements Call<never, never, never> {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly requestId: string;
  readonly receivedAt: number;
  caller: Authenticated | null = null;
  /** Whether credentials were judged good, or none were needed. */
  admitted = false;
  rate: RateStanding | null = null;
  /** Whether the route takes its body as a stream. */
  readonly isStreamed: boolean;
  parsedBody: unknown;
  stream: Readable | null = null;
  rawBody: Uint8Array | null = null;
  #stepStartedAt: number;
  readonly #steps: Record<string, number> = {};
  readonly #setting: ExchangeSetting;
  #trace: Trace | null = null;
  #abort: AbortController | null = null;

  constructor(request: FastifyRequest, reply: FastifyReply, setting: ExchangeSetting, isStreamed = false) {
    const offered = request.headers['x-request-id'];
    this.request = request;
    this.reply = reply;
    this.isStreamed = isStreamed;
    this.requestId =
      typeof offered === 'string' && REQUEST_ID.test(offered) ? offered : setting.random.uuid();
    this.receivedAt = setting.clock.now();
    this.#stepStartedAt = setting.clock.monotonic();
    this.#setting = setting;
  }

  get principal(): Principal {
    return this.caller?.principal ?? NOBODY;
  }

  /** Shaped by the route's schema once it was checked; typed for whichever route this is. */
  get query(): never {
    return this.request.query as never;
  }

  get params(): never {
    return this.request.params as never;
  }

  get body(): never {
    return this.parsedBody as never;
  }

  get headers(): Readonly<Record<string, string | undefined>> {
    // Node joins every repeated header into one string but `set-cookie`, which no request bears.
    return this.request.headers as Readonly<Record<string, string | undefined>>;
  }

  get sourceAddress(): string {
    return this.request.ip;
  }

  get origin(): string {
    return this.#setting.publicUrl ?? `${this.request.protocol}://${this.request.host}`;
  }

  get isPrivate(): boolean {
    return isPrivate(this.request.raw, this.#setting.proxies);
  }

  get traceId(): string {
    return this.#traceContext().traceId;
  }

  get traceparent(): string {
    return this.#traceContext().traceparent;
  }

  get steps(): Readonly<Record<string, number>> {
    return this.#steps;
  }

  /** Notes what the time since the last step (or the arrival) was spent on, in milliseconds (`SAM-106`). */
  step(name: string): void {
    const now = this.#setting.clock.monotonic();
    this.#steps[name] = now - this.#stepStartedAt;
    this.#stepStartedAt = now;
  }

  get signal(): AbortSignal {
    if (this.#abort === null) {
      const abort = new AbortController();
      const { openSignals } = this.#setting;
      this.#abort = abort;
      const { raw } = this.reply;
      openSignals.add(abort);
      const end = (): void => {
        openSignals.delete(abort);
        abort.abort();
      };
      if (raw.destroyed) end();
      else raw.once('close', end);
    }
    return this.#abort.signal;
  }

  /** What an error's body is made from. */
  scene(): ErrorScene {
    return {
      requestId: this.requestId,
      traceId: this.traceId,
      now: this.#setting.clock.now(),
      origin: this.origin,
    };
  }

  #traceContext(): Trace {
    const incoming = this.headers.traceparent;
    this.#trace ??= traceOf(incoming, this.#setting.random);
    return this.#trace;
  }
}
