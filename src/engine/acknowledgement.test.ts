import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type House,
  type HouseOptions,
  openHouse,
  orderOf,
  planOf,
  until,
  workAs,
} from '../../test/harness.ts';
import { DomainError } from '../domain/errors.ts';
import type { JsonObject } from '../domain/json.ts';
import { RETRY_POLICIES } from '../domain/retry.ts';
import type { Task } from '../domain/task.ts';

const custom = { type: 'custom', typeName: 'work' } as const;

/** A house whose receiver acknowledges its first notification with these words, and a running task whose start it was told of. */
async function acknowledging(acknowledgement: JsonObject, choice: HouseOptions = {}) {
  let told = 0;
  const house = await openHouse({
    options: { slotsPerType: 0 },
    send: () => {
      const delivered = { status: 200, durationMs: 1, answer: '', verdict: 'delivered' } as const;
      return told++ === 0 ? { ...delivered, acknowledgement } : delivered;
    },
    ...choice,
  });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  const notification = planOf(['task_started', 'task_progress', 'task_completed']);
  await house.engine.submit([orderOf('told', { ...custom, notification })]);
  const [lease] = (await worker.ask(1)).leases;
  return { house, worker, lease, notification };
}

const planNow = (task: Task) => task.spec.notification;

async function notesOf(house: House, task: Task) {
  const events = await house.store.events({ of: 'task', key: task.key, afterSequence: 0, limit: 50 });
  return events.flatMap(event =>
    event.kind === 'note' && event.name === 'notification_plan' ? [event.detail] : [],
  );
}

test('SAM-88 an acknowledgement that asks to cancel is obeyed', async () => {
  const { house } = await acknowledging({ acknowledged: true, next_instructions: { action: 'cancel' } });
  assert.equal((await until(house, 'told', task => task.outcome !== null)).outcome, 'cancelled');
  await house.stop();
});

test('SAM-88 a callback_url receives what happens later, and the change is an event', async () => {
  const url = 'https://elsewhere.test/hook';
  const { house, worker, lease, notification } = await acknowledging({
    acknowledged: true,
    callback_url: url,
  });
  const task = await until(house, 'told', one => planNow(one)?.url === url);
  await worker.complete(lease, 1);
  await until(house, 'told', one => one.state === 'notified');
  assert.deepEqual(
    house.sent.map(({ event, endpoint }) => [event, endpoint]),
    [
      ['task_started', notification.url],
      ['task_completed', url],
    ],
  );
  const actor = 'webhook:tester';
  const reason = 'asked for by the receiver of a notification';
  assert.deepEqual(await notesOf(house, task), [
    { actor, reason, before: { url: notification.url }, after: { url } },
  ]);
  await house.stop();
});

test('SAM-88 events, progress interval and retry policy change as the receiver says, for the attempt under way too', async () => {
  const { house, worker, lease, notification } = await acknowledging({
    next_instructions: {
      notification_events: ['task_progress'],
      progress_interval: 86_400,
      retry_policy: { max_attempts: 2, backoff_strategy: 'fixed' },
    },
  });
  const task = await until(house, 'told', one => planNow(one)?.events.length === 1);
  assert.deepEqual(planNow(task), {
    ...notification,
    events: ['task_progress'],
    progressIntervalMs: 86_400_000,
    retry: { ...RETRY_POLICIES.fixed, attemptsMax: 2 },
  });
  for (let percentage = 1; percentage <= 3; percentage++) await worker.report(lease, { percentage });
  await worker.complete(lease, 1);
  const ended = await until(house, 'told', one => one.outcome !== null);
  assert.equal(ended.state, 'completed');
  assert.deepEqual(
    house.sent.map(({ event }) => event),
    ['task_started'],
  );
  await house.stop();
});

test('SAM-88 what goes beyond the limits of a submit is left out, and the rest is obeyed', async () => {
  const { house, notification } = await acknowledging({
    callback_url: 'no url at all',
    retry_policy: { max_attempts: 21 },
    next_instructions: {
      action: 'explode',
      notification_events: ['task_completed', 'task_invented'],
      progress_interval: 7,
    },
  });
  const task = await until(house, 'told', one => planNow(one)?.progressIntervalMs !== undefined);
  assert.deepEqual(planNow(task), { ...notification, progressIntervalMs: 7_000 });
  assert.equal(task.outcome, null);
  await house.stop();
});

test('SAM-88 a callback_url that may not be called is refused, and the rest is obeyed', async () => {
  const asked: string[] = [];
  const { house, notification } = await acknowledging(
    { callback_url: 'http://169.254.169.254/latest', next_instructions: { progress_interval: 9 } },
    {
      check: async url => {
        asked.push(url);
        if (url.includes('169.254')) throw new DomainError('unprocessable', 'this address is not permitted');
      },
    },
  );
  const task = await until(house, 'told', one => planNow(one)?.progressIntervalMs !== undefined);
  assert.deepEqual(planNow(task), { ...notification, progressIntervalMs: 9_000 });
  assert.deepEqual(asked, [notification.url, 'http://169.254.169.254/latest']);
  await house.stop();
});
