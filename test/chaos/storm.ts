// A storm: submitters, workers and a webhook receiver around a server that is killed again and again. Afterwards the books are
// audited on the database itself: nothing acknowledged may be missing, nothing may have been applied twice.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openSqlite } from '../../src/store/sqlite/open.ts';
import { ADMIN_HEADERS, type ServerProcess, serverProcess } from '../server.ts';
import {
  audit,
  type Books,
  confirm,
  openBooks,
  receive,
  type Tally,
  untold,
  WEBHOOK_SECRET,
} from './books.ts';

const SUBMITTERS = 8;
const WORKERS = 4;
const ACKNOWLEDGED_A_KILL = 25;

/** What came out of a storm: besides the kills, its tally. */
export interface StormReport extends Tally {
  readonly kills: number;
}

/** Rages for so many kills, then lets the dust settle and audits; `onKill` hears of each. */
export async function storm(
  kills: number,
  onKill: (kill: number, books: Books) => void = () => {},
): Promise<StormReport> {
  const dataDir = mkdtempSync(join(tmpdir(), 'batuta-storm-'));
  const books = openBooks();
  const receiver = await receive(books);
  const server = await serverProcess(dataDir, { BATUTA_LEASE_MS: '2000', BATUTA_ARCHIVE_DELAY_MS: '500' });
  const raging = new AbortController();
  const working = new AbortController();
  try {
    await server.start();
    const workers = Array.from({ length: WORKERS }, (_, n) =>
      work(server, `storm-${n}`, books, working.signal),
    );
    const submitters = Array.from({ length: SUBMITTERS }, (_, n) =>
      submit(server, n, receiver.url, books, raging.signal),
    );
    for (let kill = 1; kill <= kills; kill++) {
      await delay(300 + Math.random() * 900);
      await busy(books, kill * ACKNOWLEDGED_A_KILL);
      await server.kill();
      onKill(kill, books);
      await server.start();
    }
    raging.abort();
    await Promise.all(submitters);
    await settle(server, books);
    working.abort();
    await Promise.all(workers);
    await server.stop();
    return { kills, ...(await auditFiles(dataDir, books)) };
  } finally {
    raging.abort();
    working.abort();
    await server.kill();
    receiver.close();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Resolves when so much was acknowledged, or after ten seconds: a kill of an idle server would prove little. */
async function busy(books: Books, acknowledged: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (books.acknowledged.size < acknowledged && performance.now() < deadline) await delay(20);
}

async function submit(
  server: ServerProcess,
  lane: number,
  webhook: string,
  books: Books,
  signal: AbortSignal,
): Promise<void> {
  for (let number = 0; !signal.aborted; number++) {
    const id = `storm-${lane}-${number}`;
    const body = {
      task_id: id,
      task_type: 'custom',
      description: 'a task in a storm',
      orchestrator_info: { agent_id: `lane-${lane % 2}`, timestamp: '2026-01-01T00:00:00Z' },
      task_data: { type_name: 'storm', number },
      execution_config: { max_retries: 50, retry_delay: 1 },
      notification_config: {
        webhook_url: webhook,
        webhook_secret: WEBHOOK_SECRET,
        notification_events: ['task_completed', 'task_failed'],
        retry_policy: { max_attempts: 20, backoff_strategy: 'fixed' },
      },
    };
    // The same body again until it is acknowledged: that is what idempotency is for.
    while (!signal.aborted) {
      const answer = await post(server, '/api/v2/execute-task', body, signal);
      if (answer?.status === 200) {
        books.acknowledged.add(id);
        break;
      }
      await delay(20);
    }
  }
}

interface Told {
  readonly task_id: string;
  readonly fencing_token: number;
  readonly status: 'completed';
  readonly output: { readonly token: number };
}

async function work(server: ServerProcess, agent: string, books: Books, signal: AbortSignal): Promise<void> {
  let results: Told[] = [];
  while (!signal.aborted) {
    const asked = { agent_id: agent, types: ['custom:storm'], slots: 20, wait_seconds: 1, results };
    const answer = await post(server, '/api/v2/work', asked, signal);
    if (answer?.status !== 200) {
      await delay(20);
      continue;
    }
    const { leases, rejected } = answer.body as {
      leases: { task: { task_id: string }; fencing_token: number }[];
      rejected: { task_id: string; fencing_token: number }[];
    };
    const refused = new Set(rejected.map(({ fencing_token }) => fencing_token));
    for (const { task_id, fencing_token } of results) {
      if (refused.has(fencing_token)) continue;
      confirm(books, task_id, fencing_token);
    }
    results = leases.map(({ task, fencing_token }) => ({
      task_id: task.task_id,
      fencing_token,
      status: 'completed',
      output: { token: fencing_token },
    }));
  }
}

/** Resolves when every acknowledged task was told of, or after a minute. */
async function settle(server: ServerProcess, books: Books): Promise<void> {
  const deadline = performance.now() + 60_000;
  while (performance.now() < deadline) {
    if (untold(books).length === 0) break;
    await delay(200);
  }
  // Archiving follows half a second after the last notification.
  for (let waited = 0; waited < 50; waited++) {
    const answer = await fetch(`${server.url}/api/v2/health`)
      .then(response => response.json())
      .catch(() => null);
    if (answer?.detail?.deliveries_pending === 0 && answer.metrics.active_tasks === 0) break;
    await delay(200);
  }
}

async function auditFiles(dataDir: string, books: Books): Promise<Tally> {
  const store = await openSqlite({ path: join(dataDir, 'batuta.db'), auditKey: Buffer.alloc(32) });
  try {
    return await audit(store, books);
  } finally {
    await store.stop();
  }
}

async function post(server: ServerProcess, path: string, body: unknown, signal: AbortSignal) {
  try {
    const response = await fetch(server.url + path, {
      method: 'POST',
      headers: ADMIN_HEADERS,
      body: JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    });
    return { status: response.status, body: (await response.json()) as unknown };
  } catch {
    return null;
  }
}

function delay(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms));
}
