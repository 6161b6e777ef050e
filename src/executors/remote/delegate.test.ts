// Delegation end to end: the real engine and store, the real way out, and an agent on the loopback.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { orderOf, until } from '../../../test/harness.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import { systemClock } from '../../runtime/clock.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import type { Store } from '../../store/store.ts';
import { AGENT, delegatingHouse, offerOf, RECEIVER_URL, refusal, SECRET } from './far-agent.test.ts';

const ended = (task: { readonly outcome: unknown }) => task.outcome !== null;
const call = (id: string) => ({ tenant: DEFAULT_TENANT, id: id as TaskId, actor: 'test' });
const once = {
  strategy: 'fixed',
  attemptsMax: 1,
  firstDelayMs: 1,
  stepMs: 0,
  factor: 1,
  delayMaxMs: 1,
} as const;

test('SAM-98 a task of a registered SAM agent goes to its execute-task and comes back by webhook', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  const remoteId = await delegate('one', { payload: { n: 1 }, context: { shared_state: { a: 1 } } });
  const { executionId } = await house.engine.task(DEFAULT_TENANT, 'one' as TaskId);
  assert.equal(remoteId, `${executionId}.1`);
  const { headers, json } = await far.heard('execute-task');
  assert.equal(headers['x-api-key'], 'key');
  assert.equal(headers['x-api-secret'], 'opens');
  assert.match(String(headers.traceparent), /^00-0{31}1-[0-9a-f]{16}-01$/);
  assert.equal(json.task_type, 'custom');
  assert.deepEqual(json.task_data, { n: 1, type_name: 'far' });
  const notification = json.notification_config as Record<string, unknown>;
  assert.equal(notification.webhook_url, RECEIVER_URL);
  assert.equal(notification.webhook_secret, SECRET);
  const result = { success: true, output: { answer: 42 }, metrics: { execution_time: 1.5, api_calls: 3 } };
  const answer = await remote.receive(far.webhook('task_completed', remoteId, { result }));
  assert.deepEqual(answer, { acknowledged: true });
  const task = await until(house, 'one', ended);
  assert.equal(task.outcome, 'completed');
  assert.equal(task.agentId, AGENT);
  assert.deepEqual(task.result?.output, { answer: 42 });
  assert.equal(task.result?.isolation, 'remote');
  assert.equal(task.result?.metrics.apiCalls, 3);
});

test('SAM-98 an agent opened by a bearer token gets that, and stays registered as what it is', async context => {
  const { house, far, delegate } = await delegatingHouse(context, {
    credential: { kind: 'bearer', token: 'a.b.c' },
  });
  await delegate('one');
  const { headers } = await far.heard('execute-task');
  assert.equal(headers.authorization, 'Bearer a.b.c');
  assert.equal(headers['x-api-key'], undefined);
  const [view] = (await house.engine.agents(DEFAULT_TENANT)).filter(({ agent }) => agent.id === AGENT);
  assert.equal(view?.agent.kind, 'sam');
  assert.equal(view?.agent.url, far.url);
  assert.equal(view?.agent.slots, 4);
  assert.equal(view?.busy, 1);
});

test('SAM-98 an agent gets no more tasks than it has slots, and the next once one ends', async context => {
  const { house, far, remote, delegate, task } = await delegatingHouse(context, { slots: 1 });
  const first = await delegate('first');
  await house.engine.submit([orderOf('second', { type: 'custom', typeName: 'far' })]);
  await remote.receive(far.webhook('task_started', first));
  assert.equal((await task('second')).state, 'queued');
  assert.equal(far.asked.filter(one => one.path === 'execute-task').length, 1);
  await remote.receive(far.webhook('task_completed', first, { result: { success: true } }));
  const { json } = await far.heard('execute-task', 1);
  assert.equal(json.task_id, `${(await task('second')).executionId}.1`);
});

test('SAM-97 started, progress, warning and error are told on, each where it belongs', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  const id = await delegate('one');
  await remote.receive(far.webhook('task_started', id, { status: { progress_percentage: 0 } }));
  const status = { progress_percentage: 40, current_step: 'page 4', total_steps: 10 };
  await remote.receive(far.webhook('task_progress', id, { status }));
  const warning = { resource: 'memory', value: 900, limit: 1_000 };
  await remote.receive(far.webhook('resource_warning', id, { warning }));
  const error = { code: 'INTERNAL_ERROR', message: 'a worker died' };
  await remote.receive(far.webhook('agent_error', id, { error }));
  await remote.receive(far.webhook('task_completed', id, { result: { success: true } }));
  const task = await until(house, 'one', ended);
  assert.equal(task.progress?.percentage, 40);
  assert.equal(task.progress?.currentStep, 'page 4');
  assert.equal(task.progress?.totalSteps, 10);
  await house.engine.flushJournal();
  const lines = await house.store.logs({ key: task.key, limit: 100 });
  assert.deepEqual(
    lines.filter(one => one.component === 'remote_agent').map(one => [one.level, one.message]),
    [
      ['INFO', 'the agent began to run the task'],
      ['WARN', 'a limit of memory is near at the agent'],
      ['ERROR', 'an error at the agent: a worker died'],
    ],
  );
});

