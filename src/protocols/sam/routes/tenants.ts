// Tenants: made and tuned by administrators of the default tenant, and the webhook secret every tenant has (`SAM-78`).

import Type, { type Static } from 'typebox';
import { DomainError } from '../../../domain/errors.ts';
import { DEFAULT_GUARDRAILS, type Guardrails } from '../../../domain/guardrails.ts';
import { DEFAULT_TENANT, type TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { PriceTable } from '../../../domain/price.ts';
import type { Principal } from '../../../domain/principal.ts';
import type { ApiKeys } from '../../../guards/api-keys.ts';
import type { AuditRecorder } from '../../../guards/audit.ts';
import { NO_DEMANDS } from '../../../guards/messages/demands.ts';
import { QUOTAS, type QuotaPlan } from '../../../guards/quota-plan.ts';
import type { Tenant, TenantOptions, TenantSettings, Tenants } from '../../../guards/tenants.ts';
import type { Route } from '../../protocol.ts';
import { recordAction } from '../audited.ts';
import { requireLandlord } from '../landlord.ts';
import { refuseNarrowed } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { pageOf } from '../schema/answers.ts';
import { callerId, instant, paging } from '../vocabulary.ts';
import { wireIssued } from './api-keys.ts';

/** What the tenants' routes need. */
export interface TenantDeps {
  readonly tenants: Pick<Tenants, 'create' | 'update' | 'list' | 'get' | 'rotateWebhookSecret'>;
  readonly apiKeys: Pick<ApiKeys, 'create'>;
  readonly audit: AuditRecorder;
}

const days = Type.Unsafe<number | null>({ type: ['integer', 'null'], minimum: 1 });

const limits = Type.Object(
  Object.fromEntries(QUOTAS.map(quota => [quota, Type.Optional(Type.Number({ minimum: 0 }))])),
  { additionalProperties: false, description: 'At once, or a UTC day; absent ones do not limit.' },
);
const limitsByName = Type.Record(Type.String(), limits, {
  description: 'By name; `*` is for each that has none of its own.',
});

/** A change replaces the scopes it names; null lifts one. */
const quotas = Type.Object({
  tenant: Type.Optional(
    Type.Union([Type.Object({ policy: Type.Enum(['queue', 'refuse']), limits }), Type.Null()]),
  ),
  credentials: Type.Optional(Type.Union([limitsByName, Type.Null()])),
  users: Type.Optional(Type.Union([limitsByName, Type.Null()])),
});

const price = Type.Number({ minimum: 0, maximum: 1_000_000_000 });

const prices = Type.Object(
  {
    cpu_core_hour: Type.Optional(price),
    memory_gb_hour: Type.Optional(price),
    per_task: Type.Optional(
      Type.Record(Type.String(), price, { description: 'By work type; `*` for those not named.' }),
    ),
  },
  { additionalProperties: false, description: 'What `estimated_cost` goes by; replaced whole.' },
);

const residency = Type.Union(
  [
    Type.Object({
      regions: Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, maxItems: 100 }),
    }),
    Type.Null(),
  ],
  { description: 'Where its tasks may run: on nodes and agents of these regions alone; null lifts it.' },
);

const signatures = Type.Object(
  {
    types: Type.Optional(
      Type.Array(Type.String(), { maxItems: 200, description: '`<wire>/<type>`, `<wire>/*` or `*`.' }),
    ),
    critical: Type.Optional(Type.Boolean({ description: 'All of the most urgent priority.' })),
  },
  { additionalProperties: false, description: 'Messages that must be signed; replaced whole.' },
);

const guardrails = Type.Object(
  {
    messages_per_minute: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    messages_burst: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
    task_time_ms_max: Type.Optional(Type.Integer({ minimum: 1_000, maximum: 604_800_000 })),
    task_tokens_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000_000 })),
    agent_memory_mb_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_048_576 })),
    depth_max: Type.Optional(Type.Integer({ minimum: 1, maximum: 64 })),
    quality_min: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    review_critical: Type.Optional(Type.Boolean({ description: 'A person decides about critical outputs.' })),
    offensive_content: Type.Optional(Type.Enum(['wire', 'refuse', 'allow'])),
  },
  { additionalProperties: false, description: 'What its agents move within; replaced whole.' },
);

const options = Type.Object({
  hmac_window_seconds: Type.Optional(Type.Integer({ minimum: 30, maximum: 900 })),
  require_jti: Type.Optional(Type.Boolean()),
  api_key_age_max_days: Type.Optional(days),
  webhook_rotation_days: Type.Optional(days),
  quotas: Type.Optional(quotas),
  prices: Type.Optional(prices),
  residency: Type.Optional(residency),
  signatures: Type.Optional(signatures),
  guardrails: Type.Optional(guardrails),
});

