// WebSockets: shakes hands on the paths wires name, once it is known who calls; pings; closes those whose credentials ended or whose
// server goes. What is said through them is the wires' business.

import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type RawData, type WebSocket, WebSocketServer } from 'ws';
import { asDomainError, DomainError } from '../domain/errors.ts';
import type { Principal } from '../domain/principal.ts';
import type { Authenticated, AuthRequest } from '../guards/authentication.ts';
import type { AddressRange } from '../guards/network.ts';
import { requirePermission } from '../guards/permissions.ts';
import type { Call, FarEnd, Protocol, SocketDoor } from '../protocols/protocol.ts';
import type { Clock } from '../runtime/clock.ts';
import type { Log } from '../runtime/log.ts';
import type { Random } from '../runtime/random.ts';
import type { Gatekeeper, RequestLimits } from './gate.ts';
import { certificateOf, isPrivate, schemeOf } from './privacy.ts';
import { hangUp } from './stray-bytes.ts';
import { traceOf } from './trace.ts';

/** What sockets need of the server. */
export interface SocketDeps {
  readonly protocols: readonly Protocol[];
  readonly authenticator: Gatekeeper;
  readonly limits: RequestLimits;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly publicUrl: string | null;
  /** Whose word on how callers came is believed. */
  readonly proxies: readonly AddressRange[];
}

const PING_MS = 20_000;
const PINGS_UNANSWERED_MAX = 2;
/** So often it is asked whether the credentials a socket was opened with are still good. */
const RECHECK_MS = 15_000;
/** A far end that takes nothing for so much is let go, in bytes. */
const BUFFERED_MAX = 16 * 1_048_576;
const CODES = { rules: 1008, restart: 1012, credentials: 4401 } as const;

interface Open {
  readonly socket: WebSocket;
  readonly recheck: (() => Promise<unknown>) | null;
  unanswered: number;
}

/** The sockets of one server. */
export class Sockets {
  readonly #deps: SocketDeps;
  readonly #server = new WebSocketServer({ noServer: true, clientTracking: false, perMessageDeflate: false });
  readonly #doors: ReadonlyMap<string, { readonly door: SocketDoor; readonly protocol: Protocol }>;
  readonly #open = new Set<Open>();
  #cancels: (() => void)[] = [];
  #leaving = false;

