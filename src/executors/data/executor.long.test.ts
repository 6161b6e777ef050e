import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { getPriority } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import type { TaskSpec } from '../../domain/task.ts';
import type { Outbound } from '../../engine/ports/outbound.ts';
import type { Clock } from '../../runtime/clock.ts';
import { startChild } from './child-process.ts';
import {
  DataAttempted,
  noOutbound,
  openSession,
  scratch,
  setup,
  startExecutor,
  writeSales,
} from './fixture.test.ts';

const CSV = 'id,region,amount\n1,north,10.5\n2,south,-3\n3,north,\n4,east,7\n';
const PIPELINE: JsonObject = {
  sources: {
    orders: { format: 'csv', inline: CSV },
    regions: {
      inline: [
        { region: 'north', boss: 'Ana' },
        { region: 'south', boss: 'Bo' },
      ],
    },
  },
  from: 'orders',
  steps: [
    { type: 'validate', rules: [{ name: 'positive', check: 'amount > 0' }] },
    { type: 'join', with: 'regions', on: ['region'], kind: 'left' },
    { type: 'derive', columns: { cents: '(amount * 100)::BIGINT' } },
    {
      type: 'sql',
      sql: 'WITH doubled AS (SELECT *, cents * 2 AS twice FROM input) FROM doubled WHERE id <> 99',
    },
    { type: 'sort', by: [{ column: 'amount', direction: 'desc' }] },
    { type: 'select', columns: ['id', 'boss', 'twice'] },
  ],
};

test('SAM-149 a pipeline of steps answers what its query answers', async t => {
  const attempt = await setup(t);
  const output = await attempt.output(PIPELINE);
  assert.deepEqual(output.rows, [
    { id: 1, boss: 'Ana', twice: 2_100 },
    { id: 4, boss: null, twice: 1_400 },
  ]);
});

test('SAM-149 100,000 seeded rows give what DuckDB alone gives, as sql and as steps', async t => {
  const attempt = await setup(t);
  const path = join(await scratch(t), 'sales.csv');
  await writeSales(path, 100_000, 20_260_101);
  const sources = { sales: { format: 'csv', artifact_id: 'sales' } };
  const given = { artifacts: { sales: path } };
  const sql = `SELECT region, count(*) AS n, sum(amount) AS total, max(day) AS last FROM sales
    WHERE customer % 3 = 0 GROUP BY region ORDER BY region`;
  const bySql = await attempt.output({ sources, sql }, given);
  const bySteps = await attempt.output(
    {
      sources,
      steps: [
        { type: 'filter', where: 'customer % 3 = 0' },
        {
          type: 'aggregate',
          group_by: ['region'],
          columns: { n: 'count(*)', total: 'sum(amount)', last: 'max(day)' },
        },
        { type: 'sort', by: ['region'] },
      ],
    },
    given,
  );

  const { session, workspace } = await openSession(t);
  const copy = join(workspace, 'src', 'sales.csv');
  await writeFile(copy, await readFile(path));
  await session.run(`CREATE VIEW main.sales AS FROM read_csv('${copy}')`);
  const alone = await session.rows(sql);
  assert.equal(alone.length, 17);
  // A sum of doubles depends on the order of its terms, which threads do not promise.
  const rounded = (rows: unknown) =>
    (rows as JsonObject[]).map(row => ({ ...row, total: Math.round(Number(row.total) * 100) }));
  assert.deepEqual(rounded(bySql.rows), rounded(alone));
  assert.deepEqual(rounded(bySteps.rows), rounded(alone));
  assert.deepEqual([bySql.rows_in, bySteps.rows_in], [100_000, 100_000]);
});

