// What metadata says of the task a message makes: how long it should take, which client it is of, what goes along with it, what its log keeps.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { asked, message, newId, orchestrator, taskOf, until } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;

before(async () => {
  post = await openPost();
  boss = await orchestrator(post);
});
after(() => post.stop());

/** A message to an agent, which has it in hand when this is over. */
async function handed(
  agentId: string,
  metadata: Loose,
): Promise<{ agent: Correspondent; ask: Loose; got: Loose }> {
  const agent = await post.register(agentId);
  const ask = message('agent.execute', { query: 'q', agent_config: { agent_id: agentId } }, { metadata });
  await boss.send('nooble', ask);
  const [work] = await agent.read('nooble', agentId, { wait: 10 });
  await agent.settle('nooble', agentId, work?.delivery_id);
  return { agent, ask, got: work?.message };
}

const said = (ask: Loose, action: string, payload: Loose, more: Loose = {}): Loose =>
  message(`agent.${action}`, payload, {
    ...{ task_id: ask.task_id, correlation_id: ask.correlation_id, status: 'completed' },
    ...{ source_service: 'agent_execution', target_service: 'agent_orchestrator' },
    ...more,
  });

async function logOf(id: string, query = ''): Promise<readonly Loose[]> {
  return (await post.admin.ask('GET', `/api/v2/task-logs/${id}?limit=1000${query}`)).body.logs;
}

async function warningsOf(id: string): Promise<readonly Loose[]> {
  return (await logOf(id)).filter(line => JSON.stringify(line).includes('expected_duration'));
}

test('NOOB-23 the first estimate of completion is what the sender expects', async () => {
  const { ask } = await handed('patient', { expected_duration_ms: 90_000 });
  const { task_id, correlation_id } = ask;
  const status = await asked(boss, message('agent.query', {}, { task_id, correlation_id }));
  const { estimated_completion_seconds: seconds } = status.payload;
  assert.ok(seconds > 60 && seconds <= 90, String(seconds));
  const { timestamps } = (await taskOf(post, ask.task_id)).current_status;
  const expected = Date.parse(timestamps.estimated_completion) - Date.parse(timestamps.started);
  assert.ok(Math.abs(expected - 90_000) < 5_000, JSON.stringify(timestamps));
});

test('NOOB-23 a task that runs over twice as long as expected is warned of once, whatever attempts it takes', async () => {
  const { agent, ask } = await handed('slow', { expected_duration_ms: 150 });
  const quick = await handed('quick', { expected_duration_ms: 60_000 });
  while ((await warningsOf(ask.task_id)).length === 0);
  const error = { error_code: 'GEN_005', error_message: 'se cayó' };
  await agent.send('nooble', said(ask, 'error', { error_details: {} }, { status: 'error', metadata: error }));
  const [again] = await agent.read('nooble', 'slow', { wait: 10 });
  assert.equal(again?.message.metadata.retry_count, 1);
  await agent.send('nooble', said(ask, 'response', { response: 'hecho' }));
  await quick.agent.send('nooble', said(quick.ask, 'response', { response: 'hecho' }));
  await until(
    boss,
    'agent_orchestrator',
    one => one.task_id === ask.task_id && one.type.action === 'response',
  );
  assert.equal((await warningsOf(ask.task_id)).length, 1);
  assert.deepEqual(await warningsOf(quick.ask.task_id), []);
});

