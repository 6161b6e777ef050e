// What is said of tasks: the request for each attempt to whoever was given it, the order to stop, and to who asked what becomes of it.

import type { TaskEvent } from '../../domain/event.ts';
import type { AgentId } from '../../domain/ids.ts';
import { isJsonObject, type Json, type JsonObject } from '../../domain/json.ts';
import type { Draft, Fault, Meaning, Message, MessageId } from '../../domain/message.ts';
import type { Task, TaskError } from '../../domain/task.ts';
import { addressOf, agentOfActor, textOf } from './address.ts';
import { ownAddress, type Saying, say } from './drafts.ts';
import { idFrom } from './ids.ts';
import { modelResult, modelRole } from './model.ts';
import { ARMY, PRIORITIES, type Type } from './words.ts';

/** Whether the task is one that the built-in coordinator sees through. */
export function isFlow({ spec }: Pick<Task, 'spec'>): boolean {
  return spec.origin?.dialect === ARMY && spec.type === 'workflow_orchestration';
}

/** The request for an attempt, to the agent that was given it; `handoff` is told of with what the one before it left (`ARMY-46`). */
export function taskRequest(
  task: Task,
  agent: AgentId,
  original: Message | null,
  handoff?: JsonObject,
): Draft {
  const { spec } = task;
  const { origin } = spec;
  const role = addressOf(original?.to[0] ?? '')?.role ?? 'specialist';
  const isOurs = origin?.dialect === ARMY;
  return say(exchangeOf(task, original), {
    id: idFrom('attempt', task.executionId, task.attempt, ...(handoff === undefined ? [] : [tokenOf(task)])),
    type: 'task_request',
    from: isOurs ? origin.from : ownAddress('coordinator'),
    to: [textOf({ role, agent })],
    taskId: task.id,
    expiresAt: spec.deadlineAt ?? null,
    meaning: {
      act: 'request_task',
      task: {
        taskId: task.id,
        taskType: origin?.taskType ?? spec.typeName ?? spec.type,
        description: spec.description,
        input: origin?.input ?? spec.payload,
        terms: termsOf(task, handoff),
        retryCount: task.attempt - 1,
      },
    },
  });
}

function termsOf({ spec, progress, checkpoint }: Task, handoff: JsonObject | undefined): JsonObject {
  const { origin } = spec;
  const terms = origin?.dialect === ARMY ? origin.terms : {};
  if (handoff === undefined) return terms;
  const { from, reason, refused_by: refusedBy } = handoff;
  const told: JsonObject = {
    from: from ?? null,
    ...(reason === undefined ? {} : { reason }),
    ...(refusedBy === undefined ? {} : { refused_by: refusedBy }),
    ...(progress === null ? {} : { progress: progress.percentage }),
    ...(checkpoint === null ? {} : { state: checkpoint }),
  };
  return { ...terms, context: { ...(isJsonObject(terms.context) ? terms.context : {}), handoff: told } };
}

function tokenOf({ lease }: Task): number {
  return lease?.token ?? 0;
}

/** The order to stop a task. */
export function taskStop(task: Task, agent: AgentId, reason: string): Draft {
  return say(exchangeOf(task, null), {
    id: idFrom('stop', task.executionId, task.attempt, agent),
    type: 'coordination',
    from: ownAddress('coordinator'),
    to: [textOf({ role: 'specialist', agent })],
    taskId: task.id,
    priority: PRIORITIES.high,
    meaning: { act: 'control_task', taskId: task.id, command: 'cancel', reason, checkpoint: null },
  });
}

/** What who asked for the task is told of an event of it. */
export function taskNews(task: Task, event: TaskEvent): readonly Draft[] {
  const { origin } = task.spec;
  if (origin === undefined) return [];
  const news = newsIn(task, event);
  if (news === null) return [];
  const { type, meaning, ends, from = speakerIn(task, event), priority } = news;
  const draft = say(exchangeOf(task, null), {
    id: idFrom('news', task.executionId, event.sequence),
    ...{ type, from, to: [origin.from], meaning, taskId: task.id },
    ...(priority === undefined ? {} : { priority }),
    // Only the last word is a reply: who waits for one is not to get a report of progress.
    replyTo: ends ? (origin.messageId as MessageId) : null,
  });
  return ends && isFlow(task) && task.outcome !== 'completed' ? [draft, flowEnded(task, event)] : [draft];
}

interface News extends Pick<Saying, 'type' | 'meaning' | 'priority'> {
  readonly type: Type;
  readonly from?: string;
  readonly ends: boolean;
}

