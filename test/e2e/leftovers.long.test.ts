// What is left of tasks once they are over: nothing on disk, and of processes only those that wait warm for the next task, until the
// server ends and they with it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, test } from 'node:test';
import { withoutBrowser } from '../../src/executors/web/browser.test.ts';
import { entriesAt, statFields, textAt } from '../../src/runtime/procfs.ts';
import type { Loose } from '../serve.ts';
import { submit, until } from './crew.ts';
import { running } from './running.ts';

/** A far end that answers, refuses, or never says anything. */
const far = createServer(async (request, response) => {
  const wanted = `${request.url} ${await text(request)}`;
  if (wanted.includes('never')) return;
  if (/missing|robots|refuse/.test(wanted)) {
    response.writeHead(404, { 'content-type': 'text/html' }).end('<h1>no</h1>');
    return;
  }
  const choices = [{ index: 0, message: { role: 'assistant', content: 'text' }, finish_reason: 'stop' }];
  const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 };
  if (request.method === 'POST')
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ model: 'writer', choices, usage }));
  else response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>page</h1>');
});
far.listen(0, '127.0.0.1');
await once(far, 'listening');
const url = `http://127.0.0.1:${(far.address() as AddressInfo).port}`;

const house = await running({ BATUTA_MODEL_URL: `${url}/v1`, BATUTA_MODEL: 'writer' });
const { admin } = house;
const { body: health } = await admin.get('/api/v2/health');
const hasSandbox = health.detail.task_types.code_execution.isolation.includes('bubblewrap');
let isStopped = false;
after(async () => {
  if (!isStopped) await house.stop();
  far.closeAllConnections();
  far.close();
});

/** One that ends well, one that fails, and one that runs until it is cancelled. */
interface Three {
  readonly type: string;
  readonly good: object;
  readonly bad: object;
  readonly endless: object;
}

const script = (language: string, code: string): object => ({ language, code });
const sources = { t: { format: 'json', inline: [{ n: 1 }] } };
const sql = (text: string): object => ({
  sources,
  sql: text,
  outputs: [{ name: 'rows.csv', format: 'csv' }],
});
const requests = (path: string): object => ({
  requests: [{ name: 'one', url: `${url}${path}`, retry: { max_attempts: 1 } }],
});
const page = (path: string, more: object = {}): object => ({
  target_url: `${url}${path}`,
  extraction_rules: { title: 'h1' },
  options: { requests_per_second: 50, obey_robots: false },
  ...more,
});
const step = (task_type: string, task_data: object): object => ({
  steps: [{ id: 'one', task_type, task_data }],
});
const ENDLESS_JS = 'writeOutput("half.txt", "x".repeat(1e6)); progress(1); for (;;);';
const ENDLESS_SQL = 'SELECT count(*) FROM range(1000000) a, range(1000000) b, range(100) c';

const THREES: readonly Three[] = [
  {
    type: 'code_execution',
    good: script('javascript', 'writeOutput("a.txt", "a"); return 1'),
    bad: script('javascript', 'writeOutput("a.txt", "a"); throw new Error("no")'),
    endless: script('javascript', ENDLESS_JS),
  },
  ...['python', 'shell'].flatMap(language =>
    hasSandbox ? [{ type: 'code_execution', ...scriptsIn(language) }] : [],
  ),
  {
    type: 'data_processing',
    good: sql('SELECT n + 1 AS n FROM t'),
    bad: sql("SELECT error('no') FROM t"),
    endless: sql(ENDLESS_SQL),
  },
  {
    type: 'api_integration',
    good: requests('/list'),
    bad: requests('/missing'),
    endless: requests('/never'),
  },
  {
    type: 'web_automation',
    good: page('/', { engine: 'http' }),
    bad: page('/missing', { engine: 'http' }),
    endless: page('/never', { engine: 'http' }),
  },
  ...(withoutBrowser === false
    ? [
        {
          type: 'web_automation',
          good: page('/', { engine: 'browser' }),
          bad: page('/missing', { engine: 'browser' }),
          endless: page('/', { engine: 'browser', steps: [{ type: 'wait', seconds: 60 }] }),
        },
      ]
    : []),
  {
    type: 'content_generation',
    good: { prompt: 'write', stream: false },
    bad: { prompt: 'refuse', stream: false },
    endless: { prompt: 'never', stream: false },
  },
  {
    type: 'monitoring_task',
    good: { checks: [{ type: 'http', name: 'page', url }] },
    bad: { checks: [{ type: 'http', name: 'page', url: `${url}/missing` }], fail_on: 'critical' },
    endless: { checks: [{ type: 'http', name: 'page', url }], schedule: { interval: 60 } },
  },
  {
    type: 'workflow_orchestration',
    good: step('code_execution', script('javascript', 'return 1')),
    bad: step('code_execution', script('javascript', 'throw new Error("no")')),
    endless: step('code_execution', script('javascript', ENDLESS_JS)),
  },
];

