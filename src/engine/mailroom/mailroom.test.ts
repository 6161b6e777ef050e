// The mailroom over a real store and engine: sending, answering, reading, dying.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { eventually } from '../../../test/eventually.ts';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import { DomainError } from '../../domain/errors.ts';
import { type AgentId, DEFAULT_TENANT, type TenantId } from '../../domain/ids.ts';
import { type Draft, inboxOfAgent, type Message } from '../../domain/message.ts';
import { type Choice, DESK, draft, setup } from './fixture.test.ts';
import { ownSending, packed } from './packing.ts';

test('a built-in agent answers before the sender is answered, and what it says is in the inbox then', async t => {
  const answer = async ({ id, from }: Message) => [
    draft(`re.${id}`, { from: 'desk', to: [from], replyTo: id, actor: 'system' }),
  ];
  const { send, read, seen } = await setup(t, { handle: answer });
  assert.equal((await send(draft('one'))).status, 'accepted');
  assert.deepEqual(seen, ['one']);
  const [reply] = await read('ann');
  assert.equal(reply?.message.id, 're.one');
  assert.equal(reply?.message.replyTo, 'one');
});

test('who waits for a message asks for it before it is kept, so that one wait for the disk serves both; of a store elsewhere after it', async t => {
  const { house, send, read } = await setup(t);
  const { mail } = house.store;
  const [post, take] = [mail.post.bind(mail), mail.take.bind(mail)];
  const asked: string[] = [];
  t.mock.method(mail, 'post', async (...list: Parameters<typeof post>) => {
    asked.push('post');
    const answer = await post(...list);
    await new Promise(setImmediate);
    asked.push('kept');
    return answer;
  });
  t.mock.method(mail, 'take', (...picks: Parameters<typeof take>) => {
    asked.push('take');
    return take(...picks);
  });
  const waiting = read('bob', { waitMs: 10_000 });
  // It looks before it waits, and once it does.
  await eventually(() => asked.length === 2);
  await send(draft('one', { to: ['bob'] }));
  const [got] = await waiting;
  assert.equal(got?.message.id, 'one');
  const order = house.store.capabilities.shared ? ['post', 'kept', 'take'] : ['post', 'take', 'kept'];
  assert.deepEqual(asked.slice(2, 5), order);
});

test('what a built-in agent refuses leaves the id free, its sender is answered and told nothing more', async t => {
  let isWrong = true;
  const handle = async () => {
    if (isWrong) throw new DomainError('unprocessable', 'not like this');
    return [];
  };
  const { send, read, seen } = await setup(t, { handle });
  const refused = await send(draft('one'), 'first');
  assert.equal(refused.status === 'refused' && refused.error.code, 'unprocessable');
  isWrong = false;
  assert.equal((await send(draft('one'), 'second')).status, 'accepted');
  assert.deepEqual(seen, ['one', 'one']);
  assert.deepEqual(await read('ann'), []);
});

test('a repeated message is not answered anew, and another under its id is a conflict', async t => {
  const { send, seen } = await setup(t);
  await send(draft('one'));
  assert.equal((await send(draft('one'))).status, 'duplicate');
  const other = await send(draft('one'), 'other');
  assert.equal(other.status === 'refused' && other.error.code, 'conflict');
  assert.deepEqual(seen, ['one']);
});

test('messages about one task have their effects in order, others meanwhile', async t => {
  const order: string[] = [];
  const { promise: gate, resolve } = Promise.withResolvers<void>();
  const handle = async ({ id }: Message) => {
    if (id === 'a1') await gate;
    order.push(id);
    if (id === 'b1') resolve();
    return [];
  };
  const { mailroom } = await setup(t, { handle });
  const about = (id: string, taskId: string) => ({
    draft: draft(id, { taskId: taskId as Draft['taskId'] }),
    fingerprint: id,
  });
  await mailroom.send([about('a1', 'a'), about('a2', 'a'), about('b1', 'b')]);
  assert.deepEqual(order, ['b1', 'a1', 'a2']);
});

