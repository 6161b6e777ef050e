// Agents: who runs tasks, what they can do, and how they are (`SAM-135`, `SAM-136`).

import Type, { type Static } from 'typebox';
import type { AgentId, TenantId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { ResourceLimits } from '../../../domain/task.ts';
import type { AgentRegistration, AgentView, EngineApi } from '../../../engine/api.ts';
import type { AgentKeys } from '../../../guards/messages/agent-keys.ts';
import type { Route } from '../../protocol.ts';
import { limitsOf } from '../decode.ts';
import { refuseForeignAgent, requireAny } from '../refusals.ts';
import { json, PREFIX, route } from '../route.ts';
import { nothing, pageOf } from '../schema/answers.ts';
import { resourceLimits } from '../schema/task.ts';
import { anyObject, callerId, instant, paging } from '../vocabulary.ts';

/** What the agents' routes need. */
export interface AgentDeps {
  readonly engine: Pick<EngineApi, 'agents' | 'registerAgent' | 'drainAgent' | 'removeAgent'>;
  readonly remoteAgents: RemoteEnrolment;
  readonly agentKeys: Pick<AgentKeys, 'removeAll'>;
}

/** Whoever drives agents of kind `sam`: told of how to reach them, and when they are removed (`SAM-98`). */
export interface RemoteEnrolment {
  enrol(agent: {
    readonly tenant: TenantId;
    readonly agentId: AgentId;
    readonly credential?: RemoteCredential;
    readonly webhookSecret?: string;
  }): Promise<void>;
  forget(agent: { readonly tenant: TenantId; readonly agentId: AgentId }): Promise<void>;
}

/** What this server shows to an agent it delegates to. */
export type RemoteCredential =
  | { readonly kind: 'api_key'; readonly key: string; readonly secret: string }
  | { readonly kind: 'bearer'; readonly token: string };

const name = Type.String({ minLength: 1, maxLength: 200 });
const params = Type.Object({ agent_id: callerId });

const capacity = Type.Object({
  slots: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000, description: '1 when absent.' })),
  ...resourceLimits.properties,
  gpu_units: Type.Optional(Type.Integer({ minimum: 0, maximum: 64, description: '0 when absent.' })),
});

const credential = Type.Union(
  [
    Type.Object({ kind: Type.Literal('api_key'), key: name, secret: name }),
    Type.Object({ kind: Type.Literal('bearer'), token: Type.String({ minLength: 1, maxLength: 8_192 }) }),
  ],
  { description: 'For kind sam: what is shown to the agent. Kept sealed and never returned.' },
);

const registration = Type.Object({
  agent_id: callerId,
  kind: Type.Optional(Type.Enum(['worker', 'sam'], { description: 'worker when absent.' })),
  types: Type.Array(name, { maxItems: 100, description: 'Task types, or custom:<name>.' }),
  skills: Type.Optional(Type.Array(name, { maxItems: 100 })),
  roles: Type.Optional(
    Type.Array(name, { maxItems: 100, description: 'What it answers to in messages: `<wire>:<role>`.' }),
  ),
  capacity: Type.Optional(capacity),
  region: Type.Optional(name),
  labels: Type.Optional(Type.Array(name, { maxItems: 20, description: '`canary` for one that is tried.' })),
  version: Type.Optional(name),
  url: Type.Optional(Type.String({ format: 'uri' })),
  credential: Type.Optional(credential),
  webhook_secret: Type.Optional(
    Type.String({ minLength: 16, maxLength: 200, description: 'For kind sam; made where absent.' }),
  ),
  schemas: Type.Optional(
    Type.Record(
      Type.String(),
      Type.Object({ input: Type.Optional(anyObject), output: Type.Optional(anyObject) }),
      { description: 'JSON Schemas of input and output by custom type name.' },
    ),
  ),
});

const agentAnswer = Type.Object(
  {
    agent_id: Type.String(),
    kind: Type.Enum(['local', 'worker', 'sam']),
    types: Type.Array(Type.String()),
    skills: Type.Array(Type.String()),
    health: Type.Enum(['healthy', 'degraded', 'draining', 'offline']),
    capacity: anyObject,
    registered_at: Type.String({ format: 'date-time' }),
    seen_at: Type.String({ format: 'date-time' }),
  },
  { description: 'An agent.' },
);

const common = { tag: 'agents', rate: 'standard' } as const;

/** The routes that register, show, drain and remove agents. */
export function agentRoutes(deps: AgentDeps): readonly Route[] {
  return [...comingRoutes(deps), ...leavingRoutes(deps)];
}