/** Each leaves processes behind where it can: daemons that are deaf to being asked. */
function scriptsIn(language: string): Omit<Three, 'type'> {
  if (language === 'shell') {
    const daemon = 'setsid sh -c \'trap "" TERM; while :; do sleep 1; done\' >/dev/null 2>&1 &\n';
    return {
      good: script(language, `${daemon}echo x > "$BATUTA_OUTPUT/a.txt"`),
      bad: script(language, `${daemon}exit 3`),
      endless: script(language, `${daemon}echo x > "$BATUTA_WORK/half"; while :; do :; done`),
    };
  }
  const daemon =
    'import os, time\nif os.fork() == 0:\n  os.setsid()\n  os.close(1); os.close(2)\n  time.sleep(999)\n';
  return {
    good: script(language, `${daemon}open(os.environ["BATUTA_OUTPUT"] + "/a.txt", "w").write("a")`),
    bad: script(language, `${daemon}raise SystemExit(3)`),
    endless: script(language, `${daemon}open("half", "w").write("x" * 1000000)\nwhile True: pass`),
  };
}

/** Children of this process and theirs, dead ones nobody waited for included, by what they run. */
function descendants(): readonly string[] {
  const parents = new Map(
    entriesAt('/proc')
      .map(Number)
      .filter(Number.isInteger)
      .map(pid => [pid, Number(statFields(pid)[1])]),
  );
  const isOurs = (pid: number | undefined): boolean =>
    pid !== undefined && (parents.get(pid) === process.pid || isOurs(parents.get(pid)));
  return [...parents.keys()]
    .filter(isOurs)
    .map(pid =>
      `${statFields(pid)[0]} ${textAt(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')}`.slice(0, 2_000),
    );
}

async function eventually(what: string, look: () => Promise<readonly string[]>): Promise<void> {
  const deadline = performance.now() + 15_000;
  for (let found = await look(); found.length > 0; found = await look())
    assert.ok(performance.now() < deadline, `${what} left: ${found.join('\n')}`);
}

const order = (task_id: string, task_type: string, task_data: object): object => ({
  task_id,
  task_type,
  description: 'leaves nothing',
  orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
  task_data,
  timeout: 120,
  execution_config: { max_retries: 0 },
});

async function outcomeOf(id: string, type: string, data: object): Promise<string> {
  await submit(admin, order(id, type, data));
  const { current_status: now } = await until(admin, id, one => one.current_status.outcome !== null);
  return now.outcome;
}

async function cancelled(id: string, type: string, data: object): Promise<string> {
  await submit(admin, order(id, type, data));
  const isUnderWay = (one: Loose): boolean => one.current_status.lifecycle_state === 'running';
  const child = type === 'workflow_orchestration' ? `${id}.one` : id;
  await until(admin, id, isUnderWay);
  if (child !== id)
    await eventually('no child', async () =>
      (await admin.get(`/api/v2/task-status/${child}`, { expect: null })).status === 200 ? [] : ['yet'],
    );
  await until(admin, child, isUnderWay);
  await admin.post(`/api/v2/tasks/${id}/cancel`, { reason: 'enough' });
  return (await until(admin, id, one => one.current_status.outcome !== null)).current_status.outcome;
}

/** What waits for the next task, unless it was stopped and left so. */
const WARM = /wasm\/host|data\/child|batuta-browser-|chrom/;

test('SAM-120 SAM-67 tasks of every type that end, fail or are cancelled leave no file and no process', async () => {
  for (const [at, { type, good, bad, endless }] of THREES.entries()) {
    const told = { type, at };
    assert.deepEqual(
      { ...told, ended: await outcomeOf(`good-${at}`, type, good) },
      { ...told, ended: 'completed' },
    );
    assert.deepEqual(
      { ...told, ended: await outcomeOf(`bad-${at}`, type, bad) },
      { ...told, ended: 'failed' },
    );
    assert.deepEqual(
      { ...told, ended: await cancelled(`endless-${at}`, type, endless) },
      { ...told, ended: 'cancelled' },
    );
  }
  await eventually('files', () => readdir(join(house.dataDir, 'work')));
  await eventually('processes', async () =>
    descendants().filter(one => !WARM.test(one) || one.startsWith('T')),
  );
  await house.stop();
  isStopped = true;
  await eventually('processes after the end', async () => descendants());
  const browsers = (await readdir(tmpdir())).filter(name =>
    name.startsWith(`batuta-browser-${process.pid}-`),
  );
  assert.deepEqual(browsers, []);
});
