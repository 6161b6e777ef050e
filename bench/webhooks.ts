// How many signed webhooks a second reach a local receiver: a server process with an outbox full of completed tasks, a receiver in
// this process that counts and answers 200. Prints one line of JSON; `node bench/webhooks.ts [tasks]`.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { ADMIN_HEADERS, serverProcess } from '../test/server.ts';
import { taskBody } from './batuta-http.ts';

const TASKS = Number(process.argv[2] ?? 5_000);
const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const arrivals: number[] = [];
let open = false;
const receiver = createServer((request, response) => {
  request.resume();
  if (open) arrivals.push(performance.now());
  response.writeHead(open ? 200 : 503).end();
});
receiver.listen(0, '127.0.0.1');
await once(receiver, 'listening');
const { port } = receiver.address() as AddressInfo;
const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
const server = await serverProcess(dir, { BATUTA_LOG_LEVEL: 'error', BATUTA_SLOTS: '0' });
await server.start();
try {
  await exchange({ slots: 0, wait_seconds: 0 });
  open = true;
  const started = performance.now();
  for (let from = 0; from < TASKS; from += 500) {
    const tasks = Array.from({ length: 500 }, (_, n) => ({
      ...taskBody(`hook-${from + n}`, {}),
      notification_config: {
        webhook_url: `http://127.0.0.1:${port}/`,
        notification_events: ['task_completed'],
      },
    }));
    await post('/api/v2/execute-task/batch', { tasks });
  }
  let results: object[] = [];
  for (let done = 0; done < TASKS; done += results.length) {
    const { leases } = await exchange({ slots: 100, wait_seconds: 1, results });
    results = leases.map((lease: { task: { task_id: string }; fencing_token: number }) => ({
      task_id: lease.task.task_id,
      fencing_token: lease.fencing_token,
      status: 'completed',
      output: null,
    }));
  }
  await exchange({ slots: 0, wait_seconds: 0, results });
  while (arrivals.length < TASKS && performance.now() - started < 120_000) {
    await new Promise(resolve => setTimeout(resolve, 20));
  }
  const [first = 0, last = 0] = [arrivals[0], arrivals.at(-1)];
  const perSecond = Math.round(arrivals.length / ((last - first) / 1_000));
  console.log(JSON.stringify({ delivered: arrivals.length, of: TASKS, perSecond, load1m }));
} finally {
  await server.kill();
  receiver.close();
  rmSync(dir, { recursive: true, force: true });
}
process.exit(0);

async function exchange(said: object) {
  return post('/api/v2/work', { agent_id: 'bench', types: ['custom:bench'], ...said });
}

async function post(path: string, body: object) {
  const response = await fetch(server.url + path, {
    method: 'POST',
    headers: ADMIN_HEADERS,
    body: JSON.stringify(body),
  });
  if (response.status !== 200)
    throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return await response.json();
}
