// The words of the task wire that several of its files use: versions, names of its desks, statuses, and what a message is called when it
// is made from another.

import type { TaskId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import { type InboxName, inboxOfDesk } from '../../domain/message.ts';
import type { Priority } from '../../domain/priority.ts';
import type { Task } from '../../domain/task.ts';
import { hasEnded } from '../../domain/transitions.ts';

/** The wire's name. */
export const TASK = 'task';
/** What is spoken where a message does not say. */
export const VERSION = '1.0.0';
/** What a version looks like. */
export const VERSION_FORM = /^\d{1,4}(\.\d{1,4}){0,2}$/;
/** Whatever begins so is spoken here (`TASK-106`). */
export const MAJOR = VERSION.slice(0, VERSION.indexOf('.'));
/** The members of an envelope that may each be encrypted (`TASK-89`). */
export const CONFIDENTIAL = ['metadata', 'metrics', 'result', 'state', 'reason', 'checkpoint'];
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

/** The version an answer is written in: that of whom it answers, where it is spoken here. */
export function versionFor(asked: Json | undefined): string {
  return typeof asked === 'string' && VERSION_FORM.test(asked) && asked.split('.')[0] === MAJOR
    ? asked
    : VERSION;
}

/** Whether an envelope is signed or has encrypted members, and so goes on as it came. */
export function isSealed(envelope: JsonObject): boolean {
  if (envelope.signature !== undefined) return true;
  return CONFIDENTIAL.some(name => {
    const member = envelope[name];
    return isJsonObject(member) && member.jwe !== undefined;
  });
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
