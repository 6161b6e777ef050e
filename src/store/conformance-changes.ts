// Conformance, third chapter: guarded changes, who wins a race, and what timers do.

import assert from 'node:assert/strict';
import type { FencingToken, TaskId, TaskKey } from '../domain/ids.ts';
import { isEnd } from '../domain/transitions.ts';
import {
  ACME,
  cancelling,
  claimed,
  claimedOne,
  current,
  ending,
  historyOf,
  idsOf,
  noting,
  order,
  rejection,
  reporting,
  requeueing,
  submitted,
  suite,
} from './conformance-setup.ts';

const waitingFor = (id: string, ...dependsOn: readonly string[]) =>
  order(id, { spec: { dependsOn: dependsOn as readonly TaskId[] } });

/** Claims about commit. */
export const changing = suite(test => {
  test('the holder of the lease ends the task', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    await bundle.passTime(1_500);
    const [outcome] = await store.commit([ending(claim)]);
    const task = await current(store, 'a');
    assert.deepEqual(outcome, { status: 'done', version: 7, at: task.endedAt, dependentsWoken: 0 });
    assert.equal(task.state, 'completed');
    assert.equal(task.outcome, 'completed');
    assert.equal(task.version, 7);
    assert.equal(task.attempt, 1);
    assert.equal(task.lease, null);
    assert.equal(task.lastToken, claim.token);
    assert.equal(task.agentId, claim.task.agentId);
    assert.deepEqual(task.result, { output: { sum: 2 }, metrics: {} });
    assert.equal(task.ranMs, (task.endedAt ?? 0) - (task.startedAt ?? 0));
    assert.equal(task.ranMs >= 1_500, true);
    assert.equal(task.updatedAt, task.endedAt);
    assert.deepEqual(await store.leases({}), []);
    assert.deepEqual(await claimed(store), []);
  });

  test('a lost lease changes nothing', async ({ store }) => {
    await submitted(store, order('a'));
    const lost = await claimedOne(store);
    await store.commit([requeueing(lost)]);
    assert.deepEqual(await store.commit([ending(lost)]), [{ status: 'stale' }]);
    const claim = await claimedOne(store);
    const before = await current(store, 'a');
    const outcomes = await store.commit([ending(lost), reporting(lost, 99), requeueing(lost)]);
    assert.deepEqual(outcomes, [{ status: 'stale' }, { status: 'stale' }, { status: 'stale' }]);
    assert.deepEqual(await current(store, 'a'), before);
    assert.equal(before.lastToken, lost.token);
    assert.equal(before.lease?.token, claim.token);
  });

  test('SAM-104 when cancel, completion and loss of the lease race, there is exactly one end', async ({
    store,
  }) => {
    const ids = Array.from({ length: 12 }, (_, at) => `t${at}`);
    await submitted(store, ...ids.map(id => order(id)));
    for (const claim of await claimed(store)) {
      const racers = [ending(claim), cancelling(claim.task), ending(claim, 'timeout'), requeueing(claim)];
      const turn = claim.task.key % racers.length;
      const rotated = [...racers.slice(turn), ...racers.slice(0, turn)];
      const outcomes = await Promise.all(rotated.map(racer => store.commit([racer])));
      const won = outcomes.flat().map(({ status }) => status);
      assert.deepEqual([...won].sort(), ['done', 'stale', 'stale', 'stale']);
      const task = await current(store, claim.task.id);
      const ends = (await historyOf(store, task.key)).filter(
        event => event.kind === 'state' && isEnd(event.to),
      );
      assert.equal(ends.length, task.outcome === null ? 0 : 1);
      assert.equal(task.lease, null);
    }
  });

  test('a change guarded by version is stale once anything has happened', async ({ store }) => {
    await submitted(store, order('a'));
    const before = await current(store, 'a');
    const claim = await claimedOne(store);
    assert.deepEqual(await store.commit([noting(before)]), [{ status: 'stale' }]);
    await store.commit([reporting(claim, 10)]);
    assert.deepEqual(await store.commit([cancelling(claim.task)]), [{ status: 'stale' }]);
    const outcomes = await store.commit([noting(await current(store, 'a')), ending(claim)]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['done', 'done'],
    );
  });

  test('changes of one call see one another', async ({ store }) => {
    await submitted(store, order('a'));
    const task = await current(store, 'a');
    const outcomes = await store.commit([noting(task), noting(task), noting({ ...task, version: 4 })]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['done', 'stale', 'done'],
    );
    assert.equal((await current(store, 'a')).version, 5);
  });

  test('a change of a task that does not exist is stale', async ({ store }) => {
    const nobody = { key: 12_345 as TaskKey, events: [] };
    assert.deepEqual(
      await store.commit([
        { ...nobody, guard: { by: 'version', version: 0 } },
        { ...nobody, guard: { by: 'lease', token: 1 as FencingToken } },
      ]),
      [{ status: 'stale' }, { status: 'stale' }],
    );
  });

  test('cancelling a waiting task takes it out of its queue', async ({ store }) => {
    await submitted(store, order('a'), order('b'));
    await store.commit([cancelling(await current(store, 'a'))]);
    assert.equal((await store.queues())[0]?.depth, 1);
    assert.deepEqual(idsOf(await claimed(store)), ['b']);
    const task = await current(store, 'a');
    assert.equal(task.outcome, 'cancelled');
    assert.equal(task.startedAt, null);
    assert.equal(task.endedAt, task.updatedAt);
  });

  test('cancelling a running task takes its lease', async ({ store }) => {
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    await store.commit([cancelling(claim.task)]);
    assert.deepEqual(await store.leases({}), []);
    assert.deepEqual(await store.commit([ending(claim)]), [{ status: 'stale' }]);
    assert.equal((await current(store, 'a')).outcome, 'cancelled');
  });

  test('the states after an end leave outcome and end as they were', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    await store.commit([ending(await claimedOne(store))]);
    const ended = await current(store, 'a');
    await bundle.passTime(1_000);
    const notifying = {
      kind: 'state',
      from: 'completed',
      to: 'notifying',
      actor: 'system',
      phase: 'notify',
    } as const;
    await store.commit([noting(ended, { state: 'notifying', events: [notifying] })]);
    const after = await current(store, 'a');
    assert.equal(after.state, 'notifying');
    assert.equal(after.outcome, 'completed');
    assert.equal(after.endedAt, ended.endedAt);
    assert.deepEqual(after.result, ended.result);
    assert.equal(after.updatedAt > ended.updatedAt, true);
  });

  test('an outcome never changes: a second one is refused and nothing of it happens', async ({ store }) => {
    await submitted(store, order('a'));
    await store.commit([cancelling(await current(store, 'a'))]);
    const ended = await current(store, 'a');
    await assert.rejects(store.commit([cancelling(ended, { outcome: 'failed', state: 'failed' })]));
    assert.deepEqual(await current(store, 'a'), ended);
  });

  test('a call that is refused takes no neighbour with it', async ({ store }) => {
    await submitted(store, order('a'), order('b'));
    await store.commit([cancelling(await current(store, 'a'))]);
    const [a, b] = [await current(store, 'a'), await current(store, 'b')];
    const refused = cancelling({ ...a, version: a.version + 1 }, { outcome: 'failed', state: 'failed' });
    const [wrong, right] = await Promise.allSettled([
      store.commit([noting(a), refused]),
      store.commit([noting(b)]),
      store.submit([order('c')]),
    ]);
    assert.equal(wrong.status, 'rejected');
    assert.equal(right.status, 'fulfilled');
    assert.equal((await current(store, 'a')).version, 4);
    assert.equal((await current(store, 'b')).version, 4);
    assert.equal((await current(store, 'c')).state, 'queued');
  });

  test('progress and checkpoint show while running; the next attempt gets the checkpoint alone', async ({
    store,
  }) => {
    await submitted(store, order('a'));
    const first = await claimedOne(store);
    const progress = { percentage: 40, currentStep: 'load', totalSteps: 3 };
    await store.commit([reporting(first, 40, { progress, checkpoint: { row: 7 } }), reporting(first, 60)]);
    const running = await current(store, 'a');
    assert.deepEqual(running.progress, { percentage: 60 });
    assert.deepEqual(running.checkpoint, { row: 7 });
    assert.equal(running.version, 7);
    assert.equal(running.state, 'running');
    await store.commit([requeueing(first)]);
    assert.deepEqual((await current(store, 'a')).progress, { percentage: 60 });
    const { task } = await claimedOne(store);
    assert.equal(task.attempt, 2);
    assert.equal(task.progress, null);
    assert.deepEqual(task.checkpoint, { row: 7 });
  });

  test('a requeued task stands where it stood', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    await bundle.passTime(100);
    await submitted(store, order('b'));
    const claim = await claimedOne(store);
    await bundle.passTime(100);
    await store.commit([requeueing(claim)]);
    await submitted(store, order('c'));
    assert.deepEqual(idsOf(await claimed(store)), ['a', 'b', 'c']);
  });

  test('a paused task stands nowhere until it is placed again', async ({ store }) => {
    await submitted(store, order('a', { spec: { resources: { memoryMb: 64 } } }));
    const queued = await current(store, 'a');
    const paused = { kind: 'state', from: 'queued', to: 'paused', actor: 'tester', phase: 'run' } as const;
    await store.commit([noting(queued, { events: [paused], state: 'paused', placement: 'nowhere' })]);
    assert.deepEqual(await store.queues(), []);
    const resting = await current(store, 'a');
    await store.commit([noting(resting, { state: 'queued', placement: 'ready' })]);
    assert.deepEqual(await claimed(store, { free: { memoryMb: 63 } }), []);
    assert.deepEqual(idsOf(await claimed(store, { free: { memoryMb: 64 } })), ['a']);
  });
});

