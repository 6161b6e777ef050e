import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type HouseOptions, openHouse, orderOf, planOf, until, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { NOTIFICATION_EVENTS } from '../domain/event.ts';
import { DEFAULT_TENANT, type TaskId } from '../domain/ids.ts';
import type { TaskSpec } from '../domain/task.ts';

const custom = { type: 'custom', typeName: 'work' } as const;
const all = planOf([...NOTIFICATION_EVENTS]);

async function setup(send?: HouseOptions['send'], options: HouseOptions['options'] = {}) {
  const clock = new VirtualClock();
  const house = await openHouse({
    clock,
    ...(send === undefined ? {} : { send }),
    options: { slotsPerType: 0, ...options },
  });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  return {
    clock,
    house,
    worker,
    submit: (id: string, spec: Partial<TaskSpec>) =>
      house.engine.submit([orderOf(id, { ...custom, ...spec })]),
    task: (id: string) => house.engine.task(DEFAULT_TENANT, id as TaskId),
    async close() {
      const stopping = house.stop();
      await clock.advance(10_000);
      await stopping;
    },
  };
}

const answer = (status: number, verdict: 'delivered' | 'retry' | 'fail') => ({
  status,
  durationMs: 5,
  answer: '',
  verdict,
});

test('SAM-79 each of the eight events is told under its name, in order', async () => {
  const { clock, house, worker, submit, close } = await setup();
  await submit('a', { notification: all });
  const [lease] = (await worker.ask(1)).leases;
  await clock.advance(1_000);
  await worker.report(lease, { percentage: 10, currentStep: 'one' });
  await clock.advance(1_000);
  await worker.complete(lease, 1);
  await clock.advance(1_000);
  assert.deepEqual(
    house.sent.map(({ event }) => event),
    ['task_started', 'task_progress', 'task_completed'],
  );
  await close();
});

test('SAM-37 a timeout reaches whoever asked for failures only, as a failure; an empty list tells nothing', async () => {
  const { clock, house, worker, submit, close } = await setup();
  await submit('t', { notification: planOf(['task_failed']), timeoutMs: 2_000 });
  await submit('silent', { notification: planOf([]) });
  for (const { task, token } of (await worker.ask(2)).leases) {
    if (task.id === 'silent')
      await worker.exchange({ results: [{ taskId: task.id, token, status: 'completed' }] });
  }
  await clock.advance(5_000);
  assert.deepEqual(
    house.sent.map(({ event }) => event),
    ['task_failed'],
  );
  await close();
});

test('SAM-89 a refusal for now is tried again by the policy until it is taken', async () => {
  let tries = 0;
  const { clock, house, worker, submit, task, close } = await setup(() =>
    ++tries < 3 ? answer(503, 'retry') : answer(200, 'delivered'),
  );
  await submit('r', { notification: planOf(['task_completed']) });
  await worker.complete((await worker.ask(1)).leases[0], 1);
  await clock.advance(5_000);
  assert.deepEqual(
    house.sent.map(({ attempt }) => attempt),
    [1, 2, 3],
  );
  assert.equal(new Set(house.sent.map(({ deliveryId }) => deliveryId)).size, 1);
  assert.equal((await task('r')).state, 'notified');
  await close();
});

test('SAM-93 a notification refused for good leaves the task notification_failed, listed, and then archived', async () => {
  const { clock, house, worker, submit, task, close } = await setup(() => answer(400, 'fail'));
  await submit('f', { notification: planOf(['task_completed']) });
  await worker.complete((await worker.ask(1)).leases[0], 1);
  await clock.advance(1_000);
  assert.equal((await task('f')).state, 'notification_failed');
  const { items } = await house.store.deliveries({
    tenant: DEFAULT_TENANT,
    statuses: ['failed'],
    limit: 10,
    offset: 0,
  });
  assert.equal(items[0]?.attempts[0]?.status, 400);
  await clock.advance(70_000);
  assert.deepEqual([(await task('f')).state, (await task('f')).outcome], ['archived', 'completed']);
  await close();
});

test('SAM-93 a cancelled task is told of but does not wait for it', async () => {
  const { clock, house, submit, task, close } = await setup(() => answer(503, 'retry'));
  await submit('c', { notification: planOf(['task_cancelled']) });
  await house.engine.cancel({ tenant: DEFAULT_TENANT, id: 'c' as TaskId, actor: 'tester' });
  assert.equal((await task('c')).state, 'cancelled');
  await clock.advance(61_000);
  assert.equal((await task('c')).state, 'archived');
  assert.ok(house.sent.length > 0);
  await close();
});

