import assert from 'node:assert/strict';
import { test } from 'node:test';
import { statusOf, wireError } from '../sdk/far-end.test.ts';
import type { Finding } from './host.ts';
import { call, shell } from './shell.test.ts';
import { waitingText } from './task-text.ts';

const running = statusOf('t1', {
  state: 'running',
  attempt: 2,
  progress: { percentage: 45, current_step: 'page 5 of 10', estimated: true },
  timestamps: { created: '2026-01-31T11:57:00.000Z', last_update: '2026-01-31T11:59:30.000Z' },
});

test('status tells all there is of one task, as words or as the server said it', async context => {
  const task = statusOf(
    't2',
    { state: 'failed', outcome: 'failed', attempt: 3, requires_human_intervention: true },
    {
      error_details: { code: 'EXECUTION_ERROR', message: 'no such table' },
      artifacts: [{ artifact_id: 'a1', name: 'rows.csv', size_bytes: 2048 }],
    },
  );
  const { run, end } = await shell(context, asked => ({ json: asked.path.endsWith('t2') ? task : running }));
  const words = await run('status t1');
  assert.match(words.out, /^t1 {2}running {2}█+░+ ~45 %\n/);
  assert.match(words.out, /step +page 5 of 10\n/);
  assert.match(words.out, /created +2026-01-31T11:57:00.000Z \(3 min ago\)/);
  const failed = await run('status t2 --logs');
  assert.match(failed.out, /failed needs a person/);
  assert.match(failed.out, /error +EXECUTION_ERROR no such table/);
  assert.match(failed.out, /artifacts +a1 {2}rows.csv {2}2.0 KiB/);
  assert.equal(end.asked[1]?.query.get('include_logs'), 'true');
  assert.deepEqual((await run('status t1 --json')).json, running);
});

test('status of several tasks is a table; one that is missing is told and ends with 5', async context => {
  const { run, end } = await shell(context, () => ({
    json: { tasks: [running], not_found: ['gone'], total: 1, limit: 2, offset: 0 },
  }));
  const { exitCode, out, err } = await run('status t1 gone');
  assert.equal(exitCode, 5);
  assert.match(out, /^ID +STATE .*\nt1 +running +45 +custom +agent-1 +2 +30 s ago +page 5 of 10\n$/);
  assert.match(err, /not found: gone/);
  assert.equal(end.asked[0]?.query.get('task_ids'), 't1,gone');
});

test('tasks are a table with how to see more, or the page as the server gave it', async context => {
  const page = { tasks: [running], not_found: [], total: 120, limit: 1, offset: 20 };
  const { run, end } = await shell(context, () => ({ json: page }));
  const words = await run(
    'tasks --status running --agent w1 --user u --session s --correlation-id c --limit 1 --offset 20',
  );
  assert.match(words.out, /^ID .*\nt1 /);
  assert.match(words.err, /120 in all; --offset 21 shows the next/);
  assert.deepEqual(Object.fromEntries(end.asked[0]?.query ?? []), {
    status: 'running',
    agent_id: 'w1',
    session_id: 's',
    user_id: 'u',
    correlation_id: 'c',
    limit: '1',
    offset: '20',
  });
  const machine = await run('tasks --json');
  assert.deepEqual([machine.json, machine.err], [page, '']);
});

test('why a task waits is said in words', () => {
  for (const [waiting, words] of [
    [{ because: 'paused' }, /it is paused: batuta resume/],
    [{ because: 'not_before', until: '2026-02-01T00:00:00.000Z' }, /not to start before 2026-02-01/],
    [{ because: 'retry_delay', attempt: 2 }, /attempt 2 failed, and the next is not due/],
    [{ because: 'dependencies', waiting_for: ['a', 'b'] }, /must complete first: a, b/],
    [
      { because: 'no_agent_online', work_type: 'custom:x', capabilities: ['gpu'] },
      /no agent for custom:x is online \(with gpu\)/,
    ],
    [
      { because: 'no_free_slot', slots: 4, held_by: ['a', 'b', 'c', 'd', 'e', 'f'], position: 7 },
      /all 4 slots are taken, by a, b, c, d, e and 1 more; its place is 7/,
    ],
    [{ because: 'about_to_start', position: 1 }, /about to start/],
    [{ because: 'something_new', detail: 1 }, /something_new/],
  ] as const)
    assert.match(waitingText(waiting), words);
});

