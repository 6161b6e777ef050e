// Pipelines over the wire: a server in a process of its own, workers of the SDK, and what happens to the stream when one of them is killed.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { BatutaClient, Orchestrator, type PipeView, type TaskHandler, Worker } from '../../src/sdk/index.ts';
import { freshDatabase, postgresMissing } from '../postgres.ts';
import { ADMIN, serverProcess } from '../server.ts';

/** A server, a client of it, and workers that are let go at the end. */
async function setup(t: TestContext, settings: Readonly<Record<string, string>> = {}) {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-pipeline-'));
  const server = await serverProcess(dir, settings);
  await server.start();
  const client = new BatutaClient({
    url: server.url,
    credentials: { apiKey: ADMIN.key, apiSecret: ADMIN.secret },
    retry: { attemptsMax: 20, delayMaxMs: 500 },
  });
  const workers: Worker[] = [];
  t.after(async () => {
    await Promise.all(workers.map(worker => worker.stop({ graceMs: 0, handInMs: 0 })));
    await server.kill();
    rmSync(dir, { recursive: true, force: true });
  });
  return {
    server,
    client,
    async hire(
      agentId: string,
      handlers: Readonly<Record<string, TaskHandler>>,
      way = client,
    ): Promise<Worker> {
      const worker = new Worker({ client: way, agentId, handlers });
      workers.push(worker);
      await worker.start();
      return worker;
    },
    start: (id: string, steps: readonly object[]) =>
      new Orchestrator({ client, agentId: 'manus' }).submit({
        id,
        type: 'workflow_orchestration',
        data: { steps } as never,
      }),
    /** Resolves once the run's only pipe is so. */
    async pipeOnce(id: string, isSo: (pipe: PipeView) => boolean): Promise<void> {
      for (;;) {
        const [pipe] = (await client.workflows.run(id)).pipes ?? [];
        if (pipe !== undefined && isSo(pipe)) return;
      }
    },
    async ended(id: string) {
      for await (const _ of client.events(id));
      const { current_status: now, execution_details: details } = await client.status(id);
      return { outcome: now.outcome, details };
    },
  };
}

const custom = (id: string, more: object = {}) => ({
  ...{ id, task_type: 'custom', task_data: { type_name: id } },
  ...more,
});

const $ = (expression: string): string => `\${{ ${expression} }}`;

const COPY = [
  custom('source', { outputs: { rows: {} } }),
  custom('through', { inputs: { rows: 'source.rows' }, outputs: { rows: {} } }),
  custom('sink', { inputs: { rows: 'through.rows' } }),
];

test('SAM-229 SAM-230 a pipeline goes on after its server was killed in the middle, and its sink gets every record once', async t => {
  const scene = await setup(t);
  const { server } = scene;
  const count = 200;
  const seen: number[] = [];
  const half = Promise.withResolvers<void>();
  await scene.hire('one', {
    source: async (_, context) => {
      const rows = context.output('rows', { chunkBytes: 64 });
      for (let n = 0; n < count; n++) await rows.write({ n });
    },
    sink: async (_, context) => {
      for await (const chunk of context.input('rows')) {
        seen.push(...chunk.records<{ n: number }>().map(({ n }) => n));
        if (seen.length > count / 4) half.resolve();
      }
    },
  });
  await scene.hire('two', {
    through: async (_, context) => {
      const rows = context.output('rows');
      for await (const chunk of context.input('rows'))
        for (const { n } of chunk.records<{ n: number }>()) await rows.write({ n: n + 1 });
    },
  });
  await scene.start('w', COPY);
  await half.promise;
  await server.kill();
  assert.ok(seen.length < count, 'it was killed in the middle');
  await server.start();
  const { outcome, details } = await scene.ended('w');
  assert.equal(outcome, 'completed', JSON.stringify(details));
  assert.deepEqual(
    seen,
    Array.from({ length: count }, (_, n) => n + 1),
  );
});