test('SAM-85 unsent progress is dropped when newer progress or the end comes, and the end is not held up', async () => {
  const { clock, house, worker, submit, close } = await setup(undefined, { webhooksPerHour: 2 });
  await submit('p', { notification: all });
  const [lease] = (await worker.ask(1)).leases;
  await clock.advance(100);
  await worker.report(lease, { percentage: 10, currentStep: 'one' });
  await worker.report(lease, { percentage: 20, currentStep: 'two' });
  await clock.advance(2_000);
  await worker.complete(lease, 1);
  await clock.advance(2 * 3_600_000);
  assert.deepEqual(
    house.sent.map(({ event }) => event),
    ['task_started', 'task_completed'],
  );
  const { total } = await house.store.deliveries({
    tenant: DEFAULT_TENANT,
    statuses: ['dropped'],
    limit: 1,
    offset: 0,
  });
  assert.equal(total, 2);
  await close();
});

test('SAM-86 progress without a new step is told at most once in its interval; a step change at once', async () => {
  const { clock, house, worker, submit, close } = await setup();
  await submit('q', { notification: { ...planOf(['task_progress']), progressIntervalMs: 10_000 } });
  const [lease] = (await worker.ask(1)).leases;
  for (let percentage = 1; percentage <= 5; percentage++) {
    await worker.report(lease, { percentage });
    await clock.advance(1_000);
  }
  assert.equal(house.sent.length, 0);
  await worker.report(lease, { percentage: 6, currentStep: 'new' });
  await clock.advance(1_000);
  assert.equal(house.sent.length, 1);
  await clock.advance(9_500);
  await worker.report(lease, { percentage: 7, currentStep: 'new' });
  await clock.advance(1_000);
  assert.equal(house.sent.length, 2);
  await close();
});

test('SAM-91 after ten failures in a row an endpoint is left alone, spending no attempts, then probed', async () => {
  let up = false;
  const { clock, house, worker, submit, close } = await setup(() =>
    up ? answer(200, 'delivered') : answer(503, 'retry'),
  );
  const patient = {
    ...planOf(['task_completed']),
    retry: { ...all.retry, attemptsMax: 20, firstDelayMs: 10, delayMaxMs: 20 },
  };
  for (let n = 0; n < 12; n++) await submit(`e${n}`, { notification: patient });
  for (const lease of (await worker.ask(12)).leases) await worker.complete(lease, 1);
  await clock.advance(5_000);
  const tried = house.sent.length;
  const [endpoint] = house.engine.endpoints(DEFAULT_TENANT);
  assert.equal(endpoint?.breaker, 'open');
  await clock.advance(20_000);
  assert.equal(house.sent.length, tried, 'an open breaker was not left alone');
  up = true;
  await clock.advance(60_000);
  assert.equal(house.engine.endpoints(DEFAULT_TENANT)[0]?.breaker, 'closed');
  const { total } = await house.store.deliveries({
    tenant: DEFAULT_TENANT,
    statuses: ['delivered'],
    limit: 1,
    offset: 0,
  });
  assert.equal(total, 12);
  await close();
});

test('SAM-91 when an endpoint recovers, what it missed for passing reasons is sent once more, and only once', async () => {
  let up = false;
  const { clock, house, worker, submit, close } = await setup(({ event }) =>
    up ? answer(200, 'delivered') : event === 'task_started' ? answer(400, 'fail') : answer(503, 'retry'),
  );
  const brief = { ...planOf(['task_started', 'task_completed']), retry: { ...all.retry, attemptsMax: 1 } };
  for (let n = 0; n < 10; n++) await submit(`m${n}`, { notification: brief });
  for (const lease of (await worker.ask(10)).leases) await worker.complete(lease, 1);
  await clock.advance(120_000);
  const failed = async () =>
    (await house.store.deliveries({ tenant: DEFAULT_TENANT, statuses: ['failed'], limit: 100, offset: 0 }))
      .items;
  const missed = (await failed()).filter(({ event }) => event === 'task_completed').length;
  assert.ok(missed > 0);
  up = true;
  for (const id of ['probe-1', 'probe-2']) {
    await submit(id, { notification: brief });
    await worker.complete((await worker.ask(1)).leases[0], 1);
    await clock.advance(700_000);
  }
  const { items } = await house.store.deliveries({ tenant: DEFAULT_TENANT, limit: 200, offset: 0 });
  const copies = items.filter(({ redeliveryOf }) => redeliveryOf !== undefined);
  assert.deepEqual([copies.length, copies.every(({ status }) => status === 'delivered')], [missed, true]);
  assert.ok(copies.every(({ event }) => event === 'task_completed'));
  await close();
});