test('SAM-97 a failure keeps its code, message and whether it may be mended', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  const id = await delegate('one');
  const error = { code: 'FORBIDDEN', message: 'not you', recoverable: false, details: { why: 'rule 7' } };
  await remote.receive(far.webhook('task_failed', id, { result: { success: false, error } }));
  const task = await until(house, 'one', ended);
  assert.equal(task.outcome, 'failed');
  assert.deepEqual(task.result?.error, {
    code: 'forbidden',
    message: 'not you',
    recoverable: false,
    details: { why: 'rule 7', agent_id: AGENT, remote_task_id: id },
  });
});

test('SAM-97 a recoverable failure and a timeout at the agent lead to further attempts of their own names', async context => {
  const { house, far, remote, delegate, task } = await delegatingHouse(context);
  const first = await delegate('one');
  const error = { code: 'DEPENDENCY_FAILURE', message: 'down' };
  await remote.receive(far.webhook('task_failed', first, { result: { success: false, error } }));
  const second = String((await far.heard('execute-task', 1)).json.task_id);
  assert.equal(second, `${(await task('one')).executionId}.2`);
  await remote.receive(far.webhook('task_timeout', second, { result: { success: false } }));
  const third = String((await far.heard('execute-task', 2)).json.task_id);
  await remote.receive(far.webhook('task_timeout', third, { result: { success: false } }));
  const last = await until(house, 'one', ended);
  assert.equal(last.attempt, 3);
  assert.equal(last.result?.error?.code, 'task_timeout');
});

test('SAM-97 a task cancelled at the agent is cancelled here', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  const id = await delegate('one');
  const result = { success: false, error: { code: 'SERVICE_UNAVAILABLE', message: 'drained' } };
  await remote.receive(far.webhook('task_cancelled', id, { result }));
  const task = await until(house, 'one', ended);
  assert.equal(task.outcome, 'cancelled');
});

test('SAM-68 cancelling a delegated task cancels it at the agent', async context => {
  const { house, far, delegate } = await delegatingHouse(context);
  const id = await delegate('one');
  await house.engine.cancel({ ...call('one'), reason: 'changed my mind' });
  const { path, json } = await far.heard('tasks/');
  assert.equal(path, `tasks/${id}/cancel`);
  assert.equal(json.reason, 'changed my mind');
});

test('SAM-68 a cancellation the agent could not hear is told again until it does', async context => {
  const { house, far, delegate } = await delegatingHouse(context);
  await delegate('one');
  far.answers.set('POST tasks', () => {
    far.answers.delete('POST tasks');
    return { drop: true };
  });
  await house.engine.cancel(call('one'));
  assert.equal((await far.heard('tasks/', 1)).method, 'POST');
});

test('SAM-99 a refusal keeps its code, and one that says when to come back is believed', async context => {
  const { house, far, delegate } = await delegatingHouse(context);
  far.answers.set('POST execute-task', () => refusal(422, 'POLICY_VIOLATION'));
  await delegate('refused');
  const refused = await until(house, 'refused', ended);
  assert.equal(refused.result?.error?.code, 'policy_violation');
  assert.equal(refused.attempt, 1);
  far.answers.set('POST execute-task', () => refusal(503, 'RESOURCE_EXHAUSTED', { retry_after: 60 }));
  await delegate('full');
  const full = await until(house, 'full', task => task.state === 'queued' && task.attempt === 1);
  const events = await house.store.events({ of: 'task', key: full.key, afterSequence: 0, limit: 100 });
  const [error] = events.flatMap(event => (event.kind === 'state' && event.error ? [event.error] : []));
  assert.equal(error?.code, 'resource_exhausted');
  assert.equal(error?.details?.retry_after_ms, 60_000);
});

test('SAM-99 an agent that cannot be reached is a failed dependency, after more than one try', async context => {
  const { house, far, delegate } = await delegatingHouse(context);
  far.answers.set('POST execute-task', () => ({ drop: true }));
  await delegate('one', { retry: once });
  const task = await until(house, 'one', ended);
  assert.equal(task.result?.error?.code, 'dependency_failed');
  const orders = far.asked.filter(one => one.path === 'execute-task');
  assert.equal(orders.length, 3);
  assert.deepEqual(orders[1]?.json, orders[0]?.json);
  // It may have got the order all the same.
  await far.heard('tasks/');
});

