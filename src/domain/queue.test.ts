// Which tasks share a queue.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentId, TenantId } from './ids.ts';
import { capabilitiesOf, permitOf, preferenceOf, queueOf } from './queue.ts';
import { RETRY_POLICIES } from './retry.ts';
import { TASK_TYPES, type TaskSpec, workTypeOf } from './task.ts';

const TENANT = 'acme' as TenantId;

function spec(parts: Partial<TaskSpec> = {}): TaskSpec {
  return {
    type: 'code_execution',
    description: 'an example',
    payload: {},
    priority: 5,
    requester: { agentId: 'manus' as AgentId },
    timeoutMs: 1_000,
    retry: RETRY_POLICIES.fixed,
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

test('SAM-174 a custom task queues under its worker’s type name, every other under its type', () => {
  assert.equal(workTypeOf({ type: 'custom', typeName: 'ocr' }), 'custom:ocr');
  for (const type of TASK_TYPES.filter(one => one !== 'custom')) assert.equal(workTypeOf({ type }), type);
});

test('a queue is told by tenant, work type, capabilities, region and requester, and by nothing else', () => {
  const base = spec({ requiredCapabilities: ['gpu', 'avx'], region: 'eu' });
  assert.deepEqual(queueOf(TENANT, base), {
    tenant: 'acme',
    workType: 'code_execution',
    capabilities: ['avx', 'gpu'],
    region: 'eu',
    requester: 'manus',
  });
  const alike = {
    ...base,
    priority: 0,
    payload: { other: 1 },
    requiredCapabilities: ['avx', 'gpu'],
  } as const;
  assert.deepEqual(queueOf(TENANT, alike), queueOf(TENANT, base));
});

test('SAM-111 tasks of different requesters never share a queue', () => {
  const other = spec({ requester: { agentId: 'other' as AgentId } });
  assert.notDeepEqual(queueOf(TENANT, other), queueOf(TENANT, spec()));
});

test('naming a queue leaves the task’s own list of capabilities as it was', () => {
  const requiredCapabilities = ['gpu', 'avx'];
  queueOf(TENANT, spec({ requiredCapabilities }));
  assert.deepEqual(requiredCapabilities, ['gpu', 'avx']);
});

test('SAM-225 SAM-228 tasks for others first stand in a queue of their own, for which a worker needs no more than its type', () => {
  const plain = queueOf(TENANT, spec({ requiredCapabilities: ['gpu'] }));
  const wished = { requiredCapabilities: ['gpu'], preferredRegion: 'eu', canary: true } as const;
  const queue = queueOf(TENANT, spec({ ...wished, concurrency: { key: 'prefer:region:us', limit: 2 } }));
  assert.notDeepEqual(queue, plain);
  assert.deepEqual(preferenceOf(queue), { region: 'eu', canary: true });
  assert.deepEqual(preferenceOf(plain), { region: null, canary: false });
  assert.deepEqual(capabilitiesOf(queue), ['gpu']);
  assert.deepEqual(permitOf(queue), { tenant: TENANT, key: 'prefer:region:us', limit: 2 });
});
