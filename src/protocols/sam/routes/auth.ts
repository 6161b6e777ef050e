// Tokens: an API key traded for one, refreshed and revoked, in the words of RFC 6749 (`SAM-16`, `SAM-17`).

import Type from 'typebox';
import { DomainError } from '../../../domain/errors.ts';
import type { Authenticated, Authenticator } from '../../../guards/authentication.ts';
import type { TokenService } from '../../../guards/tokens.ts';
import type { Call, Route } from '../../protocol.ts';
import { invalidRequest } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';

/** What the tokens' routes need. */
export interface AuthDeps {
  readonly authenticator: Pick<Authenticator, 'authenticate'>;
  readonly tokens: Pick<TokenService, 'exchange' | 'refresh' | 'revoke'>;
}

const tokenBody = Type.Object({
  grant_type: Type.String(),
  scope: Type.Optional(Type.String({ maxLength: 2_000 })),
  client_id: Type.Optional(Type.String({ description: 'The API key, where no header bears it.' })),
  client_secret: Type.Optional(Type.String()),
});

const refreshBody = Type.Object({
  grant_type: Type.Optional(Type.Enum(['refresh_token'])),
  refresh_token: Type.String({ minLength: 1, maxLength: 1_000 }),
});

const revokeBody = Type.Object({
  token: Type.Optional(Type.String({ minLength: 1, maxLength: 10_000 })),
  jti: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
});

const tokenAnswer = Type.Object(
  {
    access_token: Type.String(),
    token_type: Type.Enum(['Bearer']),
    expires_in: Type.Integer(),
    refresh_token: Type.String(),
    scope: Type.String(),
  },
  { description: 'A pair of tokens.' },
);

const common = { method: 'POST', tag: 'tokens', rate: 'standard' } as const;

/** The routes that issue and end tokens. */
export function authRoutes({ authenticator, tokens }: AuthDeps): readonly Route[] {
  return [
    route({
      ...common,
      path: `${PREFIX}/auth/token`,
      summary: 'Trade an API key and its secret for tokens',
      access: 'public',
      body: tokenBody,
      answers: { 200: tokenAnswer },
      async handle(call) {
        const { grant_type: grantType, scope } = call.body;
        const caller = await keyHolder(call, call.body, authenticator);
        return json(
          200,
          await tokens.exchange(caller, scope === undefined ? { grantType } : { grantType, scope }),
        );
      },
    }),
    route({
      ...common,
      path: `${PREFIX}/auth/refresh`,
      summary: 'Spend a refresh token for new tokens',
      access: 'public',
      body: refreshBody,
      answers: { 200: tokenAnswer },
      async handle({ body, sourceAddress, requestId }) {
        return json(
          200,
          await tokens.refresh({ refreshToken: body.refresh_token, sourceAddress, requestId }),
        );
      },
    }),
    route({
      ...common,
      path: `${PREFIX}/auth/revoke`,
      summary: 'End a token, or the one of a jti',
      access: 'authenticated',
      idempotency: 'own',
      body: revokeBody,
      answers: {
        200: Type.Object({ revoked: Type.Boolean() }, { description: 'It is of no use any more.' }),
      },
      async handle({ caller, body: { token, jti } }) {
        if (caller === null) throw new DomainError('unauthenticated', 'a valid credential is needed');
        if (token !== undefined) await tokens.revoke(caller, { token });
        else if (jti !== undefined) await tokens.revoke(caller, { jti });
        else throw invalidRequest([{ field: 'token', message: 'or jti is required' }]);
        return json(200, { revoked: true });
      },
    }),
  ];
}

/** Who shows an API key: in its own two headers, as HTTP Basic, or as `client_id` and `client_secret` in the body. */
function keyHolder(
  call: Call,
  body: { readonly client_id?: string; readonly client_secret?: string },
  authenticator: AuthDeps['authenticator'],
): Promise<Authenticated> {
  const { headers, sourceAddress, requestId } = call;
  const [basicId, basicSecret] = basicOf(headers.authorization);
  const id = headers['x-api-key'] ?? basicId ?? body.client_id;
  const secret = headers['x-api-secret'] ?? basicSecret ?? body.client_secret;
  return authenticator.authenticate({
    method: 'POST',
    path: `${PREFIX}/auth/token`,
    query: '',
    headers: {
      ...(id === undefined ? {} : { 'x-api-key': id }),
      ...(secret === undefined ? {} : { 'x-api-secret': secret }),
    },
    body: null,
    sourceAddress,
    requestId,
  });
}

function basicOf(authorization: string | undefined): readonly [string?, string?] {
  const [, encoded] = /^basic +([A-Za-z0-9+/=]+)$/i.exec(authorization ?? '') ?? [];
  if (encoded === undefined) return [];
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon === -1 ? [] : [text.slice(0, colon), text.slice(colon + 1)];
}
