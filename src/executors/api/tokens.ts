// OAuth2 access tokens by client credentials (RFC 6749, 4.4): asked for once, used by all attempts of a tenant that hold the same
// client's secret, renewed before they expire. They live in memory alone and are never logged.

import { createHash } from 'node:crypto';
import { DomainError } from '../../domain/errors.ts';
import { isJsonObject } from '../../domain/json.ts';
import type { Outbound, OutboundAnswer } from '../../engine/ports/outbound.ts';
import { BoundedMap } from '../../runtime/bounded-map.ts';
import type { Clock } from '../../runtime/clock.ts';

/** A client and what it asks for. */
export interface Grant {
  readonly tenant: string;
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly scope?: string;
  readonly audience?: string;
  readonly clientIn: 'header' | 'body';
}

interface Token {
  readonly value: string;
  /** By the monotonic clock. */
  readonly renewAt: number;
}

const TOKENS_MAX = 1_000;
const ANSWER_BYTES_MAX = 65_536;
const TIMEOUT_MS = 30_000;
const LIFE_S = 3_600;
const LIFE_MAX_S = 86_400;
/** Renewed when a tenth of its life is left, at most this. */
const MARGIN_MAX_S = 60;

/** The tokens of all tenants. */
export class Tokens {
  readonly #clock: Clock;
  readonly #outbound: Pick<Outbound, 'send'>;
  readonly #tokens = new BoundedMap<string, Token>(TOKENS_MAX);
  readonly #asking = new Map<string, Promise<Token>>();
  readonly #stopped = new AbortController();

  constructor(clock: Clock, outbound: Pick<Outbound, 'send'>) {
    this.#clock = clock;
    this.#outbound = outbound;
  }

  /**
   * A token that is good for a while; throws `task_failed` where the client is refused, `dependency_failed` or `upstream_timeout` where
   * the server does not answer now, the signal's reason once it aborts.
   */
  async token(grant: Grant, signal: AbortSignal): Promise<string> {
    const name = nameOf(grant);
    const known = this.#tokens.get(name);
    if (known !== undefined && known.renewAt > this.#clock.monotonic()) return known.value;
    const { value } = await raced(this.#asking.get(name) ?? this.#ask(name, grant), signal);
    return value;
  }

  /** Forgets a token that was refused; one that took its place meanwhile stays. */
  drop(grant: Grant, value: string): void {
    const name = nameOf(grant);
    if (this.#tokens.get(name)?.value === value) this.#tokens.delete(name);
  }

  /** Ends what is being asked; harmless when repeated. */
  stop(): void {
    this.#stopped.abort(new DomainError('unavailable', 'the server is stopping'));
  }

  /** One question for all who want the answer: none of them can cancel it for the others. */
  #ask(name: string, grant: Grant): Promise<Token> {
    const asking = this.#request(grant).finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    void asking.then(
      token => this.#tokens.set(name, token),
      () => {},
    );
    return asking;
  }

  async #request(grant: Grant): Promise<Token> {
    const answer = await this.#outbound.send({
      url: grant.tokenUrl,
      method: 'POST',
      ...formOf(grant),
      timeoutMs: TIMEOUT_MS,
      answerBytesMax: ANSWER_BYTES_MAX,
      signal: this.#stopped.signal,
    });
    return this.#tokenIn(answer, new URL(grant.tokenUrl).host);
  }

  #tokenIn({ status, body }: OutboundAnswer, host: string): Token {
    const told = readObject(body);
    if (status === 429 || status >= 500) {
      throw new DomainError('dependency_failed', `the token server ${host} answered ${status}`, {
        details: { host, status },
      });
    }
    const value = told.access_token;
    const kind = told.token_type ?? 'Bearer';
    if (status !== 200 || typeof value !== 'string' || !/^[\x21-\x7e]{1,16384}$/.test(value)) {
      const reason = typeof told.error === 'string' && /^[a-z_]{1,60}$/.test(told.error) ? told.error : null;
      throw new DomainError(
        'task_failed',
        `the token server ${host} gave no token: it answered ${status}${reason === null ? '' : ` ${reason}`}`,
        { details: { host, status, ...(reason === null ? {} : { reason }) } },
      );
    }
    if (String(kind).toLowerCase() !== 'bearer') {
      throw new DomainError('task_failed', `the token server ${host} gave a token that is not for a bearer`);
    }
    const told_s = Number(told.expires_in);
    const lifeS = told_s > 0 ? Math.min(told_s, LIFE_MAX_S) : LIFE_S;
    const goodS = lifeS - Math.min(MARGIN_MAX_S, lifeS / 10);
    return { value, renewAt: this.#clock.monotonic() + goodS * 1_000 };
  }
}

/** Whoever does not know the secret has no part in its token. */
function nameOf(grant: Grant): string {
  const { tenant, tokenUrl, clientId, clientSecret, scope = '', audience = '' } = grant;
  const parts = JSON.stringify([tenant, tokenUrl, clientId, clientSecret, scope, audience]);
  return createHash('sha256').update(parts).digest('base64');
}

function formOf(grant: Grant): {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
} {
  const { clientId, clientSecret, scope, audience, clientIn } = grant;
  const form = new URLSearchParams({
    grant_type: 'client_credentials',
    ...(scope === undefined ? {} : { scope }),
    ...(audience === undefined ? {} : { audience }),
    ...(clientIn === 'body' ? { client_id: clientId, client_secret: clientSecret } : {}),
  });
  const credentials = [clientId, clientSecret].map(part =>
    new URLSearchParams([['', part]]).toString().slice(1),
  );
  return {
    headers: {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
      ...(clientIn === 'header'
        ? { authorization: `Basic ${Buffer.from(credentials.join(':')).toString('base64')}` }
        : {}),
    },
    body: Buffer.from(form.toString()),
  };
}

function readObject(body: Uint8Array) {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString());
    return isJsonObject(value) ? value : {};
  } catch {
    return {};
  }
}

async function raced<Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value> {
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
