// Events: immutable records of what happened to a task, numbered per task without gaps. Every reader (SSE, webhooks, status,
// audit, metrics) reads this one log.

import type { TaskError } from './failure.ts';
import type { TaskId, TaskKey, TenantId } from './ids.ts';
import type { Json, JsonObject } from './json.ts';
import type { Progress } from './progress.ts';
import type { Phase, TaskState } from './transitions.ts';

/** What an event says, by kind. */
export type EventBody =
  | {
      readonly kind: 'state';
      readonly from: TaskState | null;
      readonly to: TaskState;
      readonly actor: string;
      readonly reason?: string;
      readonly phase: Phase;
      readonly attempt?: number;
      readonly error?: TaskError;
    }
  | {
      readonly kind: 'progress';
      readonly attempt: number;
      readonly progress: Progress;
      readonly intermediate?: Json;
    }
  | {
      readonly kind: 'agent_error';
      readonly attempt: number;
      readonly agentId: string;
      readonly error: TaskError;
    }
  | {
      readonly kind: 'resource_warning';
      readonly attempt: number;
      readonly resource: string;
      readonly value: number;
      readonly limit: number;
    }
  | { readonly kind: 'note'; readonly name: string; readonly detail: JsonObject };

/** A stored event; `sequence` starts at 1 per task and has no gaps, `cursor` orders all events of a tenant, `at` is the commit's instant. */
export type TaskEvent = EventBody & {
  readonly sequence: number;
  readonly at: number;
  readonly cursor: string;
  readonly tenant: TenantId;
  readonly key: TaskKey;
  readonly taskId: TaskId;
};

/** The notifications a requester can ask for (`SAM-79`). */
export const NOTIFICATION_EVENTS = [
  'task_started',
  'task_progress',
  'task_completed',
  'task_failed',
  'task_timeout',
  'task_cancelled',
  'agent_error',
  'resource_warning',
] as const;

/** A notification's type. */
export type NotificationEvent = (typeof NOTIFICATION_EVENTS)[number];

/** The notification an event corresponds to, or null where none does. */
export function notificationOf(event: EventBody): NotificationEvent | null {
  switch (event.kind) {
    case 'progress':
      return 'task_progress';
    case 'agent_error':
      return 'agent_error';
    case 'resource_warning':
      return 'resource_warning';
    case 'note':
      return null;
    case 'state':
      return notificationOfState(event.to, event.attempt);
  }
}

function notificationOfState(to: TaskState, attempt: number | undefined): NotificationEvent | null {
  switch (to) {
    case 'running':
      return attempt === 1 ? 'task_started' : null;
    case 'completed':
      return 'task_completed';
    case 'failed':
      return 'task_failed';
    case 'timeout':
      return 'task_timeout';
    case 'cancelled':
      return 'task_cancelled';
    default:
      return null;
  }
}