test('SAM-150 the output counts rows, tells the schema, gives rows inline and files as artifacts', async t => {
  const attempt = await setup(t);
  const formats = ['csv', 'json', 'ndjson', 'parquet'];
  const output = await attempt.output({
    ...PIPELINE,
    outputs: formats.map(format => ({ name: `result.${format}`, format })),
  });
  const { rows_in: rowsIn, rows_out: rowsOut, rows_rejected: rejected } = output;
  assert.deepEqual({ rowsIn, rowsOut, rejected }, { rowsIn: 6, rowsOut: 2, rejected: 2 });
  assert.deepEqual(output.schema, [
    { name: 'id', type: 'BIGINT' },
    { name: 'boss', type: 'VARCHAR' },
    { name: 'twice', type: 'BIGINT' },
  ]);
  assert.equal(output.rows_truncated, false);
  const files = output.outputs as JsonObject[];
  assert.deepEqual(
    files.map(({ name, format }) => [name, format]),
    formats.map(format => [`result.${format}`, format]),
  );
  const text = (name: string) => attempt.saved.get(name)?.toString() ?? '';
  assert.equal(text('result.csv'), 'id,boss,twice\n1,Ana,2100\n4,,1400\n');
  assert.deepEqual(JSON.parse(text('result.json')), output.rows);
  assert.deepEqual(
    text('result.ndjson')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line)),
    output.rows,
  );
  assert.deepEqual(
    text('rejects.ndjson')
      .trim()
      .split('\n')
      .map(line => JSON.parse(line)),
    [
      { step: 1, failed_rules: ['positive'], row: { id: 2, region: 'south', amount: -3 } },
      { step: 1, failed_rules: ['positive'], row: { id: 3, region: 'north', amount: null } },
    ],
  );
  assert.equal((output.rejects as JsonObject).name, 'rejects.ndjson');

  const parquet = join(await scratch(t), 'result.parquet');
  await writeFile(parquet, attempt.saved.get('result.parquet') ?? '');
  const again = await attempt.output(
    { sources: { r: { format: 'parquet', artifact_id: 'p' } }, sql: 'FROM r ORDER BY id' },
    { artifacts: { p: parquet } },
  );
  assert.deepEqual([again.rows_in, again.rows], [2, output.rows]);
});

test('SAM-150 at most 1,000 rows and 2 MB of them are inline; the artifact has all', async t => {
  const attempt = await setup(t);
  const sources = { one: { inline: [{ a: 1 }] } };
  const outputs = [{ name: 'all.ndjson', format: 'ndjson' }];
  const many = await attempt.output({
    sources,
    sql: 'SELECT n FROM one, range(1001) t(n) ORDER BY n',
    outputs,
  });
  assert.deepEqual([many.rows_out, many.rows_truncated, (many.rows as []).length], [1_001, true, 1_000]);
  assert.equal(attempt.saved.get('all.ndjson')?.toString().trim().split('\n').length, 1_001);
  const long = await attempt.output({ sources, sql: "SELECT repeat('x', 1000000) AS x FROM one, range(5)" });
  assert.deepEqual([long.rows_out, long.rows_truncated, (long.rows as []).length], [5, true, 1]);
});

test('a validate step may fail the task instead, telling which rules were broken how often', async t => {
  const attempt = await setup(t);
  const error = await attempt.error({
    sources: { orders: { format: 'csv', inline: CSV } },
    steps: [
      {
        type: 'validate',
        on_failure: 'fail',
        rules: [
          { name: 'positive', check: 'amount > 0' },
          { name: 'known', check: "region <> 'south'" },
        ],
      },
    ],
  });
  assert.equal(error.code, 'task_failed');
  assert.equal(error.recoverable, false);
  assert.equal(error.details?.rows_rejected, 2);
  assert.deepEqual(error.details?.failed_rules, [
    { rule: 'known', rows: 1 },
    { rule: 'positive', rows: 2 },
  ]);
});

