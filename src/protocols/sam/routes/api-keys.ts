// API keys: made, shown, rotated, revoked, and how each is used (`SAM-18` to `SAM-21`). A secret is shown once, when it is made.

import Type, { type Static } from 'typebox';
import type { JsonObject } from '../../../domain/json.ts';
import { type ApiKey, type NewApiKey, SECOND_FACTORS } from '../../../guards/api-key.ts';
import type { ApiKeyUsage, ApiKeyUsageView } from '../../../guards/api-key-usage.ts';
import type { ApiKeys, IssuedApiKey } from '../../../guards/api-keys.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import { SIGNING_SCHEMES } from '../../../guards/hmac.ts';
import type { Route } from '../../protocol.ts';
import { instantOf } from '../../validation.ts';
import { recordAction } from '../audited.ts';
import { refuseNarrowed } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { pageOf } from '../schema/answers.ts';
import { anyObject, instant, paging } from '../vocabulary.ts';

/** What the keys' routes need. */
export interface ApiKeyDeps {
  readonly apiKeys: Pick<ApiKeys, 'create' | 'list' | 'get' | 'rotate' | 'revoke'>;
  readonly usage: Pick<ApiKeyUsage, 'view'>;
  readonly audit: AuditRecorder;
}

const strings = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { maxItems: 100 });

const newKey = Type.Object({
  name: Type.String({ minLength: 1, maxLength: 200 }),
  permissions: strings,
  task_types: Type.Optional(strings),
  rate_limit: Type.Optional(Type.Integer({ minimum: 1, description: 'Requests an hour.' })),
  usage_quota: Type.Optional(Type.Integer({ minimum: 1, description: 'Requests a day.' })),
  expires_at: Type.Optional(Type.String({ format: 'date-time' })),
  allowed_ips: Type.Optional(strings),
  allowed_hours: Type.Optional(Type.String({ description: 'HH:MM-HH:MM in UTC.' })),
  require_signature: Type.Optional(Type.Boolean()),
  agent_id: Type.Optional(Type.String()),
  algorithms: Type.Optional(Type.Array(Type.Enum([...SIGNING_SCHEMES]))),
  demand_second_factor: Type.Optional(Type.Enum([...SECOND_FACTORS])),
  client_certificates: Type.Optional(strings),
});

const keyAnswer = Type.Object(
  { api_key: Type.String(), name: Type.String(), permissions: Type.Array(Type.String()) },
  { description: 'A key, without its secret.' },
);

const issuedAnswer = Type.Object(
  { api_key: Type.String(), api_secret: Type.String(), name: Type.String() },
  { description: 'A key with its secret, which nobody can show again.' },
);

const usageAnswer = Type.Object(
  {
    api_key: Type.String(),
    last_used_at: Type.Unsafe({ type: ['string', 'null'] }),
    days: Type.Array(anyObject),
  },
  { description: 'How the key was used, day by day.' },
);

const params = Type.Object({ key_id: Type.String({ minLength: 1, maxLength: 200 }) });
const common = { tag: 'api keys', access: 'admin', rate: 'standard' } as const;
const one = `${PREFIX}/api-keys/:key_id`;

/** The routes that manage keys. */
export function apiKeyRoutes(deps: ApiKeyDeps): readonly Route[] {
  return [...readingRoutes(deps), ...changingRoutes(deps)];
}

function readingRoutes({ apiKeys, usage }: ApiKeyDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/api-keys`,
      summary: 'The keys of the tenant, oldest first',
      query: Type.Object(paging),
      answers: { 200: pageOf('api_keys') },
      async handle({ principal, query: { limit, offset } }) {
        const all = await apiKeys.list(principal.tenant);
        const shown = all.slice(offset, offset + limit).map(wireKey);
        return json(200, { api_keys: shown, total: all.length, limit, offset });
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: one,
      summary: 'A key',
      params,
      answers: { 200: keyAnswer },
      async handle({ principal, params: { key_id: id } }) {
        return json(200, wireKey(await apiKeys.get(principal.tenant, id)));
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${one}/usage`,
      summary: 'How a key was used',
      params,
      answers: { 200: usageAnswer },
      async handle({ principal, params: { key_id: id } }) {
        const key = await apiKeys.get(principal.tenant, id);
        return json(200, wireUsage(key, await usage.view(principal.tenant, id)));
      },
    }),
  ];
}

