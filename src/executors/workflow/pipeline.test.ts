// Pipelines as workflows: steps that run at the same time, stages that take their records batch by batch, and what the others learn when one
// of them is over.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type House, openHouse, orderOf, until, workAs } from '../../../test/harness.ts';
import type { TaskId } from '../../domain/ids.ts';
import { DEFAULT_TENANT } from '../../domain/ids.ts';
import { CHUNK_TYPE } from '../../domain/pipe.ts';
import type { WorkLease } from '../../engine/api.ts';
import type { AttemptContext, AttemptResult } from '../../engine/ports/executor.ts';
import { silentLog } from '../../runtime/log.ts';
import { createWorkflowExecutor } from './executor.ts';
import { $, type Loose, obey, works } from './fixture.test.ts';

/** `{double: records}` doubles each `n`; everything else as the fixture has it. */
async function double(context: AttemptContext): Promise<AttemptResult> {
  const { double: records } = context.task.spec.payload as Loose;
  if (records === undefined) return await obey(context);
  return { status: 'completed', output: { rows: records.map(({ n }: Loose) => ({ n: 2 * n })) } };
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => ({ n }));

const source = (items: unknown) => ({
  id: 'source',
  kind: 'stage',
  task_type: 'code_execution',
  items,
  task_data: { answer: $('batch.records') },
  window: { count: 10 },
  outputs: { rows: {} },
});

const doubled = (more: object = {}) => ({
  id: 'double',
  kind: 'stage',
  task_type: 'code_execution',
  inputs: { rows: 'source.rows' },
  task_data: { double: $('batch.records') },
  emit: $('result.rows'),
  outputs: { doubled: {} },
  window: { count: 7, seconds: 0.05 },
  ...more,
});

const sink = (more: object = {}) => ({
  id: 'sink',
  kind: 'stage',
  task_type: 'code_execution',
  inputs: { all: 'double.doubled' },
  task_data: { answer: $('batch.records') },
  window: { count: 1_000, seconds: 0.2 },
  ...more,
});

/** What the tasks of a stage's batches were given, by stage. */
async function batchesOf({ house }: { readonly house: House }, stage: string): Promise<Loose[]> {
  const found: Loose[] = [];
  for (let batch = 0; ; batch++) {
    const [task] = await house.store.read([
      { tenant: DEFAULT_TENANT, id: `w.${stage}.batch.${batch}` as TaskId },
    ]);
    if (task === null || task === undefined) return found;
    found.push(task.spec.payload);
  }
}

test('SAM-229 records go through stages in batches, each record once and in order', async t => {
  const scene = await works(t, { run: double });
  const steps = [sink(), doubled(), source($('input.list'))];
  const { task, output } = await scene.run('w', { input: { list: numbers(45) }, steps });
  assert.equal(task.outcome, 'completed', JSON.stringify(task.result?.error));
  const seen = (await batchesOf(scene, 'sink')).flatMap(({ answer }) => answer);
  assert.deepEqual(
    seen,
    numbers(45).map(({ n }) => ({ n: 2 * n })),
  );
  assert.ok((await batchesOf(scene, 'double')).every(({ double: records }) => records.length <= 7));
  assert.deepEqual(output.steps.double.output, {
    ...output.steps.double.output,
    records_taken: 45,
    records_made: 45,
  });
  assert.deepEqual(
    (await scene.house.store.artifacts({ tenant: DEFAULT_TENANT })).filter(({ type }) => type === CHUNK_TYPE),
    [],
    'nothing of it is left',
  );
});

test('SAM-229 a batch is full by its count or by its bytes', async t => {
  const scene = await works(t, { run: double });
  const sizes = async (window: object): Promise<number[]> => {
    const steps = [source($('input.list')), doubled({ window, outputs: undefined, emit: undefined })];
    const id = `w${JSON.stringify(window).replaceAll(/[^a-z0-9]/g, '')}`;
    const { task } = await scene.run(id, { input: { list: numbers(20) }, steps });
    assert.equal(task.outcome, 'completed', JSON.stringify(task.result?.error));
    const found: number[] = [];
    for (let batch = 0; ; batch++) {
      const child = `${id}.double.batch.${batch}` as TaskId;
      const [one] = await scene.house.store.read([{ tenant: DEFAULT_TENANT, id: child }]);
      if (one === null || one === undefined) return found;
      found.push((one.spec.payload as Loose).double.length);
    }
  };
  assert.deepEqual(await sizes({ count: 8, seconds: 30 }), [8, 8, 4]);
  assert.deepEqual(await sizes({ bytes: 30, seconds: 30 }), [4, 4, 4, 3, 3, 2]);
});

test('SAM-229 a whole output is read once its step has completed, and not before', async t => {
  const scene = await works(t, { run: double });
  const from = { ...source($('input.list')), outputs: { rows: { mode: 'batch' } } };
  const { task, states } = await scene.run('w', {
    input: { list: numbers(25) },
    steps: [from, doubled({ window: { count: 1_000 }, outputs: undefined, emit: undefined })],
  });
  assert.equal(task.outcome, 'completed', JSON.stringify(task.result?.error));
  assert.deepEqual(states, { source: 'completed', double: 'completed' });
  assert.deepEqual(
    (await batchesOf(scene, 'double')).map(({ double: records }) => records.length),
    [25],
  );
  const [last, first] = await scene.house.store.read(
    ['w.source.batch.2', 'w.double.batch.0'].map(id => ({ tenant: DEFAULT_TENANT, id: id as TaskId })),
  );
  assert.ok((first?.createdAt ?? 0) >= (last?.endedAt ?? Number.POSITIVE_INFINITY));
});

