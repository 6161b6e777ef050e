// What a backlog costs: claims against 1,000 queued tasks and against 1,000,000, and the memory the million takes. One process, the
// real store as it serves; `--postgres` for that store, with claims beside a transaction that holds the horizon back, too. Prints one
// line of JSON; `node bench/claims.ts [--backlog N] [--postgres]`.

import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { AgentId } from '../src/domain/ids.ts';
import { DEFAULT_TENANT, type ExecutionId } from '../src/domain/ids.ts';
import { queueOf } from '../src/domain/queue.ts';
import { quantile } from '../src/engine/statistics.ts';
import { systemRandom } from '../src/runtime/random.ts';
import { openPostgres } from '../src/store/postgres/open.ts';
import type { NewTask } from '../src/store/rows.ts';
import { openSqlite } from '../src/store/sqlite/open.ts';
import type { Store } from '../src/store/store.ts';
import { orderOf } from '../test/harness.ts';
import { startPostgres } from './peers/servers.ts';

const SMALL = 1_000;
const CLAIMS = 1_000;
/** Claims that leave their remains behind while the horizon is held, before those that are timed. */
const HELD_CHURN = 10_000;

const { values } = parseArgs({
  options: { backlog: { type: 'string', default: '1000000' }, postgres: { type: 'boolean', default: false } },
});
const LARGE = Number(values.backlog);

const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
const postgres = values.postgres ? await startPostgres() : null;
const url = `postgres://bench@127.0.0.1:${postgres?.port}/postgres`;
const auditKey = Buffer.alloc(32);
const store =
  postgres === null
    ? await openSqlite({ path: join(dir, 'batuta.db'), auditKey })
    : await openPostgres({ url, auditKey });
let made = 0;
try {
  await fill(store, SMALL);
  // The first claims of a process compile what later ones run.
  await claims(store, SMALL);
  const small = await claims(store, SMALL);
  await fill(store, LARGE - SMALL);
  const large = await claims(store, LARGE);
  const residentMb = Math.round(process.memoryUsage.rss() / 1_048_576);
  const ratio = Math.round(((large.p99Ms ?? 0) / (small.p99Ms ?? 1)) * 100) / 100;
  const held = postgres === null ? {} : await heldBack(large.perSecond);
  console.log(JSON.stringify({ small, large, p99Ratio: ratio, ...held, residentMb, load1m }));
} finally {
  await store.stop();
  await postgres?.stop();
  rmSync(dir, { recursive: true, force: true });
}

/** Claims one by one, putting a new task in for each taken, so that the backlog stays what it is. */
async function claims(from: Store, backlog: number) {
  const [queue] = await from.queues();
  if (queue === undefined) throw new Error('there is nothing to claim');
  const pick = { agentId: 'bench' as AgentId, queues: [queue.id], limit: 1, leaseMs: 60_000 };
  const tookMs: number[] = [];
  for (let n = 0; n < CLAIMS; n++) {
    const started = performance.now();
    const [claimed] = await from.claim([pick]);
    tookMs.push(performance.now() - started);
    if (claimed?.length !== 1) throw new Error('a claim came back empty');
    await from.submit([newTask()]);
  }
  return {
    backlog,
    claims: CLAIMS,
    p50Ms: round(quantile(tookMs, 0.5)),
    p99Ms: round(quantile(tookMs, 0.99)),
    perSecond: Math.round(CLAIMS / (tookMs.reduce((sum, ms) => sum + ms, 0) / 1_000)),
  };
}

/** The same beside an idle transaction whose snapshot keeps all that is deleted from being cleared away. */
async function heldBack(freely: number) {
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  await holder.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
  await holder.query('SELECT count(*) FROM batuta.ready');
  const [queue] = await store.queues();
  const pick = { agentId: 'bench' as AgentId, queues: [queue?.id ?? 0], limit: 500, leaseMs: 60_000 };
  for (let taken = 0; taken < HELD_CHURN; ) taken += (await store.claim([pick]))[0]?.length ?? 0;
  const held = await claims(store, LARGE);
  await holder.end();
  return { held, heldRatio: Math.round((held.perSecond / freely) * 100) / 100 };
}

async function fill(into: Store, count: number): Promise<void> {
  const batch = 1_000;
  for (let done = 0; done < count; done += batch) {
    await into.submit(Array.from({ length: Math.min(batch, count - done) }, newTask));
  }
}

function newTask(): NewTask {
  const { tenant, id, spec, fingerprint } = orderOf(`task-${made++}`, { payload: { body: 'x'.repeat(440) } });
  return {
    tenant,
    id,
    executionId: systemRandom.uuid() as ExecutionId,
    spec,
    fingerprint,
    queue: queueOf(DEFAULT_TENANT, spec),
    state: 'queued',
    events: [{ kind: 'state', from: null, to: 'submitted', actor: 'bench', phase: 'init' }],
    timers: [],
    waitingMax: 100_000_000,
  };
}

function round(ms: number | null): number {
  return Math.round((ms ?? 0) * 1_000) / 1_000;
}