test('SAM-229 SAM-230 a step whose worker dies is taken up by another behind its last chunk, and what came of it is there once', async t => {
  const scene = await setup(t);
  const seen: number[] = [];
  const count = 120;
  await scene.hire('ends', {
    source: async (_, context) => {
      const rows = context.output('rows', { chunkBytes: 64 });
      for (let n = 0; n < count; n++) await rows.write({ n });
    },
    sink: async (_, context) => {
      for await (const chunk of context.input('rows'))
        seen.push(...chunk.records<{ n: number }>().map(({ n }) => n));
    },
  });
  const begun: number[] = [];
  const dying = Promise.withResolvers<void>();
  const late: string[] = [];
  const through =
    (dies: boolean): TaskHandler =>
    async (_, context) => {
      const rows = context.output('rows', { chunkBytes: 32 });
      let first = true;
      for await (const chunk of context.input('rows')) {
        if (first) begun.push(chunk.number);
        first = false;
        const records = chunk.records<{ n: number }>();
        for (const [at, { n }] of records.entries()) {
          await rows.write({ n });
          await rows.write({ n: n + 0.5 });
          if (!dies || chunk.number !== 5 || at !== 2) continue;
          // In the middle of a chunk, with some of what comes of it written.
          dying.resolve();
          await new Promise(resolve => context.signal.addEventListener('abort', resolve, { once: true }));
          late.push(
            await rows.write({ n: 99_999 }).then(
              () => 'written',
              () => 'refused',
            ),
          );
          throw new Error('it was given up');
        }
      }
    };
  const first = await scene.hire('dies', { through: through(true) });
  await scene.start('w', COPY);
  await dying.promise;
  await first.stop({ graceMs: 0, handInMs: 5_000 });
  await scene.hire('lives', { through: through(false) });
  const { outcome, details } = await scene.ended('w');
  assert.equal(outcome, 'completed', JSON.stringify(details));
  assert.deepEqual(begun, [1, 5]);
  assert.deepEqual(late, ['refused']);
  assert.deepEqual(seen, Array.from({ length: count }, (_, n) => [n, n + 0.5]).flat());
});

test('SAM-230 a source that is faster than its sink is shown as waiting_downstream and does not run ahead', async t => {
  const scene = await setup(t);
  let written = 0;
  let read = 0;
  const full = Promise.withResolvers<void>();
  const chunk = new Uint8Array(4 * 1_024 ** 2);
  await scene.hire('one', {
    source: async (_, context) => {
      for (; written < 24; written++) await context.output('rows').writeBytes(chunk);
    },
    sink: async (_, context) => {
      for await (const one of context.input('rows')) {
        if (one.number === 1) await full.promise;
        read++;
        assert.ok(written - read <= 18, `${written} were written when ${read} were read`);
      }
    },
  });
  await scene.start('w', [
    custom('source', { outputs: { rows: {} } }),
    custom('sink', { inputs: { rows: 'source.rows' } }),
  ]);
  for (;;) {
    const found = await scene.client.status('w.source').catch(() => null);
    const waiting = found?.current_status.waiting as Record<string, unknown> | undefined;
    if (waiting?.because !== 'waiting_downstream') continue;
    assert.deepEqual(waiting, {
      because: 'waiting_downstream',
      output: 'rows',
      pending_chunks: 16,
      pending_bytes: 64 * 1_024 ** 2,
    });
    break;
  }
  assert.equal(written, 16);
  full.resolve();
  const { outcome, details } = await scene.ended('w');
  assert.equal(outcome, 'completed', JSON.stringify(details));
  assert.deepEqual([written, read], [24, 24]);
});