test('logs are lines for people or JSON a line, filtered as asked, ages counted back from now', async context => {
  const record = {
    timestamp: '2026-01-31T11:59:00.000Z',
    level: 'WARN',
    component: 'worker',
    task_id: 't1',
    message: 'slow disk',
  };
  const { run, end } = await shell(context, () => ({ json: { logs: [record], next_cursor: null } }));
  const { out } = await run(
    'logs t1 --level warn --since 10m --until 2026-01-31T12:00:00Z --attempt 2 --grep disk',
  );
  assert.equal(out, '2026-01-31T11:59:00.000Z WARN  worker  slow disk\n');
  assert.deepEqual(Object.fromEntries(end.asked[0]?.query ?? []), {
    level: 'warn',
    since: '2026-01-31T11:50:00.000Z',
    until: '2026-01-31T12:00:00.000Z',
    attempt: '2',
    q: 'disk',
  });
  assert.deepEqual((await run('logs t1 --json')).lines, [record]);
  assert.match(
    (await run('logs t1 --since yesterday')).err,
    /--since "yesterday" is no instant\nhint: .*10m/,
  );
});

test('logs are followed to the end of the task', async context => {
  const line = `{"timestamp":"2026-01-31T11:59:00.000Z","level":"INFO","component":"task","task_id":"t1","message":"done"}\n`;
  const { run, end } = await shell(context, asked =>
    asked.path.startsWith('/api/v2/task-logs')
      ? { text: line }
      : { json: statusOf('t1', { state: 'completed', outcome: 'completed' }) },
  );
  assert.match((await run('logs t1 --follow')).out, /INFO {2}task {2}done\n/);
  assert.equal(end.asked[0]?.query.get('follow'), 'true');
});

test('tasks are steered one or several at a time, each refusal told beside the others', async context => {
  const { run, end } = await shell(context, asked =>
    asked.path.includes('/done/')
      ? wireError(409, 'INVALID_STATE')
      : { json: { task_id: asked.path.split('/')[4] } },
  );
  assert.equal((await run(['cancel', 't1', '--reason', 'no need', '--grace', '3'])).out, 'cancelled t1\n');
  assert.equal((await run('pause t1 --force')).out, 'paused t1\n');
  assert.equal((await run('resume t1')).out, 'resumed t1\n');
  assert.equal((await run('retry t1 --new-id t9')).out, 'retried as t1\n');
  assert.deepEqual(
    end.asked.map(({ path, json }) => [path.replace('/api/v2/tasks/', ''), json]),
    [
      ['t1/cancel', { reason: 'no need', grace_seconds: 3 }],
      ['t1/pause', { force: true }],
      ['t1/resume', {}],
      ['t1/retry', { new_task_id: 't9' }],
    ],
  );
  const several = await run('cancel a done b');
  assert.equal(several.exitCode, 6);
  assert.equal(several.out, 'cancelled a\nrefused done: refused: INVALID_STATE\ncancelled b\n');
  const machine = await run('cancel a done --json');
  assert.deepEqual(machine.lines, [
    { task_id: 'a' },
    { task_id: 'done', error: { code: 'INVALID_STATE', message: 'refused: INVALID_STATE' } },
  ]);
  assert.deepEqual((await run('cancel a --json')).json, { task_id: 'a' });
});

test('agents are listed, drained and removed', async context => {
  const agent = {
    agent_id: 'w1',
    kind: 'worker',
    types: ['custom:a', 'custom:b'],
    skills: [],
    health: 'degraded',
    error_rate: 0.06,
    capacity: { slots: 10, free: { slots: 4 } },
    seen_at: '2026-01-31T11:59:50.000Z',
  };
  const { run, end } = await shell(context, asked => ({
    json: asked.method === 'GET' ? { agents: [agent] } : agent,
  }));
  const { out } = await run('agents');
  assert.match(out, /\nw1 +worker +degraded +4 of 10 +6 % +10 s ago +custom:a, custom:b\n/);
  assert.equal((await run('agents list')).out, out);
  assert.deepEqual((await run('agents --json')).json, [agent]);
  assert.equal((await run('agents drain w1')).out, 'draining w1\n');
  assert.equal((await run('agents remove w1 --json')).json.removed, true);
  assert.deepEqual(end.asked.map(({ method, path }) => `${method} ${path}`).slice(-2), [
    'POST /api/v2/agents/w1/drain',
    'DELETE /api/v2/agents/w1',
  ]);
});

