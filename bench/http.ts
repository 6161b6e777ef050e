// The two hottest routes under autocannon, 64 connections, no pipelining: submit (JWT verified, schema checked, committed with FULL)
// and task-status. Prints one line of JSON; `node bench/http.ts [seconds]`.

import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import autocannon from 'autocannon';
import { ADMIN_HEADERS, serverProcess } from '../test/server.ts';
import { taskBody, token } from './batuta-http.ts';

const seconds = Number(process.argv[2] ?? 6);
const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
const server = await serverProcess(dir, {
  BATUTA_LOG_LEVEL: 'error',
  BATUTA_SLOTS: '0',
  BATUTA_QUEUE_MAX: '100000000',
});
await server.start();
const headers = { authorization: `Bearer ${token()}`, 'content-type': 'application/json' };
try {
  await fetch(`${server.url}/api/v2/work`, {
    method: 'POST',
    headers: ADMIN_HEADERS,
    body: JSON.stringify({ agent_id: 'bench', types: ['custom:bench'], slots: 0, wait_seconds: 0 }),
  });
  const body = JSON.stringify(taskBody('bench-[<id>]', { body: 'x'.repeat(200) }));
  const submit = await run({
    url: `${server.url}/api/v2/execute-task`,
    method: 'POST',
    headers,
    body,
    idReplacement: true,
  });
  const done = await completed();
  const status = await run({ url: `${server.url}/api/v2/task-status/${done}`, headers });
  console.log(JSON.stringify({ submit, status, bodyBytes: body.length, load1m }));
} finally {
  await server.kill();
  rmSync(dir, { recursive: true, force: true });
}

/** A task that has been run, for its status to be asked. */
async function completed(): Promise<string> {
  const exchange = async (said: object) => {
    const response = await fetch(`${server.url}/api/v2/work`, {
      method: 'POST',
      headers: ADMIN_HEADERS,
      body: JSON.stringify({
        agent_id: 'bench',
        types: ['custom:bench'],
        slots: 1,
        wait_seconds: 5,
        ...said,
      }),
    });
    return await response.json();
  };
  const { leases } = await exchange({});
  const [{ task, fencing_token }] = leases;
  const results = [{ task_id: task.task_id, fencing_token, status: 'completed', output: { fine: true } }];
  await exchange({ slots: 0, wait_seconds: 0, results });
  return task.task_id;
}

async function run(
  options: Pick<Parameters<typeof autocannon>[0], 'url' | 'method' | 'headers' | 'body' | 'idReplacement'>,
) {
  const result = await autocannon({ ...options, connections: 64, pipelining: 1, duration: seconds });
  return {
    requestsPerSecond: Math.round(result.requests.mean),
    p50Ms: result.latency.p50,
    p99Ms: result.latency.p99,
    failed: result.non2xx + result.errors,
  };
}
