// What a requester is told: the body of a webhook in SAM's words (`SAM-80` to `SAM-82`). Pure: everything it says is in the delivery
// and the log lines it is given; sending and signing are the channel's.

import type { NotificationEvent, TaskEvent } from '../../domain/event.ts';
import type { Json, JsonObject } from '../../domain/json.ts';
import type { Progress, Task } from '../../domain/task.ts';
import type { TaskState } from '../../domain/transitions.ts';
import type { NotificationRenderer } from '../../engine/ports/channel.ts';
import { wordsOf } from '../../engine/wording.ts';
import type { LogLine } from '../../store/rows.ts';
import {
  actionsAfterFailure,
  briefFailure,
  needsPerson,
  type RecommendedAction,
  taskFailure,
} from './failure.ts';
import { instructionsIn } from './instructions.ts';
import { outputOrRef } from './output-ref.ts';
import { logRecord, wireArtifact } from './records.ts';
import { totalsOf } from './usage.ts';
import { instant, samState } from './vocabulary.ts';

/** What the renderer knows beside the delivery. */
export interface NotificationOptions {
  /** Shown as `agent_id` while no agent has the task. */
  readonly serverId: string;
  /** Where links lead. */
  readonly publicUrl: string;
}

type Escalation = 'none' | 'low' | 'medium' | 'high' | 'critical';

type Told = Parameters<NotificationRenderer['render']>[0];

/** Writes notifications as SAM webhooks, and reads what their receivers answer. */
export function createSamRenderer(options: NotificationOptions): NotificationRenderer {
  return {
    render: (due, recentLogs) => notificationBody(due, recentLogs, options),
    words: ({ task, delivery }) => wordsOf(task, delivery.event, nameOf(task)),
    instructionsIn,
  };
}

function nameOf({ spec, id }: Task): Parameters<typeof wordsOf>[2] {
  return { title: `Task ${spec.sensitive === true ? id : spec.description.slice(0, 100)}`, facts: [] };
}

function notificationBody(
  due: Told,
  recentLogs: readonly LogLine[],
  options: NotificationOptions,
): JsonObject {
  const { delivery, task, event } = due;
  const isEnd = event.kind === 'state' && endOf(event.to) !== null;
  return {
    event_type: delivery.event,
    task_id: task.id,
    execution_id: task.executionId,
    agent_id: task.agentId ?? options.serverId,
    timestamp: instant(event.at),
    sequence: event.sequence,
    attempt: attemptOf(event, task),
    ...(task.spec.requester.correlationId === undefined
      ? {}
      : { correlation_id: task.spec.requester.correlationId }),
    trace_id: task.spec.traceId,
    status: statusOf(event, task),
    ...(isEnd ? { result: resultOf(due, options) } : {}),
    ...warningOf(event),
    context: contextOf(event, task, recentLogs),
    next_actions: nextActions(delivery.event, task, due.artifacts.length > 0),
  };
}

/** The state at the event, not at the sending: a late delivery must not tell of a later moment. */
function statusOf(event: TaskEvent, task: Task): JsonObject {
  const progress = event.kind === 'progress' ? event.progress : task.progress;
  const state = event.kind === 'state' ? event.to : 'running';
  const end = endOf(state);
  const completed = end === 'completed';
  return {
    current_state: samState(state, end),
    lifecycle_state: state,
    progress_percentage: completed ? 100 : Math.min(99, progress?.percentage ?? 0),
    ...remainingOf(event, task, end !== null),
    ...stepsOf(progress, completed),
  };
}

function stepsOf(progress: Progress | null, completed: boolean): JsonObject {
  const step = completed ? 'Task completed successfully' : progress?.currentStep;
  return {
    ...(step === undefined ? {} : { current_step: step }),
    ...(progress?.totalSteps === undefined ? {} : { total_steps: progress.totalSteps }),
  };
}

/** Remaining time by the pace so far, where there is a pace (`SAM-80`). */
function remainingOf(event: TaskEvent, task: Task, ended: boolean): JsonObject {
  if (ended) return { estimated_remaining: 0 };
  const percentage = event.kind === 'progress' ? event.progress.percentage : 0;
  const sinceMs = event.at - (task.lease?.claimedAt ?? task.startedAt ?? event.at);
  if (percentage <= 0 || sinceMs <= 0) return {};
  return { estimated_remaining: Math.ceil(((sinceMs / percentage) * (100 - percentage)) / 1_000) };
}