function changingRoutes({ apiKeys, audit }: ApiKeyDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/api-keys`,
      summary: 'Make a key',
      idempotency: 'confidential',
      body: newKey,
      answers: { 201: issuedAnswer },
      async handle(call) {
        refuseNarrowed(call.principal);
        const issued = await apiKeys.create(call.principal.tenant, settingsOf(call.body), call.principal);
        recordAction(audit, call, 'api_key.created', issued.key.id, { new: wireKey(issued.key) });
        return json(201, wireIssued(issued));
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: `${one}/rotate`,
      summary: 'Give a key a new secret; the old one works 24 h more',
      idempotency: 'confidential',
      params,
      answers: { 200: issuedAnswer },
      async handle(call) {
        refuseNarrowed(call.principal);
        const issued = await apiKeys.rotate(call.principal.tenant, call.params.key_id);
        recordAction(audit, call, 'api_key.rotated', issued.key.id);
        return json(200, wireIssued(issued));
      },
    }),
    route({
      ...common,
      method: 'DELETE',
      path: one,
      summary: 'Revoke a key for good',
      params,
      answers: { 200: keyAnswer },
      async handle(call) {
        const key = await apiKeys.revoke(call.principal.tenant, call.params.key_id);
        recordAction(audit, call, 'api_key.revoked', key.id);
        return json(200, wireKey(key));
      },
    }),
  ];
}

function settingsOf(body: Static<typeof newKey>): NewApiKey {
  return {
    name: body.name,
    permissions: body.permissions,
    ...(body.task_types === undefined ? {} : { taskTypes: body.task_types }),
    ...(body.rate_limit === undefined ? {} : { rateLimit: body.rate_limit }),
    ...(body.usage_quota === undefined ? {} : { usageQuota: body.usage_quota }),
    ...(body.expires_at === undefined ? {} : { expiresAt: instantOf(body.expires_at) }),
    ...(body.allowed_ips === undefined ? {} : { allowedIps: body.allowed_ips }),
    ...(body.allowed_hours === undefined ? {} : { allowedHours: body.allowed_hours }),
    ...(body.require_signature === undefined ? {} : { requireSignature: body.require_signature }),
    ...(body.agent_id === undefined ? {} : { agentId: body.agent_id }),
    ...(body.algorithms === undefined ? {} : { algorithms: body.algorithms }),
    ...(body.demand_second_factor === undefined ? {} : { demandSecondFactor: body.demand_second_factor }),
    ...(body.client_certificates === undefined ? {} : { clientCertificates: body.client_certificates }),
  };
}

/** A key with the secret that goes into `X-API-Secret`. */
export function wireIssued({ key, secret }: IssuedApiKey): JsonObject {
  return { ...wireKey(key), api_secret: secret };
}

function wireKey(key: ApiKey): JsonObject {
  return {
    api_key: key.id,
    name: key.name,
    permissions: key.permissions,
    ...(key.taskTypes === undefined ? {} : { task_types: key.taskTypes }),
    ...(key.rateLimit === undefined ? {} : { rate_limit: key.rateLimit }),
    ...(key.usageQuota === undefined ? {} : { usage_quota: key.usageQuota }),
    ...(key.expiresAt === undefined ? {} : { expires_at: instant(key.expiresAt) }),
    ...(key.allowedIps === undefined ? {} : { allowed_ips: key.allowedIps }),
    ...(key.allowedHours === undefined ? {} : { allowed_hours: key.allowedHours }),
    require_signature: key.requireSignature,
    ...(key.agentId === undefined ? {} : { agent_id: key.agentId }),
    algorithms: key.algorithms,
    ...(key.demandSecondFactor === undefined ? {} : { demand_second_factor: key.demandSecondFactor }),
    ...(key.clientCertificates === undefined ? {} : { client_certificates: key.clientCertificates }),
    created_at: instant(key.createdAt),
    rotated_at: instant(key.rotatedAt),
    revoked_at: key.revokedAt === undefined ? null : instant(key.revokedAt),
  };
}

function wireUsage(key: ApiKey, view: ApiKeyUsageView): JsonObject {
  return {
    api_key: key.id,
    last_used_at: view.lastUsedAt === null ? null : instant(view.lastUsedAt),
    anomaly: view.anomaly,
    days: view.days.map(day => ({
      date: day.date,
      requests: day.requests,
      failures: day.failures,
      networks: day.networks,
      anomalies: day.anomalies,
      last_used_at: day.lastUsedAt === null ? null : instant(day.lastUsedAt),
    })),
  };
}