function comingRoutes({ engine, remoteAgents }: AgentDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/agents`,
      summary: 'Register an agent, or what changed about it',
      access: 'authenticated',
      body: registration,
      answers: { 200: agentAnswer },
      async handle({ principal, body }) {
        requireAny(principal, ['agent:manage', 'task:write-result']);
        refuseForeignAgent(principal, body.agent_id);
        const view = await engine.registerAgent(registrationOf(principal.tenant, body));
        if (view.agent.kind === 'sam') await remoteAgents.enrol(enrolmentOf(principal.tenant, body));
        return json(200, wireAgent(view));
      },
    }),
    route({
      ...common,
      method: 'GET',
      path: `${PREFIX}/agents`,
      summary: 'The agents and how they are',
      access: 'task:read',
      query: Type.Object(paging),
      answers: { 200: pageOf('agents') },
      async handle({ principal, query: { limit, offset } }) {
        const all = await engine.agents(principal.tenant);
        const shown = all.slice(offset, offset + limit).map(wireAgent);
        return json(200, { agents: shown, total: all.length, limit, offset });
      },
    }),
  ];
}

function leavingRoutes({ engine, remoteAgents, agentKeys }: AgentDeps): readonly Route[] {
  return [
    route({
      ...common,
      method: 'POST',
      path: `${PREFIX}/agents/:agent_id/drain`,
      summary: 'Give an agent no more work',
      access: 'agent:manage',
      params,
      answers: { 200: agentAnswer },
      async handle({ principal, params: { agent_id: id } }) {
        return json(200, wireAgent(await engine.drainAgent(principal.tenant, id as AgentId)));
      },
    }),
    route({
      ...common,
      method: 'DELETE',
      path: `${PREFIX}/agents/:agent_id`,
      summary: 'Remove an agent',
      access: 'agent:manage',
      params,
      answers: { 204: nothing },
      async handle({ principal, params: { agent_id: id } }) {
        const agent = { tenant: principal.tenant, agentId: id as AgentId };
        await engine.removeAgent(agent.tenant, agent.agentId);
        await remoteAgents.forget(agent);
        await agentKeys.removeAll(agent);
        return { kind: 'empty', status: 204 };
      },
    }),
  ];
}

function registrationOf(
  tenant: AgentRegistration['tenant'],
  body: Static<typeof registration>,
): AgentRegistration {
  const { slots = 1, gpu_units: gpuUnits, ...limits } = body.capacity ?? {};
  return {
    tenant,
    id: body.agent_id as AgentId,
    kind: body.kind ?? 'worker',
    types: body.types,
    capabilities: body.skills ?? [],
    ...(body.roles === undefined ? {} : { roles: body.roles }),
    slots,
    capacity: { ...limitsOf(limits), ...(gpuUnits === undefined ? {} : { gpuUnits }) },
    ...(body.region === undefined ? {} : { region: body.region }),
    ...(body.labels === undefined ? {} : { labels: body.labels }),
    ...(body.version === undefined ? {} : { version: body.version }),
    ...(body.url === undefined ? {} : { url: body.url }),
    ...(body.schemas === undefined
      ? {}
      : { schemas: body.schemas as NonNullable<AgentRegistration['schemas']> }),
  };
}

function enrolmentOf(
  tenant: TenantId,
  body: Static<typeof registration>,
): Parameters<RemoteEnrolment['enrol']>[0] {
  return {
    tenant,
    agentId: body.agent_id as AgentId,
    ...(body.credential === undefined ? {} : { credential: body.credential }),
    ...(body.webhook_secret === undefined ? {} : { webhookSecret: body.webhook_secret }),
  };
}

function wireAgent({ agent, health, busy, free, errorRate }: AgentView): JsonObject {
  return {
    agent_id: agent.id,
    kind: agent.kind,
    types: agent.types,
    custom_types: agent.types
      .filter(type => type.startsWith('custom:'))
      .map(type => type.slice('custom:'.length)),
    skills: agent.capabilities,
    ...(agent.roles === undefined ? {} : { roles: agent.roles }),
    health,
    error_rate: errorRate,
    capacity: {
      slots: agent.slots,
      ...wireLimits(agent.capacity),
      free: { slots: Math.max(0, agent.slots - busy), ...wireLimits(free) },
    },
    ...(agent.region === undefined ? {} : { region: agent.region }),
    ...(agent.labels === undefined ? {} : { labels: agent.labels }),
    ...(agent.version === undefined ? {} : { version: agent.version }),
    ...(agent.url === undefined ? {} : { url: agent.url }),
    registered_at: instant(agent.registeredAt),
    seen_at: instant(agent.seenAt),
  };
}

function wireLimits(limits: ResourceLimits): JsonObject {
  return {
    ...(limits.memoryMb === undefined ? {} : { memory_mb: limits.memoryMb }),
    ...(limits.cpuCores === undefined ? {} : { cpu_cores: limits.cpuCores }),
    ...(limits.diskMb === undefined ? {} : { disk_mb: limits.diskMb }),
    ...(limits.gpuUnits === undefined ? {} : { gpu_units: limits.gpuUnits }),
    ...(limits.networkMbps === undefined ? {} : { network_bandwidth_mbps: limits.networkMbps }),
  };
}