test('SAM-149 sources come from inline rows, artifacts, packed or not, URLs and earlier tasks', async t => {
  const asked: string[] = [];
  const outbound: Outbound = {
    ...noOutbound,
    send: async ({ url }) => {
      asked.push(url);
      return { status: 200, headers: {}, body: Buffer.from('{"id":1,"v":"url"}\n'), durationMs: 1 };
    },
  };
  const attempt = await setup(t, { outbound });
  const directory = await scratch(t);
  const artifacts = Object.fromEntries(['gz', 'zst', 'plain'].map(id => [id, join(directory, id)]));
  await writeFile(artifacts.gz ?? '', gzipSync('id,v\n1,gzip\n'));
  await writeFile(artifacts.zst ?? '', zstdCompressSync('[{"id":1,"v":"zstd"}]'));
  await writeFile(artifacts.plain ?? '', 'id\tv\n1\tplain\n');
  const output = await attempt.output(
    {
      sources: {
        a: { inline: [{ id: 1, v: 'inline' }] },
        b: { format: 'csv', artifact_id: 'gz', options: { compression: 'gzip' } },
        c: { format: 'json', artifact_id: 'zst', options: { compression: 'zstd' } },
        d: { format: 'csv', artifact_id: 'plain', options: { delimiter: '\t' } },
        e: { format: 'ndjson', url: 'https://files.example/e.ndjson' },
        f: { task_id: 'earlier' },
        g: { task_id: 'api', path: 'responses.0.body' },
      },
      sql: ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(name => `SELECT v FROM ${name}`).join(' UNION ALL '),
    },
    {
      artifacts,
      tasks: { earlier: { rows: [{ v: 'task' }] }, api: { responses: [{ body: [{ v: 'path' }] }] } },
    },
  );
  const values = (output.rows as JsonObject[]).map(row => row.v);
  assert.deepEqual(values, ['inline', 'gzip', 'zstd', 'plain', 'url', 'task', 'path']);
  assert.deepEqual(asked, ['https://files.example/e.ndjson']);
  assert.deepEqual(attempt.traffic.counts, { calls: 1, bytesSent: 0, bytesReceived: 19 });
});

test('a source that is not there, not packed as said or not an array names itself, and is not tried again', async t => {
  const attempt = await setup(t);
  const path = join(await scratch(t), 'plain');
  await writeFile(path, CSV);
  const fail = (source: JsonObject) =>
    attempt.error(
      { sources: { s: source }, sql: 'SELECT 1' },
      { artifacts: { plain: path }, tasks: { t: { rows: 'none' } } },
    );
  const missing = await fail({ format: 'csv', artifact_id: 'gone' });
  assert.deepEqual([missing.code, missing.recoverable, missing.details?.source], ['not_found', false, 's']);
  const unpacked = await fail({ format: 'csv', artifact_id: 'plain', options: { compression: 'gzip' } });
  assert.deepEqual(
    [unpacked.code, unpacked.recoverable, unpacked.details?.source],
    ['task_failed', false, 's'],
  );
  const rowless = await fail({ task_id: 't' });
  assert.deepEqual([rowless.code, rowless.details?.path], ['task_failed', 'rows']);
});

test('SAM-152 an unreachable URL is tried again; a forbidden one, bad data and bad SQL are not', async t => {
  const send = (code: 'dependency_failed' | 'policy_violation') => ({
    ...noOutbound,
    send: async () => {
      throw new DomainError(code, 'no way');
    },
  });
  const url = { sources: { s: { format: 'csv', url: 'https://files.example/s.csv' } }, sql: 'FROM s' };
  const down = await (await setup(t, { outbound: send('dependency_failed') })).error(url);
  assert.deepEqual([down.code, down.recoverable, down.details?.source], ['dependency_failed', true, 's']);
  const forbidden = await (await setup(t, { outbound: send('policy_violation') })).error(url);
  assert.deepEqual([forbidden.code, forbidden.recoverable], ['policy_violation', false]);

  const attempt = await setup(t);
  const broken = await attempt.error({
    sources: { s: { format: 'csv', inline: 'a,b\n1,2\n3\n' } },
    sql: 'FROM s',
  });
  assert.deepEqual([broken.code, broken.recoverable], ['task_failed', false]);
  assert.deepEqual(broken.details, { source: 's', line: 3, column: 2 });
  const wrong = await attempt.error({ sources: { s: { inline: [{ a: 1 }] } }, sql: 'SELECT b\nFROM s' });
  assert.deepEqual([wrong.code, wrong.recoverable], ['task_failed', false]);
  assert.deepEqual(wrong.details, { position: 7, line: 1, column: 8, field: 'task_data.sql' });
  const escaping = await attempt.error({ sources: { s: { inline: [{ a: 1 }] } }, sql: "COPY s TO '/tmp/x'" });
  assert.deepEqual([escaping.code, escaping.recoverable], ['policy_violation', false]);
});

