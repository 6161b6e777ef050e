// Tasks that pass into other hands: by their holder, by who leads, back where they are refused, and not at all where the other cannot.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Player, player } from '../../../test/army-stage.ts';
import { openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';

suite('tasks in other hands', () => {
  let post: Post;
  let boss: Player;
  let ann: Player;
  let bob: Player;
  before(async () => {
    post = await openPost();
    boss = await player(post, 'supervisor', 'boss');
    ann = await player(post, 'writer', 'ann', ['draft']);
    bob = await player(post, 'writer', 'bob', ['draft']);
  });
  after(() => post.stop());

  /** A task that ann holds, by its id. */
  const held = async (id: string): Promise<string> => {
    await boss.tell('task_request', 'coordinator', {
      ...{ task_id: id, task_type: 'draft', description: 'write it' },
      parameters: { role: 'writer' },
    });
    const { payload } = await ann.next('task_request');
    return payload.task_id;
  };
  const hand = (who: Player, taskId: string, agent: string, more: object = {}): Promise<Loose> =>
    who.say('coordination', 'coordinator', { action: 'handoff', task_id: taskId, agent, ...more });
  const respond = (who: Player, taskId: string): Promise<Loose> =>
    who.say('task_response', 'coordinator', {
      ...{ task_id: taskId, status: 'completed' },
      result: { content: 'A text that says all there is to say about it, in whole sentences.', sources: [] },
    });
  const handoffs = async (id: string): Promise<readonly Loose[]> => {
    const { body } = await post.admin.ask('GET', `/api/v2/task-logs/${id}?level=debug&limit=1000`);
    return body.logs.filter((one: Loose) => one.message === 'handoff');
  };

  test('ARMY-46 ARMY-45 handoff by the holder moves the lease and where the task stands in one step: the receiver goes on with the same attempt, the sender holds nothing more', async () => {
    const id = await held('hand1');
    await ann.tell('task_update', 'coordinator', { task_id: id, status: 'running', progress: 40 });
    const message = ann.envelope('coordination', 'coordinator', {
      ...{ action: 'handoff', task_id: id, agent: 'bob', reason: 'my shift is over' },
      state: { chapters: ['one'] },
    });
    assert.equal((await ann.who.send('army', message)).status, 202);
    const told = await ann.next('status_response');
    assert.deepEqual(told.payload, { action: 'handoff', task_id: id, agent: 'bob', attempt: 1 });
    assert.equal(told.reply_to, message.id);
    const { payload, metadata } = await bob.next('task_request');
    assert.deepEqual([payload.task_id, metadata.retry_count, metadata.to_agent], [id, 0, 'bob']);
    assert.deepEqual(payload.context.handoff, {
      ...{ from: 'ann', reason: 'my shift is over', progress: 40 },
      state: { chapters: ['one'] },
    });
    // Said again it is done once.
    assert.equal((await ann.who.send('army', message)).body.status, 'duplicate');
    assert.deepEqual([(await handoffs(id)).length, await bob.all()], [1, []]);
    const late = await respond(ann, id);
    assert.deepEqual([late.status, late.body.error_code], [409, 'LEASE_LOST']);
    const update = await ann.say('task_update', 'coordinator', { task_id: id, status: 'running' });
    assert.equal(update.body.error_code, 'LEASE_LOST');
    assert.equal((await respond(bob, id)).status, 202);
    assert.equal((await boss.next('task_response')).payload.status, 'completed');
  });

  test('ARMY-46 ARMY-45 where the receiver cannot take it the task stays with its sender, who goes on: unknown, of another role or skill, with no room, the holder itself, or asked for by somebody else', async () => {
    await player(post, 'analyst', 'carl', ['draft']);
    await player(post, 'writer', 'dora', ['edit']);
    const id = await held('stay1');
    const refusals: readonly [Player, string, number, string][] = [
      [ann, 'nobody', 404, 'NOT_FOUND'],
      [ann, 'carl', 422, 'VALIDATION_ERROR'],
      [ann, 'dora', 422, 'VALIDATION_ERROR'],
      [ann, 'ann', 422, 'VALIDATION_ERROR'],
      [bob, 'bob', 409, 'LEASE_LOST'],
    ];
    for (const [who, agent, status, code] of refusals) {
      const answer = await hand(who, id, agent);
      assert.deepEqual([answer.status, answer.body.error_code], [status, code], `${who.id} to ${agent}`);
    }
    assert.equal((await hand(ann, 'no-task', 'bob')).status, 404);
    const emil = await player(post, 'writer', 'emil', ['draft'], 1);
    const first = await held('stay2');
    assert.equal((await hand(ann, first, 'emil')).status, 202);
    await emil.next('task_request');
    const crowded = await hand(ann, id, 'emil');
    assert.deepEqual([crowded.status, crowded.body.error_code], [503, 'RESOURCE_EXHAUSTED']);
    assert.deepEqual([(await handoffs(id)).length, await emil.all()], [0, []]);
    assert.equal((await respond(ann, id)).status, 202);
    const over = await hand(ann, id, 'bob');
    assert.deepEqual([over.status, over.body.error_code], [409, 'INVALID_STATE']);
    assert.equal((await respond(emil, first)).status, 202);
  });

  test('ARMY-46 a receiver that will not have it puts the task back into the hands it came from', async () => {
    const id = await held('back1');
    for (const verdict of [{ outcome: 'reject', reason: 'not my subject' }, { outcome: 'nack' }]) {
      await hand(ann, id, 'bob');
      const [delivery] = await bob.who.read('army', 'bob', { wait: 10 });
      assert.equal(delivery.message.payload.task_id, id);
      const settled = await bob.who.settle('army', 'bob', delivery.delivery_id, verdict);
      assert.equal(settled.status, 'done');
      const again = await ann.next('task_request');
      assert.deepEqual([again.payload.task_id, again.metadata.retry_count], [id, 0]);
      assert.equal(again.payload.context.handoff.refused_by, 'bob');
    }
    assert.equal((await respond(bob, id)).body.error_code, 'LEASE_LOST');
    assert.equal((await respond(ann, id)).status, 202);
  });

  test('ARMY-45 who leads delegates a task that somebody holds, who is told to stop; nobody else does', async () => {
    const id = await held('lead1');
    await ann.all();
    const delegate = { action: 'delegate', task_id: id, agent: 'bob' };
    const grab = await bob.say('coordination', 'coordinator', delegate);
    assert.deepEqual([grab.status, grab.body.error_code], [403, 'FORBIDDEN']);
    await boss.tell('coordination', 'writer:bob', { action: 'delegate', task_id: id });
    assert.equal((await bob.next('task_request')).payload.context.handoff.from, 'ann');
    const stop = await ann.next('coordination');
    assert.deepEqual([stop.payload.action, stop.payload.task_id], ['cancel', id]);
    assert.equal((await respond(ann, id)).body.error_code, 'LEASE_LOST');
    assert.equal((await respond(bob, id)).status, 202);
    const head = await player(post, 'coordinator', 'head');
    await head.tell('task_request', 'writer', {
      task_id: 'lead2',
      task_type: 'nobodys',
      description: 'wait',
    });
    const waiting = await boss.say('coordination', 'coordinator', {
      ...{ action: 'delegate', task_id: 'lead2', agent: 'bob' },
    });
    assert.deepEqual([waiting.status, waiting.body.error_code], [409, 'INVALID_STATE']);
  });
});
