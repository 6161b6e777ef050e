// What the conformance chapters share: a store under test, and tasks, claims and changes in one line each.

import assert from 'node:assert/strict';
import type { Artifact } from '../domain/artifact.ts';
import type { NewDelivery } from '../domain/delivery.ts';
import type { EventBody, NotificationEvent, TaskEvent } from '../domain/event.ts';
import type {
  AgentId,
  ArtifactId,
  DeliveryId,
  ExecutionId,
  TaskId,
  TaskKey,
  TenantId,
} from '../domain/ids.ts';
import type { Priority } from '../domain/priority.ts';
import { queueOf } from '../domain/queue.ts';
import { RETRY_POLICIES } from '../domain/retry.ts';
import type { Task, TaskSpec } from '../domain/task.ts';
import type { Outcome } from '../domain/transitions.ts';
import type {
  Claimed,
  ClaimPick,
  DocumentWrite,
  LogLine,
  NewAuditEntry,
  NewTask,
  TaskChange,
} from './rows.ts';
import type { Store } from './store.ts';

/** A fresh store and power over its time. */
export interface StoreUnderTest {
  /** The store as it is open now. */
  readonly store: Store;
  /** Lets the store's clock go forward. */
  passTime(ms: number): Promise<void>;
  /** Closes the store and opens the same rows again. */
  reopen(): Promise<void>;
  close(): Promise<void>;
  /** Keys the audit's chain. */
  readonly auditKey: string;
}

/** One claim about a store, tried on a fresh one. */
export interface Claim {
  readonly title: string;
  readonly hold: (bundle: StoreUnderTest) => Promise<void>;
}

/** Gathers claims; they become tests where a store is at hand. */
export function suite(tell: (test: (title: string, hold: Claim['hold']) => void) => void): readonly Claim[] {
  const claims: Claim[] = [];
  tell((title, hold) => claims.push({ title, hold }));
  return claims;
}

/** The tenant of all tasks that name none. */
export const ACME = 'acme' as TenantId;
/** The worker of all claims that name none. */
export const WORKER = 'worker' as AgentId;
/** Where notifications go unless told otherwise. */
export const ENDPOINT = 'https://example.org/hook';

/** The task that log lines and samples belong to unless told otherwise; it need not exist. */
export const LOGGED = 1 as TaskKey;

/** What a test may want of a task. */
export interface Wish {
  readonly tenant?: TenantId;
  readonly priority?: Priority;
  readonly requester?: string;
  readonly notify?: readonly NotificationEvent[];
  readonly spec?: Partial<TaskSpec>;
  readonly task?: Partial<NewTask>;
}

/** A task to submit. */
export function order(id: string, wish: Wish = {}): NewTask {
  const tenant = wish.tenant ?? ACME;
  const spec: TaskSpec = {
    type: 'code_execution',
    description: `do ${id}`,
    payload: { code: '1 + 1' },
    priority: wish.priority ?? 5,
    requester: { agentId: (wish.requester ?? 'orchestrator') as AgentId },
    timeoutMs: 60_000,
    retry: RETRY_POLICIES.exponential,
    resources: {},
    variables: {},
    secretNames: [],
    dependencies: [],
    dependsOn: [],
    traceId: '0af7651916cd43dd8448eb211c80319c',
    depth: 0,
    ...(wish.notify !== undefined && {
      notification: {
        channel: 'webhook',
        url: ENDPOINT,
        events: wish.notify,
        retry: RETRY_POLICIES.exponential,
      },
    }),
    ...wish.spec,
  };
  return {
    tenant,
    id: id as TaskId,
    executionId: `execution of ${id}` as ExecutionId,
    spec,
    fingerprint: `fingerprint of ${id}`,
    queue: queueOf(tenant, spec),
    state: 'queued',
    events: [
      { kind: 'state', from: null, to: 'submitted', actor: 'tester', phase: 'init' },
      { kind: 'state', from: 'submitted', to: 'validated', actor: 'system', phase: 'init' },
      { kind: 'state', from: 'validated', to: 'queued', actor: 'system', phase: 'init' },
    ],
    timers: [],
    waitingMax: 1_000_000,
    ...wish.task,
  };
}

/** A task that was refused. */
export function rejection(id: string, wish: Wish = {}): NewTask {
  return order(id, {
    ...wish,
    task: {
      state: 'rejected',
      events: [
        { kind: 'state', from: null, to: 'submitted', actor: 'tester', phase: 'init' },
        { kind: 'state', from: 'submitted', to: 'rejected', actor: 'system', phase: 'init' },
      ],
      result: {
        error: { code: 'invalid_request', message: 'no code', recoverable: false },
        metrics: {},
      },
      ...wish.task,
    },
  });
}

/** Submits tasks that must all be new; answers their keys. */
export async function submitted(store: Store, ...tasks: readonly NewTask[]): Promise<readonly TaskKey[]> {
  const outcomes = await store.submit(tasks);
  return outcomes.map(outcome => {
    assert.equal(outcome.status, 'created');
    return outcome.status === 'created' ? outcome.key : assert.fail();
  });
}

