// Who stands in for one of the four built-in agents (`BLOG-23`): a remote agent of that name, as long as it is there.

import type { TenantId } from '../../domain/ids.ts';
import type { AgentView, EngineApi } from '../../engine/api.ts';
import type { BuiltIn } from './vocabulary.ts';

/** The remote agent, as of now; null where the built-in one answers. */
export async function standInFor(
  engine: Pick<EngineApi, 'agents'>,
  tenant: TenantId,
  name: BuiltIn,
): Promise<AgentView | null> {
  const agents = await engine.agents(tenant);
  return (
    agents.find(({ agent, health }) => agent.id === name && agent.kind !== 'local' && health !== 'offline') ??
    null
  );
}

/** Whether it takes what is asked of it as tasks, as agents do that registered for the type of its name. */
export function takesTasks({ agent }: AgentView): boolean {
  return agent.types.includes(`custom:${agent.id}`);
}