test('SAM-91 what was never sent because its target is not permitted is not sent once more; what got no answer is', async () => {
  let up = false;
  const { clock, house, worker, submit, close } = await setup(({ event }) =>
    event === 'task_started'
      ? { ...answer(200, 'fail'), status: null }
      : up
        ? answer(200, 'delivered')
        : { ...answer(200, 'retry'), status: null },
  );
  const brief = { ...planOf(['task_started', 'task_completed']), retry: { ...all.retry, attemptsMax: 1 } };
  for (let n = 0; n < 10; n++) await submit(`m${n}`, { notification: brief });
  for (const lease of (await worker.ask(10)).leases) await worker.complete(lease, 1);
  await clock.advance(120_000);
  up = true;
  await submit('probe', { notification: planOf(['task_completed']) });
  await worker.complete((await worker.ask(1)).leases[0], 1);
  await clock.advance(700_000);
  const { items } = await house.store.deliveries({ tenant: DEFAULT_TENANT, limit: 200, offset: 0 });
  const copies = items.filter(({ redeliveryOf }) => redeliveryOf !== undefined);
  assert.deepEqual([...new Set(copies.map(({ event }) => event))], ['task_completed']);
  await close();
});

test('SAM-54 an endpoint gets no more than its hourly number of notifications; the rest waits', async () => {
  const clock = new VirtualClock();
  const house = await openHouse({ clock, options: { slotsPerType: 0, webhooksPerHour: 5 } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  await house.engine.submit(
    Array.from({ length: 8 }, (_, n) =>
      orderOf(`h${n}`, { ...custom, notification: planOf(['task_completed']) }),
    ),
  );
  for (const lease of (await worker.ask(8)).leases) await worker.complete(lease, 1);
  await clock.advance(60_000);
  assert.equal(house.sent.length, 5);
  await clock.advance(3_600_000);
  assert.equal(house.sent.length, 8);
  const stopping = house.stop();
  await clock.advance(10_000);
  await stopping;
});

test('SAM-92 a delivery can be sent again: a new delivery id, the same notification', async () => {
  const house = await openHouse();
  await house.engine.submit([orderOf('again', { notification: planOf(['task_completed']) })]);
  await until(house, 'again', task => task.state === 'notified');
  const [first] = house.sent;
  const [copy] = await house.store.redeliver([
    { tenant: DEFAULT_TENANT, of: first?.deliveryId as never, id: 'second' as never },
  ]);
  assert.ok(copy !== null);
  house.engine.wakeOutbox();
  while (house.sent.length < 2) await new Promise(resolve => setImmediate(resolve));
  assert.deepEqual(
    [house.sent[1]?.deliveryId, house.sent[1]?.notificationId],
    ['second', first?.notificationId],
  );
  await house.stop();
});

test('SAM-176 the notify phase is recorded step by step; without subscribers there is none', async () => {
  let tries = 0;
  const { clock, house, worker, submit, task, close } = await setup(() =>
    ++tries === 1 ? answer(503, 'retry') : answer(200, 'delivered'),
  );
  await submit('loud', { notification: planOf(['task_completed']) });
  await submit('quiet', {});
  for (const lease of (await worker.ask(2)).leases) await worker.complete(lease, 1);
  await clock.advance(5_000);
  const notesOf = async (id: string) => {
    const events = await house.store.events({
      of: 'task',
      key: (await task(id)).key,
      afterSequence: 0,
      limit: 50,
    });
    return events.flatMap(event =>
      event.kind === 'note' && event.name === 'notify' ? [event.detail.steps] : [],
    );
  };
  const steps = ['compile', 'validate', 'sign', 'deliver', 'retry', 'await_acknowledgement', 'confirm'];
  assert.deepEqual(await notesOf('loud'), [steps]);
  assert.deepEqual(await notesOf('quiet'), []);
  await close();
});
