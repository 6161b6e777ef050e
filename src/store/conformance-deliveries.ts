// Conformance, fourth chapter: notifications on their way out, and in which order they may start.

import assert from 'node:assert/strict';
import type { DeliveryAttempt, DeliveryStatus, NewDelivery } from '../domain/delivery.ts';
import type { DeliveryId, TaskId, TenantId } from '../domain/ids.ts';
import {
  ACME,
  claimedOne,
  current,
  ENDPOINT,
  ending,
  historyOf,
  noting,
  order,
  reporting,
  submitted,
  suite,
  telling,
} from './conformance-setup.ts';
import type { DeliverySettlement } from './rows.ts';
import type { Store } from './store.ts';

const LEASE_MS = 5_000;

const tried: DeliveryAttempt = { at: 1, status: 503, durationMs: 20, answer: 'busy' };

async function taken(store: Store): Promise<readonly string[]> {
  const { due } = await store.dueDeliveries(100, LEASE_MS);
  return due.map(({ delivery }) => delivery.id);
}

async function settled(
  store: Store,
  id: string,
  next: DeliverySettlement['next'],
  more: Partial<DeliverySettlement> = {},
): Promise<void> {
  await store.settleDeliveries([{ id: id as DeliveryId, attempt: tried, next, ...more }]);
}

async function statusOf(store: Store, id: string): Promise<DeliveryStatus | null> {
  const page = await store.deliveries({ tenant: ACME, id: id as DeliveryId, limit: 1, offset: 0 });
  return page.items[0]?.status ?? null;
}

/** Makes a change of a task that tells of it. */
async function told(store: Store, taskId: string, ...deliveries: readonly NewDelivery[]): Promise<void> {
  for (const delivery of deliveries) {
    const [outcome] = await store.commit([noting(await current(store, taskId), { deliveries: [delivery] })]);
    assert.equal(outcome?.status, 'done');
  }
}