const settings = {
  name: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  weight: Type.Optional(
    Type.Number({ minimum: 0.01, maximum: 1_000, description: 'Share of the capacity.' }),
  ),
  options: Type.Optional(options),
};

const newTenant = Type.Object({ ...settings, tenant_id: callerId });
const change = Type.Object(settings);
const params = Type.Object({ tenant_id: callerId });

const tenantAnswer = Type.Object(
  { tenant_id: Type.String(), name: Type.String(), weight: Type.Number(), options: options },
  { description: 'A tenant.' },
);

const madeAnswer = Type.Object(
  { tenant_id: Type.String(), name: Type.String(), api_key: Type.String(), api_secret: Type.String() },
  { description: 'The tenant and its first key, an administrator’s; the secret is shown this once.' },
);

const common = { tag: 'tenants', access: 'admin', rate: 'standard' } as const;

/** The routes that manage tenants. */
export function tenantRoutes(deps: TenantDeps): readonly Route[] {
  return [...makingRoutes(deps), ...tuningRoutes(deps)];
}

function makingRoutes({ tenants, apiKeys, audit }: TenantDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/tenants`,
      summary: 'Make a tenant and its first key',
      idempotency: 'confidential',
      body: newTenant,
      answers: { 201: madeAnswer },
      async handle(call) {
        requireLandlord(call.principal);
        refuseNarrowed(call.principal);
        const { tenant_id: id, ...rest } = call.body;
        const tenant = await tenants.create({ ...settingsOf(rest), id });
        const issued = await apiKeys.create(tenant.id, { name: 'first', permissions: ['admin'] });
        recordAction(audit, call, 'tenant.created', tenant.id, { new: wireTenant(tenant) });
        const { api_key: key, api_secret: secret } = wireIssued(issued);
        return json(201, { ...wireTenant(tenant), api_key: key, api_secret: secret });
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/tenants`,
      summary: 'The tenants',
      query: Type.Object(paging),
      answers: { 200: pageOf('tenants') },
      async handle({ principal, query: { limit, offset } }) {
        const all = (await tenants.list()).filter(one => mayManage(principal, one.id));
        const shown = all.slice(offset, offset + limit).map(wireTenant);
        return json(200, { tenants: shown, total: all.length, limit, offset });
      },
    }),
  ];
}

function tuningRoutes({ tenants, audit }: TenantDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/tenants/:tenant_id`,
      summary: 'A tenant',
      params,
      answers: { 200: tenantAnswer },
      async handle({ principal, params: { tenant_id: id } }) {
        const found = mayManage(principal, id) ? await tenants.get(id as TenantId) : null;
        if (found === null) throw missing();
        return json(200, wireTenant(found));
      },
    }),
    route({
      ...common,
      method: 'PATCH',
      path: `${PREFIX}/tenants/:tenant_id`,
      summary:
        'Change a tenant; its weight, its own quotas, its prices and its agents’ pace are for administrators of the default tenant alone',
      params,
      body: change,
      answers: { 200: tenantAnswer },
      async handle(call) {
        const id = call.params.tenant_id as TenantId;
        if (!mayManage(call.principal, id)) throw missing();
        if (isForLandlord(call.body)) requireLandlord(call.principal);
        const old = await tenants.get(id);
        const tenant = await tenants.update(id, settingsOf(call.body));
        const before = old === null ? {} : { old: wireTenant(old) };
        recordAction(audit, call, 'tenant.changed', id, { ...before, new: wireTenant(tenant) });
        return json(200, wireTenant(tenant));
      },
    }),
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/tenants/:tenant_id/webhook-secret/rotate`,
      summary: 'Make a new webhook secret; the old one signs along for 24 h',
      idempotency: 'confidential',
      params,
      answers: {
        200: Type.Object({ webhook_secret: Type.String() }, { description: 'The secret, shown this once.' }),
      },
      async handle(call) {
        const id = call.params.tenant_id as TenantId;
        if (!mayManage(call.principal, id)) throw missing();
        const secret = await tenants.rotateWebhookSecret(id);
        recordAction(audit, call, 'tenant.webhook_secret_rotated', id);
        return json(200, { webhook_secret: secret });
      },
    }),
  ];
}

/** What a tenant must not give itself: more of what all share. */
function isForLandlord({ weight, options: chosen }: Static<typeof change>): boolean {
  const { messages_per_minute: pace, messages_burst: burst } = chosen?.guardrails ?? {};
  const shared = [weight, chosen?.quotas?.tenant, chosen?.prices, pace, burst];
  return shared.some(one => one !== undefined);
}