/** Claims from all queues of a tenant. */
export async function claimed(
  store: Store,
  pick: Partial<ClaimPick> & { readonly tenant?: TenantId } = {},
): Promise<readonly Claimed[]> {
  const { tenant = ACME, ...rest } = pick;
  const queues = (await store.queues()).filter(queue => queue.name.tenant === tenant).map(({ id }) => id);
  const answers = await store.claim([{ agentId: WORKER, queues, limit: 100, leaseMs: 10_000, ...rest }]);
  return answers[0] ?? assert.fail('a pick must be answered');
}

/** Claims exactly one task. */
export async function claimedOne(store: Store, pick: Partial<ClaimPick> = {}): Promise<Claimed> {
  const claims = await claimed(store, { limit: 1, ...pick });
  assert.equal(claims.length, 1);
  return claims[0] ?? assert.fail();
}

/** The ids of claimed tasks, in order. */
export function idsOf(claims: readonly Claimed[]): readonly string[] {
  return claims.map(({ task }) => task.id);
}

/** The task as it stands; it must exist. */
export async function current(store: Store, id: string, tenant: TenantId = ACME): Promise<Task> {
  const [task] = await store.read([{ tenant, id: id as TaskId }]);
  return task ?? assert.fail(`there must be a task ${id}`);
}

/** All events of a task. */
export function historyOf(store: Store, key: TaskKey): Promise<readonly TaskEvent[]> {
  return store.events({ of: 'task', key, afterSequence: 0, limit: 1_000 });
}

/** The end of a leased task. */
export function ending(
  claim: Claimed,
  outcome: Outcome = 'completed',
  more: Partial<TaskChange> = {},
): TaskChange {
  return {
    key: claim.task.key,
    guard: { by: 'lease', token: claim.token },
    events: [
      moved('running', 'completing', claim.task.attempt),
      { ...moved('completing', outcome, claim.task.attempt) },
    ],
    state: outcome,
    outcome,
    placement: 'nowhere',
    result: { output: { sum: 2 }, metrics: {} },
    ...more,
  };
}

/** The return of a leased task to its queue. */
export function requeueing(claim: Claimed, more: Partial<TaskChange> = {}): TaskChange {
  return {
    key: claim.task.key,
    guard: { by: 'lease', token: claim.token },
    events: [moved('running', 'queued', claim.task.attempt)],
    state: 'queued',
    placement: 'ready',
    ...more,
  };
}

/** A report of progress under a lease. */
export function reporting(claim: Claimed, percentage: number, more: Partial<TaskChange> = {}): TaskChange {
  const progress = { percentage };
  return {
    key: claim.task.key,
    guard: { by: 'lease', token: claim.token },
    events: [{ kind: 'progress', attempt: claim.task.attempt, progress }],
    progress,
    ...more,
  };
}

/** The cancellation of a task at a version. */
export function cancelling(task: Task, more: Partial<TaskChange> = {}): TaskChange {
  return {
    key: task.key,
    guard: { by: 'version', version: task.version },
    events: [{ kind: 'state', from: task.state, to: 'cancelled', actor: 'tester', phase: 'run' }],
    state: 'cancelled',
    outcome: 'cancelled',
    placement: 'nowhere',
    ...more,
  };
}

/** A change of nothing but its events. */
export function noting(task: Task, more: Partial<TaskChange> = {}): TaskChange {
  return {
    key: task.key,
    guard: { by: 'version', version: task.version },
    events: [{ kind: 'note', name: 'seen', detail: {} }],
    ...more,
  };
}

/** A notification of the change's event with that index, due now. */
export function telling(id: string, event: NotificationEvent, more: Partial<NewDelivery> = {}): NewDelivery {
  return {
    id: id as DeliveryId,
    channel: 'webhook',
    endpoint: ENDPOINT,
    event,
    eventIndex: 0,
    dueAt: 0,
    ...more,
  };
}

/** A line of a task's log. */
export const logLine = (message: string, more: Partial<LogLine> = {}): LogLine => ({
  tenant: ACME,
  key: LOGGED,
  at: 1_000,
  level: 'INFO',
  component: 'executor',
  attempt: 1,
  agentId: null,
  message,
  ...more,
});

/** What is known of a file. */
export const artifact = (id: string, sha256: string, more: Partial<Artifact> = {}): Artifact => ({
  id: id as ArtifactId,
  tenant: ACME,
  taskId: 'a' as TaskId,
  attempt: 1,
  type: 'report',
  name: 'report.pdf',
  mediaType: 'application/pdf',
  sizeBytes: 3,
  sha256,
  createdAt: 1_000,
  quarantined: false,
  ...more,
});

/** A document to write. */
export const document = (id: string, more: Partial<DocumentWrite> = {}): DocumentWrite => ({
  tenant: ACME,
  kind: 'agent',
  id,
  body: { name: id },
  ...more,
});

/** An audit entry to append. */
export const auditEntry = (action: string, more: Partial<NewAuditEntry> = {}): NewAuditEntry => ({
  tenant: ACME,
  action,
  principal: 'key:1',
  detail: { z: 1, a: { y: [1, 2], b: null } },
  ...more,
});

function moved(
  from: 'running' | 'completing',
  to: 'completing' | 'queued' | Outcome,
  attempt: number,
): EventBody {
  return { kind: 'state', from, to, actor: `agent:${WORKER}`, phase: 'run', attempt };
}
