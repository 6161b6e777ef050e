// The words of workflows: kinds of steps, ways to tell of an end, what follows a failure (`NOOB-52`, `NOOB-55`, `NOOB-58`).

import type { StepState } from '../../domain/workflow.ts';

/** What a step may be. */
export const STEP_TYPES: readonly string[] = [
  'agent_task',
  'tool_task',
  'knowledge_search',
  'condition',
  'parallel',
  'map',
  'join',
  'wait',
  'approval',
  'workflow',
];

/** Ways to tell of an end. */
export const CHANNELS: readonly string[] = ['email', 'webhook', 'slack'];

/** What follows a step's failure: how often it is tried in all, and whether the workflow goes on without it. */
export function failureOf(policy: string | undefined): {
  readonly attempts: number;
  readonly goesOn: boolean;
} {
  const match = /^retry_(once|\d+)_then_(fail|continue)$/.exec(policy ?? 'fail');
  if (match === null) return { attempts: 1, goesOn: policy === 'continue' };
  const [, times, then] = match;
  return { attempts: 1 + (times === 'once' ? 1 : Number(times)), goesOn: then === 'continue' };
}

/** A step's state in the words of NOOB-60. */
export function stepStatusOf(state: StepState): string {
  return state === 'waiting' ? 'running' : state;
}