test('SAM-229 data_processing and code_execution are stages: each batch is a query, and a program, of its own', async t => {
  const scene = await setup(t);
  const seen: number[] = [];
  await scene.hire('one', {
    sink: async (_, context) => {
      for await (const chunk of context.input('rows'))
        seen.push(...chunk.records<{ square: number }>().map(({ square }) => square));
    },
  });
  const items = Array.from({ length: 30 }, (_, n) => ({ n }));
  await scene.start('w', [
    {
      id: 'query',
      kind: 'stage',
      task_type: 'data_processing',
      items,
      task_data: {
        sources: { t: { inline: $('batch.records') } },
        sql: 'SELECT n::INTEGER AS n FROM t WHERE n % 2 = 0 ORDER BY n',
      },
      emit: $('result.rows'),
      outputs: { even: {} },
      window: { count: 10 },
    },
    {
      id: 'program',
      kind: 'stage',
      task_type: 'code_execution',
      inputs: { in: 'query.even' },
      task_data: {
        language: 'javascript',
        code: 'inputs.records.map(({ n }) => ({ square: n * n }))',
        inputs: { records: $('batch.records') },
      },
      emit: $('result.result'),
      outputs: { squares: {} },
    },
    custom('sink', { inputs: { rows: 'program.squares' } }),
  ]);
  const { outcome, details } = await scene.ended('w');
  assert.equal(outcome, 'completed', JSON.stringify(details));
  assert.deepEqual(
    seen,
    Array.from({ length: 15 }, (_, n) => 4 * n * n),
  );
});

for (const place of ['SQLite', 'PostgreSQL'] as const)
  test(`SAM-229 SAM-230 a step that reads by checkpoint and whose worker is killed between acknowledging and its checkpoint counts every record once, over ${place}`, {
    skip: place === 'PostgreSQL' && postgresMissing,
  }, async t => {
    const database = place === 'PostgreSQL' ? await freshDatabase() : null;
    if (database !== null) t.after(() => database.drop());
    const scene = await setup(t, {
      BATUTA_LEASE_MS: '2000',
      ...(database === null ? {} : { BATUTA_DATABASE_URL: database.url }),
    });
    const count = 60;
    await scene.hire('writes', {
      source: async (_, context) => {
        const rows = context.output('rows', { chunkBytes: 16 });
        for (let n = await rows.written(); n < count; n++) await rows.write({ n });
      },
    });
    let isCut = false;
    const dead = new BatutaClient({
      ...{ url: scene.server.url, credentials: { apiKey: ADMIN.key, apiSecret: ADMIN.secret } },
      fetch: (url, init) => (isCut ? Promise.reject(new Error('it is dead')) : fetch(url, init)),
    });
    const begun: number[] = [];
    const killed = Promise.withResolvers<void>();
    const sums =
      (dies: boolean): TaskHandler =>
      async (_, context) => {
        let sum = Number(context.saved ?? 0);
        let first = true;
        const rows = context.input('rows', { by: 'checkpoint' });
        for await (const chunk of rows) {
          if (first) begun.push(chunk.number);
          first = false;
          for (const { n } of chunk.records<{ n: number }>()) sum += n;
          await rows.acknowledge(chunk);
          if (chunk.number % 4 === 0) context.checkpoint(sum);
          if (!dies || chunk.number !== 10) continue;
          await scene.pipeOnce('w', ({ readers }) => readers[0]?.acknowledged === 8);
          isCut = true;
          killed.resolve();
        }
        return { sum };
      };
    await scene.hire('dies', { sum: sums(true) }, dead);
    await scene.start('w', [
      custom('source', { outputs: { rows: {} } }),
      custom('sum', { inputs: { rows: 'source.rows' } }),
    ]);
    await killed.promise;
    await scene.hire('lives', { sum: sums(false) });
    const { outcome, details } = await scene.ended('w');
    assert.equal(outcome, 'completed', JSON.stringify(details));
    const { execution_details: of } = await scene.client.status('w.sum');
    assert.deepEqual(of?.output, { sum: (count * (count - 1)) / 2 });
    assert.deepEqual(begun, [1, 9]);
  });
