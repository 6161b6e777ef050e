// The port's hottest shapes as flat records of scalars and JSON texts: what the tables hold, and what crosses to another thread
// cheaply.

import type { NewDelivery } from '../../domain/delivery.ts';
import type { AgentId, ExecutionId, TaskId, TaskKey, TenantId } from '../../domain/ids.ts';
import type { TaskSpec } from '../../domain/task.ts';
import type { Outcome, TaskState } from '../../domain/transitions.ts';
import type { RecordWrite } from '../memory.ts';
import type { Claimed, Heir, NewTask, NewTimer, Placement, SubmitOutcome, TaskChange } from '../rows.ts';
import {
  type KeptColumns,
  type LeaseColumns,
  leasedTaskOf,
  type NeedColumns,
  needColumns,
  queueText,
  type TaskRow,
  taskOf,
  textOf,
} from '../task-row.ts';

/** A task to accept. */
export interface TaskRecord extends NeedColumns {
  readonly tenant: TenantId;
  readonly id: TaskId;
  readonly executionId: ExecutionId;
  readonly state: NewTask['state'];
  readonly fingerprint: string;
  readonly idempotencyKey: string | null;
  /** The queue's name as `queueText` writes it. */
  readonly queue: string;
  readonly workType: string;
  readonly requester: AgentId;
  readonly session: string | null;
  readonly user: string | null;
  readonly correlation: string | null;
  readonly priority: TaskSpec['priority'];
  readonly timeoutMs: number;
  readonly attemptTimeoutMs: number | null;
  readonly notification: string | null;
  readonly dependsOn: readonly TaskId[];
  readonly timers: readonly NewTimer[];
  readonly waitingMax: number;
  readonly eventCount: number;
  readonly events: string;
  readonly spec: string;
  readonly result: string | null;
}

/** A guarded change. */
export interface ChangeRecord {
  readonly key: TaskKey;
  readonly guard: TaskChange['guard'];
  readonly eventCount: number;
  readonly events: string;
  readonly state: TaskState | null;
  readonly outcome: Outcome | null;
  readonly placement: Placement | null;
  readonly result: string | null;
  readonly progress: string | null;
  readonly checkpoint: string | null;
  readonly notification: string | null;
  readonly timers: readonly NewTimer[];
  readonly deliveries: readonly NewDelivery[];
  readonly record: RecordWrite | null;
  readonly heir: Heir | null;
  readonly fired: number | null;
}

/** A task just leased, as it rested before. */
export interface ClaimedRow {
  readonly resting: KeptColumns;
  readonly lease: LeaseColumns;
  readonly queue: number;
}

/** What became of a submitted task, the task still a row. */
export type SubmitAnswer =
  | Exclude<SubmitOutcome, { status: 'same' }>
  | { readonly status: 'same'; readonly row: TaskRow };

/** A task to accept, packed. */
export function packTask(task: NewTask): TaskRecord {
  const { spec } = task;
  const { requester } = spec;
  return {
    tenant: task.tenant,
    id: task.id,
    executionId: task.executionId,
    state: task.state,
    fingerprint: task.fingerprint,
    idempotencyKey: task.idempotencyKey ?? null,
    queue: queueText(task.queue),
    workType: task.queue.workType,
    requester: requester.agentId,
    session: requester.sessionId ?? null,
    user: requester.userId ?? null,
    correlation: requester.correlationId ?? null,
    priority: spec.priority,
    timeoutMs: spec.timeoutMs,
    attemptTimeoutMs: spec.attemptTimeoutMs ?? null,
    notification: textOf(spec.notification),
    ...needColumns(spec.resources),
    dependsOn: spec.dependsOn,
    timers: task.timers,
    waitingMax: task.waitingMax,
    eventCount: task.events.length,
    events: JSON.stringify(task.events),
    spec: JSON.stringify(spec),
    result: textOf(task.result),
  };
}

/** A change, packed. */
export function packChange(change: TaskChange): ChangeRecord {
  return {
    key: change.key,
    guard: change.guard,
    eventCount: change.events.length,
    events: JSON.stringify(change.events),
    state: change.state ?? null,
    outcome: change.outcome ?? null,
    placement: change.placement ?? null,
    result: textOf(change.result),
    progress: textOf(change.progress),
    checkpoint: textOf(change.checkpoint),
    notification: textOf(change.notification),
    timers: change.timers ?? [],
    deliveries: change.deliveries ?? [],
    record: change.record ?? null,
    heir: change.heir ?? null,
    fired: change.fired ?? null,
  };
}

/** What became of a submitted task. */
export function outcomeOf(answer: SubmitAnswer): SubmitOutcome {
  return answer.status === 'same' ? { status: 'same', task: taskOf(answer.row) } : answer;
}

/** The task a claim made of a resting one. */
export function claimedOf({ resting, lease, queue }: ClaimedRow): Claimed {
  return { task: leasedTaskOf(resting, lease), token: lease.lease_token, queue };
}
