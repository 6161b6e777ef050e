import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { openHouse, orderOf, workAs } from '../../test/harness.ts';
import type { AgentId, TaskId, TaskKey } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { Task, TaskSpec } from '../domain/task.ts';
import { DAY, refusedWith, SECOND, setup } from './fixture.test.ts';
import type { QuotaPlan } from './quota-plan.ts';

const work = { type: 'custom', typeName: 'work' } as const;

/** The engine under a tenant's quotas, with a worker for `work`. */
async function houseUnder(t: TestContext, quotas: QuotaPlan) {
  const bundle = await setup();
  const { guards, clock } = bundle;
  await guards.tenants.update(DEFAULT_TENANT, { options: { quotas } });
  const house = await openHouse({
    store: bundle.store,
    clock,
    quotas: guards.quotas,
    options: { slotsPerType: 0 },
  });
  t.after(async () => {
    await guards.stop();
    await house.stop();
  });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  const submit = async (id: string, spec: Partial<TaskSpec> = {}) => {
    const [admission] = await house.engine.submit([orderOf(id, { ...work, ...spec })]);
    return admission?.kind === 'refused' || admission?.kind === 'rejected'
      ? admission.error
      : admission?.kind;
  };
  const started = async () => (await worker.ask(10)).leases;
  const standing = (userId?: string) =>
    guards.quotas.standing(DEFAULT_TENANT, {
      credential: 'key:one',
      ...(userId === undefined ? {} : { userId }),
    });
  return { ...bundle, house, worker, submit, started, standing };
}

/** A task as the engine hands it to quotas, running since the clock's now. */
function running(now: number, spec: Partial<TaskSpec> = {}, id = 't1'): Task {
  const order = orderOf(id, { ...work, ...spec });
  return {
    ...order,
    key: 1 as TaskKey,
    state: 'running',
    attempt: 1,
    lease: { token: 1, agentId: 'w1' as AgentId, claimedAt: now, expiresAt: now, deadlineAt: now },
  } as unknown as Task;
}

test('SAM-119 a tenant that queues runs no more tasks at once than its quota, and says why the rest wait', async t => {
  const { house, submit, started, worker, standing } = await houseUnder(t, {
    tenant: { policy: 'queue', limits: { concurrent_tasks: 2 } },
  });
  for (const id of ['a', 'b', 'c', 'd']) assert.equal(await submit(id), 'admitted');
  const first = await started();
  assert.deepEqual(
    first.map(lease => lease.task.id),
    ['a', 'b'],
  );
  assert.deepEqual(await started(), []);
  const forecast = await house.engine.forecast(await house.engine.task(DEFAULT_TENANT, 'c' as TaskId));
  assert.deepEqual(forecast.waiting, {
    because: 'quota',
    position: 1,
    spent: { quota: 'concurrent_tasks', limit: 2, used: 2, resets_at: null },
  });
  assert.equal(standing()[0]?.used.concurrent_tasks, 2);
  await worker.complete(first[0], null);
  assert.deepEqual(
    (await started()).map(lease => lease.task.id),
    ['c'],
  );
});

test('SAM-119 SAM-165 what reserves nothing, as a workflow that waits for its steps, does not stand in their way', async t => {
  const { submit, started } = await houseUnder(t, {
    tenant: { policy: 'queue', limits: { concurrent_tasks: 1 } },
  });
  await submit('workflow', { resources: { memoryMb: 0, cpuCores: 0 } });
  assert.equal((await started()).length, 1);
  for (const id of ['step', 'other']) await submit(id);
  assert.deepEqual(
    (await started()).map(lease => lease.task.id),
    ['step'],
  );
});

test('SAM-119 two workers that ask at the same moment do not get more of a tenant than its quota', async t => {
  const { house, submit, worker } = await houseUnder(t, {
    tenant: { policy: 'queue', limits: { concurrent_tasks: 1 } },
  });
  const other = workAs(house, 'w2', ['custom:work']);
  await other.hello();
  for (const id of ['a', 'b', 'c']) await submit(id);
  const answers = await Promise.all([worker.ask(3), other.ask(3)]);
  assert.equal(answers.flatMap(answer => answer.leases).length, 1);
});

