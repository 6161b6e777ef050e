// How things stand, as `status_response` tells it: a task, a role, or the whole (`ARMY-44`).

import type { TaskId, TenantId } from '../../domain/ids.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import { type Draft, inboxOfRole, type Message } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { AgentView } from '../../engine/api.ts';
import { HELD_KIND } from '../../engine/mailroom/held.ts';
import type { DialectHands } from '../dialect/hands.ts';
import { rolesOf } from './address.ts';
import { answer, ownAddress, status } from './drafts.ts';
import { FLOW_KIND } from './flow.ts';
import { idFrom } from './ids.ts';
import { ARMY, BUILT_IN, isRole, ROLES, type Role } from './words.ts';

/** What is asked for it. */
export type StatusParts = Pick<DialectHands, 'engine' | 'store' | 'mailroom' | 'clock'>;

/** The answer to a `status_query`; throws `not_found` for a task there is not. */
export async function answerStatus(message: Message, parts: StatusParts): Promise<Draft> {
  const { tenant, meaning } = message;
  const asked: JsonObject =
    meaning.act === 'ask_status'
      ? { task_id: meaning.taskId }
      : meaning.act === 'say' && isJsonObject(meaning.body)
        ? meaning.body
        : {};
  const body =
    typeof asked.task_id === 'string'
      ? await taskStatus(tenant, asked.task_id as TaskId, parts)
      : typeof asked.role === 'string' && isRole(asked.role)
        ? await roleStatus(tenant, asked.role, parts)
        : await systemStatus(tenant, parts);
  return answer(message, {
    id: idFrom('status', message.id),
    type: 'status_response',
    from: ownAddress('coordinator'),
    meaning: status(body),
  });
}

/** A task's status in this wire's words. */
export function statusWord({ state, outcome }: Pick<Task, 'state' | 'outcome'>): string {
  if (outcome === 'timeout' || outcome === 'rejected') return 'failed';
  if (outcome !== null) return outcome;
  if (state === 'running' || state === 'completing') return 'running';
  return state === 'paused' ? 'paused' : 'pending';
}

async function taskStatus(
  tenant: TenantId,
  id: TaskId,
  { mailroom, store }: StatusParts,
): Promise<JsonObject> {
  const task = await mailroom().desk.task(tenant, id);
  const [flow] = await store.documents({ kind: FLOW_KIND, tenant, ids: [id] });
  const [held] = await store.documents({ kind: HELD_KIND, tenant, ids: [task.executionId] });
  const isReviewed = flow?.body.phase === 'reviewing' || held?.body.state === 'reviewing';
  const isWaiting = isReviewed && task.outcome === null;
  const percentage = task.outcome === 'completed' ? 100 : (task.progress?.percentage ?? 0);
  return {
    ...{ task_id: id, status: statusWord(task), state: task.state, attempt: task.attempt },
    progress: percentage,
    ...(task.progress?.currentStep === undefined ? {} : { message: task.progress.currentStep }),
    ...(task.agentId === null ? {} : { agent: task.agentId }),
    ...(isWaiting ? { waiting_for: 'person' } : {}),
  };
}

async function roleStatus(tenant: TenantId, role: Role, parts: StatusParts): Promise<JsonObject> {
  const { engine, mailroom, store } = parts;
  const agents = (await engine.agents(tenant)).filter(({ agent }) => rolesOf(agent.roles).includes(role));
  const [depth] = await mailroom().depths(tenant, [inboxOfRole(ARMY, role)]);
  const queues = await store.queues();
  const queued = queues
    .filter(({ name }) => name.tenant === tenant && name.capabilities.includes(`${ARMY}:${role}`))
    .reduce((sum, one) => sum + one.depth, 0);
  return {
    role,
    agents: agents.map(shown),
    load: loadOf(agents),
    queue_depth: queued + (depth?.waiting ?? 0),
    built_in:
      (BUILT_IN as readonly Role[]).includes(role) && agents.every(({ health }) => health === 'offline'),
  };
}

async function systemStatus(tenant: TenantId, { engine, mailroom, store }: StatusParts): Promise<JsonObject> {
  const agents = (await engine.agents(tenant)).filter(({ agent }) => rolesOf(agent.roles).length > 0);
  const count = async (states: readonly Task['state'][]): Promise<number> =>
    (await store.list({ tenant, states, limit: 1, offset: 0 })).total;
  const [pending, running, paused] = await Promise.all([
    count(['submitted', 'validated', 'queued', 'allocated']),
    count(['running', 'completing']),
    count(['paused']),
  ]);
  const depths = await mailroom().depths(tenant);
  return {
    scope: 'system',
    agents: Object.fromEntries(
      ROLES.map(role => [role, agents.filter(({ agent }) => rolesOf(agent.roles).includes(role)).length]),
    ),
    load: loadOf(agents),
    tasks: { pending, running, paused },
    messages_waiting: depths.reduce((sum, { waiting }) => sum + waiting, 0),
  };
}

function shown({ agent, health, busy }: AgentView): JsonObject {
  return { agent: agent.id, health, busy, capacity: agent.slots };
}

/** Share of the slots of all of them that are in use. */
function loadOf(agents: readonly AgentView[]): number {
  const slots = agents.reduce((sum, { agent }) => sum + agent.slots, 0);
  const busy = agents.reduce((sum, one) => sum + one.busy, 0);
  return slots === 0 ? 0 : Math.round((busy / slots) * 100) / 100;
}
