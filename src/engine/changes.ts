// Every way a task moves, as a pure function from the task to the change that moves it. Nothing here reads a clock or a store:
// lifecycle.ts commits what these return. Each walks the machine of domain/transitions.ts and throws where that forbids it.

import { dueAtOf, type NewDelivery, type NotificationPlan } from '../domain/delivery.ts';
import { type EventBody, type NotificationEvent, notificationOf } from '../domain/event.ts';
import type { DeliveryId } from '../domain/ids.ts';
import type { Json, JsonObject } from '../domain/json.ts';
import type { Progress, Task, TaskError, TaskResult, TaskSpec } from '../domain/task.ts';
import { isEnd, type Outcome, phaseOf, type TaskState, walk } from '../domain/transitions.ts';
import type { NewTimer, TaskChange } from '../store/rows.ts';
import type { AttemptHeir } from './api.ts';
import type { AttemptEffect } from './ports/executor.ts';

/** A change without the task and the guard it will be applied under. */
export type Draft = Omit<TaskChange, 'key' | 'guard' | 'fired'>;

/** What every change needs from outside: ids for its deliveries, and the delays of what follows an end. */
export interface ChangeTools {
  readonly newDeliveryId: () => DeliveryId;
  readonly now: number;
  readonly archiveDelayMs: number;
}

/** Archiving waits at most this long for notifications (`SAM-93`). */
export const NOTIFY_TIMEOUT_MS = 24 * 3_600_000;

/** Who moved the task, and why. */
export interface Cause {
  readonly actor: string;
  readonly reason?: string;
  readonly error?: TaskError;
}

/** Ends the task and sends it on its way to notification or archive (`SAM-101`, `SAM-102`). */
export function end(
  task: Task,
  outcome: Outcome,
  result: TaskResult,
  cause: Cause,
  tools: ChangeTools,
): Draft {
  const steps: TaskState[] = outcome === 'completed' ? ['completing', 'completed'] : [outcome];
  const events = stateEvents(task, steps, cause);
  const deliveries = deliveriesFor(task.spec, events, tools);
  // Whoever cancelled knows; the task does not wait for that notification (SAM-93).
  const waits = deliveries.length > 0 && outcome !== 'cancelled';
  if (waits) events.push(stateEvent(outcome, 'notifying', { actor: 'system' }, task.attempt));
  const timer: NewTimer = waits
    ? { kind: 'notify_timeout', dueInMs: NOTIFY_TIMEOUT_MS }
    : { kind: 'archive', dueInMs: tools.archiveDelayMs };
  return {
    events,
    state: waits ? 'notifying' : outcome,
    outcome,
    placement: 'nowhere',
    result,
    timers: [timer],
    deliveries,
  };
}

/** An end with what else changes by it, which is told before the end is. */
export function withEffect(
  { events, deliveries = [], ...end }: Draft,
  { record, note }: AttemptEffect,
): Draft {
  return {
    ...end,
    record,
    events: [{ kind: 'note', ...note }, ...events],
    deliveries: deliveries.map(one => ({ ...one, eventIndex: one.eventIndex + 1 })),
  };
}

/**
 * Ends a task whose deadline has come, however far it is; null where it is ending anyway. What is paused goes by its queue, for the machine
 * knows no other way to that end.
 */
export function pastDeadline(task: Task, tools: ChangeTools): Draft | null {
  const back = task.state === 'paused' ? stateEvents(task, ['queued'], { actor: 'system' }) : [];
  const from: Task = task.state === 'paused' ? { ...task, state: 'queued' } : task;
  if (from.state !== 'queued' && from.state !== 'running') return null;
  const message =
    task.attempt === 0 ? 'no agent took the task in time' : 'the task did not end by its deadline';
  const error: TaskError = { code: 'task_timeout', message, recoverable: false };
  const cause = { actor: 'system', reason: 'deadline', error };
  const { deliveries = [], ...ended } = end(from, 'timeout', { metrics: {}, error }, cause, tools);
  return {
    ...ended,
    events: [...back, ...ended.events],
    deliveries: deliveries.map(one => ({ ...one, eventIndex: one.eventIndex + back.length })),
  };
}

