// SAM's words for the model's: priorities, states, instants, and the schemas of ids (`canonical.md`).

import Type from 'typebox';
import type { Priority } from '../../domain/priority.ts';
import { hasEnded, type Outcome, type TaskState } from '../../domain/transitions.ts';

/** The five levels a caller may name, and `low`. */
export const PRIORITIES = ['normal', 'high', 'urgent', 'critical', 'low'] as const;

/** A level's name. */
export type PriorityName = (typeof PRIORITIES)[number];

const LEVELS: Readonly<Record<PriorityName, Priority>> = {
  critical: 0,
  urgent: 1,
  high: 2,
  normal: 5,
  low: 8,
};

/** The level a name stands for. */
export function priorityOf(name: PriorityName): Priority {
  return LEVELS[name];
}

/** The nearest named level that is not more urgent. */
export function priorityName(priority: Priority): PriorityName {
  if (priority === 0) return 'critical';
  if (priority === 1) return 'urgent';
  if (priority === 2) return 'high';
  return priority <= 5 ? 'normal' : 'low';
}

/** What inputs and outputs of steps may be called. */
export const PIPE_NAME = '^[A-Za-z_][A-Za-z0-9_-]{0,62}$';

/** The states a task shows on this wire (`SAM-57`). */
export const SAM_STATES = ['queued', 'running', 'completed', 'failed', 'cancelled'] as const;

/** A state on this wire. */
export type SamState = (typeof SAM_STATES)[number];

/** What a task's state is called here; after the end it is the outcome that shows. */
export function samState(state: TaskState, outcome: Outcome | null): SamState {
  if (outcome !== null) return outcome === 'completed' || outcome === 'cancelled' ? outcome : 'failed';
  if (hasEnded(state)) return 'failed';
  return state === 'running' || state === 'completing' ? 'running' : 'queued';
}

/** The states of the model that show as the given one before an end. */
export const STATES_BEFORE_END: Readonly<Record<'queued' | 'running', readonly TaskState[]>> = {
  queued: ['submitted', 'validated', 'queued', 'allocated', 'paused'],
  running: ['running', 'completing'],
};

/** The outcomes that show as the given state. */
export const OUTCOMES_OF: Readonly<Record<'completed' | 'failed' | 'cancelled', readonly Outcome[]>> = {
  completed: ['completed'],
  failed: ['failed', 'timeout', 'rejected'],
  cancelled: ['cancelled'],
};

/** An instant as every wire writes it: ISO 8601 in UTC with milliseconds. */
export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

/** An id a caller chooses: 1–200 characters of `[A-Za-z0-9._:-]`. */
export const callerId = Type.String({ pattern: '^[A-Za-z0-9._:-]{1,200}$' });

/** Any JSON object. */
export const anyObject = Type.Object({});

/** An ISO 8601 instant. */
export const instantSchema = Type.String({ format: 'date-time' });

/** How a list is paged (`SAM-5`). */
export const paging = {
  limit: Type.Integer({ minimum: 1, maximum: 1_000, default: 50 }),
  offset: Type.Integer({ minimum: 0, default: 0 }),
};