/** Claims about deliveries. */
export const delivering = suite(test => {
  test('a due delivery comes with its task and the event it tells of, marked as sending', async ({
    store,
  }) => {
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    const started = await current(store, 'a');
    await store.commit([
      ending(claim, 'completed', { deliveries: [telling('d', 'task_completed', { eventIndex: 1 })] }),
    ]);
    const { due, nextDueInMs } = await store.dueDeliveries(10, LEASE_MS);
    assert.equal(due.length, 1);
    const [{ delivery, task, event }] = due as [(typeof due)[0] & object];
    assert.deepEqual(task, await current(store, 'a'));
    assert.deepEqual(event, (await historyOf(store, task.key))[6]);
    assert.equal(event.kind === 'state' && event.to, 'completed');
    assert.equal(delivery.sequence, started.version + 2);
    assert.equal(delivery.status, 'sending');
    assert.equal(delivery.taskId, 'a');
    assert.deepEqual(delivery.attempts, []);
    assert.equal(nextDueInMs !== null && nextDueInMs > 0 && nextDueInMs <= LEASE_MS, true);
    assert.deepEqual(await taken(store), []);
    await settled(store, 'd', { status: 'delivered' });
    assert.deepEqual(await store.dueDeliveries(10, LEASE_MS), { due: [], nextDueInMs: null });
    assert.equal(await statusOf(store, 'd'), 'delivered');
  });

  test('a delivery is not due before its time, nor after a try before the next one', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const { createdAt } = await current(store, 'a');
    await told(store, 'a', telling('d', 'agent_error', { dueAt: createdAt + 60_000 }));
    assert.deepEqual(await taken(store), []);
    await bundle.passTime(60_000);
    assert.deepEqual(await taken(store), ['d']);
    await settled(store, 'd', { status: 'pending', dueInMs: 2_000 });
    assert.deepEqual(await taken(store), []);
    await bundle.passTime(2_000);
    const { due } = await store.dueDeliveries(10, LEASE_MS);
    assert.deepEqual(due[0]?.delivery.attempts, [tried]);
  });

  test('SAM-87 what a dead sender had taken comes back', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    await told(store, 'a', telling('d', 'agent_error'));
    assert.deepEqual(await taken(store), ['d']);
    await bundle.reopen();
    assert.deepEqual(await taken(bundle.store), []);
    await bundle.passTime(LEASE_MS);
    assert.deepEqual(await taken(bundle.store), ['d']);
  });

  test('a settlement carries the change that goes with it, ignored where stale', async ({ store }) => {
    await submitted(store, order('a'));
    await told(
      store,
      'a',
      telling('d', 'agent_error'),
      telling('e', 'agent_error', { endpoint: 'https://e' }),
    );
    await taken(store);
    const task = await current(store, 'a');
    await settled(store, 'd', { status: 'delivered' }, { change: noting(task) });
    assert.equal((await current(store, 'a')).version, task.version + 1);
    await settled(store, 'e', { status: 'failed' }, { change: noting(task) });
    assert.equal((await current(store, 'a')).version, task.version + 1);
    assert.equal(await statusOf(store, 'e'), 'failed');
  });

  test('NOOB-52 one change tells of one event by several channels, none of which waits for another', async ({
    store,
  }) => {
    const notices = [
      { channel: 'email', url: 'mailto:ann@example.com', events: ['task_completed'] },
    ] as const;
    const asked = order('a');
    await submitted(store, { ...asked, spec: { ...asked.spec, notices } });
    const claim = await claimedOne(store);
    const mail = { channel: 'email', endpoint: 'mailto:ann@example.com' };
    const deliveries = [telling('d', 'task_completed'), telling('e', 'task_completed', mail)];
    await store.commit([ending(claim, 'completed', { deliveries })]);
    const { due } = await store.dueDeliveries(10, LEASE_MS);
    assert.deepEqual(
      due.map(({ delivery, task: { spec } }) => [delivery.channel, delivery.endpoint, spec.notices]).sort(),
      [
        ['email', 'mailto:ann@example.com', notices],
        ['webhook', ENDPOINT, notices],
      ],
    );
    assert.equal(due[0]?.delivery.sequence, due[1]?.delivery.sequence);
  });

  test('a settlement without a try records none', async ({ store }) => {
    await submitted(store, order('a'));
    await told(store, 'a', telling('d', 'agent_error'));
    await taken(store);
    await store.settleDeliveries([{ id: 'd' as DeliveryId, next: { status: 'pending', dueInMs: 0 } }]);
    const { due } = await store.dueDeliveries(10, LEASE_MS);
    assert.deepEqual(due[0]?.delivery.attempts, []);
  });

  test('a late answer to a delivery that has ended is recorded and changes nothing', async ({ store }) => {
    await submitted(store, order('a'));
    await told(store, 'a', telling('d', 'agent_error'));
    await taken(store);
    await settled(store, 'd', { status: 'delivered' });
    await settled(store, 'd', { status: 'pending', dueInMs: 0 });
    const { items } = await store.deliveries({ tenant: ACME, limit: 10, offset: 0 });
    assert.equal(items[0]?.status, 'delivered');
    assert.equal(items[0]?.attempts.length, 2);
    assert.deepEqual(await taken(store), []);
  });

  test('SAM-92 deliveries are listed by task, endpoint, status and time, newest first', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'), order('b'), order('a', { tenant: 'globex' as TenantId }));
    await told(
      store,
      'a',
      telling('1', 'agent_error'),
      telling('2', 'agent_error', { endpoint: 'https://e' }),
    );
    await bundle.passTime(1_000);
    await told(store, 'b', telling('3', 'agent_error'));
    const later = (await current(store, 'b')).updatedAt;
    await store.dueDeliveries(1, LEASE_MS);
    const found = async (query: object): Promise<string> => {
      const { items, total } = await store.deliveries({ tenant: ACME, limit: 10, offset: 0, ...query });
      assert.equal(items.length, total);
      return items.map(({ id }) => id).join(' ');
    };
    assert.equal(await found({}), '3 2 1');
    assert.equal(await found({ taskId: 'a' }), '2 1');
    assert.equal(await found({ endpoint: ENDPOINT }), '3 1');
    assert.equal(await found({ statuses: ['sending', 'failed'] }), '1');
    assert.equal(await found({ since: later }), '3');
    assert.equal(await found({ until: later }), '2 1');
    assert.equal(await found({ tenant: 'globex' as TenantId }), '');
    const page = await store.deliveries({ tenant: ACME, limit: 1, offset: 1 });
    assert.deepEqual([page.items[0]?.id, page.total], ['2', 3]);
  });

  test('SAM-92 a redelivery is a copy due at once that names the first of its line', async ({ store }) => {
    await submitted(store, order('a'));
    await told(store, 'a', telling('d', 'agent_error'));
    await taken(store);
    await settled(store, 'd', { status: 'failed' });
    const copy = (of: string, id: string, tenant = ACME) => ({
      tenant,
      of: of as DeliveryId,
      id: id as DeliveryId,
    });
    const foreign = copy('d', 'x', 'globex' as TenantId);
    const [made, none, hidden] = await store.redeliver([copy('d', 'e'), copy('nobody', 'f'), foreign]);
    assert.deepEqual([none, hidden], [null, null]);
    assert.equal(made?.redeliveryOf, 'd');
    assert.equal(made?.status, 'pending');
    const { due } = await store.dueDeliveries(10, LEASE_MS);
    assert.deepEqual(
      due.map(({ delivery }) => [delivery.id, delivery.attempts.length, delivery.sequence]),
      [['e', 0, 4]],
    );
    assert.equal(await statusOf(store, 'd'), 'failed');
    const [again] = await store.redeliver([copy('e', 'g')]);
    assert.equal(again?.redeliveryOf, 'd');
  });
});

