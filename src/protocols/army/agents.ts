// The desk of agents: they come, beat and go, are sent home, and what holds for all of them is changed (`ARMY-45` to `ARMY-50`).

import { DomainError } from '../../domain/errors.ts';
import type { AgentId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Draft, Message } from '../../domain/message.ts';
import type { AgentView } from '../../engine/api.ts';
import type { Participant } from '../../engine/ports/participant.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { type Address, addressOf, rolesOf } from './address.ts';
import { answer, ownAddress, say, status } from './drafts.ts';
import { durationMs } from './durations.ts';
import { invalid } from './errors.ts';
import { handOn } from './handoffs.ts';
import { idFrom } from './ids.ts';
import { AGENTS, agentsAt, GRACES } from './routing.ts';
import { type Settings, settingsText } from './settings.ts';
import { ARMY, BUILT_IN, isRole, OVERWEIGHT, type Role } from './words.ts';

/** What the desk works with. */
export interface AgentParts extends Pick<DialectHands, 'engine' | 'store' | 'mailroom' | 'audit'> {
  readonly settings: Settings;
}

const GRACE_MS = 30_000;

/** The desk of agents. */
export function createAgentDesk(parts: AgentParts): Participant {
  return {
    name: 'army agents',
    inboxes: [AGENTS],
    handle(message) {
      switch (message.type) {
        case 'heartbeat':
          return beat(message, parts);
        case 'shutdown':
          return shutDown(message, parts);
        case 'config_update':
          return configure(message, parts);
        default:
          return coordinate(message, parts);
      }
    },
  };
}

/** Takes back what agents that were sent home still hold when their grace is over. */
export function createGraceDesk({ store, engine }: Pick<DialectHands, 'store' | 'engine'>): Participant {
  return {
    name: 'army graces',
    inboxes: [GRACES],
    async handle(message) {
      const { agents } = bodyOf(message);
      for (const id of Array.isArray(agents) ? agents : [])
        await letGo({ store, engine }, message.tenant, String(id) as AgentId, 'the agent was shut down');
      return [];
    },
  };
}

/** It lives, and goes on with what it holds (`ARMY-47`). */
async function beat(message: Message, parts: AgentParts): Promise<readonly Draft[]> {
  const { engine, mailroom, store } = parts;
  const { tenant, agentId, meaning } = message;
  if (agentId === null) return [];
  const id = agentId as AgentId;
  const view = await mailroom().directory.agent(tenant, id);
  if (view === null) return [];
  await adapt(message.tenant, view.agent, meaning.act === 'beat' ? meaning.condition : {}, parts);
  const held = (await store.leases({ agentId: id })).filter(lease => lease.tenant === tenant);
  const { types, capabilities, capacity } = view.agent;
  await engine.work({
    ...{ tenant, agentId: id, types, capabilities, capacity, slots: 0, waitMs: 0 },
    ...{ results: [], progress: [], logs: [] },
    heartbeats: held.map(({ taskId, token }) => ({ taskId, token })),
  });
  return [];
}

/** How many tasks it takes, and whether any: none while it reports more memory than it may take (`ARMY-72`). */
async function adapt(
  tenant: TenantId,
  agent: AgentView['agent'],
  { capacity, memory_mb: memoryMb }: JsonObject,
  { engine, mailroom, settings }: AgentParts,
): Promise<void> {
  const { roles = [] } = agent;
  const wasOver = roles.includes(OVERWEIGHT);
  const isOver = typeof memoryMb === 'number' ? memoryMb > (await settings.of(tenant)).maxMemoryMb : wasOver;
  const slots = typeof capacity === 'number' && capacity > 0 ? capacity : agent.slots;
  if (slots === agent.slots && isOver === wasOver) return;
  const others = roles.filter(one => one !== OVERWEIGHT);
  await engine.registerAgent({ ...agent, slots, roles: isOver ? [...others, OVERWEIGHT] : others });
  mailroom().directory.forget(tenant);
}

