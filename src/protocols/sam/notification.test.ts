import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orderOf } from '../../../test/harness.ts';
import type { Artifact } from '../../domain/artifact.ts';
import type { NotificationEvent, TaskEvent } from '../../domain/event.ts';
import type { Task, TaskError, TaskSpec } from '../../domain/task.ts';
import type { LogLine } from '../../store/rows.ts';
import { createSamRenderer } from './notification.ts';

const renderer = createSamRenderer({ serverId: 'batuta', publicUrl: 'https://tasks.example' });

const taskOf = (more: Partial<Task> = {}, spec: Partial<TaskSpec> = {}): Task => ({
  key: 1 as never,
  tenant: 'default' as never,
  id: 'one' as never,
  executionId: 'e-1' as never,
  spec: orderOf('one', { resources: { memoryMb: 100 }, ...spec }).spec,
  state: 'running',
  outcome: null,
  version: 6,
  attempt: 1,
  createdAt: 0,
  queuedAt: 0,
  startedAt: 1_000,
  endedAt: null,
  updatedAt: 5_000,
  ranMs: 0,
  agentId: 'w1' as never,
  lease: null,
  lastToken: null,
  progress: null,
  checkpoint: null,
  result: null,
  purged: false,
  ...more,
});

const base = {
  sequence: 7,
  at: 5_000,
  cursor: 'c',
  tenant: 'default' as never,
  key: 1 as never,
  taskId: 'one' as never,
};

const stateEvent = (to: 'running' | 'completed' | 'failed' | 'timeout' | 'cancelled'): TaskEvent => ({
  ...base,
  kind: 'state',
  from: 'running',
  to,
  actor: 'agent:w1',
  phase: 'run',
  attempt: 1,
});

const progressEvent: TaskEvent = {
  ...base,
  kind: 'progress',
  attempt: 1,
  progress: { percentage: 25, currentStep: 'Extracting data from page 5 of 10', totalSteps: 10 },
};

type Body = ReturnType<typeof JSON.parse>;

const bodyOf = (
  event: NotificationEvent,
  told: TaskEvent,
  task: Task,
  more: { readonly artifacts?: readonly Artifact[]; readonly logs?: readonly LogLine[] } = {},
): Body => {
  const delivery = {
    id: 'd' as never,
    tenant: task.tenant,
    key: task.key,
    taskId: task.id,
    channel: 'webhook',
    endpoint: 'x',
    event,
    sequence: 7,
    status: 'sending',
    attempts: [],
    createdAt: 0,
    dueAt: 0,
  } as const;
  return renderer.render({ delivery, task, event: told, artifacts: more.artifacts ?? [] }, more.logs ?? []);
};

const artifact: Artifact = {
  id: 'a-1' as never,
  tenant: 'default' as never,
  taskId: 'one' as never,
  attempt: 1,
  type: 'data_file',
  name: 'products.json',
  mediaType: 'application/json',
  sizeBytes: 5,
  sha256: 'ab'.repeat(32),
  createdAt: 4_000,
  quarantined: false,
};

const failedBy = (error: TaskError, outcome: 'failed' | 'timeout' = 'failed'): Task =>
  taskOf({ state: outcome, outcome, endedAt: 5_000, ranMs: 4_000, result: { error, metrics: {} } });

test('SAM-80 a notification says which event of which attempt of what, by whom, and where the task stood then', () => {
  const body = bodyOf('task_progress', progressEvent, taskOf({ progress: { percentage: 90 } }));
  assert.deepEqual(
    [
      body.event_type,
      body.task_id,
      body.execution_id,
      body.agent_id,
      body.timestamp,
      body.sequence,
      body.attempt,
    ],
    ['task_progress', 'one', 'e-1', 'w1', '1970-01-01T00:00:05.000Z', 7, 1],
  );
  assert.deepEqual(body.status, {
    current_state: 'running',
    lifecycle_state: 'running',
    progress_percentage: 25,
    estimated_remaining: 12,
    current_step: 'Extracting data from page 5 of 10',
    total_steps: 10,
  });
  assert.equal('result' in body, false);
});

test('SAM-80 without an agent the server speaks for itself', () => {
  assert.equal(
    bodyOf('task_cancelled', stateEvent('cancelled'), taskOf({ agentId: null })).agent_id,
    'batuta',
  );
});

test('SAM-80 the last log lines and, after a failure, what to debug with are in the context', () => {
  const line: LogLine = {
    tenant: 'default' as never,
    key: 1 as never,
    at: 1,
    level: 'WARN',
    component: 'c',
    attempt: 1,
    agentId: null,
    message: 'careful',
  };
  const error: TaskError = {
    code: 'task_failed',
    message: 'broken',
    recoverable: false,
    details: { line: 3 },
  };
  const { context } = bodyOf('task_failed', stateEvent('failed'), failedBy(error), { logs: [line] });
  assert.equal(context.logs[0].message, 'careful');
  assert.equal(context.debug_info.code, 'EXECUTION_ERROR');
  assert.equal(context.debug_info.details.line, 3);
  assert.equal(context.performance_data.error_rate, 1);
});

