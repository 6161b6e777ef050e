import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { type HouseOptions, openHouse, orderOf, planOf, until, workAs } from '../../test/harness.ts';
import { share } from '../../test/shared.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { connect } from '../../test/simulation/faults.ts';
import type { AgentId, TaskId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { TaskSpec } from '../domain/task.ts';
import { pause } from '../runtime/clock.ts';
import { type Random, systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';
import type { AttemptContext, AttemptResult } from './ports/executor.ts';

const cache = { ttlMs: 60_000 };
const custom = { type: 'custom', typeName: 'work' } as const;

/** A house that counts what it runs; attempts wait for the gate where there is one. */
async function setup(t: TestContext, more: HouseOptions & { gate?: Promise<void> } = {}) {
  const ran: string[] = [];
  const house = await openHouse({
    async run(context) {
      ran.push(context.task.id);
      await more.gate;
      return { status: 'completed', output: { by: context.task.id } };
    },
    ...more,
  });
  t.after(() => house.stop());
  return {
    house,
    ran,
    submit: (id: string, spec: Partial<TaskSpec> = {}, tenant?: string) =>
      house.engine.submit([orderOf(id, { cache, ...spec }, tenant)]),
    ended: (id: string, tenant?: string) => until(house, id, task => task.outcome !== null, tenant),
  };
}

test('SAM-234 an identical task gets the result of the first, marked with its source, through all its states', async t => {
  const { house, ran, submit, ended } = await setup(t);
  await submit('one', { payload: { a: 1, b: 2 } });
  const one = await ended('one');
  await submit('two', { payload: { b: 2, a: 1 }, notification: planOf(['task_started', 'task_completed']) });
  const two = await until(house, 'two', task => task.state === 'notified');
  assert.deepEqual(ran, ['one']);
  assert.deepEqual(two.result?.output, { by: 'one' });
  assert.deepEqual(two.result?.cachedFrom, { taskId: 'one', executionId: one.executionId });
  assert.deepEqual(
    house.sent.map(({ event }) => event),
    ['task_started', 'task_completed'],
  );
  const events = await house.store.events({ of: 'task', key: two.key, afterSequence: 0, limit: 50 });
  const states = events.flatMap(event => (event.kind === 'state' ? [event.to] : []));
  assert.deepEqual(states.slice(2, 7), ['queued', 'allocated', 'running', 'completing', 'completed']);
  assert.equal(one.result?.cachedFrom, undefined);
});

test('SAM-234 without `cache`, by another key, data, type or tenant nothing is used again', async t => {
  const { ran, submit, ended } = await setup(t);
  await submit('one');
  await ended('one');
  const others: readonly [string, Partial<TaskSpec>, string?][] = [
    ['uncached', { cache: undefined } as unknown as Partial<TaskSpec>],
    ['keyed', { cache: { ...cache, key: 'v2' } }],
    ['data', { payload: { other: true } }],
    ['variables', { variables: { A: '1' } }],
    ['tenant', {}, 'other'],
  ];
  for (const [id, spec, tenant] of others) {
    await submit(id, spec, tenant);
    assert.deepEqual((await ended(id, tenant)).result?.output, { by: id });
  }
  assert.equal(ran.length, 6);
});

test('SAM-234 a result is used no longer than its time, and a failure never', async t => {
  const clock = new VirtualClock();
  let fails = true;
  const ran: string[] = [];
  const house = await openHouse({
    clock,
    async run({ task }) {
      ran.push(task.id);
      const error = { code: 'task_failed', message: 'no', recoverable: false } as const;
      return fails ? { status: 'failed', error } : { status: 'completed', output: task.id };
    },
  });
  t.after(() => house.store.stop());
  const run = async (id: string, ttlMs = 60_000) => {
    await house.engine.submit([orderOf(id, { cache: { ttlMs } })]);
    await clock.advance(1_000);
    return (await house.engine.task(DEFAULT_TENANT, id as TaskId)).result?.output;
  };
  await run('failed');
  fails = false;
  assert.equal(await run('good'), 'good');
  assert.equal(await run('hit'), 'good');
  assert.equal(await run('wants fresher', 1_500), 'wants fresher');
  await clock.advance(61_000);
  assert.equal(await run('late'), 'late');
  assert.deepEqual(ran, ['failed', 'good', 'wants fresher', 'late']);
});

test('SAM-234 a stampede of identical tasks runs one, and those that wait take no slot', async t => {
  const gate = Promise.withResolvers<void>();
  const { house, ran, submit, ended } = await setup(t, { gate: gate.promise, options: { slotsPerType: 2 } });
  for (let n = 0; n < 30; n++) await submit(`same-${n}`);
  await until(house, 'same-29', task => task.state === 'running');
  await submit('different', { payload: { other: true } });
  await until(house, 'different', task => task.state === 'running');
  gate.resolve();
  for (let n = 0; n < 30; n++) assert.deepEqual((await ended(`same-${n}`)).result?.output, { by: 'same-0' });
  assert.deepEqual(ran, ['same-0', 'different']);
});

test('SAM-234 when the first one fails the next is run, and a waiting one can be cancelled', async t => {
  const gate = Promise.withResolvers<void>();
  const ran: string[] = [];
  const { house, submit, ended } = await setup(t, {
    async run({ task }: AttemptContext): Promise<AttemptResult> {
      ran.push(task.id);
      await gate.promise;
      const error = { code: 'task_failed', message: 'no', recoverable: false } as const;
      return ran.length === 1 ? { status: 'failed', error } : { status: 'completed', output: task.id };
    },
  });
  for (const id of ['a', 'b', 'c', 'd']) await submit(id);
  await until(house, 'd', task => task.state === 'running');
  await house.engine.cancel({ tenant: DEFAULT_TENANT, id: 'd' as TaskId, actor: 'test' });
  gate.resolve();
  const ends = await Promise.all(['a', 'b', 'c', 'd'].map(id => ended(id)));
  assert.deepEqual(
    ends.map(({ outcome }) => outcome),
    ['failed', 'completed', 'completed', 'cancelled'],
  );
  assert.equal(ran.length, 2);
});

test('SAM-234 remote workers are spared too, with copies of its files; a result some of whose files are gone is not used again', async t => {
  const { house } = await setup(t, { options: { slotsPerType: 0 } });
  const worker = workAs(house, 'w1', ['custom:work']);
  await worker.hello();
  const file = {
    name: 'f.txt',
    type: 'data_file',
    mediaType: 'text/plain',
    sizeBytes: 1,
    quarantined: false,
  };
  const known = { ...file, tenant: DEFAULT_TENANT, attempt: 1, createdAt: 0, sha256: 'a'.repeat(64) };
  const submit = (id: string) => house.engine.submit([orderOf(id, { ...custom, cache })]);
  await submit('one');
  const [lease] = (await worker.ask(1)).leases;
  await house.store.putArtifacts([{ ...known, id: 'art' as never, taskId: 'one' as TaskId }]);
  await worker.complete(lease, 1);
  await submit('two');
  assert.deepEqual((await worker.ask(1)).leases, []);
  const two = await until(house, 'two', task => task.outcome === 'completed');
  assert.equal(two.result?.cachedFrom?.taskId, 'one');
  const copies = await house.store.artifacts({ tenant: DEFAULT_TENANT, taskId: 'two' as TaskId });
  assert.deepEqual(
    copies.map(({ name, sha256 }) => [name, sha256]),
    [['f.txt', 'a'.repeat(64)]],
  );
  await house.store.dropArtifacts([{ tenant: DEFAULT_TENANT, id: 'art' as never }]);
  await submit('three');
  assert.equal((await worker.ask(1)).leases[0]?.task.id, 'three');
});

test('SAM-234 results that were encrypted or purged are not used again', async t => {
  const { house, ran, submit, ended } = await setup(t, { options: { archiveDelayMs: 0 } });
  const encryptTo = generateKeyPairSync('x25519').publicKey.export({ format: 'jwk' }) as JsonObject;
  const notification = { ...planOf(['task_completed']), encryptTo };
  for (const id of ['sealed-1', 'sealed-2']) {
    await submit(id, { notification });
    await until(house, id, task => task.outcome === 'completed');
  }
  await submit('open');
  await ended('open');
  const ageless = { logsMs: 0, samplesMs: 0, artifactsMs: 0 };
  await until(house, 'open', task => task.state === 'archived');
  await house.store.purge({ resultsMs: -1, ...ageless }, 10);
  assert.equal((await house.engine.task(DEFAULT_TENANT, 'open' as TaskId)).purged, true);
  await submit('again');
  await ended('again');
  assert.deepEqual(ran, ['sealed-1', 'sealed-2', 'open', 'again']);
});

test('SAM-234 what a task depends on is part of what makes it identical', async t => {
  const { ran, submit, ended } = await setup(t, {
    run: async ({ task }) => {
      ran.push(task.id);
      return { status: 'completed', output: task.spec.payload.gives ?? task.id };
    },
  });
  const dep = (id: string, gives: number) => submit(id, { cache: { ...cache, key: id }, payload: { gives } });
  await dep('dep-1', 7);
  await dep('dep-2', 7);
  await dep('dep-3', 8);
  const on = (id: string, dependsOn: string) => submit(id, { dependsOn: [dependsOn as TaskId] });
  await on('first', 'dep-1');
  await ended('first');
  await on('same input', 'dep-2');
  await on('other input', 'dep-3');
  assert.equal((await ended('same input')).result?.output, 'first');
  assert.equal((await ended('other input')).result?.output, 'other input');
});

test('SAM-234 after the death of the server that ran it an identical task is run, whatever the document says', async t => {
  const clock = new VirtualClock();
  const store = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  t.after(() => store.stop());
  const wire = connect(store, clock, systemRandom, { refused: 0, lost: 0, delayMsMax: 0, hintsLost: 0 });
  const dead = await openHouse({ clock, store: wire.store, run: () => new Promise(() => {}) });
  await dead.engine.submit([orderOf('one', { cache }), orderOf('two', { cache })]);
  await clock.advance(1_000);
  wire.cut();
  const ran: string[] = [];
  const alive = await openHouse({
    clock,
    store,
    run: async ({ task }) => {
      ran.push(task.id);
      return { status: 'completed', output: task.id };
    },
  });
  await clock.advance(60_000);
  const outputs = await Promise.all(
    ['one', 'two'].map(async id => (await alive.engine.task(DEFAULT_TENANT, id as TaskId)).result?.output),
  );
  assert.equal(ran.length, 1);
  assert.deepEqual(outputs, [ran[0], ran[0]]);
});

test('SAM-234 nodes run one of identical tasks between them, and who waits keeps its lease for longer than one lasts', async t => {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  t.after(() => truth.stop());
  const open = share(truth);
  const gate = Promise.withResolvers<void>();
  const ran: string[] = [];
  const node = (id: string) =>
    openHouse({
      clock,
      store: open().store,
      options: { serverId: id as AgentId },
      run: async ({ task }) => {
        ran.push(task.id);
        await gate.promise;
        return { status: 'completed', output: task.id };
      },
    });
  const [a, b] = [await node('a'), await node('b')];
  await a.engine.submit([orderOf('1', { cache }), orderOf('2', { cache })]);
  await b.engine.submit([orderOf('3', { cache }), orderOf('4', { cache })]);
  await clock.advance(90_000);
  assert.equal(ran.length, 1);
  gate.resolve();
  await clock.advance(6_000);
  const tasks = await Promise.all(
    ['1', '2', '3', '4'].map(id => a.engine.task(DEFAULT_TENANT, id as TaskId)),
  );
  assert.deepEqual(
    tasks.map(({ outcome, attempt }) => [outcome, attempt]),
    tasks.map(() => ['completed', 1]),
  );
  assert.equal(ran.length, 1);
});

test('SAM-234 while commits fail, answers are lost and servers die identical tasks all end with what one of them made', async t => {
  const clock = new VirtualClock();
  const truth = openSqliteInProcess({ path: ':memory:', clock, random: systemRandom, auditKey: 'k' });
  t.after(() => truth.stop());
  let state = 5;
  const random: Random = {
    ...systemRandom,
    fraction() {
      state = (state * 16_807) % 2_147_483_647;
      return state / 2_147_483_647;
    },
  };
  const ids = Array.from({ length: 10 }, (_, n) => `t${n}`);
  const retry = { ...orderOf('x').spec.retry, attemptsMax: 50 };
  const ran = new Set<unknown>();
  for (let life = 0; life < 4; life++) {
    const faults = { refused: 0, lost: 0, delayMsMax: 0, hintsLost: 0 };
    const wire = connect(truth, clock, random, faults);
    const house = await openHouse({
      clock,
      store: wire.store,
      options: { leaseMs: 3_000 },
      async run({ task }) {
        ran.add(`${task.id} ${task.attempt}`);
        await pause(clock, 700);
        return { status: 'completed', output: `${task.id} ${task.attempt}` };
      },
    });
    if (life === 0) await house.engine.submit(ids.map(id => orderOf(id, { cache, retry })));
    const calm = life === 3;
    if (!calm) Object.assign(faults, { refused: 0.1, lost: 0.1, delayMsMax: 20 });
    await clock.advance(calm ? 20_000 : 600);
    wire.cut();
  }
  const tasks = await truth.read(ids.map(id => ({ tenant: DEFAULT_TENANT, id: id as TaskId })));
  for (const task of tasks) {
    assert.equal(task?.outcome, 'completed');
    assert.ok(ran.has(task?.result?.output));
    const source = task?.result?.cachedFrom?.taskId;
    if (source !== undefined) assert.match(String(task?.result?.output), new RegExp(`^${source} `));
  }
  // A cache that cannot be read spares nothing, so how many is up to the faults.
  const spared = tasks.filter(task => task?.result?.cachedFrom !== undefined);
  assert.ok(spared.length > 0);
});
