// data_processing beside DuckDB alone: the same query over the same CSV file of two million rows with as many threads, once as a task (child
// process, locked session, file from the artifact store, durable end) and once by DuckDB in a process of its own. Prints one line of JSON.

import { loadavg } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type { JsonObject } from '../src/domain/json.ts';
import { createDataExecutor } from '../src/executors/data/executor.ts';
import { silentLog } from '../src/runtime/log.ts';
import { blobPath } from '../src/store/files/blobs.ts';
import { noOutbound, openBenchHouse } from './house.ts';
import { percentile } from './peers/measure.ts';

const ROWS = Number(process.argv[2] ?? 2_000_000);
const RUNS = 5;
const SALES = `SELECT range AS id, 'region ' || (hash(range) % 17) AS region, hash(range * 7) % 5000 AS customer,
  (hash(range * 13) % 100000) / 100 AS amount, DATE '2026-01-01' + (hash(range * 3) % 365)::INTEGER AS day FROM range(${ROWS})`;
const query = (from: string): string =>
  `SELECT region, month(day) AS month, count(DISTINCT customer) AS customers, sum(amount) AS total
   FROM ${from} GROUP BY ALL ORDER BY region, month`;

const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const house = await openBenchHouse({
  slots: 1,
  types: [],
  executors: ({ clock, dir }) => [
    createDataExecutor({
      ...{ log: silentLog, clock, outbound: noOutbound },
      options: { compileCache: join(dir, 'compiled') },
    }),
  ],
});
try {
  const [file] = (await run({
    sources: { none: { inline: [{ n: 1 }] } },
    sql: SALES,
    outputs: [{ name: 'sales.csv', format: 'csv' }],
  })) as readonly { readonly artifact_id: string; readonly sha256: string; readonly size_bytes: number }[];
  if (file === undefined) throw new Error('no file was written');
  const { artifact_id: id, sha256, size_bytes: bytes } = file;
  const sources = { sales: { artifact_id: id, format: 'csv' } };
  await run({ sources, sql: query('sales') });
  house.tookMs();
  for (let at = 0; at < RUNS; at++) await run({ sources, sql: query('sales') });
  const taskMs = percentile(house.tookMs(), 0.5);
  const aloneMs = await alone(join(house.dir, blobPath(sha256)));
  const ratio = Math.round((taskMs / aloneMs) * 100) / 100;
  console.log(JSON.stringify({ taskMs, aloneMs, ratio, rows: ROWS, bytes, load1m }));
} finally {
  await house.stop();
}
process.exit(0);

async function run(payload: JsonObject): Promise<unknown> {
  const output = (await house.run('data_processing', payload)) as JsonObject;
  return output.outputs;
}

/** The median of runs in this process, which does nothing else; opening DuckDB and a first run are not counted. */
async function alone(path: string): Promise<number> {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' });
  const connection = await instance.connect();
  const tookMs: number[] = [];
  for (let at = 0; at <= RUNS; at++) {
    const startedAt = performance.now();
    const answer = await connection.runAndReadAll(query(`read_csv('${path}', header = true)`));
    answer.getRowsJson();
    if (at > 0) tookMs.push(performance.now() - startedAt);
  }
  return percentile(
    tookMs.sort((a, b) => a - b),
    0.5,
  );
}