/** Claims about the order of deliveries. */
export const ordering = suite(test => {
  test('SAM-85 of one task and endpoint one delivery is sent at a time, in order of events', async ({
    store,
  }) => {
    await submitted(store, order('a'));
    await told(
      store,
      'a',
      telling('1', 'task_started'),
      telling('2', 'agent_error'),
      telling('3', 'resource_warning'),
    );
    for (const id of ['1', '2', '3']) {
      assert.deepEqual(await taken(store), [id]);
      assert.deepEqual(await taken(store), []);
      await settled(store, id, { status: 'delivered' });
    }
    assert.deepEqual(await taken(store), []);
  });

  test('other tasks and other endpoints do not wait', async ({ store }) => {
    await submitted(store, order('a'), order('b'));
    await told(
      store,
      'a',
      telling('1', 'agent_error'),
      telling('2', 'agent_error', { endpoint: 'https://e' }),
    );
    await told(store, 'b', telling('3', 'agent_error'));
    assert.deepEqual(await taken(store), ['1', '2', '3']);
  });

  test('SAM-85 an end does not wait for an earlier delivery that failed, but for one that was never tried', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    await told(store, 'a', telling('start', 'task_started'));
    await store.commit([
      ending(claim, 'completed', { deliveries: [telling('end', 'task_completed', { eventIndex: 1 })] }),
    ]);
    assert.deepEqual(await taken(store), ['start']);
    // Put off untried, as when the endpoint's breaker is open.
    await store.settleDeliveries([
      { id: 'start' as DeliveryId, next: { status: 'pending', dueInMs: 1_000 } },
    ]);
    assert.deepEqual(await taken(store), []);
    await bundle.passTime(1_000);
    assert.deepEqual(await taken(store), ['start']);
    await settled(store, 'start', { status: 'pending', dueInMs: 30_000 });
    assert.deepEqual(await taken(store), ['end']);
    await settled(store, 'end', { status: 'delivered' });
    await bundle.passTime(30_000);
    assert.deepEqual(await taken(store), ['start']);
  });

  test('what waits behind a dead sender waits until its delivery came back', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    await told(store, 'a', telling('1', 'agent_error'));
    assert.deepEqual(await taken(store), ['1']);
    await told(store, 'a', telling('2', 'agent_error'));
    await bundle.passTime(LEASE_MS);
    assert.deepEqual(await taken(store), ['1']);
    await settled(store, '1', { status: 'failed' });
    assert.deepEqual(await taken(store), ['2']);
  });

  test('SAM-85 unsent progress is dropped when newer progress or an end is queued', async ({ store }) => {
    await submitted(store, order('a'), order('b'));
    const claim = await claimedOne(store);
    const progress = (id: string, percentage: number) =>
      reporting(claim, percentage, { deliveries: [telling(id, 'task_progress')] });
    await store.commit([progress('1', 10)]);
    await told(store, 'a', telling('elsewhere', 'task_progress', { endpoint: 'https://e' }));
    await told(store, 'a', telling('error', 'agent_error'));
    assert.equal(await statusOf(store, '1'), 'pending');
    await store.commit([progress('2', 20)]);
    assert.equal(await statusOf(store, '1'), 'dropped');
    await store.commit([
      ending(claim, 'completed', { deliveries: [telling('end', 'task_completed', { eventIndex: 1 })] }),
    ]);
    assert.equal(await statusOf(store, '2'), 'dropped');
    assert.equal(await statusOf(store, 'error'), 'pending');
    assert.equal(await statusOf(store, 'elsewhere'), 'pending');
    assert.equal((await store.measure()).deliveriesPending, 3);
  });

  test('SAM-85 progress under way when newer is queued is not tried again', async ({ store }) => {
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    const progress = (id: string, percentage: number) =>
      reporting(claim, percentage, { deliveries: [telling(id, 'task_progress')] });
    await store.commit([progress('1', 10)]);
    assert.deepEqual(await taken(store), ['1']);
    await store.commit([progress('2', 20)]);
    assert.equal(await statusOf(store, '1'), 'sending');
    await settled(store, '1', { status: 'pending', dueInMs: 0 });
    assert.equal(await statusOf(store, '1'), 'dropped');
    assert.deepEqual(await taken(store), ['2']);
  });

  test('a call takes no more than its limit, and a due rest is announced at once', async ({ store }) => {
    const ids = Array.from({ length: 5 }, (_, at) => `t${at}`);
    await submitted(store, ...ids.map(id => order(id)));
    for (const id of ids) await told(store, id, telling(`of ${id}`, 'agent_error'));
    const first = await store.dueDeliveries(3, LEASE_MS);
    assert.deepEqual([first.due.length, first.nextDueInMs], [3, 0]);
    assert.equal((await taken(store)).length, 2);
  });

  test('deliveries are gone with what they told of, once that is purged', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    await store.commit([ending(claim, 'completed', { deliveries: [telling('d', 'task_completed')] })]);
    await bundle.passTime(1_000);
    const terms = { resultsMs: 500, logsMs: 1e9, samplesMs: 1e9, artifactsMs: 1e9 };
    await store.purge(terms, 10);
    assert.deepEqual(await taken(store), []);
    assert.equal((await store.measure()).deliveriesPending, 0);
    const page = await store.deliveries({ tenant: ACME, taskId: 'a' as TaskId, limit: 1, offset: 0 });
    assert.equal(page.total, 0);
  });
});
