// Calls to subscribers over a real store, by a clock of our own and to far ends that do what a test says.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { VirtualClock } from '../../../test/simulation/clock.ts';
import { DEFAULT_TENANT, type TaskId } from '../../domain/ids.ts';
import { delayAfter, RETRY_POLICIES } from '../../domain/retry.ts';
import type { Subscription, SubscriptionTarget } from '../../domain/subscription.ts';
import type { ChannelMessage, SendOutcome } from '../ports/channel.ts';
import type { CallTry, MessageWire } from '../ports/message-wire.ts';
import { draft, setup, wire } from './fixture.test.ts';

type Verdict = SendOutcome['verdict'];

/** A subscriber whose endpoints answer as told, and what it was told. */
async function subscribed(
  t: TestContext,
  answer: (call: ChannelMessage) => Verdict,
  backups: readonly string[] = [],
) {
  const clock = new VirtualClock();
  const calls: (ChannelMessage & { readonly at: number })[] = [];
  const tries: CallTry[] = [];
  const lost: string[] = [];
  const event = (id: string) => draft(id, { type: 'event', from: 'desk', to: [], actor: 'system' });
  const speaking: MessageWire = {
    ...wire,
    encode: ({ id }) => ({ id }),
    wants: ({ type }) => type === 'note',
    headersOf: ({ id, type, taskId, correlationId }) => ({
      ...{ message_id: id, type, task_id: taskId, correlation_id: correlationId },
    }),
    callTried(message, tried) {
      tries.push(tried);
      return event(`try.${message.id}.${tried.attempt}`);
    },
    unrecoverable(message) {
      lost.push(message.id);
      return event(`lost.${message.id}`);
    },
  };
  const webhooks = {
    name: 'webhook',
    start: async () => {},
    stop: async () => {},
    check: async () => {},
    async send(call: ChannelMessage): Promise<SendOutcome> {
      calls.push({ ...call, at: clock.now() });
      const verdict = answer(call);
      return { status: verdict === 'fail' ? 400 : null, durationMs: 1, answer: 'no', verdict };
    },
  };
  const { mailroom, send } = await setup(t, { clock, wire: speaking, webhooks });
  const url = 'https://one.example/hook?token=secret';
  const target: SubscriptionTarget = { by: 'webhook', url, backups };
  const subscription: Subscription = {
    ...{ id: 's', tenant: DEFAULT_TENANT, dialect: 'plain', owner: 'bob', types: ['*'], filter: null },
    ...{ target, watchesAll: true, createdAt: 0, cursor: null },
  };
  await mailroom.subscriptions.create(subscription);
  const about = (id: string, taskId: string) => send(draft(id, { taskId: taskId as TaskId }));
  const pass = async (seconds: number): Promise<void> => {
    for (let second = 0; second < seconds; second++) await clock.advance(1_000);
  };
  const ids = (): readonly string[] => calls.map(({ body }) => String((body as { id?: string }).id));
  return { mailroom, calls, tries, lost, about, pass, ids };
}