/** Has two messages taken in by a process that died before it answered them: one, and one that tells of an error. */
async function orphaned(t: TestContext, choice: Choice = {}) {
  const { house, mailroom, open, seen, read } = await setup(t, choice);
  const entries = [{ inbox: DESK, lane: 'ann', held: { by: 'node:gone', ms: 50 } }];
  const posts = ['orphan', 'orphaned-error'].map(id => ({
    ...packed(ownSending(draft(id, { type: id === 'orphan' ? 'note' : 'error' })), entries),
    fingerprint: 'x',
  }));
  await house.store.mail.post(posts);
  await mailroom.stop();
  const next = open();
  await next.start();
  t.after(() => next.stop());
  const signal = AbortSignal.timeout(5_000);
  while (seen.length < 2) {
    signal.throwIfAborted();
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  return { seen, read, next };
}

test('what was taken in but not answered when a process died is answered by whoever comes after', async t => {
  assert.deepEqual((await orphaned(t)).seen, ['orphan', 'orphaned-error']);
});

test('TASK-103 ARMY-126 BLOG-116 NOOB-155 what an agent inside the server finds wrong only after acceptance reaches the sender’s inbox and names the message, unless that was an error', async t => {
  const { next } = await orphaned(t, {
    async handle() {
      throw new DomainError('conflict', 'not like this');
    },
  });
  const inboxes = [inboxOfAgent('ann')];
  const request = { tenant: DEFAULT_TENANT, reader: 'ann', inboxes, limit: 10, visibilityMs: 30_000 };
  const [told, ...more] = await next.read({ ...request, waitMs: 5_000 });
  const { meaning, replyTo } = told?.message ?? {};
  assert.deepEqual(
    [replyTo, meaning?.act === 'refuse' && meaning.fault.code, more.length],
    ['orphan', 'conflict', 0],
  );
  const log = await next.messages({ tenant: DEFAULT_TENANT, limit: 10 });
  assert.deepEqual(
    log.map(({ id }) => id),
    ['orphan', 'orphaned-error', 'refused.orphan'],
  );
});

test('an agent with its role takes the place of one inside the server, which goes on once that is gone', async t => {
  const clock = new VirtualClock();
  const { house, mailroom, send, seen } = await setup(t, { clock });
  await house.engine.registerAgent({
    ...{ tenant: DEFAULT_TENANT, id: 'stand-in' as AgentId, kind: 'worker', types: [], capabilities: [] },
    ...{ roles: ['plain:desk'], slots: 1, capacity: {} },
  });
  mailroom.directory.forget(DEFAULT_TENANT);
  await send(draft('one'));
  assert.deepEqual(seen, []);
  await house.engine.removeAgent(DEFAULT_TENANT, 'stand-in' as AgentId);
  for (let second = 0; second < 15; second++) await clock.advance(1_000);
  assert.deepEqual(seen, ['one']);
});

test('who waits for a message gets it the moment it is sent, and tenants never get each other’s', async t => {
  const { send, read } = await setup(t);
  const waiting = read('bob', { waitMs: 20_000 });
  await send(draft('one', { to: ['bob'] }));
  assert.deepEqual(
    (await waiting).map(({ message }) => message.id),
    ['one'],
  );
  await send(draft('two', { to: ['bob'] }));
  assert.deepEqual(await read('bob', { tenant: 'other' as TenantId }), []);
});

test('a message that nobody takes in time is dead, and its sender is told once', async t => {
  const clock = new VirtualClock();
  const { send, read, mailroom } = await setup(t, { clock });
  await send(draft('one', { to: ['bob'], expiresAt: clock.now() + 1_000 }));
  for (let second = 0; second < 5; second++) await clock.advance(1_000);
  const [told, ...more] = await read('ann');
  assert.equal(told?.message.meaning.act === 'refuse' && told.message.meaning.fault.code, 'task_timeout');
  assert.deepEqual(more, []);
  const letters = await mailroom.deadLetters({ tenant: DEFAULT_TENANT, limit: 10 });
  assert.deepEqual(
    letters.map(({ reason, mail }) => [reason, mail?.id]),
    [['expired', 'one']],
  );
});
