// The port every wire implements: routes as data. A protocol says what it answers to and how; the http floor mounts it,
// authenticates, limits and validates, so a handler only ever sees a permitted principal and a valid body.

import type { Readable } from 'node:stream';
import type { TSchema } from 'typebox';
import type { DomainError } from '../domain/errors.ts';
import type { TenantId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Permission, Principal } from '../domain/principal.ts';
import type { Authenticated } from '../guards/authentication.ts';
import type { Measure } from './measures.ts';

/** Which budget a request is charged to (`SAM-53`); `free` routes are charged to none. */
export type RateClass = 'standard' | 'status' | 'free';

/** One call of a route; `Body`, `Query` and `Params` are what its schemas admit. */
export interface Call<Body = unknown, Query = unknown, Params = unknown> {
  readonly principal: Principal;
  /** What authentication found, of which the principal is a part; null on public routes. */
  readonly caller: Authenticated | null;
  readonly body: Body;
  readonly query: Query;
  readonly params: Params;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly requestId: string;
  /** W3C trace context: continued from the caller's, or begun here. */
  readonly traceId: string;
  readonly traceparent: string;
  /** Where the caller reached us (`https://host`), for absolute links. */
  readonly origin: string;
  readonly sourceAddress: string;
  /** Whether it came under TLS all the way, as far as is known, or never left this machine (`ARMY-105`). */
  readonly isPrivate: boolean;
  /** Epoch milliseconds when the request arrived, and what authentication and validation took. */
  readonly receivedAt: number;
  readonly steps: Readonly<Record<string, number>>;
  /** The body as it came, where `body` is `stream`. */
  readonly stream: Readable | null;
  /** The exact bytes of the body, where the route asks for `rawBody` or takes `bytes`. */
  readonly rawBody: Uint8Array | null;
  /** Aborts when the caller goes away or the server shuts down. */
  readonly signal: AbortSignal;
}

/** A server-sent event or a comment. */
export interface SseItem {
  readonly id?: string;
  readonly event?: string;
  readonly data?: string;
  readonly comment?: string;
  readonly retryMs?: number;
}

/** What a handler answers. */
export type Reply =
  | {
      readonly kind: 'json';
      readonly status: number;
      readonly body: unknown;
      readonly headers?: Readonly<Record<string, string>>;
    }
  /** Already serialised JSON, for hot routes. */
  | {
      readonly kind: 'text';
      readonly status: number;
      readonly body: string;
      readonly contentType: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: 'stream';
      readonly status: number;
      readonly body: Readable;
      readonly headers: Readonly<Record<string, string>>;
    }
  | { readonly kind: 'empty'; readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly kind: 'sse'; readonly items: AsyncIterable<SseItem> };

/** One route of a wire. */
export interface Route {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Fastify path syntax, absolute: `/api/v2/task-status/:task_id`. */
  readonly path: string;
  /** One line for the OpenAPI document. */
  readonly summary: string;
  readonly tag: string;
  /** Needed permission; `public` routes are served without a credential. */
  readonly access: Permission | 'authenticated' | 'public';
  /** Throws `forbidden` for whom `access` alone does not tell; asked before anything of the request but its path is looked at. */
  readonly admit?: (principal: Principal, params: Readonly<Record<string, string>>) => void;
  readonly rate: RateClass;
  readonly body?: TSchema;
  /** `stream`: the body is not parsed and reaches the handler as `call.stream`; `bytes`: nor unpacked, as `call.rawBody`. */
  readonly bodyAs?: 'json' | 'stream' | 'bytes';
  readonly rawBody?: boolean;
  readonly query?: TSchema;
  readonly params?: TSchema;
  readonly headers?: TSchema;
  /**
   * What an `Idempotency-Key` means to a route that changes something. Absent: a repeat is answered as the first time. `own`: the
   * route knows a repeat by itself. `confidential`: the answer bears a secret and is not kept, so a repeat is refused.
   */
  readonly idempotency?: 'own' | 'confidential';
  /** Bytes of body at most; absent means the server's limit (4 MiB). */
  readonly bodyBytesMax?: number;
  /** Answers by status; errors every route can give are added by the wire's error schema. */
  readonly answers: Readonly<Record<number, TSchema>>;
  handle(call: Call<never, never, never>): Promise<Reply>;
}

/** The far end of a socket. */
export interface FarEnd {
  /** Sends a text frame; what nobody can take any more is dropped. */
  send(text: string): void;
  /** Says goodbye: 1000 all said, 1008 against the rules, 1012 the server restarts, 4401 the credentials ended. */
  close(code: number, reason: string): void;
  /** Bytes not yet taken by the network. */
  readonly buffered: number;
}

/** What a wire does with one socket. */
export interface SocketSession {
  /** A text frame came. */
  receive(text: string): void;
  /** The socket is gone; whatever it held is to be given back. */
  ended(): void;
}

/** A path that takes WebSockets. */
export interface SocketDoor {
  readonly path: string;
  readonly access: Permission | 'authenticated';
  /** Bytes of a frame at most; a larger one closes the socket with 1009. */
  readonly frameBytesMax: number;
  /** Throws why a caller whose credentials are good gets no socket all the same. */
  admit?(call: Call): void;
  open(call: Call, farEnd: FarEnd): SocketSession;
}

/** What a wire's error body is made from. */
export interface ErrorScene {
  readonly requestId: string;
  readonly traceId: string;
  readonly now: number;
  readonly origin: string;
}

/** What a person is told of an error code, at `/docs/errors/CODE` (`SAM-50`). */
export interface ErrorPage {
  readonly status: number | null;
  readonly meaning: string;
  readonly remedy: string;
  readonly retry: 'no' | 'yes' | 'policy';
}

/** A wire: its routes and how it words an error. */
export interface Protocol {
  readonly name: string;
  /** Routes under this path speak this wire, errors included. */
  readonly prefix: string;
  readonly routes: readonly Route[];
  /** The status, body and extra headers of an error on this wire; covers every canonical code. */
  renderError(
    error: DomainError,
    scene: ErrorScene,
  ): {
    readonly status: number;
    readonly body: JsonObject;
    readonly headers: Readonly<Record<string, string>>;
  };
  /** Schema of that body, for the OpenAPI document. */
  readonly errorSchema: TSchema;
  /** The paths that take WebSockets. */
  readonly sockets?: readonly SocketDoor[];
  /** A tenant's figures, for metrics; absent: none. */
  measures?(tenant: TenantId): readonly Measure[];
  /** Its versions, newest first, and what each brought; absent: it is not versioned by itself. */
  readonly changelog?: {
    readonly title: string;
    readonly versions: readonly {
      readonly version: string;
      readonly changes?: string;
      readonly deprecated_at?: string;
      readonly sunset_at?: string;
    }[];
  };
  /** A page for each code of this wire. */
  readonly errorPages?: Readonly<Record<string, ErrorPage>>;
}
