// The port's shapes as rows and parameters: what the tables hold, and back.

import { beginAttempt } from '../../domain/attempt.ts';
import type { NewDelivery, NotificationPlan } from '../../domain/delivery.ts';
import type { AgentId, DeliveryId } from '../../domain/ids.ts';
import { rankOf } from '../../domain/priority.ts';
import type { QueueName } from '../../domain/queue.ts';
import type { NewTask, TaskChange } from '../rows.ts';
import { needColumns, textOf, queueText as textOfQueue } from '../task-row.ts';

/** Where a `TaskRow` comes from. */
export const TASK_TABLES = 'batuta.task t LEFT JOIN batuta.lease l ON l.task = t.key';

/** Text as PostgreSQL can hold it: it knows neither the character zero nor half a surrogate pair. */
export function plain(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\uFFFD');
}

/** A queue's name as one text that PostgreSQL can hold: equal names have equal texts. */
export function queueText(name: QueueName): string {
  return plain(textOfQueue(name));
}

/** A task to accept, as `batuta.new_task`. */
export function packTask(task: NewTask, pos: number, queue: number | null): object {
  const { spec } = task;
  const { requester } = spec;
  return {
    pos,
    tenant: task.tenant,
    id: plain(task.id),
    execution_id: task.executionId,
    state: task.state,
    fingerprint: task.fingerprint,
    idempotency_key: plainOrNull(task.idempotencyKey),
    queue,
    rank_shift: rankOf(0, spec.priority),
    work_type: plain(task.queue.workType),
    requester: plain(requester.agentId),
    session: plainOrNull(requester.sessionId),
    user_id: plainOrNull(requester.userId),
    correlation: plainOrNull(requester.correlationId),
    timeout_ms: spec.timeoutMs,
    attempt_timeout_ms: spec.attemptTimeoutMs ?? null,
    starts: spec.notification === undefined ? null : startsOf(spec.notification),
    ...needColumns(spec.resources),
    depends_on: spec.dependsOn.map(plain),
    timers: task.timers.length === 0 ? null : task.timers,
    waiting_max: task.waitingMax,
    event_count: task.events.length,
    events: JSON.stringify(task.events),
    spec: JSON.stringify(spec),
    result: textOf(task.result),
  };
}

/** A change, as `batuta.change`. */
export function packChange(change: TaskChange, pos: number): object {
  const { guard, notification, heir } = change;
  return {
    pos,
    key: change.key,
    token: guard.by === 'lease' ? guard.token : null,
    version: guard.by === 'version' ? guard.version : null,
    event_count: change.events.length,
    events: JSON.stringify(change.events),
    state: change.state ?? null,
    outcome: change.outcome ?? null,
    placement: change.placement ?? null,
    result: textOf(change.result),
    progress: textOf(change.progress),
    checkpoint: textOf(change.checkpoint),
    notification: textOf(notification),
    starts: notification === undefined ? null : startsOf(notification),
    timers: someOf(change.timers),
    deliveries: someOf(change.deliveries),
    fired: change.fired ?? null,
    ...(heir === undefined ? {} : { heir: plain(heir.agentId), heir_ms: heir.leaseMs }),
  };
}

/** What a plan has the first and every later attempt tell at its start; ids and instants are the database's. */
export function startsOf(notification: NotificationPlan): object {
  const news = (attempt: number): readonly Partial<NewDelivery>[] => {
    const spec = { timeoutMs: 0, notification };
    const claim = { agentId: '' as AgentId, now: 0, newDeliveryId: () => '' as DeliveryId };
    const { deliveries } = beginAttempt({ spec, attempt, ranMs: 0 }, claim);
    return deliveries.map(({ channel, endpoint, event, eventIndex }) => ({
      channel,
      endpoint,
      event,
      eventIndex,
    }));
  };
  return { first: news(0), later: news(1) };
}

function plainOrNull(text: string | undefined): string | null {
  return text === undefined ? null : plain(text);
}

function someOf<Item>(items: readonly Item[] | undefined): readonly Item[] | null {
  return items === undefined || items.length === 0 ? null : items;
}
