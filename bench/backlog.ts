// `SAM-231`, in time: one server on SQLite that holds a million waiting and ten thousand leased tasks, whose workers keep their leases
// alive, while callers ask for the status of any of them and hand in more. Prints one line of JSON;
// `node bench/backlog.ts [--waiting N] [--leased N] [--seconds N]`.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { quantile } from '../src/engine/statistics.ts';
import { openSqlite } from '../src/store/sqlite/open.ts';
import { backlogTask, fillBacklog, holdLeases } from '../test/backlog.ts';
import { ADMIN_HEADERS, serverProcess } from '../test/server.ts';

const { values } = parseArgs({
  options: {
    waiting: { type: 'string', default: '1000000' },
    leased: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '30' },
  },
});
const [waiting, leased, seconds] = [values.waiting, values.leased, values.seconds].map(Number) as [
  number,
  number,
  number,
];
const ASKERS = 8;
const SUBMITTERS = 2;
const AUDIT_KEY = Buffer.alloc(32, 1);

const load1m = Math.round((loadavg()[0] ?? 0) * 10) / 10;
const dir = mkdtempSync(join(tmpdir(), 'batuta-bench-'));
const server = await serverProcess(dir, {
  BATUTA_LOG_LEVEL: 'error',
  BATUTA_SLOTS: '0',
  BATUTA_QUEUE_MAX: '100000000',
  BATUTA_AUDIT_KEY: AUDIT_KEY.toString('base64'),
});
try {
  const fillStarted = performance.now();
  const store = await openSqlite({ path: join(dir, 'batuta.db'), auditKey: AUDIT_KEY });
  await fillBacklog(store, waiting + leased);
  await store.stop();
  const fillSeconds = secondsSince(fillStarted);
  const startStarted = performance.now();
  await server.start();
  const startSeconds = secondsSince(startStarted);
  const leases = await holdLeases(server.url, leased);
  const over = new AbortController();
  const beating = leases.beat(over.signal);
  const statusMs: number[] = [];
  const submitMs: number[] = [];
  let handedIn = 0;
  const until = performance.now() + seconds * 1_000;
  await Promise.all([
    ...times(ASKERS, async () => {
      while (performance.now() < until) statusMs.push(await timed('GET', statusOf(anyTask())));
    }),
    ...times(SUBMITTERS, async () => {
      // Others come at their own pace, not when they were answered.
      for (; performance.now() < until; await pause(20)) {
        submitMs.push(await timed('POST', '/api/v2/execute-task', backlogTask(`late-${handedIn++}`)));
      }
    }),
  ]);
  over.abort();
  const { kept, lost } = await beating;
  const residentMb = residentMbOf(server.pid ?? 0);
  console.log(
    JSON.stringify({
      ...(await health()),
      ...{ status: figures(statusMs), submit: figures(submitMs), renewals: kept, leasesLost: lost },
      ...{ fillSeconds, startSeconds, residentMb, load1m },
    }),
  );
} finally {
  await server.kill();
  rmSync(dir, { recursive: true, force: true });
}

function anyTask(): number {
  return Math.floor(Math.random() * (waiting + leased));
}

function statusOf(number: number): string {
  return `/api/v2/task-status/task-${number}`;
}

async function timed(method: string, path: string, body?: object): Promise<number> {
  const started = performance.now();
  const payload = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`${server.url}${path}`, { method, headers: ADMIN_HEADERS, ...payload });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
  return performance.now() - started;
}

async function health(): Promise<{ readonly waiting: number; readonly leased: number }> {
  const answer = await fetch(`${server.url}/api/v2/health`, { headers: ADMIN_HEADERS });
  const { metrics } = (await answer.json()) as { metrics: { queue_size: number; active_tasks: number } };
  return { waiting: metrics.queue_size, leased: metrics.active_tasks };
}

function figures(tookMs: readonly number[]) {
  const at = (share: number): number => Math.round((quantile(tookMs, share) ?? 0) * 10) / 10;
  return { asked: tookMs.length, p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99), mostMs: at(1) };
}

function residentMbOf(pid: number): number {
  const [, kilobytes = '0'] = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Math.round(Number(kilobytes) / 1_024);
}

function times(count: number, work: () => Promise<void>): readonly Promise<void>[] {
  return Array.from({ length: count }, work);
}

function secondsSince(started: number): number {
  return Math.round((performance.now() - started) / 100) / 10;
}