test('SAM-228 what canaries get is set and shown, and why they get no more', async context => {
  const figures = { runs: 20, error_rate: 0.25, p95_ms: 120 };
  const had = { share: 0.05, tenants: ['acme'] };
  const at = '2026-01-31T11:59:58.000Z';
  const stopped = { ...had, at, because: 'error_rate', canary: figures, rest: { ...figures, error_rate: 0 } };
  const view = { share: 0, tenants: [], set_at: at, set_by: 'key:a', stopped };
  const { run, end } = await shell(context, () => ({ json: view }));
  const { out } = await run('canaries');
  assert.match(out, /they fail more often than the rest/);
  assert.match(out, /canaries +20 runs, 25 % failed, 95 % within 120 ms\n/);
  assert.deepEqual((await run('canaries --json')).json, view);
  await run('canaries set --share 0.05 --tenant acme --tenant other');
  const { method, path, json } = end.asked.at(-1) ?? assert.fail();
  assert.deepEqual(
    [method, path, json],
    ['PUT', '/api/v2/canaries', { share: 0.05, tenants: ['acme', 'other'] }],
  );
  assert.equal((await run('canaries set --share 5')).exitCode, 2);
});

test('nodes are listed', async context => {
  const node = {
    node_id: 'n1',
    version: '1.2.3',
    url: 'http://10.0.0.1:8400',
    state: 'draining',
    leads: true,
    running_tasks: 3,
    region: 'eu',
    labels: ['canary'],
    started_at: '2026-01-31T11:00:00.000Z',
    seen_at: '2026-01-31T11:59:58.000Z',
  };
  const { run, end } = await shell(context, () => ({ json: { nodes: [node] } }));
  const { out } = await run('nodes');
  assert.match(out, /\nn1 +draining +yes +3 +eu +canary +1\.2\.3 +2 s ago +http:\/\/10\.0\.0\.1:8400\n/);
  assert.deepEqual((await run('nodes --json')).json, [node]);
  assert.equal(end.asked[0]?.path, '/api/v2/nodes');
});

test('deliveries are listed, shown, sent again, and their endpoints looked at', async context => {
  const delivery = {
    delivery_id: 'd1',
    task_id: 't1',
    endpoint: 'https://me/hook',
    event_type: 'task_completed',
    status: 'failed',
    created_at: '2026-01-31T11:00:00.000Z',
    attempts: [
      { attempt: 1, timestamp: '2026-01-31T11:00:01.000Z', status: 500, duration_ms: 12, answer: 'oops' },
    ],
  };
  const endpoint = { endpoint: 'https://me/hook', breaker: 'open', success_rate: 0.5, p95_ms: 120.4 };
  const { run, end } = await shell(context, asked => {
    if (asked.path.endsWith('/endpoints')) return { json: { endpoints: [endpoint] } };
    if (asked.method === 'POST') return { json: { ...delivery, delivery_id: 'd2' } };
    return {
      json: asked.path.endsWith('/d1')
        ? delivery
        : { deliveries: [delivery], total: 1, limit: 50, offset: 0 },
    };
  });
  assert.match(
    (await run('deliveries --status failed --task t1 --since 2h')).out,
    /\nd1 +failed +task_completed +t1 +1 +500 +https:\/\/me\/hook\n/,
  );
  assert.equal(end.asked[0]?.query.get('since'), '2026-01-31T10:00:00.000Z');
  assert.match((await run('deliveries show d1')).out, /1\. 2026-01-31T11:00:01.000Z {2}500 {2}12 ms {2}oops/);
  assert.equal((await run('deliveries redeliver d1')).out, 'sent again d1 as d2\n');
  assert.match((await run('deliveries endpoints')).out, /\nopen +50 % +120 ms +https/);
  assert.deepEqual((await run('deliveries endpoints --json')).json, [endpoint]);
});