test('SAM-81 a completed task’s result has output, artifacts and the metrics of the document', () => {
  const task = taskOf({
    state: 'notifying',
    outcome: 'completed',
    endedAt: 5_000,
    ranMs: 4_000,
    progress: { percentage: 80, totalSteps: 10 },
    result: {
      output: { total: 3, pages_per_second: 0.5 },
      metrics: {
        executionSeconds: 4,
        memoryPeakMb: 11.6,
        cpuMeanPercent: 58.2,
        apiCalls: 45,
        tokensUsed: 9,
        bytesSent: 500_000,
        bytesReceived: 2_000_000,
      },
    },
  });
  const body = bodyOf('task_completed', stateEvent('completed'), task, { artifacts: [artifact] });
  assert.deepEqual(
    [body.status.current_state, body.status.progress_percentage, body.status.estimated_remaining],
    ['completed', 100, 0],
  );
  assert.deepEqual([body.result.success, body.result.error], [true, null]);
  assert.deepEqual(body.result.output, task.result?.output);
  assert.deepEqual(body.result.metrics, {
    execution_time: 4,
    memory_used: 12,
    cpu_usage: 58.2,
    api_calls: 45,
    tokens_used: 9,
    data_transferred: 2.5,
  });
  const [told] = body.result.artifacts;
  assert.deepEqual(
    [told.url, told.checksum],
    ['https://tasks.example/api/v2/artifacts/a-1', `sha256:${'ab'.repeat(32)}`],
  );
  assert.equal(body.context.performance_data.pages_per_second, 0.5);
});

test('SAM-83 an output over 1 MiB is told by reference, with size and checksum', () => {
  const output = { long: 'ü'.repeat(600_000) };
  const task = taskOf({ state: 'completed', outcome: 'completed', result: { output, metrics: {} } });
  const { result } = bodyOf('task_completed', stateEvent('completed'), task);
  assert.equal('output' in result, false);
  assert.equal(result.output_ref.url, 'https://tasks.example/api/v2/task-output/one');
  assert.equal(result.output_ref.size_bytes, Buffer.byteLength(JSON.stringify(output)));
  assert.match(result.output_ref.checksum, /^sha256:[0-9a-f]{64}$/);
});

test('SAM-81 a failure’s result carries the error as task-status does', () => {
  const error: TaskError = { code: 'resource_exhausted', message: 'out of memory', recoverable: true };
  const { result } = bodyOf('task_failed', stateEvent('failed'), failedBy(error));
  assert.equal(result.success, false);
  assert.deepEqual(
    [result.error.code, result.error.class, result.error.details.task_id],
    ['RESOURCE_EXHAUSTED', 'resource', 'one'],
  );
  assert.equal(result.error.documentation_url, 'https://tasks.example/docs/errors/RESOURCE_EXHAUSTED');
});

test('SAM-82 what to do next follows from what happened, and logic failures call for a person', () => {
  const next = (body: Body): unknown => [
    body.next_actions.recommended_actions,
    body.next_actions.requires_human_intervention,
    body.next_actions.escalation_level,
  ];
  const done = taskOf({ state: 'completed', outcome: 'completed', result: { metrics: {} } });
  assert.deepEqual(next(bodyOf('task_completed', stateEvent('completed'), done, { artifacts: [artifact] })), [
    ['download_artifacts', 'validate_data'],
    false,
    'none',
  ]);
  const logic: TaskError = { code: 'task_failed', message: 'x', recoverable: false };
  assert.deepEqual(next(bodyOf('task_failed', stateEvent('failed'), failedBy(logic))), [
    ['review_logs', 'retry_task'],
    true,
    'high',
  ]);
  const network: TaskError = { code: 'dependency_failed', message: 'x', recoverable: true };
  assert.deepEqual(next(bodyOf('task_failed', stateEvent('failed'), failedBy(network))), [
    ['retry_task', 'review_logs'],
    false,
    'medium',
  ]);
  const late: TaskError = { code: 'task_timeout', message: 'x', recoverable: true };
  assert.deepEqual(next(bodyOf('task_timeout', stateEvent('timeout'), failedBy(late, 'timeout'))), [
    ['increase_resources', 'retry_task'],
    false,
    'medium',
  ]);
  const urgent = { ...failedBy(logic), spec: { ...failedBy(logic).spec, priority: 0 as const } };
  assert.equal(bodyOf('task_failed', stateEvent('failed'), urgent).next_actions.escalation_level, 'critical');
});

test('SAM-79 a warning names the resource, an agent’s failure names the agent', () => {
  const warned = bodyOf(
    'resource_warning',
    { ...base, kind: 'resource_warning', attempt: 1, resource: 'memory', value: 81, limit: 100 },
    taskOf(),
  );
  assert.deepEqual(warned.warning, { resource: 'memory', value: 81, limit: 100 });
  const error: TaskError = { code: 'lease_lost', message: 'gone', recoverable: true };
  const lost = bodyOf(
    'agent_error',
    { ...base, kind: 'agent_error', attempt: 1, agentId: 'w9', error },
    taskOf(),
  );
  assert.deepEqual(
    [lost.error.agent_id, lost.error.code, lost.status.current_state],
    ['w9', 'LEASE_LOST', 'running'],
  );
});
