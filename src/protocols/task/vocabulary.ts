// The words of the task wire that several of its files use: versions, names of its desks, statuses, and what a message is called when it
// is made from another.

import type { TaskId } from '../../domain/ids.ts';
import { type InboxName, inboxOfDesk } from '../../domain/message.ts';
import type { Priority } from '../../domain/priority.ts';
import type { Task } from '../../domain/task.ts';
import { hasEnded } from '../../domain/transitions.ts';

/** The wire's name. */
export const TASK = 'task';
/** What is spoken where a message does not say. */
export const VERSION = '1.0.0';
/** The name of who takes requests about tasks; it answers by rules alone (`TASK-84`). */
export const COORDINATOR = 'coordinator';
/** The name of who takes requests for resources; so does it. */
export const RESOURCE_MANAGER = 'resource_manager';
/** Where the coordinator reads. */
export const COORDINATOR_DESK: InboxName = inboxOfDesk('task:coordinator');
/** Where the resource manager reads. */
export const RESOURCE_DESK: InboxName = inboxOfDesk('task:resources');
/** What is published under no type of its own (`TASK-42`). */
export const DEFAULT_TOPIC = 'task.events.default';

/** How a task stands, on this wire (`TASK-21`). */
export const STATUSES = ['pending', 'running', 'paused', 'completed', 'failed', 'cancelled'] as const;

/** How a task stands, on this wire. */
export type Status = (typeof STATUSES)[number];

/** The status of a task, by the canonical table. */
export function statusOf({ state, outcome }: Pick<Task, 'state' | 'outcome'>): Status {
  if (outcome !== null || hasEnded(state)) return outcomeStatus(outcome);
  if (state === 'running' || state === 'completing') return 'running';
  return state === 'paused' ? 'paused' : 'pending';
}

/** An instant as this wire writes it. */
export function instant(ms: number): string {
  return new Date(ms).toISOString();
}

/** A priority as it acts: whatever is above 9 acts as 9 (`TASK-12`). */
export function actingPriority(given: number): Priority {
  return Math.min(9, given) as Priority;
}

/** The id of an attempt's request. */
export function requestId({ executionId, attempt }: Pick<Task, 'executionId' | 'attempt'>): string {
  return `task.${executionId}.${attempt}`;
}

/** Whether a text can name a task. */
export function isTaskId(text: unknown): text is TaskId {
  return typeof text === 'string' && /^[A-Za-z0-9._:-]{1,200}$/.test(text);
}

function outcomeStatus(outcome: Task['outcome']): Status {
  if (outcome === 'completed' || outcome === 'cancelled') return outcome;
  return 'failed';
}
