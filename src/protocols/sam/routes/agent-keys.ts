// The keys of agents, by which their messages are signed and encrypted to them, and this server's own as a public JWK Set
// (`TASK-85`, `ARMY-108`, `BLOG-98`, `NOOB-138`).

import Type from 'typebox';
import { DomainError } from '../../../domain/errors.ts';
import { type AgentId, DEFAULT_TENANT, type TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Permission, Principal } from '../../../domain/principal.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import type { AgentKeyView } from '../../../guards/messages/agent-key.ts';
import type { AgentKeys, AgentRef } from '../../../guards/messages/agent-keys.ts';
import { JWKS_AGE_SECONDS, type ServerKeys } from '../../../guards/messages/server-keys.ts';
import type { Tenants } from '../../../guards/tenants.ts';
import type { Call, Route } from '../../protocol.ts';
import { instantOf } from '../../validation.ts';
import { recordAction } from '../audited.ts';
import { refuseForeignAgent, requireAny } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { pageOf } from '../schema/answers.ts';
import { callerId, instant, instantSchema, paging } from '../vocabulary.ts';

/** What the keys' routes need. */
export interface AgentKeyDeps {
  readonly agentKeys: Pick<AgentKeys, 'add' | 'list' | 'revoke'>;
  readonly serverKeys: Pick<ServerKeys, 'published'>;
  readonly tenants: Pick<Tenants, 'get'>;
  readonly audit: AuditRecorder;
}

const member = Type.Optional(Type.String({ maxLength: 2_048 }));

const newKey = Type.Object({
  jwk: Type.Object(
    { kty: Type.String({ maxLength: 20 }), kid: member, crv: member, x: member, k: member },
    {
      description:
        'Ed25519 to sign, X25519 to receive, or an oct secret of 32 bytes or more for HS256; no private half.',
    },
  ),
  not_before: Type.Optional(instantSchema),
  expires_at: Type.Optional(instantSchema),
  replaces: Type.Optional(
    Type.String({ maxLength: 200, description: 'The kid this one takes over from, good for 24 h more.' }),
  ),
});

const keyAnswer = Type.Object(
  { kid: Type.String(), algorithm: Type.String(), revoked: Type.Boolean() },
  { description: 'A key; of a secret, not the secret.' },
);

const jwkSet = Type.Object(
  { keys: Type.Array(Type.Object({})) },
  { description: 'A JWK Set (RFC 7517); whoever encrypts takes the last key for use enc.' },
);

const agent = Type.Object({ agent_id: callerId });
const key = Type.Object({ agent_id: callerId, kid: callerId });
const MAY_READ: readonly Permission[] = ['agent:manage', 'message:send', 'message:receive'];
const common = { tag: 'agents', access: 'authenticated', rate: 'standard' } as const;

/** The routes that register, show and revoke the keys of agents, and show this server's. */
export function agentKeyRoutes(deps: AgentKeyDeps): readonly Route[] {
  return [...ownedRoutes(deps), ...shownRoutes(deps)];
}

function ownedRoutes({ agentKeys, audit }: AgentKeyDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/agents/:agent_id/keys`,
      summary: 'Register a key by which an agent signs its messages, or receives confidential ones',
      params: agent,
      admit: requireKeeper,
      body: newKey,
      answers: { 201: keyAnswer },
      async handle(call) {
        const { jwk, not_before: begin, expires_at: end, replaces } = call.body;
        const owner = agentOf(call);
        const view = await agentKeys.add(owner, {
          jwk: jwk as JsonObject,
          ...(begin === undefined ? {} : { notBefore: instantOf(begin) }),
          ...(end === undefined ? {} : { expiresAt: instantOf(end) }),
          ...(replaces === undefined ? {} : { replaces }),
        });
        recordAction(audit, call, 'agent_key.added', owner.agentId, { new: wireKey(view) });
        return json(201, wireKey(view));
      },
    }),
    route({
      ...common,
      method: 'DELETE',
      path: `${PREFIX}/agents/:agent_id/keys/:kid`,
      summary: 'Revoke a key; no node takes its signatures from the answer on',
      params: key,
      admit: requireKeeper,
      answers: { 200: keyAnswer },
      async handle(call) {
        const owner = agentOf(call);
        const view = await agentKeys.revoke(owner, call.params.kid);
        recordAction(audit, call, 'agent_key.revoked', owner.agentId, { kid: view.kid });
        return json(200, wireKey(view));
      },
    }),
  ];
}

function shownRoutes({ agentKeys, serverKeys, tenants }: AgentKeyDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/agents/:agent_id/keys`,
      summary:
        'The keys of an agent, oldest first: what others verify its messages by and encrypt to it with',
      params: agent,
      admit(principal, { agent_id: id }) {
        if (principal.agentId !== id) requireAny(principal, MAY_READ);
      },
      query: Type.Object(paging),
      answers: { 200: pageOf('keys') },
      async handle(call) {
        const { limit, offset } = call.query;
        const all = await agentKeys.list(agentOf(call));
        const shown = all.slice(offset, offset + limit).map(wireKey);
        return json(200, { keys: shown, total: all.length, limit, offset });
      },
    }),
    route({
      method: 'GET',
      path: '/.well-known/jwks.json',
      summary:
        'The public keys by which this server’s own participants sign, and by which they are encrypted to',
      tag: 'agents',
      access: 'public',
      rate: 'standard',
      query: Type.Object({ tenant: Type.Optional(callerId) }),
      answers: { 200: jwkSet },
      async handle({ query: { tenant = DEFAULT_TENANT } }) {
        const found = await tenants.get(tenant as TenantId);
        if (found === null) throw new DomainError('not_found', 'there is no such tenant');
        const keys = await serverKeys.published(found.id);
        return json(200, { keys }, { 'cache-control': `public, max-age=${JWKS_AGE_SECONDS}` });
      },
    }),
  ];
}

/** Throws `forbidden` unless the caller is that very agent, or manages agents and is bound to none. */
function requireKeeper(principal: Principal, params: Readonly<Record<string, string>>): void {
  refuseForeignAgent(principal, params.agent_id ?? '');
  if (principal.agentId === undefined) requireAny(principal, ['agent:manage']);
}

function agentOf({ principal, params }: Call<unknown, unknown, { readonly agent_id: string }>): AgentRef {
  return { tenant: principal.tenant, agentId: params.agent_id as AgentId };
}

function wireKey(view: AgentKeyView): JsonObject {
  return {
    kid: view.kid,
    algorithm: view.algorithm,
    ...(view.publicJwk === null ? {} : { jwk: { ...view.publicJwk, kid: view.kid } }),
    not_before: instant(view.notBefore),
    ...(view.expiresAt === null ? {} : { expires_at: instant(view.expiresAt) }),
    revoked: view.revokedAt !== null,
    ...(view.revokedAt === null ? {} : { revoked_at: instant(view.revokedAt) }),
    created_at: instant(view.createdAt),
  };
}
