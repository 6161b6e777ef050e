// How things stand: what a status query is answered.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { player } from '../../../test/army-stage.ts';
import { openPost } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

test('ARMY-44 a status query tells of a task, a role and the whole, and an unknown task is NOT_FOUND', async t => {
  const post = await openPost();
  t.after(() => post.stop());
  const boss = await player(post, 'supervisor', 'q-boss');
  const ask = async (payload: object): Promise<Loose> => {
    await boss.tell('status_query', 'coordinator', payload);
    return (await boss.next('status_response')).payload;
  };
  const ann = await player(post, 'writer', 'q-ann', ['qtask'], 4);
  await boss.tell('task_request', 'coordinator', {
    ...{ task_id: 'q1', task_type: 'qtask', description: 'do it', parameters: { role: 'writer' } },
  });
  await ann.next('task_request');
  await ann.tell('task_update', 'coordinator', { task_id: 'q1.work', status: 'running', progress: 25 });
  const task = await ask({ task_id: 'q1.work' });
  assert.deepEqual([task.status, task.progress, task.agent], ['running', 25, 'q-ann']);
  assert.equal((await ask({ task_id: 'q1' })).status, 'running');
  const role = await ask({ role: 'writer' });
  assert.deepEqual(role.agents, [{ agent: 'q-ann', health: 'healthy', busy: 1, capacity: 4 }]);
  assert.deepEqual([role.load, role.queue_depth, role.built_in], [0.25, 0, false]);
  const whole = await ask({ scope: 'system' });
  assert.deepEqual([whole.tasks.running, whole.agents.writer], [2, 1]);
  const unknown = await boss.say('status_query', 'coordinator', { task_id: 'never' });
  assert.deepEqual([unknown.status, unknown.body.error_code], [404, 'NOT_FOUND']);
});
