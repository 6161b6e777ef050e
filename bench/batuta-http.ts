// Batuta over HTTP as a peer among peers: a server process, tasks submitted by the SDK's orchestrator with a verified JWT and run
// by its worker, whose exchanges carry results in and tasks out in one call.

import { createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { VERSION } from '../src/app/version.ts';
import { BatutaClient, Orchestrator, Worker } from '../src/sdk/index.ts';
import { ADMIN, serverProcess } from '../test/server.ts';
import type { Peer } from './peers/peer.ts';

/** Starts a server on a data directory of its own. */
export async function startPeer(): Promise<Peer> {
  const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
  const server = await serverProcess(dir, { BATUTA_LOG_LEVEL: 'error', BATUTA_SLOTS: '0' });
  await server.start();
  const client = new BatutaClient({
    url: server.url,
    credentials: { apiKey: ADMIN.key, apiSecret: ADMIN.secret },
  });
  // The worker's type must be known before the first submit.
  await client.work({ agent_id: 'bench', types: ['custom:bench'], slots: 0, wait_seconds: 0 });
  const orchestrator = new Orchestrator({
    client: new BatutaClient({ url: server.url, credentials: { token: token() } }),
    agentId: 'bench',
  });
  let submitted = 0;
  return {
    name: 'batuta http',
    version: VERSION,
    server: 'one process, SQLite, each commit synced before it is answered; JWT; SDK',
    trials: [
      { slots: 100, claimMax: 100, exchangesMax: 2 },
      { slots: 100, claimMax: 50, exchangesMax: 3 },
    ],
    async submit(payload) {
      await orchestrator.submit({ id: `bench-${submitted++}`, type: 'custom:bench', data: payload as never });
    },
    async work({ slots, claimMax, exchangesMax }, onJob) {
      const worker = new Worker({
        client,
        agentId: 'bench',
        handlers: { bench: async () => onJob() },
        slots: Number(slots),
        claimMax: Number(claimMax),
        exchangesMax: Number(exchangesMax),
      });
      worker.start();
      return () => worker.stop({ graceMs: 5_000 });
    },
    async stop() {
      await server.kill();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** A bearer token as an orchestrator of the protocol makes one. */
export function token(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1_000);
  const claims = {
    agent_id: 'bench',
    permissions: ['task_execution', 'task_monitoring'],
    iat: now,
    exp: now + 3_600,
  };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', ADMIN.jwt).update(signed).digest('base64url')}`;
}

/** A task as it is submitted in benchmarks. */
export function taskBody(id: string, payload: object) {
  return {
    task_id: id,
    task_type: 'custom',
    description: 'a benchmark task',
    orchestrator_info: { agent_id: 'bench', timestamp: '2026-01-01T00:00:00Z' },
    task_data: { type_name: 'bench', ...payload },
  };
}
