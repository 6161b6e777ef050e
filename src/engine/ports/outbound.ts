// What the engine, channels and executors need to speak to the outside: HTTP that cannot be turned against the host.

/** One outgoing request. */
export interface OutboundRequest {
  readonly url: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** One deadline for connecting, sending and reading the whole answer, in milliseconds. */
  readonly timeoutMs: number;
  /** More decompressed bytes than this end the request with `payload_too_large`, unless `truncate`. */
  readonly answerBytesMax: number;
  /** Keep what came and stop reading, instead of failing. */
  readonly truncate?: boolean;
  readonly signal?: AbortSignal;
  /**
   * Takes the body as it comes, decompressed and within `answerBytesMax`, in place of the answer's `body`, which is then empty.
   * Slow taking slows the sender; a `DomainError` thrown here ends the request and is what `send` throws.
   */
  readonly receive?: (
    head: Pick<OutboundAnswer, 'status' | 'headers'>,
    body: AsyncIterable<Uint8Array>,
  ) => Promise<void>;
}

/** The answer to a request; redirects are answers, never followed. The body is decompressed, the headers are as they came. */
export interface OutboundAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly durationMs: number;
}

/** What went over the network so far. */
export interface TrafficCounts {
  readonly calls: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
}

/** What goes over the network for one attempt: counted for its samples (`SAM-124`), and held to its bandwidth (`SAM-117`). */
export interface Traffic {
  readonly counts: TrafficCounts;
  /** Whether the task has a bandwidth at all. */
  readonly isLimited: boolean;
  /** One more request or connection. */
  call(): void;
  /** More bytes went out or came in. */
  count(bytes: { readonly sent?: number; readonly received?: number }): void;
  /** Resolves once so many bytes may have passed, at once without a limit; rejects with the signal's reason. */
  turn(bytes: number, signal?: AbortSignal): Promise<void>;
  /** Milliseconds that the limit makes so many bytes take; 0 without one. */
  msFor(bytes: number): number;
}

/** HTTP to the outside, through the SSRF guard (`SAM-122`). */
export interface Outbound {
  /**
   * Sends a request to a permitted address, the one that was checked. Throws `DomainError`: `invalid_request` (malformed URL or
   * header, reserved header), `unprocessable` (scheme not permitted, credentials in the URL), `policy_violation` (address not
   * permitted), `upstream_timeout`, `payload_too_large`, `dependency_failed` (anything else); or the signal's reason once it aborts.
   */
  send(request: OutboundRequest): Promise<OutboundAnswer>;
  /**
   * Judges a target ahead of time, resolving its name but never contacting it (`SAM-108`): throws `invalid_request` for a malformed
   * URL, `unprocessable` for a scheme or address that is not permitted. A name that does not resolve now passes: `send` judges again.
   */
  check(url: string): Promise<void>;
  stop(): Promise<void>;
}
