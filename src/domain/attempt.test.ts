// What a claim records: two state events, the notifications asked for, and how long the attempt may run.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { beginAttempt } from './attempt.ts';
import type { NotificationEvent } from './event.ts';
import type { AgentId, DeliveryId } from './ids.ts';
import { RETRY_POLICIES } from './retry.ts';
import type { TaskSpec } from './task.ts';
import { canMove } from './transitions.ts';

const NOW = 1_700_000_000_000;
const CLAIM = {
  agentId: 'worker-7' as AgentId,
  now: NOW,
  newDeliveryId: () => 'delivery-1' as DeliveryId,
};

function spec(parts: Partial<TaskSpec> = {}): TaskSpec {
  return {
    type: 'custom',
    description: 'an example',
    payload: {},
    priority: 5,
    requester: { agentId: 'manus' as AgentId },
    timeoutMs: 60_000,
    retry: RETRY_POLICIES.exponential,
    resources: {},
    variables: {},
    secretNames: [],
    dependencies: [],
    dependsOn: [],
    traceId: '0'.repeat(32),
    depth: 0,
    ...parts,
  };
}

function notifying(events: readonly NotificationEvent[]): TaskSpec {
  return spec({
    notification: {
      channel: 'webhook',
      url: 'https://x.test/hook',
      events,
      retry: RETRY_POLICIES.exponential,
    },
  });
}

test('SAM-101 an attempt is allocated, then running, under the claiming agent’s name and its own number', () => {
  const { events } = beginAttempt({ spec: spec(), attempt: 2, ranMs: 0 }, CLAIM);
  assert.deepEqual(events, [
    { kind: 'state', from: 'queued', to: 'allocated', actor: 'agent:worker-7', phase: 'init', attempt: 3 },
    { kind: 'state', from: 'allocated', to: 'running', actor: 'agent:worker-7', phase: 'run', attempt: 3 },
  ]);
  for (const event of events)
    assert.ok(event.kind === 'state' && event.from && canMove(event.from, event.to));
});

test('SAM-79 the first attempt tells task_started, due at once and pointing at the running event', () => {
  const { deliveries, events } = beginAttempt(
    { spec: notifying(['task_started']), attempt: 0, ranMs: 0 },
    CLAIM,
  );
  assert.deepEqual(deliveries, [
    {
      id: 'delivery-1',
      channel: 'webhook',
      endpoint: 'https://x.test/hook',
      event: 'task_started',
      eventIndex: 1,
      dueAt: NOW,
    },
  ]);
  const told = events[deliveries[0]?.eventIndex ?? -1];
  assert.ok(told?.kind === 'state' && told.to === 'running');
});

test('SAM-86 a further attempt is told as progress, and never as another start', () => {
  const both = notifying(['task_started', 'task_progress']);
  const { deliveries } = beginAttempt({ spec: both, attempt: 1, ranMs: 0 }, CLAIM);
  assert.deepEqual(
    deliveries.map(({ event }) => event),
    ['task_progress'],
  );
  assert.deepEqual(
    beginAttempt({ spec: notifying(['task_started']), attempt: 1, ranMs: 0 }, CLAIM).deliveries,
    [],
  );
});

test('SAM-37 nothing is told that was not asked for', () => {
  for (const given of [spec(), notifying([]), notifying(['task_completed'])])
    assert.deepEqual(beginAttempt({ spec: given, attempt: 0, ranMs: 0 }, CLAIM).deliveries, []);
});

test('SAM-129 an attempt may run for what is left of the task’s time, or for its own if shorter', () => {
  const ms = fc.integer({ min: 0, max: 1_000_000 });
  fc.assert(
    fc.property(ms, ms, fc.option(ms), (timeoutMs, ranMs, attemptTimeoutMs) => {
      const given = spec({ timeoutMs, ...(attemptTimeoutMs === null ? {} : { attemptTimeoutMs }) });
      const { runMsMax } = beginAttempt({ spec: given, attempt: 0, ranMs }, CLAIM);
      assert.ok(runMsMax >= 0);
      assert.equal(runMsMax, Math.min(Math.max(0, timeoutMs - ranMs), attemptTimeoutMs ?? Infinity));
    }),
  );
});
