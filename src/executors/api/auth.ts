// Puts a task's credentials on its requests (`SAM-158`): only on those to the origins its own URLs name, never where an answer leads.

import { DomainError } from '../../domain/errors.ts';
import type { PlannedAuth } from './plan.ts';
import type { Redactor } from './redactor.ts';
import { renderText, type Values } from './templates.ts';
import type { Grant, Tokens } from './tokens.ts';

/** What credentials are added to. */
export interface Undressed {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** One request's way to authenticate. */
export interface Authenticator {
  /** The request with its credentials, or as it is where its origin is none of the task's. */
  dress(request: Undressed, signal: AbortSignal): Promise<Undressed>;
  /** True once, for a token that was refused and is replaced by the next `dress`; false where trying again is no use. */
  renew(): boolean;
}

/** What an authenticator works with. */
export interface AuthParts {
  readonly tenant: string;
  readonly secrets: Readonly<Record<string, string>>;
  readonly origins: ReadonlySet<string>;
  readonly tokens: Tokens;
  readonly redactor: Redactor;
}

/** How requests without credentials authenticate. */
export const NO_AUTH: Authenticator = { dress: async request => request, renew: () => false };

/** The authenticator for a plan; throws `task_failed` where its identity has no value. */
export function authenticatorOf(
  planned: PlannedAuth | null,
  values: Values,
  parts: AuthParts,
): Authenticator {
  if (planned === null) return NO_AUTH;
  const { auth } = planned;
  const secret = parts.secrets[auth.secret] ?? '';
  const identity = renderText(planned.identity, values);
  const { redactor } = parts;
  const within = (dress: Authenticator['dress'], renew = () => false): Authenticator => ({
    renew,
    dress: async (request, signal) =>
      parts.origins.has(new URL(request.url).origin) ? await dress(request, signal) : request,
  });
  switch (auth.type) {
    case 'bearer':
      return within(async request => withHeader(request, 'authorization', `Bearer ${secret}`));
    case 'basic': {
      if (identity.includes(':'))
        throw new DomainError('task_failed', 'a user name must not have a colon in it');
      const credentials = Buffer.from(`${identity}:${secret}`).toString('base64');
      redactor.learn(credentials);
      return within(async request => withHeader(request, 'authorization', `Basic ${credentials}`));
    }
    case 'api_key': {
      const key = `${auth.prefix ?? ''}${secret}`;
      return within(async request =>
        auth.in === 'query'
          ? withParameter(request, auth.name, key)
          : withHeader(request, auth.name.toLowerCase(), key),
      );
    }
    case 'oauth2_client_credentials': {
      const grant = {
        tenant: parts.tenant,
        tokenUrl: auth.token_url,
        clientId: identity,
        clientSecret: secret,
        clientIn: auth.client_in ?? 'header',
        ...(auth.scope === undefined ? {} : { scope: auth.scope }),
        ...(auth.audience === undefined ? {} : { audience: auth.audience }),
      };
      const bearer = new OAuthBearer(grant, parts);
      return within(
        (request, signal) => bearer.dress(request, signal),
        () => bearer.renew(),
      );
    }
  }
}

class OAuthBearer implements Authenticator {
  readonly #grant: Grant;
  readonly #parts: Pick<AuthParts, 'tokens' | 'redactor'>;
  #last: string | null = null;
  #renewed = false;

  constructor(grant: Grant, parts: Pick<AuthParts, 'tokens' | 'redactor'>) {
    this.#grant = grant;
    this.#parts = parts;
  }

  async dress(request: Undressed, signal: AbortSignal): Promise<Undressed> {
    this.#last = await this.#parts.tokens.token(this.#grant, signal);
    this.#parts.redactor.learn(this.#last);
    return withHeader(request, 'authorization', `Bearer ${this.#last}`);
  }

  renew(): boolean {
    if (this.#renewed || this.#last === null) return false;
    this.#renewed = true;
    this.#parts.tokens.drop(this.#grant, this.#last);
    return true;
  }
}

function withHeader({ url, headers }: Undressed, name: string, value: string): Undressed {
  return { url, headers: { ...headers, [name]: value } };
}

function withParameter({ url, headers }: Undressed, name: string, value: string): Undressed {
  const dressed = new URL(url);
  dressed.searchParams.set(name, value);
  return { url: dressed.href, headers };
}