async function coordinate(message: Message, parts: AgentParts): Promise<readonly Draft[]> {
  const body = bodyOf(message);
  const told = await toldOf(message, body, parts);
  parts.mailroom().directory.forget(message.tenant);
  return [answered(message, { action: body.action, ...told })];
}

function toldOf(message: Message, body: JsonObject, parts: AgentParts): Promise<JsonObject> {
  switch (body.action) {
    case 'register':
      return register(message, body, parts);
    case 'unregister':
      return unregister(message, body, parts);
    default:
      return handOn(message, body, parts);
  }
}

async function register(message: Message, body: JsonObject, parts: AgentParts): Promise<JsonObject> {
  const { tenant } = message;
  const { engine, mailroom } = parts;
  if (body.agent === undefined && typeof body.role === 'string') return wake(message, body.role, parts);
  const id = subjectOf(message, body);
  const known = await mailroom().directory.agent(tenant, id);
  const roles =
    isLeader(message) && Array.isArray(body.roles) ? rolesIn(body.roles, message) : known?.agent.roles;
  if (known === null && roles === undefined)
    throw invalid([{ field: 'payload.roles', message: `is required for ${id}, which is not known yet` }]);
  const types = Array.isArray(body.capabilities)
    ? body.capabilities.map(one => `custom:${String(one)}`)
    : (known?.agent.types ?? []);
  const slots =
    typeof body.capacity === 'number' ? Math.max(1, Math.floor(body.capacity)) : (known?.agent.slots ?? 1);
  // Who was sent home and comes again begins anew.
  if (known?.agent.draining === true) await engine.removeAgent(tenant, id);
  const { agent } = await engine.registerAgent({
    ...{ tenant, id, kind: 'worker', types, slots },
    capabilities: known?.agent.capabilities ?? [],
    capacity: known?.agent.capacity ?? {},
    ...(roles === undefined ? {} : { roles }),
  });
  return viewOf(agent);
}

/** A supervisor calls a built-in role back to work. */
async function wake(message: Message, role: string, { settings }: AgentParts): Promise<JsonObject> {
  requireSupervisor(message, role);
  const { resting } = await settings.of(message.tenant);
  await settings.change(message.tenant, { resting: resting.filter(one => one !== role) });
  return { role, status: 'at work' };
}

async function unregister(message: Message, body: JsonObject, parts: AgentParts): Promise<JsonObject> {
  const { tenant } = message;
  const id = subjectOf(message, body);
  if ((await parts.mailroom().directory.agent(tenant, id)) === null)
    throw new DomainError('not_found', `there is no agent ${id}`, { details: { agent: id } });
  await letGo(parts, tenant, id, 'the agent unregistered');
  await parts.engine.removeAgent(tenant, id);
  return { agent: id };
}

/** Agents get no new work; what they hold after the grace goes back. Built-in roles only obey a supervisor (`ARMY-48`). */
async function shutDown(
  message: Message,
  { engine, mailroom, settings }: AgentParts,
): Promise<readonly Draft[]> {
  const { tenant, acceptedAt } = message;
  const body = bodyOf(message);
  const to = message.to.map(one => addressOf(one)).filter(one => one !== null);
  const agents = await agentsAt(tenant, to, mailroom().directory);
  const resting = await builtInAmong(to, tenant, mailroom().directory);
  for (const role of resting) requireSupervisor(message, role);
  if (resting.length > 0) {
    const before = (await settings.of(tenant)).resting;
    await settings.change(tenant, { resting: [...new Set([...before, ...resting])] });
  }
  for (const id of agents) await engine.drainAgent(tenant, id as AgentId);
  mailroom().directory.forget(tenant);
  const graceMs = (typeof body.grace === 'string' ? durationMs(body.grace) : null) ?? GRACE_MS;
  const over = say(message, {
    id: idFrom('grace', message.id),
    type: 'shutdown',
    from: ownAddress('coordinator'),
    to: [ownAddress('coordinator')],
    meaning: status({ reason: 'grace is over', due_at: acceptedAt + graceMs, agents }),
  });
  return [
    answered(message, { action: 'shutdown', agents, roles: resting }),
    ...(agents.length > 0 ? [over] : []),
  ];
}

