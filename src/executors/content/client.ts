// `fetch` for the AI SDK that goes through the guarded way out: it streams, keeps silence and size within limits, and turns refusals
// of a provider into the house's errors before the SDK sees them.

import { DomainError } from '../../domain/errors.ts';
import type { Outbound, OutboundAnswer } from '../../engine/ports/outbound.ts';
import type { Clock } from '../../runtime/clock.ts';
import { accounted } from './account.ts';
import { refusalOf } from './refusal.ts';

/** What one request to a provider may take. */
export interface ClientLimits {
  /** From its beginning to its end. */
  readonly timeoutMs: number;
  /** Without a byte of answer. */
  readonly silenceMs: number;
  readonly answerBytesMax: number;
}

/** What a client is made from. */
export interface ClientParts {
  readonly clock: Clock;
  /** To the provider itself, wherever the operator runs it. */
  readonly outbound: Outbound;
  /** To anywhere else: pictures a provider leaves on another host. */
  readonly elsewhere: Outbound;
  readonly baseUrl: string;
  readonly limits: ClientLimits;
  /** Takes the key out of what a provider says. */
  readonly mask: (text: string) => string;
}

type Fetch = typeof globalThis.fetch;

const REFUSAL_BYTES_MAX = 16_384;

/** The client; what it throws is a `DomainError`, or the signal's reason. */
export function createClient(parts: ClientParts): Fetch {
  return async (input, init = {}) => {
    const url = input instanceof Request ? input.url : String(input);
    const method = (init.method ?? 'GET') as 'GET' | 'POST';
    const watch = new SilenceWatch(parts.clock, parts.limits.silenceMs);
    const signals = init.signal == null ? [watch.signal] : [init.signal, watch.signal];
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const passage = new TransformStream<Uint8Array, Uint8Array>();
    const writer = passage.writable.getWriter();
    // Whoever reads may have heard enough while nothing comes that could tell.
    writer.closed.catch((reason: unknown) => watch.end(reason));
    const receive = async (head: Head, body: AsyncIterable<Uint8Array>): Promise<void> => {
      if (head.status < 200 || head.status >= 300) {
        const words = await firstText(body);
        throw refusalOf(head, parts.mask(words));
      }
      resolve(new Response(passage.readable, { status: head.status, headers: headersOf(head) }));
      for await (const piece of body) {
        watch.heard();
        await writer.write(piece);
      }
      await writer.close();
    };
    const { timeoutMs, answerBytesMax } = parts.limits;
    accounted(way(parts, url))
      .send({
        url,
        method,
        headers: Object.fromEntries(new Headers(init.headers)),
        ...(init.body == null ? {} : { body: bytesOf(init.body) }),
        timeoutMs,
        answerBytesMax,
        signal: AbortSignal.any(signals),
        receive,
      })
      .catch((error: unknown) => {
        reject(error);
        writer.abort(error).catch(() => {});
      })
      .finally(() => watch.stop());
    return promise;
  };
}

type Head = Pick<OutboundAnswer, 'status' | 'headers'>;

/** The provider is where the operator put it; every other address is as strange as any. */
function way({ outbound, elsewhere, baseUrl }: ClientParts, url: string): Outbound {
  return URL.canParse(url) && new URL(url).origin === new URL(baseUrl).origin ? outbound : elsewhere;
}

/** The SDK sends JSON as text. */
function bytesOf(body: BodyInit): Uint8Array {
  if (typeof body !== 'string') throw new DomainError('internal', 'only text is sent to a provider');
  return Buffer.from(body);
}

function headersOf({ headers }: Head): Headers {
  const kept = Object.entries(headers).filter(([name]) => !/^content-(encoding|length)$/i.test(name));
  return new Headers(kept as [string, string][]);
}

async function firstText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes >= REFUSAL_BYTES_MAX) break;
  }
  return Buffer.concat(pieces).subarray(0, REFUSAL_BYTES_MAX).toString('utf8');
}

/** Aborts once nothing was heard for too long. */
class SilenceWatch {
  readonly #clock: Clock;
  readonly #silenceMs: number;
  readonly #abort = new AbortController();
  #heardAt: number;
  #cancel: () => void = () => {};

  constructor(clock: Clock, silenceMs: number) {
    this.#clock = clock;
    this.#silenceMs = silenceMs;
    this.#heardAt = clock.monotonic();
    this.#watch(silenceMs);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  heard(): void {
    this.#heardAt = this.#clock.monotonic();
  }

  /** Ends the request for a reason of its reader's. */
  end(reason: unknown): void {
    this.#abort.abort(reason);
  }

  stop(): void {
    this.#cancel();
  }

  /** One timer for many pieces: it looks again where there was a word meanwhile. */
  #watch(ms: number): void {
    this.#cancel = this.#clock.after(ms, () => {
      const leftMs = this.#heardAt + this.#silenceMs - this.#clock.monotonic();
      if (leftMs > 0) return this.#watch(leftMs);
      const message = `the model provider was silent for ${this.#silenceMs} ms`;
      this.#abort.abort(new DomainError('upstream_timeout', message));
    });
  }
}
