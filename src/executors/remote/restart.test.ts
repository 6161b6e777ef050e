// What becomes of delegated tasks when this server goes away and comes back, or another takes over.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../../../test/harness.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import { systemClock } from '../../runtime/clock.ts';
import { systemRandom } from '../../runtime/random.ts';
import { openSqliteInProcess } from '../../store/sqlite/open.ts';
import type { Store } from '../../store/store.ts';
import { AGENT, delegatingHouse } from './far-agent.test.ts';

const ended = (task: { readonly outcome: unknown }) => task.outcome !== null;
const call = (id: string) => ({ tenant: DEFAULT_TENANT, id: id as TaskId, actor: 'test' });

test('SAM-99 after a restart a task still leased is led on, not begun again, and its agent asked at once', async context => {
  const { house, far, remote, delegate, another } = await delegatingHouse(context);
  const id = await delegate('one');
  await remote.stop();
  far.statuses.set(id, { current_status: { state: 'running', progress: { percentage: 30 } } });
  const next = await another();
  await far.heard('task-status/');
  const task = await until(house, 'one', one => one.progress?.percentage === 30);
  assert.equal(task.attempt, 1);
  await next.receive(far.webhook('task_completed', id, { result: { success: true } }));
  assert.equal((await until(house, 'one', ended)).outcome, 'completed');
  // Whoever died before it noted the agent's answer sends its order again: it is the same order.
  const orders = far.asked.filter(one => one.path === 'execute-task');
  for (const order of orders) assert.deepEqual(order.json, orders[0]?.json);
});

test('SAM-68 a task whose lease was lost meanwhile is cancelled at the agent, its webhooks acknowledged and ignored', async context => {
  const { house, far, remote, delegate, another } = await delegatingHouse(context);
  const id = await delegate('one');
  await remote.stop();
  await house.engine.cancel(call('one'));
  const back = await another();
  assert.equal((await far.heard('tasks/')).path, `tasks/${id}/cancel`);
  const late = far.webhook('task_completed', id, { result: { success: true, output: 'too late' } });
  const { acknowledged } = await back.receive(late);
  assert.equal(acknowledged, true);
  const task = await house.engine.task(DEFAULT_TENANT, 'one' as TaskId);
  assert.equal(task.outcome, 'cancelled');
  assert.equal(task.result?.output, undefined);
});

test('SAM-68 a cancellation recorded before a crash is finished after it', async context => {
  const { house, far, remote, delegate, another } = await delegatingHouse(context);
  const id = await delegate('one');
  far.answers.set('POST tasks', () => ({ drop: true }));
  await house.engine.cancel(call('one'));
  await far.heard('tasks/');
  const earlier = far.asked.filter(one => one.path.startsWith('tasks/')).length;
  far.answers.delete('POST tasks');
  await remote.stop();
  await another();
  assert.equal((await far.heard('tasks/', earlier)).path, `tasks/${id}/cancel`);
});

test('an agent that is removed gives up what it was doing, and nobody speaks in its name any more', async context => {
  const { house, far, remote, delegate } = await delegatingHouse(context);
  const id = await delegate('one');
  await house.engine.removeAgent(DEFAULT_TENANT, AGENT);
  await remote.forget({ tenant: DEFAULT_TENANT, agentId: AGENT });
  assert.equal((await far.heard('tasks/')).path, `tasks/${id}/cancel`);
  const agents = await house.engine.agents(DEFAULT_TENANT);
  assert.equal(
    agents.some(({ agent }) => agent.id === AGENT),
    false,
  );
  await assert.rejects(remote.receive(far.webhook('task_progress', 'other', {}, { agentId: AGENT })), {
    code: 'unauthenticated',
  });
});

test('SAM-97 a webhook that comes to another node reaches the one that leads the task', async context => {
  const options = { path: ':memory:', clock: systemClock, random: systemRandom, auditKey: Buffer.alloc(32) };
  const store: Store = { ...openSqliteInProcess(options), capabilities: { shared: true } };
  const { house, far, remote, delegate, another } = await delegatingHouse(context, { house: { store } });
  const second = await another();
  const id = await delegate('one');
  await remote.receive(far.webhook('task_progress', id, { status: { progress_percentage: 1 } }));
  await until(house, 'one', task => task.progress?.percentage === 1);
  await second.receive(far.webhook('task_completed', id, { result: { success: true, output: 'by two' } }));
  const task = await until(house, 'one', ended);
  assert.equal(task.result?.output, 'by two');
  assert.equal(far.asked.filter(one => one.path === 'execute-task').length, 1);
});
