// What comes by another wire to an agent of this one, and goes the other way, reads sensibly.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openPost } from '../../../test/post.ts';
import { createToyDialect } from '../../../test/toy-dialect.ts';
import { exchange, readerOf, until, written } from './fixture.test.ts';

test('TASK-7 TASK-20 work asked for by another wire is a task.submit to an agent of this one, whose report ends it there too', async t => {
  const post = await openPost({}, { dialects: [createToyDialect] });
  t.after(() => post.stop());
  const ann = await post.register('ann');
  const bob = await post.register('bob', { types: ['custom:toy', 'custom:shared'] });
  await ann.send('toy', { id: 'n1', type: 'work', from: 'ann', to: 'bob', text: { n: 2 } });
  const reader = readerOf(bob, 'bob');
  const request = await until(reader, ({ type }) => type === 'task.submit');
  assert.deepEqual([request.task_id, request.task_type, request.input], ['n1', 'toy', { n: 2 }]);
  const report = written('task.status', 'done-n1', { task_id: 'n1', status: 'completed', result: { n: 4 } });
  assert.equal((await exchange(bob, report)).status, 'applied');
  const told: string[] = [];
  while (!told.includes('report_outcome'))
    for (const { message, delivery_id } of await ann.read('toy', 'ann', { wait: 5 })) {
      told.push(message.text.act);
      await ann.settle('toy', 'ann', delivery_id);
    }
  await exchange(ann, written('task.submit', 's2', { task_id: 't2', task_type: 'shared', input: { m: 1 } }));
  const [note] = (await bob.read('toy', 'bob', { wait: 5 })).filter(({ message }) => message.about === 't2');
  assert.equal(note?.message.text.task.input.m, 1);
  await bob.send('toy', { id: 'note1', type: 'note', from: 'bob', to: 'ann', text: 'hi' });
  const read = await until(readerOf(ann, 'ann'), ({ message_id }) => message_id === 'note1');
  assert.deepEqual([read.type, read.detail.body], ['task.events.default', 'hi']);
});
