// Conformance, second chapter: who gets which task, and how long it is theirs.

import assert from 'node:assert/strict';
import type { AgentId, FencingToken, TaskId, TenantId } from '../domain/ids.ts';
import { PRIORITY_STEP_MS } from '../domain/priority.ts';
import {
  ACME,
  claimed,
  claimedOne,
  current,
  ENDPOINT,
  ending,
  historyOf,
  idsOf,
  order,
  requeueing,
  submitted,
  suite,
  WORKER,
} from './conformance-setup.ts';

const needing = (id: string, memoryMb: number) => order(id, { spec: { resources: { memoryMb } } });

/** Claims about claim, queues and position. */
export const claiming = suite(test => {
  test('SAM-110 the more urgent goes first, yet whoever waited five minutes a level longer is not overtaken', async bundle => {
    const { store } = bundle;
    await submitted(store, order('slow', { priority: 9 }), order('normal'), order('later'));
    await bundle.passTime(1_000);
    await submitted(store, order('urgent', { priority: 0 }));
    assert.deepEqual(idsOf(await claimed(store, { limit: 1 })), ['urgent']);
    await bundle.passTime(9 * PRIORITY_STEP_MS);
    await submitted(store, order('too late', { priority: 0 }));
    assert.deepEqual(idsOf(await claimed(store)), ['normal', 'later', 'slow', 'too late']);
  });

  test('the heads of several queues are merged by rank, in order of arrival among equals', async ({
    store,
  }) => {
    const typed = (id: string, typeName: string, priority: 2 | 5) =>
      order(id, { priority, spec: { type: 'custom', typeName } });
    await submitted(
      store,
      typed('a', 'x', 5),
      typed('b', 'y', 5),
      typed('c', 'x', 5),
      typed('d', 'z', 5),
      typed('e', 'y', 2),
      typed('f', 'x', 5),
    );
    assert.deepEqual(idsOf(await claimed(store, { limit: 4 })), ['e', 'a', 'b', 'c']);
    assert.deepEqual(idsOf(await claimed(store)), ['d', 'f']);
  });

  test('a claim of more than one page of a queue keeps its order', async ({ store }) => {
    const ids = Array.from({ length: 150 }, (_, at) => `t${at}`);
    await submitted(store, ...ids.map(id => order(id)));
    const some = await claimed(store, { limit: 40 });
    const rest = await claimed(store, { limit: 500 });
    assert.deepEqual([...idsOf(some), ...idsOf(rest)], ids);
  });

  test('a claimed task is running under its lease, and the attempt is on record', async ({ store }) => {
    await submitted(store, order('a', { notify: ['task_started'] }));
    const { task, token } = await claimedOne(store, { leaseMs: 7_000 });
    assert.deepEqual(task, await current(store, 'a'));
    assert.equal(task.state, 'running');
    assert.equal(task.attempt, 1);
    assert.equal(task.agentId, WORKER);
    assert.equal(task.version, 5);
    const at = task.startedAt ?? assert.fail();
    assert.deepEqual(task.lease, {
      token,
      agentId: WORKER,
      claimedAt: at,
      expiresAt: at + 7_000,
      deadlineAt: at + 60_000,
    });
    const events = await historyOf(store, task.key);
    assert.deepEqual(
      events.slice(3).map(event => (event.kind === 'state' ? event.to : null)),
      ['allocated', 'running'],
    );
    const { items } = await store.deliveries({ tenant: ACME, limit: 10, offset: 0 });
    assert.deepEqual(
      items.map(({ event, sequence, endpoint, status }) => ({ event, sequence, endpoint, status })),
      [{ event: 'task_started', sequence: 5, endpoint: ENDPOINT, status: 'pending' }],
    );
  });

  test('no task is given twice, neither to picks of one call nor to callers at once', async ({ store }) => {
    const ids = Array.from({ length: 60 }, (_, at) => `t${at}`);
    await submitted(store, ...ids.map(id => order(id)));
    const queues = (await store.queues()).map(({ id }) => id);
    const pick = { agentId: WORKER, queues, limit: 7, leaseMs: 1_000 };
    const answers = await Promise.all(Array.from({ length: 5 }, () => store.claim([pick, pick])));
    const given = answers.flat(2).map(({ task }) => task.id);
    assert.equal(given.length, 60);
    assert.deepEqual(new Set(given), new Set(ids));
  });

  test('a pick without queues, or with empty or unknown ones, gets nothing', async ({ store }) => {
    await submitted(store, order('a'));
    const [queue] = await store.queues();
    await claimed(store);
    const pick = { agentId: WORKER, limit: 5, leaseMs: 1_000 };
    const answers = await store.claim([
      { ...pick, queues: [] },
      { ...pick, queues: [queue?.id ?? 0, 999_999] },
    ]);
    assert.deepEqual(answers, [[], []]);
  });

  test('SAM-112 what fits passes what does not, sharing what is free', async ({ store }) => {
    await submitted(
      store,
      needing('big', 900),
      needing('a', 300),
      needing('b', 300),
      order('none'),
      needing('c', 1),
    );
    const claims = await claimed(store, { free: { memoryMb: 600 } });
    assert.deepEqual(idsOf(claims), ['a', 'b', 'none']);
    assert.deepEqual(idsOf(await claimed(store, { free: { cpuCores: 1 } })), ['big', 'c']);
  });

  test('SAM-112 nothing passes a task that has not fitted for over a minute', async bundle => {
    await submitted(bundle.store, needing('big', 900), needing('small', 100));
    await bundle.passTime(61_000);
    assert.deepEqual(await claimed(bundle.store, { free: { memoryMb: 500 } }), []);
    assert.deepEqual(idsOf(await claimed(bundle.store, { free: { memoryMb: 1_000 } })), ['big', 'small']);
  });

  test('SAM-111 a requester with over half of the busy slots is passed over while another waits', async ({
    store,
  }) => {
    const of = (requester: string, ...ids: readonly string[]) => ids.map(id => order(id, { requester }));
    await submitted(store, ...of('greedy', 'g1', 'g2', 'g3', 'g4'), ...of('modest', 'm1', 'm2'));
    const held = { greedy: 3, modest: 1 };
    assert.deepEqual(idsOf(await claimed(store, { limit: 5, held })), ['m1', 'm2', 'g1', 'g2', 'g3']);
    await submitted(store, ...of('modest', 'm3'));
    assert.deepEqual(idsOf(await claimed(store, { held: { greedy: 1, modest: 1 } })), ['g4', 'm3']);
  });

  test('SAM-111 the picks of one call mind what the picks before them got', async ({ store }) => {
    const of = (requester: string, ...ids: readonly string[]) => ids.map(id => order(id, { requester }));
    await submitted(store, ...of('greedy', 'g1', 'g2', 'g3'), ...of('modest', 'm1'));
    const queues = (await store.queues()).map(({ id }) => id);
    const pick = { agentId: WORKER, queues, limit: 1, leaseMs: 1_000, held: {} };
    const answers = await store.claim([pick, pick, pick, pick]);
    assert.deepEqual(answers.flatMap(idsOf), ['g1', 'm1', 'g2', 'g3']);
  });

  test('queues are told apart by type, capabilities, region, requester and tenant', async ({ store }) => {
    const tasks = [
      order('a'),
      order('b', { spec: { requiredCapabilities: ['gpu', 'arm'] } }),
      order('c', { spec: { region: 'eu' } }),
      order('d', { requester: 'another' }),
      order('e', { tenant: 'globex' as TenantId }),
      order('f', { spec: { type: 'custom', typeName: 'paint' } }),
    ];
    await submitted(store, ...tasks, order('a2'));
    const views = await store.queues();
    assert.equal(new Set(views.map(({ id }) => id)).size, 6);
    for (const task of tasks) {
      const view = views.find(({ name }) => JSON.stringify(name) === JSON.stringify(task.queue));
      assert.equal(view?.depth, task.id === 'a' ? 2 : 1);
    }
    const rank = Math.min(...views.map(({ headRank }) => headRank));
    assert.equal(rank, (await current(store, 'a')).createdAt + 5 * PRIORITY_STEP_MS);
  });

  test('a queue shows while it holds a ready task, under the same id over restarts', async bundle => {
    await submitted(bundle.store, order('a'), order('b'));
    const [before] = await bundle.store.queues();
    const claims = await claimed(bundle.store);
    assert.deepEqual(await bundle.store.queues(), []);
    await bundle.reopen();
    assert.deepEqual(await bundle.store.queues(), []);
    await bundle.store.commit(claims.slice(1).map(claim => requeueing(claim)));
    await bundle.reopen();
    assert.deepEqual(await bundle.store.queues(), [{ ...before, depth: 1 }]);
  });

  test('SAM-114 a ready task knows how many of its tenant and type stand before it', async ({ store }) => {
    const [a, b, c] = await submitted(
      store,
      order('a'),
      order('b', { requester: 'another' }),
      order('c'),
      order('other type', { priority: 0, spec: { type: 'monitoring_task' } }),
      order('other tenant', { priority: 0, tenant: 'globex' as TenantId }),
    );
    if (a === undefined || b === undefined || c === undefined) assert.fail();
    assert.deepEqual(
      [await store.position(a, 100), await store.position(b, 100), await store.position(c, 100)],
      [0, 1, 2],
    );
    assert.equal(await store.position(c, 1), 1);
    await submitted(store, order('urgent', { priority: 1 }));
    assert.equal(await store.position(c, 100), 3);
    assert.deepEqual(idsOf(await claimed(store, { limit: 3 })), ['other type', 'urgent', 'a']);
    assert.equal(await store.position(c, 100), 1);
    await claimed(store);
    assert.equal(await store.position(c, 100), null);
  });
});

