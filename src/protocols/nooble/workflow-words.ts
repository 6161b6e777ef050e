// The words of workflows: kinds of steps, what follows a failure (`NOOB-55`, `NOOB-58`).

import { ERROR_CODES, type ErrorCode } from '../../domain/errors.ts';
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

/** The service each kind of step is done by, where it is done by one. */
const SERVICE_OF: Readonly<Record<string, string>> = {
  agent_task: 'agent_execution',
  tool_task: 'tool_registry',
  knowledge_search: 'knowledge_base',
};

/** The service a kind of step is done by, or null. */
export function serviceOfStep(type: string): string | null {
  return SERVICE_OF[type] ?? null;
}

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

/** Codes by which a step that failed is tried again. */
export const RETRIED: readonly ErrorCode[] = (Object.keys(ERROR_CODES) as ErrorCode[]).filter(
  code => ERROR_CODES[code].retry !== 'no',
);

/** A step's state in the words of NOOB-60. */
export function stepStatusOf(state: StepState): string {
  return state === 'waiting' ? 'running' : state;
}