function mayManage({ tenant }: Principal, id: string): boolean {
  return tenant === DEFAULT_TENANT || tenant === id;
}

function missing(): DomainError {
  return new DomainError('not_found', 'there is no such tenant');
}

function settingsOf(body: Static<typeof change>): TenantSettings {
  const { name, weight, options: chosen } = body;
  return {
    ...(name === undefined ? {} : { name }),
    ...(weight === undefined ? {} : { weight }),
    ...(chosen === undefined ? {} : { options: optionsOf(chosen) }),
  };
}

function optionsOf(chosen: Static<typeof options>): Partial<TenantOptions> {
  const { hmac_window_seconds: window, require_jti: jti } = chosen;
  const { api_key_age_max_days: age, webhook_rotation_days: rotation } = chosen;
  return {
    ...(window === undefined ? {} : { hmacWindowSeconds: window }),
    ...(jti === undefined ? {} : { requireJti: jti }),
    ...(age === undefined ? {} : { apiKeyAgeMaxDays: age }),
    ...(rotation === undefined ? {} : { webhookRotationDays: rotation }),
    ...(chosen.quotas === undefined ? {} : { quotas: chosen.quotas as QuotaPlan }),
    ...(chosen.prices === undefined ? {} : { prices: pricesOf(chosen.prices) }),
    ...(chosen.residency === undefined ? {} : { residency: chosen.residency }),
    ...(chosen.signatures === undefined ? {} : { signatures: { ...NO_DEMANDS, ...chosen.signatures } }),
    ...(chosen.guardrails === undefined ? {} : { guardrails: guardrailsOf(chosen.guardrails) }),
  };
}

function pricesOf(chosen: Static<typeof prices>): PriceTable {
  const { cpu_core_hour: cpu, memory_gb_hour: memory, per_task: perTask } = chosen;
  return {
    ...(cpu === undefined ? {} : { cpuCoreHour: cpu }),
    ...(memory === undefined ? {} : { memoryGbHour: memory }),
    ...(perTask === undefined ? {} : { perTask }),
  };
}

/** The settings under their names on the wire. */
const GUARDRAIL_NAMES = {
  messagesPerMinute: 'messages_per_minute',
  messagesBurst: 'messages_burst',
  taskTimeMsMax: 'task_time_ms_max',
  taskTokensMax: 'task_tokens_max',
  agentMemoryMbMax: 'agent_memory_mb_max',
  depthMax: 'depth_max',
  qualityMin: 'quality_min',
  reviewCritical: 'review_critical',
  offensiveContent: 'offensive_content',
} as const satisfies Record<keyof Guardrails, keyof Static<typeof guardrails>>;

function guardrailsOf(chosen: Static<typeof guardrails>): Partial<Guardrails> {
  const settings = Object.entries(GUARDRAIL_NAMES).map(([name, word]) => [name, chosen[word]] as const);
  return Object.fromEntries(settings.filter(([, value]) => value !== undefined));
}

function wireGuardrails(settings: Guardrails): JsonObject {
  const names = Object.entries(GUARDRAIL_NAMES);
  return Object.fromEntries(names.map(([name, word]) => [word, settings[name as keyof Guardrails]]));
}

function wirePrices({ cpuCoreHour, memoryGbHour, perTask }: PriceTable): JsonObject {
  return {
    ...(cpuCoreHour === undefined ? {} : { cpu_core_hour: cpuCoreHour }),
    ...(memoryGbHour === undefined ? {} : { memory_gb_hour: memoryGbHour }),
    ...(perTask === undefined ? {} : { per_task: perTask }),
  };
}

function wireTenant(tenant: Tenant): JsonObject {
  return {
    tenant_id: tenant.id,
    name: tenant.name,
    weight: tenant.weight,
    options: {
      hmac_window_seconds: tenant.options.hmacWindowSeconds,
      require_jti: tenant.options.requireJti,
      api_key_age_max_days: tenant.options.apiKeyAgeMaxDays,
      webhook_rotation_days: tenant.options.webhookRotationDays,
      quotas: (tenant.options.quotas ?? {}) as JsonObject,
      ...(tenant.options.prices === undefined ? {} : { prices: wirePrices(tenant.options.prices) }),
      residency: tenant.options.residency ? { regions: tenant.options.residency.regions } : null,
      signatures: { ...(tenant.options.signatures ?? NO_DEMANDS) },
      guardrails: wireGuardrails({ ...DEFAULT_GUARDRAILS, ...tenant.options.guardrails }),
    },
    created_at: instant(tenant.createdAt),
  };
}