/** Claims about leases, renew and fencing tokens. */
export const leasing = suite(test => {
  test('fencing tokens only ever grow, over restarts too', async bundle => {
    await submitted(bundle.store, order('a'), order('b'), order('c'));
    const tokens: number[] = [];
    for (let round = 0; round < 3; round++) {
      const claim = await claimedOne(bundle.store);
      tokens.push(claim.token);
      await bundle.reopen();
      if (round === 0) await bundle.store.commit([requeueing(claim)]);
    }
    assert.deepEqual(
      tokens,
      [...new Set(tokens)].sort((one, other) => one - other),
    );
  });

  test('a lease is shown with who holds it, for whom, and what it needs', async ({ store }) => {
    const resources = { memoryMb: 256, cpuCores: 0.5 };
    await submitted(store, order('a', { spec: { resources } }));
    const [queue] = await store.queues();
    const { task, token } = await claimedOne(store);
    const { claimedAt, expiresAt, deadlineAt } = task.lease ?? assert.fail();
    assert.deepEqual(await store.leases({}), [
      {
        key: task.key,
        tenant: ACME,
        taskId: 'a',
        token,
        agentId: WORKER,
        requester: 'orchestrator',
        queue: queue?.id,
        needs: resources,
        claimedAt,
        expiresAt,
        deadlineAt,
        expired: false,
        pastDeadline: false,
      },
    ]);
  });

  test('leases are found by token, by agent, and when overdue', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'), order('b'), order('c', { spec: { attemptTimeoutMs: 4_000 } }));
    const a = await claimedOne(store, { leaseMs: 2_000 });
    const b = await claimedOne(store, { agentId: 'another' as AgentId });
    const c = await claimedOne(store);
    const found = async (query: object): Promise<readonly string[]> =>
      (await store.leases(query)).map(({ taskId }) => taskId);
    assert.deepEqual(await found({}), ['a', 'b', 'c']);
    assert.deepEqual(await found({ tokens: [b.token, c.token, 0 as FencingToken] }), ['b', 'c']);
    assert.deepEqual(await found({ agentId: 'another' }), ['b']);
    assert.deepEqual(await found({ overdue: true }), []);
    await bundle.passTime(2_000);
    assert.deepEqual(await found({ overdue: true }), ['a']);
    await bundle.passTime(2_000);
    const overdue = await store.leases({ overdue: true });
    assert.deepEqual(
      overdue.map(({ taskId, expired, pastDeadline }) => ({ taskId, expired, pastDeadline })),
      [
        { taskId: 'a', expired: true, pastDeadline: false },
        { taskId: 'c', expired: false, pastDeadline: true },
      ],
    );
    assert.deepEqual(await found({ overdue: true, tokens: [a.token] }), ['a']);
  });

  test('a renewed lease lasts from now; a lost one is told so and stays as it is', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const claim = await claimedOne(store, { leaseMs: 2_000 });
    await bundle.passTime(1_500);
    const { key } = claim.task;
    const [kept, lost] = await store.renew([
      { key, token: claim.token, leaseMs: 3_000 },
      { key, token: (claim.token + 1) as FencingToken, leaseMs: 9_000 },
    ]);
    const [lease] = await store.leases({});
    assert.deepEqual(kept, { status: 'kept', expiresAt: lease?.expiresAt });
    assert.equal((lease?.expiresAt ?? 0) - (lease?.claimedAt ?? 0) >= 4_500, true);
    assert.deepEqual(lost, { status: 'lost' });
    await store.commit([ending(claim)]);
    assert.deepEqual(await store.renew([{ key, token: claim.token, leaseMs: 3_000 }]), [{ status: 'lost' }]);
  });

  test('a renewal may move the deadline back, for good, and counts the time as run all the same', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a', { spec: { timeoutMs: 10_000 } }));
    const claim = await claimedOne(store);
    const { key } = claim.task;
    await store.renew([{ key, token: claim.token, leaseMs: 60_000, deadlineMoreMs: 5_000 }]);
    await store.renew([{ key, token: claim.token, leaseMs: 60_000 }]);
    await bundle.reopen();
    const [lease] = await bundle.store.leases({});
    assert.equal(lease?.deadlineAt, (claim.task.lease?.deadlineAt ?? 0) + 5_000);
    await bundle.passTime(12_000);
    assert.deepEqual(await bundle.store.leases({ overdue: true }), []);
    await bundle.store.commit([requeueing(claim)]);
    assert.equal((await current(bundle.store, 'a')).ranMs >= 12_000, true);
  });

  test('running time adds up over attempts and shortens what is left of the timeout', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a', { spec: { timeoutMs: 10_000 } }));
    const first = await claimedOne(store);
    await bundle.passTime(4_000);
    await store.commit([requeueing(first)]);
    const { ranMs } = await current(store, 'a');
    assert.equal(ranMs >= 4_000, true);
    const { task } = await claimedOne(store);
    const { claimedAt, deadlineAt } = task.lease ?? assert.fail();
    assert.equal(deadlineAt - claimedAt, 10_000 - ranMs);
    assert.equal(task.startedAt, first.task.startedAt);
  });

  test('an expired lease still leads its task until someone takes the task away', async bundle => {
    const { store } = bundle;
    await submitted(store, order('a'));
    const claim = await claimedOne(store, { leaseMs: 100 });
    await bundle.passTime(1_000);
    const [outcome] = await store.commit([ending(claim)]);
    assert.equal(outcome?.status, 'done');
  });

  test('a task waiting for another is given to no one', async ({ store }) => {
    await submitted(store, order('a'), order('b', { spec: { dependsOn: ['a' as TaskId] } }));
    assert.deepEqual(idsOf(await claimed(store)), ['a']);
    assert.deepEqual(await claimed(store), []);
  });
});
