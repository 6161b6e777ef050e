// What those who asked are told of their tasks: answers, errors, how far they are. Made of events, each once; what a service elsewhere has
// said itself is not said again.

import type { TaskEvent } from '../../domain/event.ts';
import { isJsonObject, type JsonObject } from '../../domain/json.ts';
import type { Draft } from '../../domain/message.ts';
import type { Task } from '../../domain/task.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { Store } from '../../store/store.ts';
import { languageOf } from './catalogue.ts';
import type { Told } from './errors.ts';
import { type Fallbacks, optionsGoingOn } from './fallbacks.ts';
import { meaningOf } from './meanings.ts';
import { isSensitive, metadataText } from './metadata.ts';
import { stopOf } from './passing-on.ts';
import { errorReply, type Request, reply, type Said } from './replies.ts';
import { progressOf, statusOf, stepsOf, timesOf, workflowOf } from './status.ts';
import { requestOfStep } from './steps-elsewhere.ts';
import { delegateOf, requestOfTask } from './task-terms.ts';
import { ruleOf } from './vocabulary.ts';

/** What telling news needs. */
export interface NewsParts {
  readonly clock: Clock;
  readonly store: Pick<Store, 'read'>;
  readonly fallbacks: Fallbacks;
}

/** What is said of an event of a task. */
export async function newsOf(task: Task, event: TaskEvent, parts: NewsParts): Promise<readonly Draft[]> {
  const request = requestOfTask(task);
  if (request === null) return onStepElsewhere(task, event, parts);
  const isDelegated = delegateOf(task) !== null;
  if (event.kind === 'note') return isWorkflow(task) ? onSteps(task, request, event, parts) : [];
  if (event.kind === 'progress') return isDelegated ? [] : onProgress(task, request, event);
  if (event.kind !== 'state') return [];
  switch (event.to) {
    case 'completed':
      return isDelegated ? [] : [await ending(task, request, event, parts)];
    case 'failed':
    case 'rejected':
      // Of a workflow it is one of its steps that was reported on.
      return isDelegated && event.error?.details?.reported_by !== undefined
        ? []
        : failure(task, request, event, parts);
    case 'timeout':
    case 'cancelled': {
      const stop = stopOf(task, request, event.at, event.reason ?? event.to);
      return [...(await failure(task, request, event, parts)), ...(stop === null ? [] : [stop])];
    }
    case 'paused':
      return [await status(task, request, event, parts)];
    case 'running':
      return isWorkflow(task) ? [await status(asRunning(task), request, event, parts)] : [];
    default:
      return [];
  }
}

/** Of a step passed on nobody is told but the agent, where it need not go on. */
async function onStepElsewhere(
  task: Task,
  event: TaskEvent,
  { store }: NewsParts,
): Promise<readonly Draft[]> {
  if (event.kind !== 'state' || (event.to !== 'timeout' && event.to !== 'cancelled')) return [];
  if (delegateOf(task) === null) return [];
  const stop = stopOf(task, await requestOfStep(task, store), event.at, event.reason ?? event.to);
  return stop === null ? [] : [stop];
}

/** How a task stands, in answer to who asks, or unasked. */
export async function statusReply(
  task: Task,
  request: Request,
  about: Pick<Said, 'as' | 'replyTo' | 'at'>,
  parts: NewsParts,
): Promise<Draft> {
  const payload = isWorkflow(task)
    ? await workflowOf(task, about.at, resultsFor(request, parts))
    : progressOf(task, about.at);
  const envelope = { ...request.envelope, payload };
  return reply(request, {
    ...about,
    ...{ action: 'status', status: statusOf(task), payload },
    metadata: { ...timesOf(task), ...withheldOf(payload) },
    ...delegatedOf(task),
    meaning: meaningOf({ ...envelope, type: { ...envelope.type, action: 'status' }, status: statusOf(task) }),
  });
}

/** What steps came to is read for whoever asks as secretly as the workflow was ordered (`NOOB-33`). */
function resultsFor({ envelope }: Request, { store }: NewsParts): Parameters<typeof workflowOf>[2] {
  return { store, isSensitive: isSensitive(envelope) };
}

function withheldOf({ withheld }: JsonObject): JsonObject {
  return withheld === undefined
    ? {}
    : {
        warnings: [
          `${withheld} sensitive results are withheld: they are told in answer to a message that is sensitive_data itself`,
        ],
      };
}

/** Who does it, or does its steps, and how that stands (`NOOB-12`). */
function delegatedOf(task: Task): Pick<Said, 'delegated'> {
  const delegate = delegateOf(task);
  if (delegate !== null) {
    const status = task.outcome === null ? 'pending' : task.outcome === 'completed' ? 'completed' : 'failed';
    return { delegated: [{ service: delegate.service, task_id: task.id, status }] };
  }
  if (!isWorkflow(task)) return {};
  const delegated = stepsOf(task).flatMap(({ service, status, taskId }) => {
    const stands = DELEGATED[status];
    return service === null || stands === undefined ? [] : [{ service, task_id: taskId, status: stands }];
  });
  return delegated.length === 0 ? {} : { delegated };
}

/** How a step stands for who does it; of one that has not begun nobody was asked. */
const DELEGATED: Readonly<Record<string, string>> = {
  running: 'pending',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'failed',
};

function isWorkflow({ spec }: Task): boolean {
  return spec.type === 'workflow_orchestration';
}

