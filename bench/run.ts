// `npm run bench`: everything that is promised of speed, beside its peers, in one run on one machine, as one table.
// `-- --seconds N` sets the length of each measurement, `-- --only a,b` picks some; the peers are installed when first wanted.

import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

type Figures = ReturnType<typeof JSON.parse>;

interface Row {
  readonly what: string;
  readonly measured: number | null;
  readonly unit: string;
  readonly target: string;
  readonly reached: boolean | null;
}

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '6' }, only: { type: 'string' }, json: { type: 'boolean' } },
});
const { seconds } = values;
const only = values.only?.split(',');
const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

const wants = (name: string): boolean => only === undefined || only.includes(name);
const run = (name: string, file: string, ...args: string[]): Figures | null => {
  if (!wants(name)) return null;
  process.stderr.write(`measuring ${name} …\n`);
  const { stdout, status, signal } = spawnSync(process.execPath, [here(file), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`${file} ended with ${status ?? signal}`);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? 'null');
};

const PEERS = ['bullmq', 'graphile', 'pgboss', 'dbos', 'restate', 'validation'];
// One that came later is not there yet where the others were installed before.
const newest = here('peers/node_modules/zod');
if (PEERS.some(wants) && !existsSync(newest)) {
  process.stderr.write('installing the peers …\n');
  execFileSync('npm', ['install', '--prefix', here('peers'), '--no-audit', '--no-fund'], {
    stdio: 'inherit',
  });
}
const empty = run('empty', 'empty-route.ts', '--seconds', seconds);
const http = run('http', 'http.ts', seconds);
const engine = run('engine', 'peers/run.ts', 'batuta-engine', '--seconds', seconds);
const workers = run('workers', 'peers/run.ts', 'batuta-http', '--seconds', seconds);
const bullmq = run('bullmq', 'peers/run.ts', 'bullmq', '--seconds', seconds);
const graphile = run('graphile', 'peers/run.ts', 'graphile', '--seconds', seconds);
const postgres = run('postgres', 'peers/run.ts', 'batuta-postgres', '--seconds', seconds);
const pgboss = run('pgboss', 'peers/run.ts', 'pgboss', '--seconds', seconds);
const claims = run('claims', 'claims.ts');
const postgresClaims = run('postgres-claims', 'claims.ts', '--postgres');
const nodes = run('nodes', 'nodes.ts', '--seconds', seconds);
const start = run('start', 'start.ts');
const webhooks = run('webhooks', 'webhooks.ts');
const workflows = run('workflows', 'peers/run.ts', 'batuta-workflows', '--seconds', seconds);
const postgresWorkflows = run(
  'postgres-workflows',
  'peers/run.ts',
  'batuta-workflows-postgres',
  '--seconds',
  seconds,
);
const dbos = run('dbos', 'peers/run.ts', 'dbos', '--seconds', seconds);
const restate = run('restate', 'peers/run.ts', 'restate', '--seconds', seconds);
const javascript = run('javascript', 'javascript.ts', '--seconds', seconds);
const browser = run('browser', 'browser.ts', '--seconds', seconds);
const data = run('data', 'data.ts');
const mail = run('mail', 'mail.ts', seconds);
const postgresMail = run('postgres-mail', 'mail.ts', seconds, '--postgres');
const messages = run('messages', 'messages.ts', seconds);
const validation = run('validation', 'validation.ts');
const searches = run('search', 'search.ts');

const over = (a: number | undefined, b: number | undefined): number | null =>
  a === undefined || b === undefined ? null : Math.round((a / b) * 100) / 100;
const atLeast = (what: string, measured: number | null | undefined, target: number, unit: string): Row => ({
  what,
  measured: measured ?? null,
  unit,
  target: `≥ ${target}`,
  reached: measured == null ? null : measured >= target,
});
const atMost = (what: string, measured: number | null | undefined, target: number, unit: string): Row => ({
  what,
  measured: measured ?? null,
  unit,
  target: `≤ ${target}`,
  reached: measured == null ? null : measured <= target,
});
const untargeted = (what: string, measured: number | null | undefined, unit: string): Row => ({
  ...{ what, unit, measured: measured ?? null },
  target: '',
  reached: null,
});

