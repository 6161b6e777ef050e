import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openHouse, orderOf, planOf, until, workAs } from '../../test/harness.ts';
import { VirtualClock } from '../../test/simulation/clock.ts';
import { connect } from '../../test/simulation/faults.ts';
import type { TaskId } from '../domain/ids.ts';
import { DEFAULT_TENANT } from '../domain/ids.ts';
import { systemRandom } from '../runtime/random.ts';
import { openSqliteInProcess } from '../store/sqlite/open.ts';

const call = (id: string) => ({ tenant: DEFAULT_TENANT, id: id as TaskId, actor: 'test' });

test('a submitted task is run, completed and its every step is an event without gaps', async () => {
  const house = await openHouse();
  const [admission] = await house.engine.submit([orderOf('one')]);
  assert.equal(admission?.kind, 'admitted');
  const task = await until(house, 'one', task => task.state === 'completed');
  assert.deepEqual(task.result?.output, { done: true });
  const events = await house.store.events({ of: 'task', key: task.key, afterSequence: 0, limit: 100 });
  assert.deepEqual(
    events.map(event => event.sequence),
    events.map((_, index) => index + 1),
  );
  assert.deepEqual(
    events.flatMap(event => (event.kind === 'state' ? [event.to] : [])),
    ['submitted', 'validated', 'queued', 'allocated', 'running', 'completing', 'completed'],
  );
  await house.stop();
});

test('SAM-105 a recoverable failure takes the task back to its queue until an attempt succeeds', async () => {
  let tries = 0;
  const house = await openHouse({
    run: async () =>
      ++tries < 3
        ? { status: 'failed', error: { code: 'dependency_failed', message: 'down', recoverable: true } }
        : { status: 'completed', output: tries },
  });
  await house.engine.submit([orderOf('flaky')]);
  const task = await until(house, 'flaky', task => task.outcome !== null);
  assert.equal(task.outcome, 'completed');
  assert.equal(task.attempt, 3);
  await house.stop();
});

test('SAM-128 a failure that cannot be mended is not tried again', async () => {
  const house = await openHouse({
    run: async () => ({
      status: 'failed',
      error: { code: 'task_failed', message: 'syntax', recoverable: false },
    }),
  });
  await house.engine.submit([orderOf('broken')]);
  const task = await until(house, 'broken', task => task.outcome !== null);
  assert.equal(task.outcome, 'failed');
  assert.equal(task.attempt, 1);
  assert.equal(task.result?.error?.message, 'syntax');
  await house.stop();
});

test('SAM-87 whoever asked is told of start and end, and the task then counts as notified', async () => {
  const house = await openHouse();
  await house.engine.submit([orderOf('told', { notification: planOf(['task_started', 'task_completed']) })]);
  await until(house, 'told', task => task.state === 'notified');
  assert.deepEqual(
    house.sent.map(message => message.event),
    ['task_started', 'task_completed'],
  );
  await house.stop();
});

test('SAM-67 cancelling a running task stops its executor and records one end', async () => {
  let stopped = false;
  const started = Promise.withResolvers<void>();
  const house = await openHouse({
    run: context => {
      started.resolve();
      return new Promise((_, reject) =>
        context.signal.addEventListener('abort', () => {
          stopped = true;
          reject(context.signal.reason);
        }),
      );
    },
  });
  await house.engine.submit([orderOf('long')]);
  await started.promise;
  const task = await house.engine.cancel(call('long'));
  assert.equal(task.outcome, 'cancelled');
  assert.equal(stopped, true);
  const again = await house.engine.cancel(call('long'));
  assert.equal(again.version, task.version);
  await house.stop();
});

test('SAM-123 that an attempt has started is stored before any of its code runs', async () => {
  const seen: unknown[] = [];
  const house = await openHouse({
    async run({ task }) {
      const [stored] = await house.store.read([task]);
      const events = await house.store.events({ of: 'task', key: task.key, afterSequence: 0, limit: 50 });
      seen.push(stored?.state, events.at(-1)?.kind === 'state' && events.at(-1));
      return { status: 'completed', output: null };
    },
  });
  await house.engine.submit([orderOf('first')]);
  await until(house, 'first', task => task.outcome === 'completed');
  assert.equal(seen[0], 'running');
  assert.equal((seen[1] as { to?: string }).to, 'running');
  await house.stop();
});

test('SAM-34 a secret deleted while its task waits fails that task, with its name', async () => {
  const secrets: Record<string, string> = { 'short-lived': 'x' };
  const gate = Promise.withResolvers<void>();
  const house = await openHouse({
    secrets,
    options: { slotsPerType: 1 },
    run: () => gate.promise.then(() => ({ status: 'completed', output: null })),
  });
  await house.engine.submit([orderOf('first'), orderOf('second', { secretNames: ['short-lived'] })]);
  delete secrets['short-lived'];
  gate.resolve();
  const task = await until(house, 'second', task => task.outcome !== null);
  assert.equal(task.outcome, 'failed');
  assert.match(task.result?.error?.message ?? '', /short-lived/);
  await house.stop();
});