test('keys are made with what they may do, shown once, rotated, revoked and accounted for', async context => {
  const key = { api_key: 'bk_1', name: 'ci', permissions: ['task:read'], revoked_at: null, expires_at: null };
  const { run, end } = await shell(context, asked => {
    if (asked.path.endsWith('/usage'))
      return { json: { last_used_at: null, days: [{ date: '2026-01-30', requests: 5, failures: 1 }] } };
    return { json: asked.method === 'GET' ? { api_keys: [key] } : { ...key, api_secret: 'bs_1' } };
  });
  const made = await run(
    'keys create ci -p task:read,task:execute --task-type custom --rate-limit 10 --allow-ip 10.0.0.0/8 --agent a',
  );
  assert.match(made.out, /api secret +bs_1/);
  assert.match(made.err, /not shown again/);
  assert.deepEqual(end.asked[0]?.json, {
    name: 'ci',
    permissions: ['task:read', 'task:execute'],
    task_types: ['custom'],
    rate_limit: 10,
    allowed_ips: ['10.0.0.0/8'],
    agent_id: 'a',
  });
  assert.match((await run('keys')).out, /\nbk_1 +ci +active +never +task:read\n/);
  assert.equal((await run('keys rotate bk_1 --json')).json.api_secret, 'bs_1');
  assert.equal((await run('keys revoke bk_1')).out, 'revoked bk_1\n');
  assert.match((await run('keys usage bk_1')).out, /last used never\nDAY .*\n2026-01-30 +5 +1\n/);
});

test('SAM-16 a token is the only thing on standard output, made from the key that was found', async context => {
  const pair = { access_token: 'jwt-1', token_type: 'Bearer', expires_in: 3600, refresh_token: 'r-1' };
  const { run, end } = await shell(context, () => ({ json: pair }));
  assert.equal((await run('token --scope task:read --scope task:execute')).out, 'jwt-1\n');
  assert.deepEqual(end.asked[0]?.json, {
    grant_type: 'client_credentials',
    client_id: 'key',
    client_secret: 'secret',
    scope: 'task:read task:execute',
  });
  assert.deepEqual((await run('token --json')).json, pair);
  assert.equal((await run('token --refresh r-1')).out, 'jwt-1\n');
  assert.equal((await run('token --revoke jwt-1')).out, 'revoked\n');
  assert.deepEqual(
    end.asked.map(({ path }) => path.replace('/api/v2/auth/', '')),
    ['token', 'token', 'refresh', 'revoke'],
  );
  const keyless = await call(['token', '--url', end.url]);
  assert.equal(keyless.exitCode, 2);
  assert.match(keyless.err, /there is none/);
});

test('doctor tells what is wrong here and at the server, and what to do about it', async context => {
  const local: readonly Finding[] = [
    { name: 'data directory', state: 'ok', detail: 'writable' },
    { name: 'bubblewrap', state: 'warning', detail: 'absent', hint: 'apt install bubblewrap' },
  ];
  const health = {
    status: 'degraded',
    version: '1.2.3',
    dependencies: { database: 'healthy', external_apis: 'degraded' },
    detail: {
      task_types: {
        code_execution: { available: true },
        web_automation: { available: false, missing: 'install Chromium' },
      },
    },
  };
  const { run } = await shell(context, asked =>
    asked.path === '/api/v2/health' ? { json: health } : wireError(401, 'UNAUTHORIZED'),
  );
  const { exitCode, out } = await run('doctor', { app: { examine: async () => local } });
  assert.equal(exitCode, 1);
  assert.match(out, /✓ data directory {2}writable\n! bubblewrap {2}absent\n {4}apt install bubblewrap\n/);
  assert.match(out, /! server {2}http.* is degraded, version 1\.2\.3\n! external apis {2}degraded\n/);
  assert.match(out, /! web_automation {2}cannot run\n {4}install Chromium\n/);
  assert.match(out, /✗ credentials {2}those from environment are refused/);
  const machine = await run('doctor --json');
  assert.deepEqual(
    (machine.json.findings as Finding[]).map(({ name, state }) => `${name} ${state}`),
    [
      'server warning',
      'external apis warning',
      'code_execution ok',
      'web_automation warning',
      'credentials failed',
    ],
  );
  const away = await call('doctor --url http://127.0.0.1:1');
  assert.deepEqual([away.exitCode, /✗ server {2}no answer/.test(away.out)], [1, true]);
});
