// Who stands in for one of the four built-in agents (`BLOG-23`): a remote agent of that name, as long as it is there; what the built-in
// one goes on with once it is not; and who judges content beside it.

import type { Agent } from '../../domain/agent.ts';
import { asDomainError, ERROR_CODES } from '../../domain/errors.ts';
import type { TenantId } from '../../domain/ids.ts';
import { isJsonObject, type Json } from '../../domain/json.ts';
import { CHORES, isSkill } from '../../domain/skill.ts';
import type { TaskSpec, WorkType } from '../../domain/task.ts';
import type { AgentView, EngineApi } from '../../engine/api.ts';
import { type BuiltIn, isBuiltIn, VALIDATOR_TYPE } from './vocabulary.ts';

/** The remote agent, as of now; null where the built-in one answers. */
export async function standInFor(
  engine: Pick<EngineApi, 'agents'>,
  tenant: TenantId,
  name: BuiltIn,
): Promise<AgentView | null> {
  const agents = await engine.agents(tenant);
  const found = agents.find(({ agent }) => agent.id === name && agent.kind !== 'local');
  return found === undefined || found.health === 'offline' || found.health === 'draining' ? null : found;
}

/** The type of work it takes by its name alone, whatever it registered for. */
export function typesOf({ id }: Pick<Agent, 'id'>): readonly WorkType[] {
  return isBuiltIn(id) ? [`custom:${id}`] : [];
}

/** Has the roster know that it takes what is asked of it, where it has not asked for work yet. */
export async function enlist(engine: Pick<EngineApi, 'registerAgent'>, { agent }: AgentView): Promise<void> {
  const { draining: _, registeredAt: __, seenAt: ___, ...registration } = agent;
  const types = [...new Set([...agent.types, ...typesOf(agent)])];
  if (types.length > agent.types.length) await engine.registerAgent({ ...registration, types });
}

/** The ids of the validators that agents of the tenant are registered as (`BLOG-49`). */
export async function validatorsOf(
  engine: Pick<EngineApi, 'agents'>,
  tenant: TenantId,
): Promise<ReadonlySet<string>> {
  const prefix = `custom:${VALIDATOR_TYPE}`;
  const agents = await engine.agents(tenant);
  const types = agents.flatMap(({ agent }) => agent.types).filter(type => type.startsWith(prefix));
  return new Set(types.map(type => type.slice(prefix.length)));
}

/** What the built-in agent would make of the same request; null where it could do nothing with it. */
export async function fallbackOf(
  errand: () => Promise<{ readonly work: string; readonly input: Json }>,
): Promise<NonNullable<TaskSpec['fallback']> | null> {
  try {
    const { work, input } = await errand();
    const payload = isJsonObject(input) ? input : { input };
    if (work === 'workflow_orchestration') return { type: work, payload };
    const isOurs = isSkill(work) || (CHORES as readonly string[]).includes(work);
    return isOurs ? { type: 'custom', typeName: work, payload } : null;
  } catch (thrown) {
    // The remote agent may know what to do with it.
    if (ERROR_CODES[asDomainError(thrown).code].retry === 'no') return null;
    throw thrown;
  }
}
