import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../domain/json.ts';
import { TaskAborted } from './attempt.ts';
import type { WorkRequest } from './wire.ts';
import { aborted, standing, type WorkServer, workerWith } from './work-server.test.ts';

test('SAM-131 SAM-132 a worker runs the task it is leased and hands its output in under the fencing token', async context => {
  const { server, worker } = await workerWith(context, (task: { data: JsonObject }, { secrets }) => ({
    doubled: Number(task.data.n) * 2,
    secret: secrets.key ?? null,
  }));
  await worker.start();
  server.submit('t1', { n: 21 });
  await server.until(() => server.results.has('t1'));
  assert.deepEqual(server.results.get('t1'), {
    task_id: 't1',
    fencing_token: 1,
    status: 'completed',
    output: { doubled: 42, secret: 'value' },
    artifacts: [],
    metrics: {},
  });
  assert.deepEqual(server.requests[0]?.types, ['custom:job']);
});

test('a result never waits behind a poll for more work', async context => {
  const gate = Promise.withResolvers<void>();
  const { server, worker } = await workerWith(context, async () => gate.promise, { slots: 2 });
  await worker.start();
  server.submit('t1');
  await server.until(() => server.holders.has('t1') && server.polls === 1);
  gate.resolve();
  await server.until(() => server.results.has('t1'));
  assert.equal(server.polls, 1, 'the poll that was under way still is');
});

test('SAM-132 a busy worker fuses results with claims: few exchanges, each task once, never more than its slots', async context => {
  const ran: string[] = [];
  const { server, worker } = await workerWith(
    context,
    async (task: { id: string }) => {
      ran.push(task.id);
      if (ran.length % 7 === 0) await new Promise(resolve => setImmediate(resolve));
    },
    { slots: 100, claimMax: 50 },
  );
  for (let n = 0; n < 2_000; n += 1) server.submit(`t${n}`);
  await worker.start();
  await server.until(() => server.results.size === 2_000);
  assert.equal(new Set(ran).size, 2_000);
  assert.equal(ran.length, 2_000);
  assert.ok(server.requests.length <= 130, `${server.requests.length} exchanges for 2,000 tasks`);
  assert.ok(server.askedAtOnceMax <= 100, `asked for ${server.askedAtOnceMax} at once`);
});

test('SAM-134 a lease is renewed at a third of its time, and again', async context => {
  const { clock, advance } = standing(2_000);
  const { server, worker } = await workerWith(context, async (_, signals) => void (await aborted(signals)), {
    clock,
  });
  server.submit('t1');
  await worker.start();
  for (let beats = 1; beats <= 3; beats += 1) {
    advance(7_000);
    assert.equal(beatsOf(server).length, beats - 1, 'no renewal before a third');
    advance(5_000);
    await server.until(() => beatsOf(server).length === beats);
    await server.until(() => server.heardBack + server.polls === server.requests.length);
  }
  assert.deepEqual(beatsOf(server)[0], [{ task_id: 't1', fencing_token: 1 }]);
});

function beatsOf(server: WorkServer): WorkRequest['heartbeats'][] {
  return server.requests.map(request => request.heartbeats).filter(beats => (beats?.length ?? 0) > 0);
}

test('SAM-67 a cancelled task is told so, though every slot is taken, and its result is not sent', async context => {
  const told = Promise.withResolvers<TaskAborted>();
  const { server, worker } = await workerWith(
    context,
    async (task: { id: string }, signals) => {
      if (task.id !== 't1') return 'other';
      told.resolve(await aborted(signals));
      return 'too late';
    },
    { slots: 1 },
  );
  await worker.start();
  server.submit('t1');
  await server.until(() => server.holders.has('t1') && server.polls === 1);
  server.cancel('t1');
  const reason = await told.promise;
  assert.ok(reason instanceof TaskAborted);
  assert.deepEqual([reason.why, reason.message], ['cancelled', 'by request']);
  server.submit('t2');
  await server.until(() => server.results.has('t2'));
  assert.deepEqual([...server.results.keys()], ['t2']);
});

