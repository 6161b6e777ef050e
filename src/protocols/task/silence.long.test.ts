// Commands nobody answers, over a restart of the server: who holds the task has 30 s.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPost } from '../../../test/post.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import { exchange, heldTask, readerOf, SETTINGS, until, written } from './fixture.test.ts';

test('TASK-34 TASK-40 a pause nobody answers is rejected after 30 s and a cancel happens, though the server was restarted meanwhile', async t => {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-silence-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  const first = await openPost(SETTINGS, { dataDir });
  const body = { agent_id: 'bob', types: ['custom:w'], capacity: { slots: 10, cpu_cores: 4 } };
  await first.admin.ask('POST', '/api/v2/agents', body);
  const ann = await first.register('ann');
  const bob = await first.agent('bob');
  for (const id of ['paused', 'cancelled'])
    await heldTask({ submitter: ann, holder: readerOf(bob, 'bob') }, id, 'w');
  const reserve = written('resource.allocate', 'reserve', {
    task_id: 'paused',
    requirements: { cpu_cores: 3 },
  });
  assert.equal((await exchange(ann, reserve)).type, 'resource.allocated');
  const began = Date.now();
  for (const [command, id] of [
    ['pause', 'paused'],
    ['cancel', 'cancelled'],
  ] as const) {
    const order = written(`task.control.${command}`, command, { task_id: id, reason: 'test' });
    assert.equal((await exchange(ann, order)).status, 'accepted');
  }
  await first.stop();
  const post = await openPost(SETTINGS, { dataDir });
  t.after(() => post.stop());
  const annAgain = await post.agent('ann');
  const more = written('resource.allocate', 'more', { task_id: 'paused', requirements: { cpu_cores: 2 } });
  assert.equal((await exchange(annAgain, more)).reason, 'insufficient_capacity');
  const anns = readerOf(annAgain, 'ann');
  const rejected = await until(
    anns,
    ({ type, command_id }) => type === 'task.control.reject' && command_id === 'pause',
    60_000,
  );
  assert.ok(Date.now() - began >= 29_000, `after ${Date.now() - began} ms`);
  assert.match(rejected.reason, /^upstream_timeout: /);
  await until(anns, ({ command_id, status }) => command_id === 'cancel' && status === 'applied', 20_000);
  const task = (id: string) => post.server.engine.task(DEFAULT_TENANT, id as TaskId);
  assert.equal((await task('cancelled')).outcome, 'cancelled');
  assert.equal((await task('paused')).outcome, null);
});