/** Takes a held task back to its queue, at once or after a delay (`SAM-105`). */
export function requeue(
  task: Task,
  cause: Cause & { readonly error: TaskError; readonly delayMs: number; readonly lostAgent: string | null },
  tools: ChangeTools,
): Draft {
  const events: EventBody[] = [];
  if (cause.lostAgent !== null) {
    events.push({ kind: 'agent_error', attempt: task.attempt, agentId: cause.lostAgent, error: cause.error });
  }
  events.push(...stateEvents(task, ['queued'], cause));
  const delayed = cause.delayMs > 0;
  return {
    events,
    state: 'queued',
    placement: delayed ? 'nowhere' : 'ready',
    timers: delayed ? [{ kind: 'ready', dueInMs: cause.delayMs }] : [],
    deliveries: deliveriesFor(task.spec, events, tools),
  };
}

/** Holds a queued or running task; the attempt under way ends and its last checkpoint stays (`SAM-69`). */
export function pauseTask(task: Task, cause: Cause): Draft {
  return { events: stateEvents(task, ['paused'], cause), state: 'paused', placement: 'nowhere' };
}

/** Returns a paused task to its queue, behind whatever it still has to wait for. */
export function resumeTask(task: Task, cause: Cause, now: number): Draft {
  const timers = waitsFor(task.spec, now);
  return {
    events: stateEvents(task, ['queued'], cause),
    state: 'queued',
    placement: timers.length > 0 ? 'nowhere' : 'ready',
    timers,
  };
}

/** What a task must see pass before it may start: a date, or the ends of others. */
export function waitsFor(spec: TaskSpec, now: number): readonly NewTimer[] {
  if (spec.notBefore !== undefined && spec.notBefore > now)
    return [{ kind: 'ready', dueInMs: spec.notBefore - now }];
  if (spec.dependsOn.length > 0) return [{ kind: 'dependency', dueInMs: 0 }];
  return [];
}

/** Puts the wished parts into the task's notification plan, telling old and new; null where nothing would change (`SAM-88`). */
export function changePlan(
  task: Task,
  wish: Partial<NotificationPlan>,
  cause: Cause,
): (Draft & { readonly notification: NotificationPlan }) | null {
  const plan = task.spec.notification;
  if (plan === undefined) return null;
  const notification = { ...plan, ...wish };
  const before: Record<string, Json> = {};
  const after: Record<string, Json> = {};
  for (const part of PLAN_PARTS) {
    const [was, is] = [asJson(plan[part]), asJson(notification[part])];
    if (JSON.stringify(was) === JSON.stringify(is)) continue;
    before[part] = was;
    after[part] = is;
  }
  if (Object.keys(after).length === 0) return null;
  const detail = { ...cause, before, after };
  return {
    events: [{ kind: 'note', name: 'notification_plan', detail: asJson(detail) as JsonObject }],
    notification,
  };
}

/** What of a plan a receiver may change, and a record of the change may show. */
const PLAN_PARTS = ['url', 'events', 'retry', 'progressIntervalMs'] as const;

function asJson(value: unknown): Json {
  return value === undefined ? null : (JSON.parse(JSON.stringify(value)) as Json);
}

/** Makes a waiting task ready; no event, since it was `queued` all along. */
export function makeReady(): Draft {
  return { events: [], state: 'queued', placement: 'ready' };
}

/**
 * Writes down how far an attempt has come, and tells those who asked for progress (`SAM-86`): not now, with what is being gathered for
 * them, or at once. Alerts are told in any case.
 */
export function advance(
  task: Task,
  report: {
    readonly progress: Progress;
    readonly intermediate?: Json;
    readonly checkpoint?: Json;
    readonly alerts: readonly EventBody[];
  },
  notify: 'no' | 'gathered' | 'at_once',
  tools: ChangeTools,
): Draft {
  const { progress, intermediate, checkpoint, alerts } = report;
  const event: EventBody = {
    kind: 'progress',
    attempt: task.attempt,
    progress,
    ...(intermediate === undefined ? {} : { intermediate }),
  };
  const told = notify === 'no' ? [] : deliveriesFor(task.spec, [event], tools, notify === 'at_once');
  const alarming = deliveriesFor(task.spec, alerts, tools);
  return {
    events: [event, ...alerts],
    progress,
    ...(checkpoint === undefined ? {} : { checkpoint }),
    deliveries: [...told, ...alarming.map(one => ({ ...one, eventIndex: one.eventIndex + 1 }))],
  };
}

