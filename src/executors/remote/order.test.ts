import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orderOf, planOf } from '../../../test/harness.ts';
import { NOTIFICATION_EVENTS } from '../../domain/event.ts';
import type { AgentId, FencingToken } from '../../domain/ids.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { Task, TaskSpec } from '../../domain/task.ts';
import { orderBody } from './order.ts';

const scene = {
  remoteId: 'execution.1',
  serverId: 'here',
  agentId: 'there',
  receiverUrl: 'https://here.test/hook',
  webhookSecret: 'secret',
};

function taskOf(spec: Partial<TaskSpec>): Task {
  const claimedAt = Date.UTC(2026, 0, 1);
  const lease = {
    token: 1 as FencingToken,
    agentId: 'there' as AgentId,
    claimedAt,
    expiresAt: claimedAt + 30_000,
    deadlineAt: claimedAt + 90_500,
  };
  return { ...orderOf('one', spec), lease, createdAt: 0 } as unknown as Task;
}

const metadataOf = (body: JsonObject) => (body.context as { metadata: JsonObject }).metadata;

test('SAM-98 an order says everything the requester said, in this server’s name and with its own webhook', () => {
  const body = orderBody(
    taskOf({
      type: 'data_processing',
      payload: { rows: 3 },
      priority: 1,
      requester: { agentId: 'manus' as AgentId, userId: 'u', sessionId: 's', correlationId: 'c' },
      resources: { memoryMb: 512, cpuCores: 2 },
      variables: { A: '1' },
      secretNames: ['TOKEN'],
      dependencies: ['numpy'],
      outputSchema: { type: 'object' },
      notification: { ...planOf(['task_completed']), progressIntervalMs: 7_000 },
      extra: {
        future_field: 1,
        execution_config: { cache: { ttl: 5 } },
        notification_config: { their: 'own' },
        orchestrator_info: { locale: 'es' },
      },
    }),
    scene,
  );
  assert.deepEqual(body, {
    future_field: 1,
    task_id: 'execution.1',
    task_type: 'data_processing',
    description: 'a task of a test',
    priority: 'urgent',
    timeout: 91,
    orchestrator_info: {
      locale: 'es',
      agent_id: 'here',
      timestamp: '2026-01-01T00:00:00.000Z',
      session_id: 's',
      user_id: 'u',
      correlation_id: 'c',
    },
    task_data: { rows: 3 },
    execution_config: {
      cache: { ttl: 5 },
      max_retries: 0,
      resource_limits: { memory_mb: 512, cpu_cores: 2 },
      environment: { variables: { A: '1' }, secrets: ['TOKEN'], dependencies: ['numpy'] },
      output_schema: { type: 'object' },
    },
    notification_config: {
      webhook_url: 'https://here.test/hook',
      webhook_secret: 'secret',
      notification_events: [...NOTIFICATION_EVENTS],
      progress_interval: 7,
    },
    context: { metadata: { depth: 1, agent_path: ['here'] } },
  });
});

test('SAM-98 an order sent again is the same order', () => {
  const task = taskOf({});
  assert.deepEqual(orderBody(task, scene), orderBody(task, scene));
});

test('SAM-100 depth and path grow by one server at each hop, beside whatever else the context says', () => {
  const context = { shared_state: { a: 1 }, metadata: { run: 7, depth: 3, agent_path: ['x', 'y', 'z'] } };
  const body = orderBody(taskOf({ depth: 3, context }), scene);
  assert.deepEqual(body.context, {
    shared_state: { a: 1 },
    metadata: { run: 7, depth: 4, agent_path: ['x', 'y', 'z', 'here'] },
  });
});

test('SAM-100 the eighth hop is the last, and no task goes where it came by', () => {
  assert.equal(metadataOf(orderBody(taskOf({ depth: 7 }), scene)).depth, 8);
  assert.throws(() => orderBody(taskOf({ depth: 8 }), scene), {
    code: 'policy_violation',
    details: { rule: 'delegation_depth', depth: 9, limit: 8 },
  });
  for (const met of ['there', 'here']) {
    const context = { metadata: { agent_path: ['far', met] } };
    assert.throws(() => orderBody(taskOf({ context }), scene), {
      code: 'policy_violation',
      details: { rule: 'delegation_path', agent_path: ['far', met], agent_id: met },
    });
  }
});

test('the values of secrets stay here: only their names go', () => {
  const text = JSON.stringify(orderBody(taskOf({ secretNames: ['TOKEN'] }), scene));
  assert.match(text, /"secrets":\["TOKEN"\]/);
});