test('SAM-152 an error in a step names the step and the field', async t => {
  const attempt = await setup(t);
  const fail = async (step: JsonObject) => {
    const steps = [{ type: 'limit', count: 10 }, step];
    const error = await attempt.error({ sources: { s: { inline: [{ a: 1 }] } }, steps });
    const { step: number, step_type: type, field, line, column } = error.details ?? {};
    return [error.code, number, type, field, line, column];
  };
  const place = [2, 'filter', 'task_data.steps.1.where'];
  assert.deepEqual(await fail({ type: 'filter', where: 'a >\n > 1' }), ['task_failed', ...place, 2, 2]);
  assert.deepEqual(await fail({ type: 'filter', where: "a > (FROM '/x')" }), [
    'policy_violation',
    ...place,
    1,
    11,
  ]);
  assert.deepEqual(await fail({ type: 'select', columns: ['b'] }), [
    ...['task_failed', 2, 'select', 'task_data.steps.1.columns'],
    ...[undefined, undefined],
  ]);
  assert.deepEqual(await fail({ type: 'sql', sql: 'SELECT b FROM input' }), [
    ...['task_failed', 2, 'sql', 'task_data.steps.1.sql'],
    ...[1, 8],
  ]);
});

test('SAM-121 attempts run at level process, and the status says so', async t => {
  const attempt = await setup(t);
  assert.deepEqual(attempt.executor.status().available, true);
  assert.deepEqual(attempt.executor.status().isolation, ['process']);
  const result = await attempt.run({ sources: { s: { inline: [{ a: 1 }] } }, sql: 'FROM s' });
  assert.equal(result.isolation, 'process');
  assert.ok(Number(result.metrics?.memoryPeakMb) > 20);
});

test('SAM-117 a query that may burst gives way to others; all its other limits are held', async t => {
  const niceness: number[] = [];
  const options = {
    startChild: async (clock: Clock, signal?: AbortSignal) => {
      const child = await startChild(clock, undefined, signal);
      const run: typeof child.run = async (order, listen) => {
        niceness.push(getPriority(child.pid));
        return await child.run(order, listen);
      };
      return { ...child, run, isAlive: true };
    },
  };
  const executor = await startExecutor(t, { options });
  const job = { sources: { t: { inline: [{ n: 1 }] } }, sql: 'FROM t' };
  const asking = new DataAttempted(executor, await scratch(t));
  await asking.output(job);
  await new DataAttempted(executor, await scratch(t)).output(job, { burst: true });
  assert.deepEqual(niceness, [0, 10]);
  const held = { memory: 'enforced', cpu: 'enforced', disk: 'enforced', network: 'enforced' };
  const modes = (more: object) => executor.limitModes?.({ resources: {}, ...more } as TaskSpec);
  assert.deepEqual(modes({ resources: { cpuCores: 0.5 } }), held);
  assert.deepEqual(modes({ burst: true }), { ...held, cpu: 'advisory' });
});

test('SAM-151 progress goes through the stages up to 99 %', async t => {
  const attempt = await setup(t);
  await attempt.output({ ...PIPELINE, outputs: [{ name: 'a.csv', format: 'csv' }] });
  const steps = attempt.reports.map(({ currentStep }) => currentStep);
  assert.deepEqual(steps.slice(0, 6), [
    ...['Fetching orders', 'Fetching regions', 'Reading orders', 'Reading regions'],
    ...['Step 1: validate', 'Step 2: join'],
  ]);
  assert.deepEqual(steps.slice(-3), ['Gathering the result', 'Writing a.csv', 'Saving a.csv']);
  const percentages = attempt.reports.map(({ percentage }) => percentage ?? 0);
  assert.deepEqual(
    percentages,
    percentages.toSorted((one, other) => one - other),
  );
  assert.ok(percentages.every(percentage => percentage < 100));
  assert.ok(attempt.reports.every(({ totalSteps }) => totalSteps === steps.length));
});

test('a forbidden URL is refused when the task is submitted', async t => {
  const outbound: Outbound = {
    ...noOutbound,
    check: async url => {
      throw new DomainError('unprocessable', `not ${url}`);
    },
  };
  const executor = await startExecutor(t, { outbound });
  const payload = { sources: { s: { format: 'csv', url: 'http://10.0.0.1/s.csv' } }, sql: 'FROM s' };
  await assert.rejects(async () => executor.check({ payload } as unknown as TaskSpec), {
    code: 'unprocessable',
  });
  const unknown = { sources: { s: { format: 'csv', inline: 'a\n' } }, steps: [{ type: 'explode' }] };
  await assert.rejects(async () => executor.check({ payload: unknown } as unknown as TaskSpec), {
    code: 'invalid_request',
  });
});