  constructor(deps: SocketDeps) {
    this.#deps = deps;
    this.#doors = new Map(
      deps.protocols.flatMap(protocol =>
        (protocol.sockets ?? []).map(door => [door.path, { door, protocol }] as const),
      ),
    );
  }

  start(): void {
    this.#every(PING_MS, () => this.#ping());
    this.#every(RECHECK_MS, () => this.#recheck());
  }

  /** Answers a request for an upgrade, with a socket or with an HTTP error in the words of its wire. */
  upgrade(request: IncomingMessage, stream: Duplex, head: Buffer): void {
    stream.on('error', () => stream.destroy());
    const url = request.url ?? '';
    const found = this.#doors.get(url.split('?', 1)[0] ?? '');
    const protocol = found?.protocol ?? this.#deps.protocols[0];
    if (found === undefined || this.#leaving) {
      const error =
        found === undefined
          ? new DomainError('not_found', 'there is no socket at this path')
          : new DomainError('unavailable', 'the server is stopping');
      refuse(stream, protocol, error, this.#deps);
      return;
    }
    this.#admit(found.door, request)
      .then(({ call, recheck }) => this.#shake(found.door, call, recheck, { request, stream, head }))
      .catch(error => refuse(stream, found.protocol, asDomainError(error), this.#deps));
  }

  /** Tells all sockets that the server goes; they come back to another. */
  leave(): void {
    this.#leaving = true;
    for (const { socket } of this.#open) socket.close(CODES.restart, 'the server restarts');
  }

  stop(): void {
    this.leave();
    for (const cancel of this.#cancels) cancel();
    this.#cancels = [];
    for (const { socket } of this.#open) socket.terminate();
  }

  async #admit(
    door: SocketDoor,
    request: IncomingMessage,
  ): Promise<{ readonly call: Call; readonly recheck: Open['recheck'] }> {
    const { authenticator, limits, random } = this.#deps;
    const shown = shownBy(request, random.uuid());
    const caller = await authenticator.authenticate(shown).catch(error => {
      limits.chargeAddress(shown.sourceAddress);
      throw error;
    });
    const rate = limits.charge(caller.principal, 'standard');
    if (rate !== null && rate.retryAfterMs !== null)
      throw new DomainError('rate_limited', `more than ${rate.limit} requests`, {
        retryAfterMs: rate.retryAfterMs,
      });
    if (door.access !== 'authenticated') requirePermission(caller.principal, door.access);
    // A signature is good once; asked again it would be taken for a replay.
    const recheck = caller.method.includes('hmac') ? null : () => authenticator.authenticate(shown);
    const call = this.#callOf(caller, request, shown);
    door.admit?.(call);
    return { call, recheck };
  }

  #callOf(caller: Authenticated, request: IncomingMessage, shown: AuthRequest): Call {
    const { clock, random, publicUrl, proxies } = this.#deps;
    const headers = request.headers as Readonly<Record<string, string | undefined>>;
    const principal: Principal = caller.principal;
    return {
      ...{ principal, caller, headers, body: undefined, query: {}, params: {} },
      requestId: shown.requestId,
      ...traceOf(headers.traceparent, random),
      origin: publicUrl ?? `${schemeOf(request)}://${headers.host ?? 'localhost'}`,
      sourceAddress: shown.sourceAddress,
      isPrivate: isPrivate(request, proxies),
      receivedAt: clock.now(),
      steps: {},
      stream: null,
      rawBody: null,
      signal: new AbortController().signal,
    };
  }

  #shake(
    door: SocketDoor,
    call: Call,
    recheck: Open['recheck'],
    {
      request,
      stream,
      head,
    }: { readonly request: IncomingMessage; readonly stream: Duplex; readonly head: Buffer },
  ): void {
    this.#server.handleUpgrade(request, stream, head, socket => {
      const open: Open = { socket, recheck, unanswered: 0 };
      this.#open.add(open);
      const session = door.open(call, farEndOf(socket));
      socket.on('pong', () => {
        open.unanswered = 0;
      });
      socket.on('message', (data: RawData, isBinary: boolean) => {
        const bytes = Buffer.isBuffer(data)
          ? data
          : Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)]);
        if (bytes.length > door.frameBytesMax) socket.close(1009, 'the frame is too large');
        else if (isBinary) socket.close(1003, 'frames are text');
        else session.receive(bytes.toString('utf8'));
      });
      socket.on('error', () => socket.terminate());
      socket.on('close', () => {
        this.#open.delete(open);
        session.ended();
      });
      if (this.#leaving) socket.close(CODES.restart, 'the server restarts');
    });
  }

  #ping(): void {
    for (const open of this.#open) {
      if (open.unanswered >= PINGS_UNANSWERED_MAX || open.socket.bufferedAmount > BUFFERED_MAX) {
        open.socket.terminate();
        continue;
      }
      open.unanswered += 1;
      open.socket.ping();
    }
  }

  async #recheck(): Promise<void> {
    for (const { socket, recheck } of [...this.#open]) {
      if (recheck === null) continue;
      try {
        await recheck();
      } catch (error) {
        const { code } = asDomainError(error);
        if (code === 'unauthenticated') socket.close(CODES.credentials, 'the credentials are good no more');
        if (code === 'forbidden') socket.close(CODES.rules, 'the credentials allow this no more');
      }
    }
  }

  #every(ms: number, work: () => void | Promise<void>): void {
    const index = this.#cancels.length;
    const again = (): void => {
      this.#cancels[index] = this.#deps.clock.after(ms, () => {
        Promise.resolve(work())
          .catch(error => this.#deps.log.warn('sockets were not looked after', { error: String(error) }))
          .finally(again);
      });
    };
    again();
  }
}

function farEndOf(socket: WebSocket): FarEnd {
  return {
    send(text) {
      if (socket.readyState === socket.OPEN) socket.send(text);
    },
    close: (code, reason) => socket.close(code, reason.slice(0, 100)),
    get buffered() {
      return socket.bufferedAmount;
    },
  };
}

function shownBy(request: IncomingMessage, requestId: string): AuthRequest {
  const { method = 'GET', url = '', headers } = request;
  const mark = url.indexOf('?');
  return {
    method,
    path: mark === -1 ? url : url.slice(0, mark),
    query: mark === -1 ? '' : url.slice(mark + 1),
    headers: headers as AuthRequest['headers'],
    body: null,
    sourceAddress: request.socket.remoteAddress ?? '',
    ...certificateOf(request),
    requestId,
  };
}

function refuse(
  stream: Duplex,
  protocol: Protocol | undefined,
  error: DomainError,
  { random, clock, log }: SocketDeps,
): void {
  if (error.code === 'internal') log.error('a socket was not opened', { error: error.cause ?? error });
  const requestId = random.uuid();
  const scene = { requestId, traceId: '0'.repeat(32), now: clock.now(), origin: '' };
  const rendered = protocol?.renderError(error, scene);
  hangUp(stream, rendered?.status ?? 500, { body: JSON.stringify(rendered?.body ?? {}), requestId });
}