test('SAM-119 a tenant’s tasks reserve no more memory at once than its quota, and one that alone would is rejected', async t => {
  const { submit, started, worker } = await houseUnder(t, {
    tenant: { policy: 'queue', limits: { memory_mb: 1_000 } },
  });
  const tooBig = await submit('huge', { resources: { memoryMb: 1_001 } });
  assert.ok(typeof tooBig === 'object' && tooBig.code === 'unprocessable');
  for (const id of ['a', 'b', 'c']) await submit(id, { resources: { memoryMb: 400 } });
  const first = await started();
  assert.deepEqual(
    first.map(lease => lease.task.id),
    ['a', 'b'],
  );
  await worker.complete(first[1], null);
  assert.deepEqual(
    (await started()).map(lease => lease.task.id),
    ['c'],
  );
});

test('SAM-119 a failed attempt gives its place back before the task is tried again', async t => {
  const { submit, started, worker } = await houseUnder(t, {
    tenant: { policy: 'queue', limits: { concurrent_tasks: 1 } },
  });
  await submit('a', { retry: { ...orderOf('a').spec.retry, firstDelayMs: 0, attemptsMax: 2 } });
  const [lease] = await started();
  await worker.fail(lease, { recoverable: true });
  const [again] = await started();
  assert.equal(again?.task.attempt, 2);
});

test('SAM-119 a tenant that refuses answers rate_limited beyond its quota, but still knows a repeated order', async t => {
  const { submit, started, worker } = await houseUnder(t, {
    tenant: { policy: 'refuse', limits: { concurrent_tasks: 2 } },
  });
  const answers = await Promise.all(['a', 'b', 'c'].map(id => submit(id)));
  const refusal = answers[2];
  assert.deepEqual(answers.slice(0, 2), ['admitted', 'admitted']);
  assert.ok(typeof refusal === 'object' && refusal.code === 'rate_limited');
  assert.deepEqual(refusal.details, {
    scope: 'tenant',
    quota: 'concurrent_tasks',
    limit: 2,
    used: 2,
    resets_at: null,
  });
  assert.equal(await submit('a'), 'admitted');
  const [lease] = await started();
  await worker.complete(lease, null);
  assert.equal(await submit('a'), 'admitted');
  assert.equal(await submit('c'), 'admitted');
  assert.ok(typeof (await submit('d')) === 'object');
});

test('SAM-119 an order that is not stored after all holds nothing', async t => {
  const { house, submit } = await houseUnder(t, {
    tenant: { policy: 'refuse', limits: { concurrent_tasks: 1 } },
  });
  const unknown = { ...work, dependsOn: ['nobody' as TaskId] };
  const [admission] = await house.engine.submit([orderOf('a', unknown)]);
  assert.equal(admission?.kind, 'refused');
  const batch = ['x', 'y'].map(id => orderOf(id, work));
  assert.ok((await house.engine.submit(batch, { atomic: true })).every(one => one.kind === 'refused'));
  assert.equal(await submit('b'), 'admitted');
});

test('SAM-119 a credential and a user have quotas of their own, and others theirs', async t => {
  const { submit } = await houseUnder(t, {
    credentials: { 'key:one': { concurrent_tasks: 1 } },
    users: { '*': { concurrent_tasks: 2 }, vip: { concurrent_tasks: 3 } },
  });
  const agentId = 'tester' as AgentId;
  const of = (userId: string) => ({ requester: { agentId, userId } });
  assert.equal(await submit('k1', { submittedBy: 'key:one' }), 'admitted');
  const second = await submit('k2', { submittedBy: 'key:one' });
  assert.ok(typeof second === 'object' && second.details.scope === 'credential');
  assert.equal(await submit('k3', { submittedBy: 'key:two' }), 'admitted');
  for (const id of ['a1', 'a2']) assert.equal(await submit(id, of('anna')), 'admitted');
  const third = await submit('a3', of('anna'));
  assert.ok(typeof third === 'object' && third.details.scope === 'user');
  for (const id of ['v1', 'v2', 'v3']) assert.equal(await submit(id, of('vip')), 'admitted');
});

