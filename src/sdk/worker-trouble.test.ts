// The worker when things go wrong: leases lost, servers away, results refused, handlers that throw, and being told to stop.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Json } from '../domain/json.ts';
import type { TaskAborted } from './attempt.ts';
import { systemClock } from './clock.ts';
import { RecoverableError, UnauthorizedError } from './errors.ts';
import { wireError } from './far-end.test.ts';
import { aborted, standing, workerWith } from './work-server.test.ts';

test('SAM-133 a worker that lost its lease stops the task and says nothing of it', async context => {
  const told = Promise.withResolvers<TaskAborted>();
  const { clock, advance } = standing(2_000);
  const { server, worker } = await workerWith(
    context,
    async (_, signals) => {
      told.resolve(await aborted(signals));
      signals.progress(99);
      return 'too late';
    },
    { clock },
  );
  server.submit('t1');
  await worker.start();
  server.takeAway('t1');
  advance(12_000);
  assert.equal((await told.promise).why, 'lease_lost');
  server.submit('t2');
  await server.until(() => server.holders.has('t2'));
  assert.ok(!server.requests.some(({ results = [], progress = [] }) => results.length + progress.length > 0));
});

test('a task whose lease cannot be renewed is stopped before another worker may have it', async context => {
  const told = Promise.withResolvers<TaskAborted>();
  const { clock, advance } = standing(2_000);
  const { server, worker } = await workerWith(
    context,
    async (_, signals) => void told.resolve(await aborted(signals)),
    { clock },
  );
  server.submit('t1');
  await worker.start();
  server.trouble = () => ({ drop: true });
  for (let seconds = 0; seconds < 30; seconds += 3) advance(3_000);
  assert.equal((await told.promise).why, 'lease_lost');
});

test('SAM-241 results outlive a server that is away, and stale ones are dropped without a word', async context => {
  const gate = Promise.withResolvers<void>();
  const errors: unknown[] = [];
  const { clock } = standing(12_000);
  const { server, worker } = await workerWith(context, async () => gate.promise, {
    clock,
    onError: error => errors.push(error),
  });
  server.submit('t1');
  server.submit('t2');
  await worker.start();
  server.trouble = () => ({ drop: true });
  gate.resolve();
  await server.until(() => server.requests.filter(({ results = [] }) => results.length === 2).length >= 3);
  server.takeAway('t2');
  server.trouble = null;
  await server.until(() => server.results.has('t1'));
  server.submit('t3');
  await server.until(() => server.results.has('t3'));
  assert.ok(!server.results.has('t2'));
  assert.ok(errors.length >= 3);
  const last = server.requests.at(-1);
  assert.ok(!last?.results?.some(result => result.task_id === 't2'), 'the stale result is not said again');
});

test('a handler’s errors end the task unless they are recoverable', async context => {
  const { server, worker } = await workerWith(context, (task: { id: string }) => {
    if (task.id === 'later')
      throw new RecoverableError('host busy', { code: 'DEPENDENCY_FAILURE', details: { host: 'x' } });
    throw new TypeError('no such column');
  });
  await worker.start();
  for (const id of ['later', 'never']) server.submit(id);
  server.submit('strange', { type_name: 'unheard of' });
  await server.until(() => server.results.size === 3);
  assert.deepEqual(server.results.get('later')?.error, {
    code: 'DEPENDENCY_FAILURE',
    message: 'host busy',
    recoverable: true,
    details: { host: 'x' },
  });
  assert.deepEqual(server.results.get('never')?.error, {
    code: 'EXECUTION_ERROR',
    message: 'no such column',
    recoverable: false,
  });
  assert.equal(server.results.get('strange')?.error?.recoverable, false);
});

test('an output that JSON cannot carry fails its task and no other', async context => {
  const { server, worker } = await workerWith(context, (task: { id: string }) =>
    task.id === 'bad' ? ({ big: 10n } as unknown as Json) : 'fine',
  );
  await worker.start();
  for (const id of ['bad', 'good']) server.submit(id);
  await server.until(() => server.results.size === 2);
  assert.equal(server.results.get('bad')?.status, 'failed');
  assert.equal(server.results.get('good')?.output, 'fine');
});

test('a result the server will not take becomes a failure, and holds up none of the others', async context => {
  const gate = Promise.withResolvers<void>();
  const { server, worker } = await workerWith(
    context,
    async (task: { id: string }) => {
      await gate.promise;
      return task.id;
    },
    { slots: 20 },
  );
  for (let n = 0; n < 8; n += 1) server.submit(`t${n}`);
  await worker.start();
  await server.until(() => server.holders.size === 8);
  server.trouble = ({ results = [] }) =>
    results.some(({ output }) => output === 't5') ? wireError(400, 'INVALID_REQUEST') : null;
  gate.resolve();
  await server.until(() => server.results.size === 8);
  assert.match(
    server.results.get('t5')?.error?.message ?? '',
    /refused the result: refused: INVALID_REQUEST/,
  );
  assert.equal([...server.results.values()].filter(result => result.status === 'completed').length, 7);
});

test('SAM-226 a stopping worker asks for nothing more, lets tasks end, and hands their results in', async context => {
  const gate = Promise.withResolvers<void>();
  const { server, worker } = await workerWith(context, async () => gate.promise);
  await worker.start();
  server.submit('t1');
  await server.until(() => worker.running === 1);
  const stopping = worker.stop();
  const asked = server.requests.length;
  server.submit('t2');
  gate.resolve();
  await stopping;
  assert.deepEqual([...server.results.keys()], ['t1']);
  assert.equal(worker.running, 0);
  assert.ok(server.requests.slice(asked).every(request => request.slots === 0));
});

test('a stopping worker hands back what does not end in time, with its last checkpoint', async context => {
  const { server, worker } = await workerWith(context, async (task: { id: string }, signals) => {
    const { why } = await aborted(signals);
    signals.checkpoint({ stopped: why });
    if (task.id === 'stubborn') await new Promise(() => undefined);
    throw new Error('half done');
  });
  for (const id of ['obedient', 'stubborn']) server.submit(id);
  await worker.start();
  await worker.stop({ graceMs: 0 });
  for (const id of ['obedient', 'stubborn'])
    assert.deepEqual(server.results.get(id)?.error, {
      code: 'SERVICE_UNAVAILABLE',
      message: 'the worker stopped before the task was done',
      recoverable: true,
    });
  const checkpoints = server.requests.flatMap(({ progress = [] }) => progress.map(item => item.checkpoint));
  assert.deepEqual(checkpoints, [{ stopped: 'shutdown' }, { stopped: 'shutdown' }]);
});

test('a worker the server will not have does not start, and one whose server is away waits for it', async context => {
  const { server, worker } = await workerWith(context, () => null);
  server.trouble = () => wireError(401, 'UNAUTHORIZED');
  await assert.rejects(worker.start(), UnauthorizedError);
  const { clock } = standing(12_000);
  const later = await workerWith(context, () => null, { clock });
  later.server.trouble = () => ({ drop: true });
  const starting = later.worker.start();
  await later.server.until(() => later.server.requests.length >= 3);
  later.server.trouble = null;
  await starting;
});

test('a server that does not hold its polls is not stormed', async context => {
  const { server, worker } = await workerWith(context, () => null);
  server.trouble = () => ({ json: { leases: [], cancellations: [], extensions: [], rejected: [] } });
  await worker.start();
  await new Promise(resolve => systemClock.after(300, () => resolve(undefined)));
  assert.ok(server.requests.length <= 6, `${server.requests.length} exchanges in 300 ms`);
});
