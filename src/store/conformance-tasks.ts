// Conformance, first chapter: accepting, reading and listing tasks, and the log of their events.

import assert from 'node:assert/strict';
import type { TaskEvent } from '../domain/event.ts';
import type { AgentId, TaskId, TenantId } from '../domain/ids.ts';
import { isEnd } from '../domain/transitions.ts';
import {
  ACME,
  claimed,
  claimedOne,
  current,
  ending,
  historyOf,
  order,
  rejection,
  reporting,
  requeueing,
  submitted,
  suite,
} from './conformance-setup.ts';

const GLOBEX = 'globex' as TenantId;

/** What of a task its events tell. */
function replayed(events: readonly TaskEvent[]): object {
  let state: string | null = null;
  let outcome: string | null = null;
  let attempt = 0;
  for (const event of events) {
    if (event.kind !== 'state') continue;
    state = event.to;
    attempt = event.attempt ?? attempt;
    if (isEnd(event.to)) outcome = event.to;
  }
  return { state, outcome, attempt, version: events.at(-1)?.sequence ?? 0 };
}

/** Claims about submit. */
export const submitting = suite(test => {
  test('an accepted task is read back whole', async ({ store }) => {
    const task = order('a', { spec: { payload: { text: 'Zürich ✓', deep: [1, { x: null }] } } });
    const [outcome] = await store.submit([task]);
    assert.equal(outcome?.status, 'created');
    const read = await current(store, 'a');
    assert.deepEqual(read.spec, task.spec);
    assert.equal(read.executionId, task.executionId);
    assert.equal(read.state, 'queued');
    assert.equal(read.version, 3);
    assert.equal(read.attempt, 0);
    assert.equal(read.createdAt, outcome?.status === 'created' ? outcome.at : null);
    assert.equal(read.queuedAt, read.createdAt);
    for (const absent of [
      read.outcome,
      read.startedAt,
      read.endedAt,
      read.lease,
      read.result,
      read.progress,
    ]) {
      assert.equal(absent, null);
    }
  });

  test('text that not every database takes is kept whole in a task, and looked for in vain elsewhere', async ({
    store,
  }) => {
    const odd = 'a zero \0 and half a pair \ud800';
    const task = order('a', { spec: { payload: { [odd]: odd }, description: odd } });
    await submitted(store, task);
    assert.deepEqual((await current(store, 'a')).spec, task.spec);
    assert.deepEqual(await store.read([{ tenant: ACME, id: odd as TaskId }]), [null]);
    const page = { tenant: ACME, limit: 1, offset: 0 };
    assert.equal((await store.list({ ...page, sessionId: odd, types: [odd] })).total, 0);
    assert.equal((await store.deliveries({ ...page, endpoint: odd })).total, 0);
    const waiting = order('b', { spec: { dependsOn: [odd as TaskId] } });
    assert.deepEqual(
      (await store.submit([waiting])).map(({ status }) => status),
      ['unknown_dependency'],
    );
  });

  test('there is null where there is no task, and tenants do not see one another', async ({ store }) => {
    await submitted(store, order('a'), order('a', { tenant: GLOBEX }));
    const ids = [
      { tenant: ACME, id: 'b' as TaskId },
      { tenant: GLOBEX, id: 'a' as TaskId },
      { tenant: 'initech' as TenantId, id: 'a' as TaskId },
    ];
    const read = await store.read(ids);
    assert.deepEqual(
      read.map(task => task?.tenant ?? null),
      [null, GLOBEX, null],
    );
  });

  test('SAM-47 the same id with the same fingerprint answers the first task and starts nothing', async ({
    store,
  }) => {
    await submitted(store, order('a'));
    const [again] = await store.submit([order('a')]);
    assert.deepEqual(again, { status: 'same', task: await current(store, 'a') });
    assert.equal((await claimed(store)).length, 1);
  });

  test('SAM-47 the same id with another fingerprint is different and changes nothing', async ({ store }) => {
    await submitted(store, order('a'));
    const before = await current(store, 'a');
    const outcomes = await store.submit([order('a', { task: { fingerprint: 'another' } })]);
    assert.deepEqual(outcomes, [{ status: 'different' }]);
    assert.deepEqual(await current(store, 'a'), before);
  });

  test('SAM-47 simultaneous duplicates make one task', async ({ store }) => {
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => store.submit([order('a'), order('a')])),
    );
    const statuses = outcomes.flat().map(({ status }) => status);
    assert.equal(statuses.filter(status => status === 'created').length, 1);
    assert.equal(statuses.filter(status => status === 'same').length, 39);
    assert.equal((await claimed(store)).length, 1);
  });

  test('SAM-47 an idempotency key answers the task it first made, whatever id is asked for', async ({
    store,
  }) => {
    const keyed = { idempotencyKey: 'k', fingerprint: 'f' };
    await submitted(store, order('a', { task: keyed }), order('a', { tenant: GLOBEX, task: keyed }));
    const outcomes = await store.submit([
      order('b', { task: keyed }),
      order('c', { task: { ...keyed, fingerprint: 'another' } }),
    ]);
    assert.deepEqual(outcomes, [
      { status: 'same', task: await current(store, 'a') },
      { status: 'different' },
    ]);
    assert.deepEqual(await store.read([{ tenant: ACME, id: 'b' as TaskId }]), [null]);
  });

  test('SAM-46 a rejected task is kept with its reason and stands in no queue', async ({ store }) => {
    const task = rejection('a');
    await submitted(store, task);
    const read = await current(store, 'a');
    assert.equal(read.state, 'rejected');
    assert.equal(read.outcome, 'rejected');
    assert.equal(read.endedAt, read.createdAt);
    assert.deepEqual(read.result, task.result);
    assert.deepEqual(await store.queues(), []);
  });

  test('SAM-46 the id of a rejected task is judged afresh, with a history of its own', async ({ store }) => {
    await submitted(store, rejection('a'));
    const [key] = await submitted(store, order('a'));
    const read = await current(store, 'a');
    assert.equal(read.state, 'queued');
    assert.equal(read.key, key);
    const history = await historyOf(store, read.key);
    assert.deepEqual(replayed(history), { state: 'queued', outcome: null, attempt: 0, version: 3 });
    assert.equal((await store.list({ tenant: ACME, limit: 10, offset: 0 })).total, 1);
    assert.deepEqual(
      (await store.submit([order('a')])).map(({ status }) => status),
      ['same'],
    );
  });

  test('SAM-46 the idempotency key of a rejected task goes to the next request', async ({ store }) => {
    const keyed = { idempotencyKey: 'k' };
    await submitted(store, rejection('a', { task: keyed }), order('b', { task: keyed }));
    const [again] = await store.submit([order('c', { task: { ...keyed, fingerprint: 'fingerprint of b' } })]);
    assert.equal(again?.status === 'same' ? again.task.id : null, 'b');
    assert.equal((await current(store, 'a')).outcome, 'rejected');
  });

  test('an atomic submit accepts all or none', async ({ store }) => {
    await submitted(store, order('taken'));
    const tasks = [order('a'), order('b'), order('taken', { task: { fingerprint: 'another' } })];
    const outcomes = await store.submit(tasks, { atomic: true });
    assert.deepEqual(outcomes, [{ status: 'aborted' }, { status: 'aborted' }, { status: 'different' }]);
    assert.deepEqual(await store.read([{ tenant: ACME, id: 'a' as TaskId }]), [null]);
    assert.equal((await store.measure()).ready, 1);

    const accepted = await store.submit([order('a'), order('b'), order('taken')], { atomic: true });
    assert.deepEqual(
      accepted.map(({ status }) => status),
      ['created', 'created', 'same'],
    );
    assert.equal((await store.queues())[0]?.depth, 3);
  });

  test('without atomic, one refused task does not keep out its neighbours', async ({ store }) => {
    const outcomes = await store.submit([
      order('a', { spec: { dependsOn: ['nobody' as TaskId] } }),
      order('b'),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['unknown_dependency', 'created'],
    );
  });

  test('a tenant with as many waiting tasks as it may have is full, yet repetitions are answered', async ({
    store,
  }) => {
    const limited = (id: string) => order(id, { task: { waitingMax: 2 } });
    await submitted(
      store,
      limited('a'),
      order('b', { task: { timers: [{ kind: 'ready', dueInMs: 5_000 }] } }),
    );
    assert.deepEqual(
      (await store.submit([limited('c'), limited('a'), order('d', { tenant: GLOBEX })])).map(
        ({ status }) => status,
      ),
      ['full', 'same', 'created'],
    );
    const claim = await claimedOne(store);
    await submitted(store, limited('c'));
    await store.commit([requeueing(claim)]);
    assert.deepEqual(await store.submit([limited('d')]), [{ status: 'full' }]);
    for (const one of await claimed(store)) await store.commit([ending(one)]);
    await submitted(store, limited('d'));
  });

  test('the count of waiting tasks survives a restart', async bundle => {
    const limited = (id: string) => order(id, { task: { waitingMax: 2 } });
    await submitted(bundle.store, limited('a'), limited('b'));
    await bundle.reopen();
    assert.deepEqual(await bundle.store.submit([limited('c')]), [{ status: 'full' }]);
    await claimedOne(bundle.store);
    await submitted(bundle.store, limited('c'));
  });

  test('dependencies are tasks of the same tenant, earlier ones of the same call included', async ({
    store,
  }) => {
    await submitted(store, order('foreign', { tenant: GLOBEX }));
    const needing = (id: string, ...dependsOn: readonly string[]) =>
      order(id, { spec: { dependsOn: dependsOn as readonly TaskId[] } });
    const outcomes = await store.submit([
      order('a'),
      needing('b', 'a'),
      needing('c', 'foreign', 'a', 'later'),
      order('later'),
    ]);
    assert.deepEqual(outcomes[2], { status: 'unknown_dependency', ids: ['foreign', 'later'] });
    const b = await current(store, 'b');
    assert.deepEqual(await store.dependencies(b.key), [{ id: 'a', outcome: null }]);
    assert.deepEqual(await store.dependencies((await current(store, 'a')).key), []);
  });

  test('a task with dependencies or a start to wait for is not ready', async ({ store }) => {
    await submitted(
      store,
      order('a'),
      order('b', { spec: { dependsOn: ['a' as TaskId] } }),
      order('c', { task: { timers: [{ kind: 'ready', dueInMs: 1_000 }] } }),
      order('d', { task: { timers: [{ kind: 'queue_timeout', dueInMs: 1_000 }] } }),
    );
    const claims = await claimed(store);
    assert.deepEqual(
      claims.map(({ task }) => task.id),
      ['a', 'd'],
    );
  });
});