function newsIn(task: Task, event: TaskEvent): News | null {
  switch (event.kind) {
    case 'progress': {
      // Of a flow its steps have progress, the task around them only waits.
      if (isFlow(task)) return null;
      const { percentage, currentStep } = event.progress;
      return update(task, 'running', percentage, currentStep ?? null);
    }
    case 'state':
      return stateNews(task, event);
    case 'agent_error':
    case 'resource_warning':
    case 'note':
      return null;
  }
}

function stateNews(task: Task, event: TaskEvent & { readonly kind: 'state' }): News | null {
  switch (event.to) {
    case 'completed':
    case 'cancelled':
      return {
        type: 'task_response',
        ends: true,
        meaning: {
          ...{ act: 'report_outcome', taskId: task.id, status: event.to, error: null },
          result: event.to === 'completed' ? resultOf(task) : null,
        },
        ...(isFlow(task) ? { from: ownAddress('coordinator') } : {}),
      };
    case 'failed':
    case 'timeout':
      return failure(task, event.error ?? task.result?.error ?? UNSAID, event.attempt ?? task.attempt, true);
    case 'queued':
      if (event.from === 'paused') return update(task, 'pending', null, 'resumed');
      // An agent that was lost or gave the task back did not fail at it.
      if (event.error === undefined || event.error.code === 'unavailable') return null;
      return failure(task, event.error, event.attempt ?? task.attempt, false);
    case 'paused':
      return update(task, 'paused', null, event.reason ?? null);
    default:
      return null;
  }
}

const UNSAID: TaskError = { code: 'task_failed', message: 'the task failed', recoverable: false };

function update(
  task: Task,
  status: 'pending' | 'running' | 'paused',
  percentage: number | null,
  note: string | null,
): News {
  return {
    type: 'task_update',
    ends: false,
    meaning: {
      ...{ act: 'report_progress', taskId: task.id, status, percentage, note },
      ...{ metrics: {}, checkpoint: null },
    },
  };
}

/** An attempt that failed and is followed by another, or the last. */
function failure(task: Task, error: TaskError, attempt: number, ends: boolean): News {
  const { spec, outcome } = task;
  const { wire_code: wireCode, answers: _, ...details } = error.details ?? {};
  const fault: Fault = {
    ...{ code: error.code, message: error.message, recoverable: !ends },
    details: {
      ...details,
      ...{ task_id: task.id, attempt, max_retries: spec.retry.attemptsMax - 1 },
      ...(ends && outcome !== null ? { outcome } : {}),
      ...(ends ? {} : { answers: spec.origin?.messageId ?? '' }),
    },
    ...(typeof wireCode === 'string' ? { wireCode } : {}),
  };
  const meaning: Meaning = { act: 'refuse', taskId: task.id, fault };
  return { type: 'error', ends, meaning, priority: PRIORITIES.high };
}

/** Of a flow the result it released, not how it came to it. */
function resultOf(task: Task): Json {
  const output = task.result?.output ?? null;
  if (modelRole(task) !== null) return modelResult(task);
  return isFlow(task) && isJsonObject(output) ? (output.result ?? null) : output;
}

/** A flow whose task was ended by others is over: its coordinator is to call off what is under way. */
function flowEnded(task: Task, event: TaskEvent): Draft {
  return say(exchangeOf(task, null), {
    id: idFrom('flow-ended', task.executionId, event.sequence),
    type: 'coordination',
    from: ownAddress('coordinator'),
    to: [ownAddress('coordinator')],
    taskId: task.id,
    meaning: { act: 'say', body: { action: 'flow_ended', task_id: task.id } },
  });
}

/** Who tells it: the agent that does the task, by the role it was asked in. */
function speakerIn(task: Task, event: TaskEvent): string {
  if (isFlow(task)) return ownAddress('coordinator');
  const played = modelRole(task);
  if (played !== null) return ownAddress(played);
  const said = task.spec.requiredCapabilities
    ?.find(one => one.startsWith(`${ARMY}:`))
    ?.slice(ARMY.length + 1);
  const role = addressOf(said ?? '')?.role ?? 'specialist';
  const actor = event.kind === 'state' ? agentOfActor(event.actor) : null;
  const agent = actor ?? (event.kind === 'progress' ? (task.lease?.agentId ?? task.agentId) : task.agentId);
  return textOf({ role, agent });
}

/** The exchange a task belongs to, and how it is said there. */
export function exchangeOf(task: Task, original: Message | null) {
  const { spec, tenant } = task;
  return {
    ...{ tenant, traceId: spec.traceId, priority: spec.priority },
    ...(spec.origin?.dialect === ARMY && spec.origin.manner !== undefined
      ? { manner: spec.origin.manner }
      : {}),
    correlationId: original?.correlationId ?? spec.requester.correlationId ?? task.id,
  };
}