test('SAM-229 a stage whose batch fails ends the pipeline, or is tolerated as any step', async t => {
  const scene = await works(t, { run: double });
  const broken = doubled({ task_data: { fail: 'no good' } });
  const failed = await scene.run('w', {
    input: { list: numbers(20) },
    steps: [source($('input.list')), broken, sink()],
  });
  assert.equal(failed.task.outcome, 'failed');
  assert.match(failed.task.result?.error?.message ?? '', /no good/);
  const tolerated = await scene.run('v', {
    input: { list: numbers(20) },
    steps: [source($('input.list')), { ...broken, on_failure: 'continue' }, sink({ on_failure: 'continue' })],
  });
  assert.equal(tolerated.task.outcome, 'completed');
  assert.deepEqual(tolerated.states, { source: 'completed', double: 'failed', sink: 'failed' });
  assert.equal(tolerated.output.steps.sink.error.code, 'dependency_failed');
});

test('SAM-229 pipes that lead nowhere, and inputs of what cannot read them, are refused with the steps named', async t => {
  const scene = await works(t);
  const refusal = async (steps: readonly object[]) => {
    const error = await scene.start('w', { steps }).then(
      () => null,
      thrown => thrown,
    );
    return [error?.code, error?.message] as const;
  };
  const [unread] = await refusal([source([1])]);
  assert.equal(unread, 'unprocessable');
  const [code, message] = await refusal([doubled(), sink()]);
  assert.equal(code, 'unprocessable');
  assert.match(message, /double reads source.rows/);
  const plain = { id: 'plain', task_type: 'code_execution', inputs: { rows: 'source.rows' } };
  assert.match((await refusal([source([1]), plain]))[1], /make it a stage/);
  assert.match((await refusal([{ ...source([1]), items: undefined }]))[1], /needs one input, or items/);
});

/** A workflow whose `custom` step is the test's to do, over the engine's own verbs. */
async function withWorker(t: TestContext, steps: readonly object[]) {
  const house = await openHouse({
    run: double,
    executors: parts => [createWorkflowExecutor({ log: silentLog, ...parts })],
  });
  t.after(() => house.stop());
  const agent = workAs(house, 'far', ['custom:hand']);
  await agent.hello();
  const payload = { input: { list: numbers(30) }, steps } as Loose;
  await house.engine.submit([orderOf('w', { type: 'workflow_orchestration', payload })]);
  const lease = async (): Promise<WorkLease> => {
    for (;;) {
      const [found] = (await agent.exchange({ slots: 1, waitMs: 5_000 })).leases;
      if (found !== undefined) return found;
    }
  };
  const endOf = ({ task, token }: WorkLease, name: string) => ({
    ...{ tenant: DEFAULT_TENANT, taskId: task.id, token, name },
  });
  return { house, agent, lease, endOf, pipes: house.engine.pipes };
}

const hand = (more: object) => ({ task_type: 'custom', task_data: { type_name: 'hand' }, ...more });

test('SAM-229 a batch is full when its time is up, and does not wait for what may never come', async t => {
  const scene = await withWorker(t, [
    hand({ id: 'source', outputs: { rows: {} } }),
    doubled({ window: { seconds: 0.05 }, outputs: undefined, emit: undefined }),
  ]);
  const { house, agent, pipes } = scene;
  const held = await scene.lease();
  const write = async (number: number): Promise<void> => {
    const source = Buffer.from(`{"n":${number}}\n`);
    const patience = { waitMs: 0, signal: AbortSignal.timeout(10_000) };
    await pipes.write(scene.endOf(held, 'rows'), { number, size: source.length, source }, patience);
  };
  await write(1);
  const first = 'w.double.batch.0';
  for await (const _ of house.engine.changes(DEFAULT_TENANT, null, AbortSignal.timeout(10_000))) {
    const [batch] = await house.store.read([{ tenant: DEFAULT_TENANT, id: first as TaskId }]);
    if (batch !== null && batch !== undefined) break;
  }
  await write(2);
  await agent.complete(held, {});
  await until(house, 'w', ({ outcome }) => outcome === 'completed');
  assert.deepEqual(
    (await batchesOf({ house }, 'double')).map(one => one.double),
    [[{ n: 1 }], [{ n: 2 }]],
  );
});

test('SAM-229 SAM-230 a custom step on a worker reads and writes beside stages in this process, and its zombie writes nothing', async t => {
  const scene = await withWorker(t, [
    source($('input.list')),
    hand({
      id: 'double',
      inputs: { rows: 'source.rows' },
      outputs: { doubled: {} },
      retry: { max_attempts: 3, delay: 0 },
    }),
    sink(),
  ]);
  const { house, agent, lease, endOf, pipes } = scene;
  const patience = { waitMs: 10_000, signal: AbortSignal.timeout(20_000) };
  const copy = async (held: WorkLease, most: number): Promise<void> => {
    const { written } = await pipes.openOutput(endOf(held, 'doubled'));
    for (let number = written + 1; number <= written + most; number++) {
      const found = await pipes.read(endOf(held, 'rows'), number - 1, patience);
      if (found?.kind !== 'chunk') return;
      const chunk = { number, size: found.sizeBytes, source: found.stream };
      await pipes.write(endOf(held, 'doubled'), chunk, patience);
      await pipes.acknowledge(endOf(held, 'rows'), number);
    }
  };
  const first = await lease();
  await copy(first, 1);
  await agent.fail(first, {});
  const second = await lease();
  await copy(second, 10);
  await assert.rejects(copy(first, 1), /does not lead|taken/);
  await agent.complete(second, {});
  await until(house, 'w', ({ outcome }) => outcome === 'completed');
  assert.deepEqual(
    (await batchesOf({ house }, 'sink')).flatMap(({ answer }) => answer),
    numbers(30),
  );
});