/** Claims about list and events. */
export const reading = suite(test => {
  test('a list has the newest first, a page at a time, and knows how many there are', async ({ store }) => {
    await submitted(store, ...['a', 'b', 'c', 'd', 'e'].map(id => order(id)), order('x', { tenant: GLOBEX }));
    const page = await store.list({ tenant: ACME, limit: 2, offset: 1 });
    assert.equal(page.total, 5);
    assert.deepEqual(
      page.items.map(({ id }) => id),
      ['d', 'c'],
    );
  });

  test('whoever lists sees what was asked before, answered or not', async ({ store }) => {
    const accepted = store.submit([order('a')]);
    assert.equal((await store.list({ tenant: ACME, limit: 1, offset: 0 })).total, 1);
    await accepted;
  });

  test('a list is filtered by everything a query can name', async ({ store }) => {
    const labels = { client_version: '1.5.0', line: 'b' };
    const from = { agentId: 'boss' as AgentId, sessionId: 's', userId: 'u', correlationId: 'c' };
    await submitted(
      store,
      order('custom', { spec: { type: 'custom', typeName: 'paint' } }),
      order('from', { spec: { requester: from } }),
      rejection('refused'),
      order('waiting', { priority: 9, spec: { labels, payload: { text: 'a\0\0b\\u0000\uD800' } } }),
    );
    const claims = await claimed(store, { limit: 2, agentId: 'painter' as AgentId });
    await store.commit(claims.slice(0, 1).map(claim => ending(claim)));
    const found = async (query: object): Promise<string> => {
      const { items, total } = await store.list({ tenant: ACME, limit: 10, offset: 0, ...query });
      assert.equal(items.length, total);
      return items.map(({ id }) => id).join(' ');
    };
    assert.equal(await found({ ids: ['from', 'waiting', 'nobody'] }), 'waiting from');
    assert.equal(await found({ types: ['custom'] }), 'custom');
    assert.equal(await found({ states: ['running', 'queued'] }), 'waiting from');
    assert.equal(await found({ states: ['running'] }), 'from');
    assert.equal(await found({ outcomes: ['completed', 'rejected'] }), 'refused custom');
    assert.equal(await found({ agentId: 'boss' }), 'from');
    assert.equal(await found({ agentId: 'painter' }), 'from custom');
    assert.equal(await found({ sessionId: 's' }), 'from');
    assert.equal(await found({ userId: 'u' }), 'from');
    assert.equal(await found({ correlationId: 'c', states: ['running'] }), 'from');
    assert.equal(await found({ correlationId: 'c', states: ['queued'] }), '');
    assert.equal(await found({ label: { name: 'client_version', value: '1.5.0' } }), 'waiting');
    assert.equal(await found({ label: { name: 'client_version', value: '1.5' } }), '');
  });

  test('events are numbered from 1 without gaps and read on from any number', async ({ store }) => {
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    await store.commit([reporting(claim, 10), reporting(claim, 20), ending(claim)]);
    const events = await historyOf(store, claim.task.key);
    assert.deepEqual(
      events.map(({ sequence }) => sequence),
      [1, 2, 3, 4, 5, 6, 7, 8, 9],
    );
    assert.equal(events[8]?.sequence, (await current(store, 'a')).version);
    const some = await store.events({ of: 'task', key: claim.task.key, afterSequence: 4, limit: 3 });
    assert.deepEqual(some, events.slice(4, 7));
    assert.deepEqual(await store.events({ of: 'task', key: claim.task.key, afterSequence: 9, limit: 3 }), []);
  });

  test('events of a tenant are read on from any cursor, each once, in order of commit', async ({ store }) => {
    await submitted(store, order('a'), order('b'), order('x', { tenant: GLOBEX }));
    for (const claim of await claimed(store)) await store.commit([ending(claim)]);
    const seen: TaskEvent[] = [];
    for (let cursor: string | null = null; ; cursor = seen.at(-1)?.cursor ?? null) {
      const next = await store.events({ of: 'tenant', tenant: ACME, afterCursor: cursor, limit: 3 });
      if (next.length === 0) break;
      seen.push(...next);
    }
    assert.equal(seen.length, 14);
    assert.equal(new Set(seen.map(({ cursor }) => cursor)).size, 14);
    assert.deepEqual(new Set(seen.map(({ tenant }) => tenant)), new Set([ACME]));
    for (const id of ['a', 'b']) {
      const ofTask = seen.filter(({ taskId }) => taskId === id);
      assert.deepEqual(ofTask, await historyOf(store, (await current(store, id)).key));
    }
  });

  test('a reader of a tenant misses nothing when a rejected task is replaced', async ({ store }) => {
    await submitted(store, rejection('a'));
    const before = await store.events({ of: 'tenant', tenant: ACME, afterCursor: null, limit: 10 });
    await submitted(store, order('a'));
    const afterCursor = before.at(-1)?.cursor ?? null;
    const after = await store.events({ of: 'tenant', tenant: ACME, afterCursor, limit: 10 });
    assert.deepEqual(
      after.map(({ sequence }) => sequence),
      [1, 2, 3],
    );
  });

  test('SAM-103 replaying the events of a task rebuilds its row at every step', async ({ store }) => {
    const [key] = await submitted(store, order('a'));
    if (key === undefined) assert.fail();
    const check = async (): Promise<void> => {
      const { state, outcome, attempt, version } = await current(store, 'a');
      assert.deepEqual(replayed(await historyOf(store, key)), { state, outcome, attempt, version });
    };
    await check();
    const first = await claimedOne(store);
    await check();
    await store.commit([reporting(first, 50)]);
    await check();
    await store.commit([requeueing(first)]);
    await check();
    const second = await claimedOne(store);
    await check();
    await store.commit([ending(second, 'failed')]);
    await check();
    assert.deepEqual(replayed(await historyOf(store, key)), {
      state: 'failed',
      outcome: 'failed',
      attempt: 2,
      version: 11,
    });
  });
});
