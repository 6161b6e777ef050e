// What is held about a person in tasks, messages and records, given out and taken away over the API.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { AgentId } from '../../src/domain/ids.ts';
import type { DialectHands } from '../../src/protocols/dialect/hands.ts';
import { type Correspondent, openPost, type Post } from '../post.ts';
import type { Loose } from '../serve.ts';
import { createToyDialect } from '../toy-dialect.ts';

let hands: DialectHands;
let post: Post;
before(async () => {
  post = await openPost(
    {},
    {
      dialects: [
        given => {
          hands = given;
          return createToyDialect(given);
        },
      ],
    },
  );
});
after(() => post.stop());

const SECRET = 'lives by the lake';

async function held(who: Correspondent, userId: string): Promise<Loose> {
  const { status, body } = await who.ask('POST', '/api/v2/privacy/export', { user_id: userId });
  assert.equal(status, 200, JSON.stringify(body));
  return body;
}

/** A message, a task and a record about a user, and a message that never was one. */
async function arrange(userId: string): Promise<Correspondent> {
  const ann = await post.register('ann');
  const text = { user_id: userId, text: SECRET };
  await ann.send('toy', { id: `n-${userId}`, type: 'note', from: 'ann', to: 'bob', text });
  await ann.send('toy', { id: `x-${userId}`, type: 'nothing', from: 'ann', to: 'bob', text });
  const task = {
    task_id: `t-${userId}`,
    task_type: 'custom',
    task_data: { type_name: 'slow', text: SECRET },
    description: SECRET,
    orchestrator_info: { agent_id: 'ann', user_id: userId, timestamp: '2026-01-01T00:00:00Z' },
  };
  await post.register('slow', { types: ['custom:slow'] });
  const made = await post.admin.ask('POST', '/api/v2/execute-task', task);
  assert.ok(made.status < 300, JSON.stringify(made.body));
  const base = { tenant: 'default' as never, collection: 'c', key: `k-${userId}` };
  await hands.memory.remember({ ...base, owner: 'ann' as AgentId, userId, value: SECRET } as never);
  return ann;
}

test('ARMY-76 all that is held about a user is given out, then gone from tasks, messages and records, and nothing of others', async () => {
  await arrange('u1');
  await arrange('u2');
  const before1 = await held(post.admin, 'u1');
  for (const kind of ['tasks', 'messages', 'dead_letters', 'records'])
    assert.equal(before1[kind].length, 1, kind);
  assert.ok(JSON.stringify(before1.messages).includes(SECRET));
  const erased = await post.admin.ask('POST', '/api/v2/privacy/erase', { user_id: 'u1' });
  assert.deepEqual([erased.status, erased.body.pending], [200, []], JSON.stringify(erased.body));
  const { tasks, messages, dead_letters: letters, records } = erased.body.erased;
  assert.deepEqual([tasks, messages, letters, records], [1, 1, 1, 1]);
  const after1 = await held(post.admin, 'u1');
  for (const kind of ['tasks', 'messages', 'dead_letters', 'reviews', 'records'])
    assert.deepEqual(after1[kind], [], kind);
  const status = await post.admin.ask('GET', '/api/v2/task-status/t-u1');
  assert.ok(!JSON.stringify(status.body).includes(SECRET));
  const bob = await post.register('bob');
  const inbox = JSON.stringify(await bob.read('toy', 'bob', { wait: 5 }));
  assert.equal(inbox.split(SECRET).length - 1, 1, 'only the note about u2 still says it');
  const other = await held(post.admin, 'u2');
  for (const kind of ['tasks', 'messages', 'dead_letters', 'records'])
    assert.equal(other[kind].length, 1, kind);
});

test('ARMY-76 the audit keeps that a user was exported and erased, without the data, and only administrators may', async () => {
  const ann = await arrange('u-very-secret');
  for (const verb of ['export', 'erase'])
    assert.equal(
      (await ann.ask('POST', `/api/v2/privacy/${verb}`, { user_id: 'u-very-secret' })).status,
      403,
    );
  const kept = async (action: string): Promise<readonly Loose[]> =>
    (await post.admin.ask('GET', `/api/v2/audit?action=${action}`)).body.entries;
  const gone = await post.admin.ask('POST', '/api/v2/privacy/erase', { user_id: 'u-very-secret' });
  assert.equal(gone.body.erased.messages, 1);
  await held(post.admin, 'u-very-secret');
  for (const action of ['privacy.exported', 'privacy.erased']) {
    const known = action === 'privacy.erased' ? 1 : 3;
    let entries = await kept(action);
    while (entries.length <= known) entries = await kept(action);
    assert.ok(!JSON.stringify(entries).includes('u-very-secret'));
    assert.ok(!JSON.stringify(entries).includes(SECRET));
    assert.equal(entries.at(-1)?.detail.messages, action === 'privacy.erased' ? 1 : 0);
  }
});
