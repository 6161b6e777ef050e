// The keys by which a tenant's tokens are verified: added, listed, ended (`SAM-10`, `SAM-11`).

import Type from 'typebox';
import type { JsonObject } from '../../../domain/json.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { JwtKeys, JwtKeyView } from '../../../guards/jwt-keys.ts';
import {
  ENCRYPTION_ALGORITHMS,
  type KeyMaterial,
  SIGNATURE_ALGORITHMS,
} from '../../../guards/jwt-material.ts';
import type { Route } from '../../protocol.ts';
import { recordAction } from '../audited.ts';
import { refuseNarrowed } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { pageOf } from '../schema/answers.ts';
import { instant, paging } from '../vocabulary.ts';

/** What the keys' routes need. */
export interface JwtKeyDeps {
  readonly jwtKeys: Pick<JwtKeys, 'add' | 'list' | 'deactivate'>;
  readonly audit: AuditRecorder;
}

const newKey = Type.Object({
  kid: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
  algorithm: Type.Enum([...SIGNATURE_ALGORITHMS, ...ENCRYPTION_ALGORITHMS]),
  key: Type.Unsafe<KeyMaterial>({
    type: ['string', 'object'],
    description: 'A secret, a PEM text or a JWK; public keys for all signatures but HS256.',
  }),
  issuer: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
  audience: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
});

const keyAnswer = Type.Object(
  { kid: Type.String(), algorithm: Type.String(), active: Type.Boolean() },
  { description: 'A key, without its material.' },
);

const params = Type.Object({ kid: Type.String({ minLength: 1, maxLength: 256 }) });
const common = { tag: 'jwt keys', access: 'admin', rate: 'standard' } as const;

/** The routes that manage verification keys. */
export function jwtKeyRoutes({ jwtKeys, audit }: JwtKeyDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/jwt-keys`,
      summary: 'Add a key by which tokens are verified',
      body: newKey,
      answers: { 201: keyAnswer },
      async handle(call) {
        refuseNarrowed(call.principal);
        const { key: material, ...rest } = call.body;
        const view = await jwtKeys.add(call.principal.tenant, { ...rest, material });
        recordAction(audit, call, 'jwt_key.added', view.kid, { new: wireKey(view) });
        return json(201, wireKey(view));
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/jwt-keys`,
      summary: 'The keys by which tokens are verified, oldest first',
      query: Type.Object(paging),
      answers: { 200: pageOf('jwt_keys') },
      async handle({ principal, query: { limit, offset } }) {
        const all = await jwtKeys.list(principal.tenant);
        const shown = all.slice(offset, offset + limit).map(wireKey);
        return json(200, { jwt_keys: shown, total: all.length, limit, offset });
      },
    }),
    route({
      ...common,
      method: 'DELETE',
      path: `${PREFIX}/jwt-keys/:kid`,
      summary: 'End a key; its tokens are refused from the next request on',
      params,
      answers: { 200: keyAnswer },
      async handle(call) {
        const view = await jwtKeys.deactivate(call.principal.tenant, call.params.kid);
        recordAction(audit, call, 'jwt_key.deactivated', view.kid);
        return json(200, wireKey(view));
      },
    }),
  ];
}

function wireKey(view: JwtKeyView): JsonObject {
  return {
    kid: view.kid,
    algorithm: view.algorithm,
    ...(view.issuer === undefined ? {} : { issuer: view.issuer }),
    ...(view.audience === undefined ? {} : { audience: view.audience }),
    active: view.active,
    own: view.isOwn,
    created_at: instant(view.createdAt),
  };
}
