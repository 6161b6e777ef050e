// How a client proves who it is: an API key, a token, a function that gets tokens, or a signature over every request.

import type { SigningKey } from './signing.ts';
import { signedHeaders } from './signing.ts';

/** One of the four ways to authenticate. */
export type Credentials =
  | { readonly apiKey: string; readonly apiSecret: string }
  /** A JWT that is used as it is. */
  | { readonly token: string }
  /** Called for the first token, and again once after each 401. */
  | { readonly jwt: () => string | Promise<string> }
  /** Signs each request; the secret never travels (`SAM-22`). */
  | { readonly hmac: SigningKey };

/** A request about to be sent, as far as authentication cares. */
export interface Unproven {
  readonly method: string;
  readonly url: URL;
  readonly contentType: string | null;
  /** The exact body; null for a stream, which cannot be signed. */
  readonly body: string | Uint8Array | null;
  /** Epoch milliseconds. */
  readonly now: number;
}

/** Gives the headers that authenticate a request. */
export interface Authoriser {
  headersFor(request: Unproven): Promise<Readonly<Record<string, string>>>;
  /** Told of a 401; true when asking again with a fresh credential may help. */
  renew(): boolean;
}

/** The authoriser of the given credentials; none at all sends none, for routes that are public. */
export function authoriserOf(credentials: Credentials | undefined): Authoriser {
  if (credentials === undefined) return constant({});
  if ('apiKey' in credentials)
    return constant({ 'x-api-key': credentials.apiKey, 'x-api-secret': credentials.apiSecret });
  if ('token' in credentials) return constant({ authorization: `Bearer ${credentials.token}` });
  if ('jwt' in credentials) return renewable(credentials.jwt);
  return signer(credentials.hmac);
}

function constant(headers: Readonly<Record<string, string>>): Authoriser {
  return { headersFor: async () => headers, renew: () => false };
}

function renewable(provide: () => string | Promise<string>): Authoriser {
  let token: Promise<string> | null = null;
  return {
    async headersFor() {
      token ??= Promise.resolve(provide());
      try {
        return { authorization: `Bearer ${await token}` };
      } catch (error) {
        token = null;
        throw error;
      }
    },
    renew() {
      token = null;
      return true;
    },
  };
}

function signer(key: SigningKey): Authoriser {
  return {
    async headersFor({ method, url, contentType, body, now }) {
      if (body === null)
        throw new TypeError('a streamed body cannot be signed: pass its bytes, or use another credential');
      return signedHeaders(key, {
        method,
        host: url.host,
        path: url.pathname,
        query: url.search.slice(1),
        contentType,
        body: typeof body === 'string' ? new TextEncoder().encode(body) : body,
        timestamp: Math.floor(now / 1000),
        nonce: crypto.randomUUID(),
      });
    },
    renew: () => false,
  };
}