function resultOf(due: Told, { publicUrl }: NotificationOptions): JsonObject {
  const { task } = due;
  const output = task.result?.output;
  const failure = task.result?.error;
  const memoryLimitMb = task.spec.resources.memoryMb;
  return {
    success: task.outcome === 'completed',
    ...(output === undefined ? {} : outputOrRef(task.id, output, publicUrl)),
    error:
      failure === undefined
        ? null
        : taskFailure(task, failure, { origin: publicUrl, samples: [], memoryLimitMb }),
    artifacts: due.artifacts.filter(one => !one.quarantined).map(one => wireArtifact(one, publicUrl)),
    metrics: totalsOf(task, [], task.endedAt ?? task.updatedAt),
  };
}

function warningOf(event: TaskEvent): JsonObject {
  if (event.kind === 'resource_warning')
    return { warning: { resource: event.resource, value: event.value, limit: event.limit } };
  return event.kind === 'agent_error'
    ? { error: { ...briefFailure(event.error), agent_id: event.agentId } }
    : {};
}

function contextOf(event: TaskEvent, task: Task, recentLogs: readonly LogLine[]): JsonObject {
  const failure = task.result?.error;
  return {
    logs: recentLogs.map(line => logRecord(line, task)),
    ...(failure === undefined ? {} : { debug_info: { ...briefFailure(failure), attempts: task.attempt } }),
    performance_data: performanceOf(event, task),
  };
}

/** Rates the executor itself counts, as `<what>_per_second` or `error_rate` in its output, and the share of attempts that failed. */
function performanceOf(event: TaskEvent, task: Task): JsonObject {
  const failedAttempts = Math.max(0, task.attempt - (task.outcome === 'completed' ? 1 : 0));
  const own = ratesIn(task.result?.output);
  return {
    error_rate: task.attempt === 0 ? 0 : Math.round((failedAttempts / task.attempt) * 100) / 100,
    ...own,
    ...(event.kind === 'progress' && event.progress.estimated === true ? { estimated: true } : {}),
  };
}

function ratesIn(output: Json | undefined): JsonObject {
  if (typeof output !== 'object' || output === null || Array.isArray(output)) return {};
  return Object.fromEntries(
    Object.entries(output).filter(
      ([name, value]) => typeof value === 'number' && /(_per_second|^error_rate)$/.test(name),
    ),
  );
}

function attemptOf(event: TaskEvent, task: Task): number {
  return event.kind === 'note' ? task.attempt : (event.attempt ?? task.attempt);
}

function nextActions(event: NotificationEvent, task: Task, hasArtifacts: boolean): JsonObject {
  const person = needsPerson(task);
  return {
    recommended_actions: recommended(event, task, hasArtifacts),
    requires_human_intervention: person,
    escalation_level: escalation(event, task, person),
  };
}

function recommended(
  event: NotificationEvent,
  task: Task,
  hasArtifacts: boolean,
): readonly RecommendedAction[] {
  switch (event) {
    case 'task_completed':
      return hasArtifacts ? ['download_artifacts', 'validate_data'] : ['validate_data'];
    case 'task_failed':
    case 'task_timeout':
      return actionsAfterFailure(
        task.result?.error?.code ?? (event === 'task_timeout' ? 'task_timeout' : 'internal'),
      );
    case 'agent_error':
      return ['review_logs'];
    case 'resource_warning':
      return ['increase_resources'];
    case 'task_started':
    case 'task_progress':
    case 'task_cancelled':
      return [];
  }
}

function escalation(event: NotificationEvent, { spec }: Task, person: boolean): Escalation {
  if (event === 'task_failed' || event === 'task_timeout') {
    if (spec.priority <= 1) return 'critical';
    return person || spec.priority === 2 ? 'high' : 'medium';
  }
  if (person) return 'medium';
  return event === 'agent_error' || event === 'resource_warning' ? 'low' : 'none';
}

function endOf(state: TaskState): 'completed' | 'failed' | 'timeout' | 'cancelled' | null {
  switch (state) {
    case 'completed':
    case 'failed':
    case 'timeout':
    case 'cancelled':
      return state;
    default:
      return null;
  }
}