/** Claims about timers and dependencies. */
export const timing = suite(test => {
  test('due timers come earliest first with their tasks, and stay until they are answered', async bundle => {
    const { store } = bundle;
    const timers = [
      { kind: 'queue_timeout', dueInMs: 2_000 },
      { kind: 'ready', dueInMs: 1_000 },
      { kind: 'archive', dueInMs: 90_000 },
    ] as const;
    await submitted(store, order('a', { task: { timers } }));
    assert.deepEqual((await store.dueTimers(10)).due, []);
    await bundle.passTime(2_000);
    const { due, nextDueInMs } = await store.dueTimers(10);
    assert.deepEqual(
      due.map(({ kind, task }) => [kind, task.id]),
      [
        ['ready', 'a'],
        ['queue_timeout', 'a'],
      ],
    );
    assert.equal(nextDueInMs !== null && nextDueInMs > 0 && nextDueInMs <= 88_000, true);
    assert.deepEqual((await store.dueTimers(1)).due, due.slice(0, 1));

    const task = due[0]?.task ?? assert.fail();
    await store.commit([noting(task, { state: 'queued', placement: 'ready', fired: due[0]?.id ?? 0 })]);
    assert.deepEqual(idsOf(await claimed(store)), ['a']);
    assert.deepEqual(
      (await store.dueTimers(10)).due.map(({ kind }) => kind),
      ['queue_timeout'],
    );
  });

  test('a stale change does nothing but drop its fired timer', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a', { task: { timers: [{ kind: 'queue_timeout', dueInMs: 0 }] } }));
    await bundle.passTime(1);
    const [timer] = (await store.dueTimers(10)).due;
    await claimedOne(store);
    const before = await current(store, 'a');
    const stale = cancelling(timer?.task ?? assert.fail(), { fired: timer?.id ?? 0 });
    assert.deepEqual(await store.commit([stale]), [{ status: 'stale' }]);
    assert.deepEqual(await current(store, 'a'), before);
    assert.deepEqual(await store.dueTimers(10), { due: [], nextDueInMs: null });
    assert.equal((await store.measure()).timers, 0);
  });

  test('timers survive a restart and can be answered after it', async bundle => {
    await submitted(bundle.store, order('a', { task: { timers: [{ kind: 'ready', dueInMs: 10 }] } }));
    await bundle.passTime(10);
    const [before] = (await bundle.store.dueTimers(10)).due;
    await bundle.reopen();
    const [after] = (await bundle.store.dueTimers(10)).due;
    assert.deepEqual(after, before);
    await bundle.reopen();
    const task = before?.task ?? assert.fail();
    await bundle.store.commit([
      noting(task, { state: 'queued', placement: 'ready', fired: before?.id ?? 0 }),
    ]);
    assert.deepEqual(await bundle.store.dueTimers(10), { due: [], nextDueInMs: null });
  });

  test('a change sets timers due from its commit', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const claim = await claimedOne(store);
    const timers = [{ kind: 'ready', dueInMs: 3_000 }] as const;
    await store.commit([requeueing(claim, { placement: 'nowhere', timers })]);
    const { due, nextDueInMs } = await store.dueTimers(10);
    assert.deepEqual(due, []);
    assert.equal(nextDueInMs !== null && nextDueInMs > 0 && nextDueInMs <= 3_000, true);
    await bundle.passTime(3_000);
    assert.deepEqual(
      (await store.dueTimers(10)).due.map(({ kind }) => kind),
      ['ready'],
    );
  });

  test('a task with dependencies is looked at once at its start and at each of their ends', async ({
    store,
  }) => {
    await submitted(store, order('a'), order('b'), waitingFor('c', 'a', 'b'));
    const woken = async () => {
      const { due } = await store.dueTimers(10);
      const tasks = due.map(({ kind, task }) => `${kind} ${task.id}`);
      for (const { id, task } of due) await store.commit([noting(task, { events: [], fired: id })]);
      return tasks;
    };
    assert.deepEqual(await woken(), ['dependency c']);
    const [a, b] = await claimed(store);
    if (a === undefined || b === undefined) assert.fail();
    const [first] = await store.commit([ending(a)]);
    assert.equal(first?.status === 'done' && first.dependentsWoken, 1);
    assert.deepEqual(await woken(), ['dependency c']);
    const c = await current(store, 'c');
    assert.deepEqual(await store.dependencies(c.key), [
      { id: 'a', outcome: 'completed' },
      { id: 'b', outcome: null },
    ]);
    await store.commit([ending(b, 'failed')]);
    assert.deepEqual(await woken(), ['dependency c']);
    assert.deepEqual((await store.dependencies(c.key))[1], { id: 'b', outcome: 'failed' });
  });

  test('an end wakes only those that still wait', async ({ store }) => {
    await submitted(store, order('a'), waitingFor('b', 'a'), waitingFor('c', 'a'));
    await store.commit([cancelling(await current(store, 'b'))]);
    const [outcome] = await store.commit([ending(await claimedOne(store))]);
    assert.equal(outcome?.status === 'done' && outcome.dependentsWoken, 1);
  });

  test('SAM-46 whoever waits for a rejected task waits for the one that takes its place', async ({
    store,
  }) => {
    await submitted(store, rejection('a'), waitingFor('b', 'a'));
    const b = await current(store, 'b');
    assert.deepEqual(await store.dependencies(b.key), [{ id: 'a', outcome: 'rejected' }]);
    await submitted(store, order('a'));
    assert.deepEqual(await store.dependencies(b.key), [{ id: 'a', outcome: null }]);
    const [outcome] = await store.commit([ending(await claimedOne(store))]);
    assert.equal(outcome?.status === 'done' && outcome.dependentsWoken, 1);
  });

  test('SAM-88 a changed notification plan holds at rest, under a lease, for the next claim, and over a restart', async bundle => {
    const { store } = bundle;
    const [key] = await submitted(store, order('a', { notify: ['task_started'] }));
    const before = (await current(store, 'a')).spec;
    const planTo = (url: string) => ({
      channel: 'webhook',
      url,
      events: ['task_started' as const],
      retry: before.retry,
    });
    const resting = planTo('https://example.org/second');
    await store.commit([noting(await current(store, 'a'), { notification: resting })]);
    assert.deepEqual((await current(store, 'a')).spec, { ...before, notification: resting });
    const claim = await claimedOne(store);
    assert.deepEqual(claim.task.spec.notification, resting);
    const told = await store.deliveries({ tenant: ACME, limit: 10, offset: 0 });
    assert.deepEqual(
      told.items.map(({ endpoint }) => endpoint),
      [resting.url],
    );
    const leased = planTo('https://example.org/third');
    await store.commit([reporting(claim, 5, { notification: leased }), requeueing(claim)]);
    await store.commit([reporting(claim, 9, { notification: resting })]);
    await bundle.reopen();
    const [again] = await claimed(bundle.store);
    assert.deepEqual([again?.task.key, again?.task.spec], [key, { ...before, notification: leased }]);
  });
});
