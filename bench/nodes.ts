// What a second node adds where work, not the database, is the limit: servers over one PostgreSQL, each with a worker of its own whose
// eight slots are taken 20 ms by each task. Prints one line of JSON; `node bench/nodes.ts [--seconds 6]`.

import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { BatutaClient, Orchestrator, Worker } from '../src/sdk/index.ts';
import { ADMIN, type ServerProcess, serverProcess } from '../test/server.ts';
import { startPostgres } from './peers/servers.ts';

const SLOTS = 8;
const TASK_MS = 20;
const BACKLOG_MAX = 200;
const KEY = Buffer.alloc(32, 7).toString('base64');

const { values } = parseArgs({ options: { seconds: { type: 'string', default: '6' } } });
const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const one = await throughput(1, Number(values.seconds));
const two = await throughput(2, Number(values.seconds));
console.log(JSON.stringify({ one, two, ratio: Math.round((two / one) * 100) / 100, load1m }));

async function throughput(count: number, seconds: number): Promise<number> {
  const postgres = await startPostgres();
  const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
  const nodes: ServerProcess[] = [];
  try {
    for (let number = 1; number <= count; number++) nodes.push(await node(number, dir, postgres.port));
    return await load(nodes, seconds);
  } finally {
    for (const running of nodes) await running.kill();
    await postgres.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function node(number: number, dir: string, port: number): Promise<ServerProcess> {
  const server = await serverProcess(join(dir, `node-${number}`), {
    BATUTA_DATABASE_URL: `postgres://bench@127.0.0.1:${port}/postgres`,
    BATUTA_MASTER_KEY: KEY,
    BATUTA_AUDIT_KEY: KEY,
    BATUTA_SERVER_ID: `node-${number}`,
    BATUTA_SLOTS: '0',
    BATUTA_LOG_LEVEL: 'error',
  });
  await server.start();
  return server;
}

async function load(nodes: readonly ServerProcess[], seconds: number): Promise<number> {
  let submitted = 0;
  let done = 0;
  const clients = nodes.map(
    ({ url }) => new BatutaClient({ url, credentials: { apiKey: ADMIN.key, apiSecret: ADMIN.secret } }),
  );
  const workers = clients.map(
    (client, index) =>
      new Worker({
        client,
        agentId: `bench-${index}`,
        slots: SLOTS,
        handlers: {
          bench: async () => {
            await pause(TASK_MS);
            done++;
          },
        },
      }),
  );
  for (const worker of workers) await worker.start();
  const until = performance.now() + (seconds + 1) * 1_000;
  const submitting = clients.map(async (client, index) => {
    const orchestrator = new Orchestrator({ client, agentId: 'bench' });
    while (performance.now() < until) {
      if (submitted - done >= BACKLOG_MAX) await pause(1);
      else
        await Promise.all(
          Array.from({ length: SLOTS }, () =>
            orchestrator.submit({ id: `t-${index}-${submitted++}`, type: 'custom:bench', data: {} }),
          ),
        );
    }
  });
  // The first second fills the line.
  await pause(1_000);
  const [startedAt, doneBefore] = [performance.now(), done];
  await pause(seconds * 1_000 - 100);
  const rate = Math.round(((done - doneBefore) * 1_000) / (performance.now() - startedAt));
  await Promise.all(submitting);
  await Promise.all(workers.map(worker => worker.stop({ graceMs: 5_000 })));
  return rate;
}
