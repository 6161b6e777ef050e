// Who a call is from, as dialects see it: the agent behind the credentials, or an operator who may act for any.

import { refuseInsideId } from '../../domain/agent.ts';
import type { AgentId } from '../../domain/ids.ts';
import { allows, type Principal } from '../../domain/principal.ts';
import type { Directory } from '../../engine/mailroom/directory.ts';
import type { Caller } from './dialect.ts';

/** The caller a principal is; throws `forbidden` for one that passes itself off as an agent inside this server. */
export async function callerOf(principal: Principal, directory: Directory): Promise<Caller> {
  const { tenant } = principal;
  const agentId: AgentId | null = principal.agentId ?? null;
  if (agentId !== null) refuseInsideId(agentId);

  const agent = agentId === null ? null : await directory.agent(tenant, agentId);
  return {
    principal,
    tenant,
    agentId,
    agent,
    isOperator: agentId === null && allows(principal, 'agent:manage'),
  };
}
