// Jobs over more than the memory they are given.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { type Given, openSession, setup } from './fixture.test.ts';

/** A file several times as large as the memory given, made by DuckDB in a moment. */
async function largeFile(t: TestContext, rows: number): Promise<string> {
  const { session, workspace } = await openSession(t);
  const path = join(workspace, 'out', 'large.csv');
  await session.run(`COPY (
    SELECT n AS id, md5(n::VARCHAR) AS hash, md5((n * 7)::VARCHAR) AS other, n % 1000 AS bucket FROM range(${rows}) t(n)
  ) TO '${path}' (FORMAT csv)`);
  return path;
}

test('SAM-151 a source larger than the memory given is sorted by spilling to the disk given', async t => {
  const attempt = await setup(t, { options: { keepSpare: false } });
  const path = await largeFile(t, 600_000);
  const result = await attempt.run(
    {
      sources: { large: { format: 'csv', artifact_id: 'large' } },
      sql: 'SELECT * FROM large ORDER BY hash',
      outputs: [{ name: 'sorted.parquet', format: 'parquet' }],
    },
    { artifacts: { large: path }, resources: { memoryMb: 80, cpuCores: 1 } },
  );
  assert.equal(result.status, 'completed', JSON.stringify(result));
  const { rows_out: rowsOut, rows } = result.output as JsonObject;
  assert.equal(rowsOut, 600_000);
  const hashes = (rows as JsonObject[]).map(row => String(row.hash));
  assert.deepEqual(hashes, hashes.toSorted());
  assert.deepEqual(await attempt.left(), []);
});

test('SAM-118 a job over its memory or its disk ends resource_exhausted and leaves nothing', async t => {
  const attempt = await setup(t, { options: { keepSpare: false } });
  const path = await largeFile(t, 300_000);
  const run = (sql: string, resources: Given['resources']) =>
    attempt.error(
      { sources: { large: { format: 'csv', artifact_id: 'large' } }, sql },
      { artifacts: { large: path }, resources: resources ?? {} },
    );
  const tooMuch = await run('SELECT list(hash || other) AS all_of_it FROM large', {
    memoryMb: 48,
    cpuCores: 1,
  });
  assert.deepEqual([tooMuch.code, tooMuch.details?.resource], ['resource_exhausted', 'memory']);
  const noRoom = await run('FROM large', { diskMb: 5 });
  assert.deepEqual([noRoom.code, noRoom.details?.resource], ['resource_exhausted', 'disk']);
  const noSpill = await run('FROM large ORDER BY hash', { memoryMb: 64, diskMb: 26, cpuCores: 1 });
  assert.deepEqual([noSpill.code, noSpill.details?.resource], ['resource_exhausted', 'disk']);
  assert.deepEqual(await attempt.left(), []);
});