test('SAM-119 what runs is counted in CPU seconds, tokens and cost of the day, over attempts, users and restarts', async t => {
  const { clock, worker, submit, started, standing, guards, node } = await houseUnder(t, {
    tenant: { policy: 'queue', limits: { cpu_seconds_per_day: 60, tokens_per_day: 500, cost_per_day: 5 } },
    users: { anna: { cpu_seconds_per_day: 60 } },
  });
  const spec = { resources: { cpuCores: 2 }, requester: { agentId: 'tester' as AgentId, userId: 'anna' } };
  for (const id of ['a', 'b']) await submit(id, spec);
  const [lease] = (await worker.ask(1)).leases;
  assert.ok(lease !== undefined);
  clock.pass(10 * SECOND);
  const ref = { taskId: lease.task.id, token: lease.token };
  const metrics = { executionSeconds: 1, tokensUsed: 500, cost: 0.25 };
  await worker.exchange({ results: [{ ...ref, status: 'completed', output: null, metrics }] });
  const [tenant, user] = standing('anna');
  assert.deepEqual(tenant?.used, {
    concurrent_tasks: 0,
    memory_mb: 0,
    cpu_seconds_per_day: 20,
    cost_per_day: 0.25,
    tokens_per_day: 500,
  });
  assert.equal(user?.used.cpu_seconds_per_day, 20);
  assert.deepEqual(await started(), []);
  await guards.stop();
  const again = await node();
  assert.equal(again.quotas.standing(DEFAULT_TENANT, { credential: '' })[0]?.used.tokens_per_day, 500);
  await again.stop();
});

test('SAM-119 a quota of the day refuses until midnight UTC, and then lets in again', async t => {
  const { guards, clock } = await setup();
  t.after(() => guards.stop());
  await guards.tenants.update(DEFAULT_TENANT, {
    options: { quotas: { tenant: { policy: 'refuse', limits: { tokens_per_day: 100 } } } },
  });
  const { quotas } = guards;
  const task = running(clock.now());
  quotas.admit(task);
  quotas.began(task);
  quotas.left(task, { outcome: 'completed', result: { metrics: { tokensUsed: 100 } } });
  const other = running(clock.now(), {}, 't2');
  const refusal = await refusedWith('rate_limited', (async () => quotas.admit(other))());
  assert.deepEqual(refusal.details.resets_at, '2026-01-16T00:00:00.000Z');
  assert.equal(refusal.retryAfterMs, DAY / 2);
  clock.pass(DAY / 2 - 1);
  assert.throws(() => quotas.admit(other));
  clock.pass(1);
  quotas.admit(other);
  assert.equal(quotas.room(DEFAULT_TENANT)?.tasks, Number.POSITIVE_INFINITY);
});

test('SAM-119 tasks from before a restart count too', async t => {
  const { submit, started, guards, node } = await houseUnder(t, {
    tenant: { policy: 'refuse', limits: { concurrent_tasks: 5 } },
  });
  for (const id of ['a', 'b', 'c']) await submit(id);
  assert.equal((await started()).length, 3);
  await submit('d');
  const again = await node();
  assert.equal(again.quotas.standing(DEFAULT_TENANT, { credential: '' })[0]?.used.concurrent_tasks, 4);
  assert.equal(again.quotas.room(DEFAULT_TENANT)?.tasks, 2);
  await again.stop();
  await guards.stop();
});

test('SAM-119 without a plan nothing is counted and nothing limits; a limit that is none is refused', async () => {
  const { guards, clock } = await setup();
  assert.equal(guards.quotas.room(DEFAULT_TENANT), null);
  guards.quotas.began(running(clock.now()));
  assert.deepEqual(guards.quotas.standing(DEFAULT_TENANT, { credential: 'key:one' }), []);
  const quotas = { users: { '*': { concurrent_tasks: -1 } } };
  await refusedWith('invalid_request', guards.tenants.update(DEFAULT_TENANT, { options: { quotas } }));
  await guards.stop();
});