function postgresRows(): readonly Row[] {
  const rate = postgres?.lifecyclePerSecond;
  return [
    atLeast('PostgreSQL lifecycle / graphile-worker', over(rate, graphile?.lifecyclePerSecond), 3, '×'),
    atLeast('PostgreSQL lifecycle / pg-boss', over(rate, pgboss?.lifecyclePerSecond), 5, '×'),
    atMost('PostgreSQL idle submit → worker, p50', postgres?.idleP50Ms, 10, 'ms'),
    atLeast('two nodes / one, where work is the limit', nodes?.ratio, 1.5, '×'),
    atMost('PostgreSQL claim p99, 1,000,000 queued / 1,000', postgresClaims?.p99Ratio, 1.5, '×'),
    atLeast('PostgreSQL claims under a held xmin / without', postgresClaims?.heldRatio, 0.5, '×'),
  ];
}

function workflowRows(): readonly Row[] {
  const [sqlite, shared] = [workflows?.stepsPerSecond, postgresWorkflows?.stepsPerSecond];
  return [
    atLeast('workflow steps / DBOS', over(sqlite, dbos?.stepsPerSecond), 3, '×'),
    atLeast('workflow steps on PostgreSQL / DBOS', over(shared, dbos?.stepsPerSecond), 3, '×'),
    atLeast('workflow steps / Restate', over(sqlite, restate?.stepsPerSecond), 3, '×'),
    atMost('1,000 steps side by side and their join', workflows?.fanOutMs, 1_000, 'ms'),
    atMost('the same on PostgreSQL', postgresWorkflows?.fanOutMs, 1_000, 'ms'),
  ];
}

function executorRows(): readonly Row[] {
  return [
    atLeast('sandboxed JavaScript jobs', javascript?.perSecond, 500, '/s'),
    atMost('a lone JavaScript job on a warm process, p50', javascript?.loneP50Ms, 5, 'ms'),
    untargeted('browser job on a fresh browser / on a kept one', browser?.ratio, '×'),
    atMost('data_processing / DuckDB alone', data?.ratio, 1.2, '×'),
  ];
}

function messageRows(): readonly Row[] {
  return [
    atLeast('messages sent, taken and acknowledged, in process', mail?.perSecond, 20_000, '/s'),
    untargeted('the same on PostgreSQL', postgresMail?.perSecond, '/s'),
    atLeast('messages over HTTP in batches, sent, read and acknowledged', messages?.perSecond, 5_000, '/s'),
    atMost('a message pushed through a socket, p50', messages?.pushP50Ms, 2, 'ms'),
    untargeted('memory of an open socket that waits', messages?.kbEach, 'KB'),
    atMost('growth over 15 s of 10,000 of them', messages?.grewMb, 10, 'MB'),
    atLeast('envelopes checked on one core', validation?.perSecond, 200_000, '/s'),
    untargeted('the same by bare Ajv', validation?.ajvPerSecond, '/s'),
    untargeted('the same by Zod', validation?.zodPerSecond, '/s'),
    atMost('hybrid search over 100,000 passages, p95', searches?.p95Ms, 50, 'ms'),
  ];
}

const rows: readonly Row[] = [
  atLeast(
    'HTTP submit / empty route',
    over(http?.submit.requestsPerSecond, empty?.requestsPerSecond),
    0.45,
    '×',
  ),
  atLeast(
    'task-status / empty route',
    over(http?.status.requestsPerSecond, empty?.requestsPerSecond),
    0.6,
    '×',
  ),
  atLeast('engine lifecycle / BullMQ', over(engine?.lifecyclePerSecond, bullmq?.lifecyclePerSecond), 4, '×'),
  atLeast(
    'HTTP worker lifecycle / BullMQ',
    over(workers?.lifecyclePerSecond, bullmq?.lifecyclePerSecond),
    1,
    '×',
  ),
  atMost('claim p99, 1,000,000 queued / 1,000', claims?.p99Ratio, 1.5, '×'),
  atMost('idle submit → worker over HTTP, p50', workers?.idleP50Ms, 3, 'ms'),
  atMost('resident memory, 1,000,000 queued', claims?.residentMb, 250, 'MB'),
  atMost('start to ready', start?.medianMs, 1_000, 'ms'),
  atLeast('webhooks delivered', webhooks?.perSecond, 1_000, '/s'),
  ...postgresRows(),
  ...workflowRows(),
  ...executorRows(),
  ...messageRows(),
];
const raw = {
  ...{ empty, http, engine, workers, bullmq, claims, start, webhooks },
  ...{ postgres, graphile, pgboss, postgresClaims, nodes },
  ...{ workflows, postgresWorkflows, dbos, restate, javascript, browser, data },
};
const machine = `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
if (values.json === true) console.log(JSON.stringify({ machine, rows, raw }));
else {
  console.log(machine);
  console.table(rows.filter(({ measured }) => measured !== null));
  for (const [name, figures] of Object.entries(raw))
    if (figures !== null) console.log(name, JSON.stringify(figures));
}
