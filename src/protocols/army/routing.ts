// Where messages go: what asks something of tasks and agents to the desks of this server, everything else to whom it is addressed.

import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject } from '../../domain/json.ts';
import { type Draft, type InboxName, inboxOfAgent, inboxOfDesk } from '../../domain/message.ts';
import type { Directory } from '../../engine/mailroom/directory.ts';
import type { MailRoute } from '../../engine/ports/message-wire.ts';
import { type Address, addressOf, inboxOf, rolesOf, SELF } from './address.ts';
import { isSealed } from './sealed.ts';
import { ARMY, isBuiltIn } from './words.ts';

/** Where tasks are ordered and reported on. */
export const TASKS = inboxOfDesk(`${ARMY}:tasks`);
/** Where requests go that nobody took in time. */
export const UNCLAIMED = inboxOfDesk(`${ARMY}:unclaimed`);
/** Where agents come, beat and go, and where settings are changed. */
export const AGENTS = inboxOfDesk(`${ARMY}:agents`);
/** Where it is noted that the time given to an agent to finish is up. */
export const GRACES = inboxOfDesk(`${ARMY}:graces`);

/** What a `coordination` message can have done; others are only delivered. */
export const ACTIONS = ['register', 'unregister', 'delegate', 'handoff'] as const;

/** Where a message goes; a message of this server's own never comes back to a desk as a request, but for the tasks of its coordinator. */
export async function route(draft: Draft, directory: Directory): Promise<readonly MailRoute[]> {
  const { meaning, type, tenant, actor } = draft;
  const to = draft.to.map(one => addressOf(one)).filter(one => one !== null);
  if (actor === 'system') return ownRoutes(draft, to);
  // What is closed to this server makes no task of its own: it is between its sender and those with the keys (`ARMY-113`).
  if (isSealed(draft.envelope ?? {}) && (await isForAgents(tenant, to, directory)))
    return addressed(draft, to);
  switch (type) {
    case 'task_request': {
      const [first] = to;
      const isForUs = first?.role === 'coordinator' && (await isOurs(tenant, first, directory));
      return isForUs ? addressed(draft, to) : [desk(TASKS, draft)];
    }
    case 'task_response':
    case 'task_update':
      return [desk(TASKS, draft)];
    case 'error':
      return meaning.act === 'report_outcome' ? [desk(TASKS, draft)] : addressed(draft, to);
    case 'heartbeat':
      return [desk(AGENTS, draft), ...(await readOnly(draft, to, directory))];
    case 'coordination':
      return coordination(draft, to, directory);
    case 'shutdown':
      return [desk(AGENTS, draft), ...(await everyone(draft, to, directory))];
    case 'config_update':
      return to.some(({ role }) => role === 'coordinator')
        ? [desk(AGENTS, draft), ...(await readOnly(draft, to, directory))]
        : addressed(draft, to);
    default:
      return addressed(draft, to);
  }
}

function ownRoutes(draft: Draft, to: readonly Address[]): readonly MailRoute[] {
  const { meaning, type } = draft;
  if (meaning.act === 'request_task') return [desk(TASKS, draft)];
  const body = meaning.act === 'say' && isJsonObject(meaning.body) ? meaning.body : {};
  if (type === 'shutdown' && typeof body.due_at === 'number')
    return [{ ...desk(GRACES, draft), notBefore: body.due_at }];
  const routes = addressed(draft, to);
  return isUnclaimed(draft) ? [...routes, desk(UNCLAIMED, draft)] : routes;
}

/** Whether it tells that a task ended because nobody took it (`ARMY-19`). */
export function isUnclaimed({ meaning }: Pick<Draft, 'meaning'>): boolean {
  if (meaning.act !== 'refuse') return false;
  const { outcome, attempt } = meaning.fault.details;
  return outcome === 'timeout' && attempt === 0;
}

async function coordination(
  draft: Draft,
  to: readonly Address[],
  directory: Directory,
): Promise<readonly MailRoute[]> {
  const { meaning, tenant, agentId } = draft;
  const action = meaning.act === 'say' && isJsonObject(meaning.body) ? meaning.body.action : null;
  if (ACTIONS.some(one => one === action))
    return [desk(AGENTS, draft), ...(await readOnly(draft, to, directory))];
  if (action !== 'broadcast') return addressed(draft, to);
  // Whoever came a moment ago is to hear it too.
  directory.forget(tenant);
  const agents = await directory.agents(tenant);
  return agents
    .filter(({ agent }) => rolesOf(agent.roles).length > 0 && agent.id !== agentId)
    .map(({ agent }) => ({ inbox: inboxOfAgent(agent.id), lane: draft.from }));
}

/** To an agent in its sender's order; to whoever has a role in the order of the exchange (`ARMY-94`). */
function addressed(draft: Draft, to: readonly Address[]): readonly MailRoute[] {
  const routes = to.map(one => ({
    inbox: inboxOf(one),
    lane: one.agent === null || one.agent === SELF ? draft.correlationId : draft.from,
  }));
  return [...new Map(routes.map(one => [one.inbox, one])).values()];
}

/** To those addressed who are there to read it: what others need not know would only wait for nobody. */
async function readOnly(
  draft: Draft,
  to: readonly Address[],
  directory: Directory,
): Promise<readonly MailRoute[]> {
  const routes = addressed(draft, to);
  const readers = await Promise.all(routes.map(({ inbox }) => directory.readersOf(draft.tenant, inbox)));
  return routes.filter((_, at) => (readers[at]?.length ?? 0) > 0);
}

/** To every agent of the roles addressed. */
async function everyone(
  draft: Draft,
  to: readonly Address[],
  directory: Directory,
): Promise<readonly MailRoute[]> {
  const agents = await agentsAt(draft.tenant, to, directory);
  return agents.map(id => ({ inbox: inboxOfAgent(id), lane: draft.from }));
}

/** The agents that addresses mean: one, or all of a role. */
export async function agentsAt(
  tenant: TenantId,
  to: readonly Address[],
  directory: Directory,
): Promise<readonly string[]> {
  directory.forget(tenant);
  const agents = await directory.agents(tenant);
  const ids = to.flatMap(({ role, agent: named }) =>
    agents
      .filter(({ agent }) => (named === null ? rolesOf(agent.roles).includes(role) : agent.id === named))
      .map(({ agent }) => agent.id as string),
  );
  return [...new Set(ids)];
}

async function isForAgents(tenant: TenantId, to: readonly Address[], directory: Directory): Promise<boolean> {
  const ours = await Promise.all(to.map(async one => isBuiltIn(one.role) && isOurs(tenant, one, directory)));
  return !ours.includes(true);
}

async function isOurs(tenant: TenantId, address: Address, directory: Directory): Promise<boolean> {
  if (address.agent !== null) return address.agent === SELF;
  return (await directory.readersOf(tenant, inboxOf(address))).length === 0;
}

function desk(inbox: InboxName, { taskId, correlationId }: Draft): MailRoute {
  return { inbox, lane: taskId ?? correlationId };
}