test('SAM-125 progress, logs and checkpoints reach the server before the result, intermediate results without loss', async context => {
  const { server, worker } = await workerWith(context, (_, signals) => {
    signals.progress(10, { currentStep: 'one', totalSteps: 2 });
    signals.progress(60);
    signals.checkpoint({ row: 5 });
    signals.intermediate({ part: 1 });
    signals.intermediate({ part: 2 });
    signals.log('WARN', 'slow disk', { ms: 900 });
    signals.meter({ api_calls: 2 });
    signals.meter({ api_calls: 1, tokens_used: 7 });
    return signals.saved;
  });
  server.submit('t1', {}, { checkpoint: { row: 4 } });
  await worker.start();
  await server.until(() => server.results.has('t1'));
  const told = server.requests.filter(({ progress = [], logs = [] }) => progress.length + logs.length > 0);
  assert.equal(told.length, 1);
  assert.deepEqual(told[0]?.progress, [
    {
      task_id: 't1',
      fencing_token: 1,
      percentage: 60,
      current_step: 'one',
      total_steps: 2,
      checkpoint: { row: 5 },
      intermediate_result: { part: 1 },
    },
    { task_id: 't1', fencing_token: 1, intermediate_result: { part: 2 } },
  ]);
  assert.deepEqual(
    told[0]?.logs?.map(({ level, message, metadata }) => ({ level, message, metadata })),
    [{ level: 'WARN', message: 'slow disk', metadata: { ms: 900 } }],
  );
  assert.equal(told[0]?.results?.length, 1, 'all of it in the same exchange');
  assert.deepEqual(server.results.get('t1')?.metrics, { api_calls: 3, tokens_used: 7 });
  assert.deepEqual(server.results.get('t1')?.output, { row: 4 });
});

test('SAM-125 a checkpoint is the state as it was when it was saved, whatever the handler adds to it before it is sent', async context => {
  const { server, worker } = await workerWith(context, (_, { checkpoint }) => {
    const sums = { rows: 5 };
    checkpoint(sums);
    sums.rows = 6;
  });
  server.submit('t1');
  await worker.start();
  await server.until(() => server.results.has('t1'));
  const [told] = server.requests.flatMap(({ progress = [] }) => progress);
  assert.deepEqual(told?.checkpoint, { rows: 5 });
});

test('SAM-71 a worker’s files are uploaded under its lease and listed in the result, a huge output among them', async context => {
  const { server, worker } = await workerWith(context, async (task: { id: string }, signals) => {
    if (task.id === 'huge') return 'x'.repeat(4 * 1024 * 1024);
    await signals.upload({ name: 'a.txt', source: 'hello', mediaType: 'text/plain' });
    return undefined;
  });
  await worker.start();
  server.submit('files');
  await server.until(() => server.results.has('files'));
  server.submit('huge');
  await server.until(() => server.results.has('huge'));
  assert.deepEqual(Object.fromEntries(server.uploads[0]?.query ?? []), {
    name: 'a.txt',
    task_id: 'files',
    fencing_token: '1',
  });
  assert.deepEqual(
    server.results.get('files')?.artifacts?.map(({ artifact_id }) => artifact_id),
    ['art-1'],
  );
  assert.deepEqual(server.results.get('huge')?.output, { output_ref: 'art-2' });
});

test('SAM-175 a worker with schemas registers them before it asks for work', async context => {
  const { worker, end } = await workerWith(context, () => null, {
    schemas: { job: { input: { type: 'object' } } },
    capabilities: ['gpu'],
    version: '2',
  });
  await worker.start();
  const [first] = end.asked;
  assert.equal(first?.path, '/api/v2/agents');
  assert.deepEqual(first?.json, {
    agent_id: 'w1',
    types: ['custom:job'],
    kind: 'worker',
    skills: ['gpu'],
    version: '2',
    schemas: { job: { input: { type: 'object' } } },
    capacity: { slots: 10 },
  });
});