test('SAM-99 lost webhooks only delay: a silent agent is asked, and its end is taken from there', async context => {
  const { house, far, delegate } = await delegatingHouse(context, { silenceMs: 150 });
  const file = Buffer.from('a report');
  far.files.set('report.txt', file);
  far.answers.set('POST execute-task', ({ json }) => {
    far.statuses.set(String(json.task_id), {
      current_status: { state: 'running', progress: { percentage: 60 }, timestamps: {} },
      execution_details: { artifacts: [] },
    });
    return { json: { status: 'accepted' } };
  });
  const id = await delegate('one');
  await far.heard('task-status/', 1);
  assert.equal((await until(house, 'one', task => task.progress !== null)).progress?.percentage, 60);
  far.statuses.set(id, {
    current_status: { state: 'completed', outcome: 'completed', timestamps: {} },
    execution_details: { output: { rows: 3 }, artifacts: [offerOf('report.txt', file)] },
    metrics: { execution_time: 2, memory_used: 64 },
  });
  const task = await until(house, 'one', ended);
  assert.equal(task.outcome, 'completed');
  assert.deepEqual(task.result?.output, { rows: 3 });
  assert.equal(task.result?.metrics.memoryPeakMb, 64);
  const [copy] = await house.store.artifacts({ tenant: DEFAULT_TENANT, taskId: task.id });
  assert.equal(copy?.name, 'report.txt');
  assert.equal(copy?.sizeBytes, file.length);
});

test('SAM-99 before a timeout is declared the agent is asked once more', async context => {
  const { house, far, delegate } = await delegatingHouse(context);
  far.answers.set('POST execute-task', ({ json }) => {
    far.statuses.set(String(json.task_id), {
      current_status: { state: 'completed', outcome: 'completed' },
      execution_details: { output: 'just in time' },
    });
    return { json: { status: 'accepted' } };
  });
  await delegate('one', { timeoutMs: 2_000 });
  const task = await until(house, 'one', ended);
  assert.equal(task.outcome, 'completed');
  assert.equal(task.result?.output, 'just in time');
});

test('SAM-99 a timeout here stops the work at the agent', async context => {
  const { house, far, delegate } = await delegatingHouse(context, { house: { options: { leaseMs: 900 } } });
  far.answers.set('GET task-status', () => ({ json: { current_status: { state: 'running' } } }));
  const id = await delegate('one', { timeoutMs: 1_000 });
  assert.equal((await until(house, 'one', ended)).outcome, 'timeout');
  assert.equal((await far.heard('tasks/')).path, `tasks/${id}/cancel`);
});

test('SAM-99 a task the agent has forgotten is tried again', async context => {
  const { far, delegate, task } = await delegatingHouse(context, { silenceMs: 100 });
  const first = await delegate('one');
  const { json } = await far.heard('execute-task', 1);
  assert.notEqual(json.task_id, first);
  assert.equal((await task('one')).attempt, 2);
});

test('SAM-100 a task passed on eight times, or by way of the agent, is not passed on again', async context => {
  const { house, far } = await delegatingHouse(context);
  const custom = { type: 'custom', typeName: 'far' } as const;
  const path = { metadata: { agent_path: ['elsewhere', AGENT] } };
  await house.engine.submit([
    orderOf('deep', { ...custom, depth: 8 }),
    orderOf('round', { ...custom, depth: 2, context: path }),
  ]);
  for (const id of ['deep', 'round']) {
    const task = await until(house, id, ended);
    assert.equal(task.outcome, 'failed');
    assert.equal(task.result?.error?.code, 'policy_violation');
    assert.equal(task.attempt, 1);
  }
  assert.deepEqual(far.asked, []);
});

test('a lease outlives its term as long as the agent is at work', async context => {
  const leaseMs = 700;
  const random = systemRandom;
  const real = openSqliteInProcess({
    path: ':memory:',
    clock: systemClock,
    random,
    auditKey: Buffer.alloc(32),
  });
  const outlived = Promise.withResolvers<void>();
  const claimedAt = Date.now();
  const store: Store = {
    ...real,
    async renew(renewals) {
      const outcomes = await real.renew(renewals);
      const isLate = outcomes.some(one => one.status === 'kept' && one.expiresAt > claimedAt + 3 * leaseMs);
      if (isLate) outlived.resolve();
      return outcomes;
    },
  };
  const { house, far, remote, delegate } = await delegatingHouse(context, {
    house: { store, options: { leaseMs } },
  });
  const id = await delegate('one');
  await outlived.promise;
  await remote.receive(far.webhook('task_completed', id, { result: { success: true } }));
  const task = await until(house, 'one', ended);
  assert.equal(task.outcome, 'completed');
  assert.equal(task.attempt, 1);
});
