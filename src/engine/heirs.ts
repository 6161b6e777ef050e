// How an attempt passes from one agent to another: a change beside those of changes.ts, for it moves nothing but the lease (`ARMY-46`).

import type { AttemptHeir } from './api.ts';
import type { Draft } from './changes.ts';

/** Passes the attempt under way to another agent, with what was reported; what its deadline leaves is all the heir has. */
export function handOn({ agentId, detail, checkpoint }: AttemptHeir, leaseMs: number): Draft {
  return {
    events: [{ kind: 'note', name: 'handoff', detail }],
    heir: { agentId, leaseMs },
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}