/** Keeps what the next attempt would begin from; no event, since nothing is further than before. */
export function saveCheckpoint(checkpoint: Json): Draft {
  return { events: [], checkpoint };
}

/** Passes the attempt under way to another agent, with what was reported; what its deadline leaves is all the heir has. */
export function handOn({ agentId, detail, checkpoint }: AttemptHeir, leaseMs: number): Draft {
  return {
    events: [{ kind: 'note', name: 'handoff', detail }],
    heir: { agentId, leaseMs },
    ...(checkpoint === undefined ? {} : { checkpoint }),
  };
}

/** Records that a limit is near (`SAM-118`). */
export function warnOf(
  task: Task,
  warning: { readonly resource: string; readonly value: number; readonly limit: number },
  tools: ChangeTools,
): Draft {
  const event: EventBody = { kind: 'resource_warning', attempt: task.attempt, ...warning };
  return { events: [event], deliveries: deliveriesFor(task.spec, [event], tools) };
}

/** Ends the notify phase, well or not; `steps` are what was done to tell of the end, in order (`SAM-176`). */
export function closeNotification(
  task: Task,
  to: 'notified' | 'notification_failed',
  cause: Cause & { readonly steps: readonly string[] },
  archiveDelayMs: number,
): Draft {
  return {
    events: [
      { kind: 'note', name: 'notify', detail: { steps: cause.steps } },
      ...stateEvents(task, [to], cause),
    ],
    state: to,
    timers: [{ kind: 'archive', dueInMs: archiveDelayMs }],
  };
}

/** Walks the archive phase to its end; `steps` are what was done, in order (`SAM-178`). */
export function archive(task: Task, steps: readonly string[]): Draft {
  const [archiving, archived] = stateEvents(task, ['archiving', 'archived'], { actor: 'system' });
  const done: EventBody = { kind: 'note', name: 'archive', detail: { steps } };
  return { events: [archiving, done, archived].filter(event => event !== undefined), state: 'archived' };
}

function stateEvents(task: Task, steps: readonly TaskState[], cause: Cause): EventBody[] {
  let from = task.state;
  return walk(task.state, steps).map(to => {
    const event = stateEvent(from, to, cause, task.attempt);
    from = to;
    return event;
  });
}

function stateEvent(from: TaskState, to: TaskState, cause: Cause, attempt: number): EventBody {
  const { actor, reason, error } = cause;
  return {
    kind: 'state',
    from,
    to,
    actor,
    phase: phaseOf(to),
    attempt,
    ...(reason === undefined ? {} : { reason }),
    // The failure belongs to the step that shows it, not to those on the way.
    ...(error === undefined || to === 'completing' ? {} : { error }),
  };
}

function deliveriesFor(
  { notification, notices = [] }: TaskSpec,
  events: readonly EventBody[],
  tools: ChangeTools,
  atOnce = false,
): NewDelivery[] {
  if (notification === undefined && notices.length === 0) return [];
  const plans: readonly Subscription[] = [...(notification === undefined ? [] : [notification]), ...notices];
  return events.flatMap((event, eventIndex) =>
    plans.flatMap(plan => {
      const asked = subscribedAs(event, plan.events);
      if (asked === null) return [];
      const { channel, url } = plan;
      const dueAt = atOnce ? tools.now : dueAtOf(plan, asked, tools.now);
      return [{ id: tools.newDeliveryId(), channel, endpoint: url, event: asked, eventIndex, dueAt }];
    }),
  );
}

type Subscription = Pick<NotificationPlan, 'channel' | 'url' | 'events' | 'batch'>;

/** The notification to send for an event; a timeout reaches who asked only for failures as one (`SAM-37`). */
function subscribedAs(event: EventBody, asked: readonly NotificationEvent[]): NotificationEvent | null {
  // Starts are told by the claim (domain/attempt.ts), pauses and requeues by the progress of the new attempt.
  if (event.kind === 'state' && !isEnd(event.to)) return null;
  const name = notificationOf(event);
  if (name === null) return null;
  if (asked.includes(name)) return name;
  return name === 'task_timeout' && asked.includes('task_failed') ? 'task_failed' : null;
}
