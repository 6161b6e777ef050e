// What a process that starts alone on a store does before its first sweep, so that nobody pays for the time it was away. The sweep
// would put all of it right too, only later: nothing depends on this having run.

import type { AgentId } from '../domain/ids.ts';
import type { TaskError } from '../domain/task.ts';
import type { LeaseRow } from '../store/rows.ts';
import type { Store } from '../store/store.ts';
import type { Attempts } from './attempts.ts';
import type { Settlement } from './settlement.ts';

/**
 * Takes back what this process itself ran before it ended, and gives every other worker a fresh lease: workers could not renew
 * while there was nobody to ask. They went on working, so the time counts as run; but whoever finished meanwhile must still be heard,
 * so it is not taken off their attempts' deadlines (`SAM-129`). Only for a store that no other process has open.
 */
export async function takeUpAgain(
  store: Pick<Store, 'leases' | 'renew'>,
  attempts: Attempts,
  settlement: Settlement,
  options: { readonly serverId: AgentId; readonly leaseMs: number },
  now: number,
): Promise<void> {
  const leases = await store.leases({});
  const others = leases.filter(({ agentId }) => agentId !== options.serverId);
  const { leaseMs } = options;
  const deadlineMoreMs = absenceMs(leases, leaseMs, now);
  await store.renew(others.map(({ key, token }) => ({ key, token, leaseMs, deadlineMoreMs })));
  const error: TaskError = {
    code: 'unavailable',
    message: 'the server ended while it ran the task',
    recoverable: true,
  };
  const cause = { actor: 'system', reason: 'server restart', error };
  for (const { agentId, tenant, taskId, token } of leases) {
    if (agentId !== options.serverId) continue;
    const attempt = await attempts.find(tenant, taskId, token);
    await settlement.fail(attempt, cause, { metrics: {} }, { agent: agentId });
  }
}

/** How long nobody was here: since the last time a lease was given or renewed. */
function absenceMs(leases: readonly LeaseRow[], leaseMs: number, now: number): number {
  const lastSeen = leases.reduce((latest, { expiresAt }) => Math.max(latest, expiresAt - leaseMs), 0);
  return lastSeen === 0 ? 0 : Math.max(0, now - lastSeen);
}
