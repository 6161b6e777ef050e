// The start of an attempt: what a claim does to a task besides leasing it. A pure function that every store driver calls inside
// its claim transaction, so that all of them record the same events and notifications.

import type { NewDelivery } from './delivery.ts';
import type { EventBody } from './event.ts';
import type { AgentId, DeliveryId } from './ids.ts';
import type { Task, TaskSpec } from './task.ts';

/** What the claim must store beside the lease. */
export interface AttemptStart {
  readonly events: readonly EventBody[];
  readonly deliveries: readonly NewDelivery[];
  /** Milliseconds the attempt may run: what is left of the task's timeout, or the attempt's own if shorter (`SAM-129`). */
  readonly runMsMax: number;
}

/** The events, notifications and time limit of a task's next attempt (`SAM-79`, `SAM-86`, `SAM-123`). */
export function beginAttempt(
  task: Pick<Task, 'attempt' | 'ranMs'> & {
    readonly spec: Pick<TaskSpec, 'timeoutMs' | 'attemptTimeoutMs' | 'notification'>;
  },
  claim: { readonly agentId: AgentId; readonly now: number; readonly newDeliveryId: () => DeliveryId },
): AttemptStart {
  const attempt = task.attempt + 1;
  const { spec } = task;
  const actor = `agent:${claim.agentId}`;
  const events: EventBody[] = [
    { kind: 'state', from: 'queued', to: 'allocated', actor, phase: 'init', attempt },
    { kind: 'state', from: 'allocated', to: 'running', actor, phase: 'run', attempt },
  ];
  const plan = spec.notification;
  const event = attempt === 1 ? 'task_started' : 'task_progress';
  const deliveries: NewDelivery[] =
    plan?.events.includes(event) === true
      ? [
          {
            id: claim.newDeliveryId(),
            channel: plan.channel,
            endpoint: plan.url,
            event,
            eventIndex: 1,
            dueAt: claim.now,
          },
        ]
      : [];
  const left = Math.max(0, spec.timeoutMs - task.ranMs);
  return { events, deliveries, runMsMax: Math.min(left, spec.attemptTimeoutMs ?? left) };
}