test('TASK-57 TASK-59 a call that times out is made again by the canonical policy, each try an event; after the last the message is a dead letter, of which those who watch are told and its sender is not', async t => {
  const { mailroom, calls, tries, lost, about, pass } = await subscribed(t, () => 'retry');
  await about('one', 'a');
  await pass(100);
  assert.equal(calls.length, RETRY_POLICIES.exponential.attemptsMax);
  assert.deepEqual(
    calls.map(({ attempt }) => attempt),
    [1, 2, 3, 4, 5],
  );
  assert.deepEqual(
    tries.map(({ attempt, endpoint, outcome, retryInMs }) => [
      attempt,
      endpoint,
      outcome,
      retryInMs === null,
    ]),
    [1, 2, 3, 4, 5].map(attempt => [attempt, 'https://one.example/hook', 'retry', attempt === 5]),
  );
  for (const { attempt, retryInMs } of tries.slice(0, 4)) {
    const planned = delayAfter(RETRY_POLICIES.exponential, attempt);
    const next = calls[attempt];
    const last = calls[attempt - 1];
    assert.ok(retryInMs !== null && retryInMs >= planned * 0.8 && retryInMs <= planned * 1.2, `${retryInMs}`);
    assert.ok(next !== undefined && last !== undefined && next.at - last.at >= retryInMs);
  }
  const log = await mailroom.messages({ tenant: DEFAULT_TENANT, limit: 100 });
  assert.deepEqual(
    log.map(({ id }) => id),
    ['one', ...[1, 2, 3, 4, 5].map(attempt => `try.one.${attempt}`), 'lost.one'],
  );
  assert.deepEqual(lost, ['one']);
  const [letter, ...more] = await mailroom.deadLetters({ tenant: DEFAULT_TENANT, limit: 10 });
  assert.deepEqual(
    [letter?.reason, letter?.inbox, letter?.mail?.id, letter?.attempts, more.length],
    ['max_deliveries', 'subscription:s', 'one', 5, 0],
  );
  assert.deepEqual(await mailroom.depths(DEFAULT_TENANT), []);
});

test('TASK-44 what is published is called with in order per task until it is taken, and one task holds up no other', async t => {
  let failing = 2;
  const { about, pass, ids, tries } = await subscribed(t, ({ body }) =>
    (body as { id?: string }).id === 'a1' && failing-- > 0 ? 'retry' : 'delivered',
  );
  for (const [id, task] of [
    ['a1', 'a'],
    ['b1', 'b'],
    ['a2', 'a'],
    ['b2', 'b'],
  ] as const)
    await about(id, task);
  await pass(10);
  assert.deepEqual(ids(), ['a1', 'b1', 'b2', 'a1', 'a1', 'a2']);
  assert.deepEqual(
    tries.map(({ attempt, outcome }) => [attempt, outcome]),
    [
      [1, 'retry'],
      [2, 'retry'],
      [3, 'delivered'],
    ],
  );
});

test('TASK-58 while no endpoint may be called none is, so that an outage costs no message its tries; a dead letter that is put back is called with again', async t => {
  let isDown = true;
  const { mailroom, about, pass, ids, calls } = await subscribed(t, () => (isDown ? 'fail' : 'delivered'), [
    'https://two.example/hook',
  ]);
  await about('first', 'a');
  await pass(5);
  const before = calls.length;
  for (let n = 0; n < 20; n++) await about(`m${n}`, `task${n}`);
  await pass(60);
  assert.ok(calls.length - before <= 12, `${calls.length - before} calls while both endpoints rested`);
  isDown = false;
  await pass(40);
  const letters = await mailroom.deadLetters({ tenant: DEFAULT_TENANT, limit: 10 });
  await mailroom.replay(
    DEFAULT_TENANT,
    letters.map(({ id }) => id),
  );
  await pass(5);
  assert.deepEqual(new Set(ids()), new Set(['first', ...Array.from({ length: 20 }, (_, n) => `m${n}`)]));
  assert.deepEqual(await mailroom.depths(DEFAULT_TENANT), []);
});

test('TASK-43 a call bears the headers of its message, and of a subscription that was ended nothing waits', async t => {
  const { mailroom, about, pass, calls, ids } = await subscribed(t, ({ body }) =>
    (body as { id?: string }).id === 'good' ? 'delivered' : 'retry',
  );
  await about('good', 'a');
  await pass(2);
  assert.deepEqual(calls[0]?.headers, {
    'x-message-id': 'good',
    'x-message-type': 'note',
    'x-task-id': 'a',
    'x-correlation-id': 'good',
  });
  await about('bad', 'a');
  await pass(2);
  await mailroom.subscriptions.remove(DEFAULT_TENANT, 's');
  await pass(60);
  assert.ok(ids().length <= 4, ids().join(' '));
  assert.deepEqual(await mailroom.depths(DEFAULT_TENANT), []);
  assert.deepEqual(await mailroom.deadLetters({ tenant: DEFAULT_TENANT, limit: 10 }), []);
});