test('NOOB-27 the version of a client is kept with its tasks, and listings and metrics are of one version where it is named', async () => {
  const version = `1.5.0-${newId()}`;
  const ask = message('agent.execute', { query: 'q' }, { metadata: { client_version: version } });
  const failing = message('tool.execute', { tool_name: 'nope' }, { metadata: { client_version: version } });
  const other = message('agent.execute', { query: 'q' }, { metadata: { client_version: `${version}.1` } });
  for (const one of [ask, failing, other]) await asked(boss, one);
  const get = async (path: string): Promise<Loose> => {
    const { status, body } = await post.admin.ask('GET', path);
    assert.equal(status, 200, JSON.stringify(body));
    return body;
  };
  const { tasks, total } = await get(`/protocols/nooble/tasks?client_version=${version}`);
  assert.deepEqual(
    tasks.map((one: Loose) => [one.task_id, one.type, one.status, one.client_version]),
    [
      [failing.task_id, 'tool.execute', 'failed', version],
      [ask.task_id, 'agent.execute', 'completed', version],
    ],
  );
  assert.equal(total, 2);
  const all = await get('/protocols/nooble/tasks');
  assert.ok(all.tasks.some((one: Loose) => one.task_id === other.task_id));
  const metrics = await get(`/protocols/nooble/metrics?client_version=${version}`);
  assert.deepEqual([metrics.tasks, metrics.active, metrics.processing_time_ms.of], [2, 0, 2]);
  assert.deepEqual([metrics.outcomes.completed, metrics.outcomes.failed], [1, 1]);
  assert.ok((await get('/protocols/nooble/metrics')).tasks > 2);
  const sam = await get(`/api/v2/task-status?label=client_version=${version}.1`);
  assert.deepEqual(
    sam.tasks.map((one: Loose) => one.task_id),
    [other.task_id],
  );
  const stranger = await post.agent('stranger', { permissions: ['message:send'] });
  assert.equal((await stranger.ask('GET', '/protocols/nooble/tasks')).status, 403);
  const made = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'away', name: 'Away' });
  const away = { 'x-api-key': made.body.api_key, 'x-api-secret': made.body.api_secret };
  const theirs = await post.admin.ask(
    'GET',
    `/protocols/nooble/tasks?client_version=${version}`,
    undefined,
    away,
  );
  assert.deepEqual(theirs.body.tasks, []);
});

test('NOOB-28 the execution context reaches the agent and the steps of a workflow unchanged, and other services keep it', async () => {
  const context = { region: 'eu', nested: { list: [1, 'dos', null], deep: { '__odd key': true } } };
  const metadata = { execution_context: context };
  const { got } = await handed('contextual', metadata);
  assert.deepEqual(got.metadata.execution_context, context);
  const start = message(
    'workflow.start',
    { workflow_template_id: 'sales-analysis-workflow', execution_mode: 'sync' },
    { metadata },
  );
  await asked(boss, start, 20);
  const query = message('tool.query', {}, { metadata });
  await asked(boss, query);
  for (const id of [`${start.task_id}.step-001`, `${start.task_id}.step-005`, query.task_id]) {
    const { body } = await post.admin.ask('GET', `/api/v2/task-status/${id}?include_context=true`);
    assert.deepEqual(body.context.execution_context, context, id);
  }
});

test('NOOB-29 the log of a task keeps no line below its level', async () => {
  const context = [{ type: 'document_reference', content: { document_id: 'doc-none', chunks: [1] } }];
  const levelsOf = async (level: string | null): Promise<readonly string[]> => {
    const metadata = level === null ? {} : { log_level: level };
    const ask = message('agent.execute', { query: 'q', context }, { metadata });
    await asked(boss, ask);
    const least = message('tool.execute', { tool_name: 'nope' }, { metadata });
    await asked(boss, least);
    const lines = [...(await logOf(ask.task_id)), ...(await logOf(least.task_id))];
    const own = lines.filter(({ component }) => ['agent_execution', 'tool_registry'].includes(component));
    return [...new Set(own.map(line => String(line.level).toLowerCase()))].toSorted();
  };
  assert.deepEqual(await levelsOf(null), ['debug', 'error', 'info', 'warn']);
  assert.deepEqual(await levelsOf('debug'), ['debug', 'error', 'info', 'warn']);
  assert.deepEqual(await levelsOf('info'), ['error', 'info', 'warn']);
  assert.deepEqual(await levelsOf('warn'), ['error', 'warn']);
  assert.deepEqual(await levelsOf('error'), ['error']);
});