test('SAM-105 what a killed server ran itself is taken up again at once, and its workers keep their leases', async () => {
  const clock = new VirtualClock();
  const store = openSqliteInProcess({
    path: ':memory:',
    clock,
    random: systemRandom,
    auditKey: Buffer.alloc(32),
  });
  const custom = { type: 'custom', typeName: 'work' } as const;
  const wire = connect(store, clock, systemRandom, { refused: 0, lost: 0, delayMsMax: 0, hintsLost: 0 });
  const dead = await openHouse({ clock, store: wire.store, run: () => new Promise(() => {}) });
  const worker = workAs(dead, 'w1', ['custom:work']);
  await worker.hello();
  await dead.engine.submit([orderOf('local'), orderOf('remote', custom)]);
  const [lease] = (await worker.ask(1)).leases;
  wire.cut();
  await clock.advance(60_000);
  const alive = await openHouse({ clock, store });
  const remote = await alive.engine.task(DEFAULT_TENANT, 'remote' as TaskId);
  assert.equal(remote.lease?.token, lease?.token);
  await clock.advance(1_000);
  const local = await until(alive, 'local', task => task.outcome !== null);
  assert.deepEqual([local.outcome, local.attempt], ['completed', 2]);
});

test('SAM-129 a server that was away takes its absence off nobody’s deadline, and a worker that finished meanwhile is heard', async () => {
  const clock = new VirtualClock();
  const store = openSqliteInProcess({
    path: ':memory:',
    clock,
    random: systemRandom,
    auditKey: Buffer.alloc(32),
  });
  const custom = { type: 'custom', typeName: 'work', timeoutMs: 30_000 } as const;
  const wire = connect(store, clock, systemRandom, { refused: 0, lost: 0, delayMsMax: 0, hintsLost: 0 });
  const dead = await openHouse({ clock, store: wire.store });
  const worker = workAs(dead, 'w1', ['custom:work']);
  await worker.hello();
  await dead.engine.submit([orderOf('finished', custom), orderOf('endless', custom)]);
  const [finished, endless] = (await worker.ask(2)).leases;
  await clock.advance(10_000);
  for (const lease of [finished, endless]) await worker.beat(lease);
  wire.cut();
  await clock.advance(60_000);
  const alive = await openHouse({ clock, store });
  const again = workAs(alive, 'w1', ['custom:work']);
  await clock.advance(15_000);
  await again.beat(endless);
  await again.complete(finished, 'in time');
  const task = (id: string) => alive.engine.task(DEFAULT_TENANT, id as TaskId);
  assert.equal((await task('finished')).result?.output, 'in time');
  assert.equal((await task('endless')).outcome, null);
  await clock.advance(6_000);
  assert.equal((await task('endless')).outcome, 'timeout');
});

test('SAM-38 an attempt opens what an earlier task of its tenant left under a name, the last attempt’s', async () => {
  const read: string[] = [];
  const file = (name: string, text: string) => ({
    name,
    type: 'data_file',
    mediaType: 'text/plain',
    source: Buffer.from(text),
  });
  const house = await openHouse({
    run: async context => {
      const { id, attempt } = context.task;
      if (id === 'before') {
        await context.saveArtifact(file('report.txt', `of attempt ${attempt}`));
        const error = { code: 'task_failed', message: 'once more', recoverable: true } as const;
        return attempt === 1 ? { status: 'failed', error } : { status: 'completed', output: 1 };
      }
      const { stream } = await context.openArtifact({ taskId: 'before', name: 'report.txt' });
      for await (const chunk of stream) read.push(String(chunk));
      await context.openArtifact({ taskId: 'before', name: 'absent.txt' });
      return { status: 'completed', output: 1 };
    },
  });
  await house.engine.submit([orderOf('before')]);
  await until(house, 'before', task => task.outcome === 'completed');
  await house.engine.submit([orderOf('after', { retry: { ...orderOf('x').spec.retry, attemptsMax: 1 } })]);
  const failed = await until(house, 'after', task => task.outcome !== null);
  assert.deepEqual(read, ['of attempt 2']);
  assert.match(failed.result?.error?.message ?? '', /task before left no artifact named absent.txt/);
  await house.engine.submit([orderOf('elsewhere', {}, 'other')]);
  const foreign = await until(house, 'elsewhere', task => task.outcome !== null, 'other');
  assert.match(foreign.result?.error?.message ?? '', /task before left no artifact named report.txt/);
  await house.stop();
});