/** Steps of a workflow changed: its status is told, and of each that failed and was passed over the error (`NOOB-60`, `NOOB-92`). */
async function onSteps(
  task: Task,
  request: Request,
  event: TaskEvent & { readonly kind: 'note' },
  parts: NewsParts,
): Promise<readonly Draft[]> {
  const { steps } = event.detail;
  if (event.name !== 'workflow_steps' || !Array.isArray(steps)) return [];
  const changes = steps.filter(isJsonObject);
  const done = changes.filter(({ state }) => state === 'completed').map(({ step }) => String(step));
  await parts.fallbacks.remember(task, done, event.at);
  const language = languageOf(metadataText(request.envelope, 'user_locale'));
  const passed = changes.flatMap(({ step, goes_on: goesOn }) => {
    const error = stepsOf(task).find(({ id }) => id === step)?.error ?? null;
    if (goesOn !== true || error === null) return [];
    const { code, message, details } = error;
    const told = {
      code: code as Told['code'],
      message: String(message),
      details: isJsonObject(details) ? details : {},
    };
    return [
      errorReply(request, told, {
        ...{ at: event.at, as: `step.${task.executionId}.${step}`, taskId: `${task.id}.${step}` },
        ...{ replyTo: null, metadata: { workflow_step_id: String(step) } },
        options: optionsGoingOn(task, String(step), language),
      }),
    ];
  });
  return [await status(asRunning(task), request, event, parts), ...passed];
}

function onProgress(
  task: Task,
  request: Request,
  event: TaskEvent & { readonly kind: 'progress' },
): readonly Draft[] {
  // Of a workflow every change of a step is told.
  if (request.envelope.type.domain !== 'agent') return [];
  const { progress, intermediate } = event;
  const content = isJsonObject(intermediate) ? intermediate.stream_content : undefined;
  const payload: JsonObject = {
    progress: Math.round(progress.percentage),
    status_detail: progress.currentStep ?? 'processing',
    ...(content === undefined ? {} : { stream_content: content }),
  };
  const type = { ...request.envelope.type, action: 'status' };
  const said = { ...request.envelope, type, payload, status: 'processing' as const };
  return [
    reply(request, {
      ...{ as: `progress.${task.executionId}.${event.sequence}`, at: event.at, replyTo: null },
      ...{ action: 'status', status: 'processing', payload, metadata: { state: 'running' } },
      meaning: meaningOf(said),
    }),
  ];
}

/** The task as it was while it ran: its end is told by itself. */
function asRunning(task: Task): Task {
  return task.outcome === null ? task : { ...task, state: 'running', outcome: null, endedAt: null };
}

async function status(task: Task, request: Request, event: TaskEvent, parts: NewsParts): Promise<Draft> {
  const as = `status.${task.executionId}.${event.sequence}`;
  return statusReply(task, request, { as, at: event.at, replyTo: null }, parts);
}

async function ending(task: Task, request: Request, event: TaskEvent, parts: NewsParts): Promise<Draft> {
  const { envelope } = request;
  const { answer = 'response' } = ruleOf(envelope.type.domain, envelope.type.action) ?? {};
  const output = isJsonObject(task.result?.output)
    ? task.result.output
    : { result: task.result?.output ?? null };
  const { reply_metadata: more, ...plain } = output;
  const payload = isWorkflow(task) ? await workflowOf(task, event.at, resultsFor(request, parts)) : plain;
  const isSync = !isWorkflow(task) || envelope.payload.execution_mode === 'sync';
  const said = {
    ...envelope,
    type: { ...envelope.type, action: answer },
    payload,
    status: 'completed' as const,
  };
  return reply(request, {
    ...{ as: `end.${task.executionId}`, at: event.at, action: answer, status: 'completed', payload },
    ...delegatedOf(task),
    ...(isSync ? {} : { replyTo: null }),
    metadata: {
      ...timesOf(task),
      ...warningsOf(request),
      ...(isJsonObject(more) ? more : {}),
    },
    meaning: meaningOf(said),
  });
}

async function failure(
  task: Task,
  request: Request,
  event: TaskEvent & { readonly kind: 'state' },
  parts: NewsParts,
): Promise<readonly Draft[]> {
  const error = errorOf(task, event);
  const step = error.details.step;
  const options = isWorkflow(task) ? await parts.fallbacks.optionsAtEnd(task, event.at) : null;
  const draft = errorReply(request, error, {
    ...{ at: event.at, as: `end.${task.executionId}`, metadata: timesOf(task) },
    ...(options === null ? {} : { options }),
    ...(isWorkflow(task) && typeof step === 'string' ? { taskId: `${task.id}.${step}` } : {}),
  });
  return isWorkflow(task) ? [await status(task, request, event, parts), draft] : [draft];
}

/** Why it ended; cancelled and timed out have codes of their own (`NOOB-6`). */
export function errorOf(task: Task, event: TaskEvent & { readonly kind: 'state' }): Told {
  const { result } = task;
  if (event.to === 'cancelled')
    return {
      code: 'invalid_transition',
      message: event.reason ?? 'the task was cancelled',
      details: { nooble_code: 'ORCH_EXEC_001' },
    };
  if (event.to === 'timeout')
    return { code: 'task_timeout', message: event.reason ?? 'the task took too long', details: {} };
  // Of what is sensitive an event says less than its end.
  const ended = task.spec.sensitive === true ? result?.error : undefined;
  const {
    code = 'task_failed',
    message = 'the task failed',
    details = {},
  } = ended ?? event.error ?? result?.error ?? {};
  return { code, message, details };
}

/** What was asked in vain (`NOOB-32`). */
function warningsOf({ envelope }: Request): JsonObject {
  const warnings = envelope.metadata?.warnings;
  return Array.isArray(warnings) ? { warnings } : {};
}