async function configure(message: Message, { settings, audit }: AgentParts): Promise<readonly Draft[]> {
  const { settings: changes } = bodyOf(message);
  if (!isJsonObject(changes)) return [];
  const inForce = await settings.change(message.tenant, changes);
  audit.record({
    ...{ tenant: message.tenant, action: 'army.config_updated', principal: message.actor },
    ...{ object: message.id, detail: { from: message.from, settings: changes } },
  });
  return [answered(message, { settings: settingsText(inForce) })];
}

/** The roles among them that this server plays, and nobody else. */
async function builtInAmong(
  to: readonly Address[],
  tenant: TenantId,
  directory: Parameters<typeof agentsAt>[2],
): Promise<readonly Role[]> {
  const found = await Promise.all(
    BUILT_IN.map(async role => {
      const meant = to.filter(one => one.role === role && one.agent === null);
      return meant.length > 0 && (await agentsAt(tenant, meant, directory)).length === 0 ? [role] : [];
    }),
  );
  return found.flat();
}

async function letGo(
  { store, engine }: Pick<DialectHands, 'store' | 'engine'>,
  tenant: TenantId,
  agentId: AgentId,
  reason: string,
): Promise<void> {
  const held = (await store.leases({ agentId })).filter(lease => lease.tenant === tenant);
  for (const { taskId, token } of held)
    await engine.handBack({ tenant, taskId, token }, reason).catch(error => {
      if (!(error instanceof DomainError) || error.code !== 'lease_lost') throw error;
    });
}

/** Of which agent it speaks: itself, or another where it leads. */
function subjectOf(message: Message, { agent }: JsonObject): AgentId {
  if (agent === undefined && message.agentId !== null) return message.agentId as AgentId;
  if (typeof agent !== 'string' || !/^[A-Za-z0-9._:-]{1,200}$/.test(agent))
    throw invalid([{ field: 'payload.agent', message: 'must be the name of an agent' }]);
  if (agent !== message.agentId && !isLeader(message))
    throw new DomainError('forbidden', `${message.from} does not speak for ${agent}`, { details: { agent } });
  return agent as AgentId;
}

function requireSupervisor(message: Message, role: string): void {
  if (!(BUILT_IN as readonly string[]).includes(role))
    throw invalid([{ field: 'payload.role', message: `must be one of ${BUILT_IN.join(', ')}` }]);
  if (addressOf(message.from)?.role !== 'supervisor')
    throw new DomainError('forbidden', `the built-in ${role} obeys a supervisor only`, { details: { role } });
}

function isLeader({ from }: Message): boolean {
  const role = addressOf(from)?.role;
  return role === 'coordinator' || role === 'supervisor';
}

/** The roles it grants; only supervisors make supervisors. */
function rolesIn(said: readonly unknown[], message: Message): readonly string[] {
  return said.map((one, at) => {
    if (one === 'supervisor') requireSupervisor(message, 'coordinator');
    if (typeof one === 'string' && isRole(one)) return `${ARMY}:${one}`;
    throw invalid([{ field: `payload.roles.${at}`, message: 'must be a role' }]);
  });
}

function viewOf({ id, roles, types, slots }: AgentView['agent']): JsonObject {
  return {
    agent: id,
    roles: [...rolesOf(roles)],
    capabilities: types.map(type => type.replace(/^custom:/, '')),
    capacity: slots,
  };
}

function answered(message: Message, body: JsonObject): Draft {
  return answer(message, {
    id: idFrom('answer', message.id),
    type: 'status_response',
    from: ownAddress('coordinator'),
    meaning: status(body),
  });
}

function bodyOf({ meaning }: Message): JsonObject {
  return meaning.act === 'say' && isJsonObject(meaning.body) ? meaning.body : {};
}
