// What is offered where a step fails, and workflows that go on in a way they were offered.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { asked, message, newId, orchestrator, refused, taskOf, until } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;
let far: Server;
let isUp = true;
let calls = 0;

before(async () => {
  far = createServer((request, response) => {
    request.resume();
    calls += 1;
    response.writeHead(isUp ? 200 : 400, { 'content-type': 'application/json' });
    response.end(JSON.stringify(isUp ? { records: [{ sold: 3 }] } : { error: 'broken' }));
  }).listen(0, '127.0.0.1');
  await once(far, 'listening');
  const address = far.address();
  assert.ok(address !== null && typeof address === 'object');
  post = await openPost();
  boss = await orchestrator(post);
  const admin = await post.agent('agent_orchestrator', { permissions: ['admin'] });
  const endpoint = `http://127.0.0.1:${address.port}/`;
  await asked(admin, message('tool.update', { name: 'market', endpoint }));
  const market = { name: 'market', step_type: 'tool_task', tool_name: 'market' };
  const query = { source: 'workflow_input', parameter: 'segment' };
  const analysis = { step_type: 'tool_task', tool_name: 'data_analysis', depends_on: ['fetch'] };
  const store = async (template_id: string, steps: readonly object[]): Promise<void> => {
    const template = { template_id, version: '1.0', steps };
    const { status, body } = await post.admin.ask('POST', '/protocols/nooble/workflow-templates', template);
    assert.equal(status, 201, JSON.stringify(body));
  };
  await store('cached', [
    { step_id: 'first', name: 'first', step_type: 'tool_task', tool_name: 'recommend' },
    { ...market, step_id: 'fetch', depends_on: ['first'], input_data: { query } },
    {
      ...{ ...analysis, step_id: 'analyse', name: 'analyse' },
      input_data: {
        date_range: 'Q1',
        records: { source: 'previous_step', step_id: 'fetch', path: 'records' },
      },
    },
  ]);
  await store('skipping', [
    { ...market, step_id: 'fetch', input_data: { query }, on_failure: 'continue' },
    { ...analysis, step_id: 'analyse', name: 'analyse', input_data: { date_range: 'Q1' } },
  ]);
});
after(async () => {
  await post.stop();
  far.closeAllConnections();
  far.close();
});

const started = (template: string, segment: string, more: object = {}): Loose =>
  message('workflow.start', {
    ...{ workflow_template_id: template, execution_mode: 'sync', input_parameters: { segment } },
    ...more,
  });

const aboutOf = ({ task_id, correlation_id }: Loose): Loose => ({ task_id, correlation_id });
const falls = (start: Loose, payload: Loose): Loose => message('workflow.update', payload, aboutOf(start));

/** Messages about a workflow until it has ended. */
async function toldOf(start: Loose, isLast: (one: Loose) => boolean): Promise<readonly Loose[]> {
  const seen = await until(
    boss,
    'agent_orchestrator',
    one => one.correlation_id === start.correlation_id && isLast(one),
  );
  return seen.filter(one => one.correlation_id === start.correlation_id);
}

test('NOOB-92 NOOB-93 NOOB-90 NOOB-52 with an earlier result of the same step and input it is offered, and the workflow goes on with it', async () => {
  const segment = newId();
  isUp = true;
  const good = await asked(boss, started('cached', segment), 20);
  assert.equal(good.payload.workflow_status, 'completed');
  isUp = false;
  const hook = `http://127.0.0.1:1/${segment}`;
  const start = started('cached', segment, {
    execution_mode: 'async',
    notification_config: { on_complete: ['webhook'], recipients: [hook] },
  });
  await boss.send('nooble', start);
  const error = (await toldOf(start, one => one.type.action === 'error')).at(-1);
  assert.equal(error?.task_id, `${start.task_id}.fetch`);
  const [option, ...others] = error?.payload.recovery_options.fallback_options ?? [];
  assert.deepEqual([option.option, option.availability, others], ['use_cached_data', true, []]);
  assert.ok(option.data_freshness_seconds >= 0 && option.data_freshness_seconds < 60);
  assert.equal(error?.metadata.recovery_action, 'fallback');
  const unoffered = await refused(boss, falls(start, { fallback: 'skip_step' }));
  assert.deepEqual([unoffered.status, unoffered.body.code], [409, 'WF_005']);
  calls = 0;
  const fallback = falls(start, { fallback: 'use_cached_data' });
  const answer = await asked(boss, fallback);
  assert.deepEqual(answer.type, { domain: 'workflow', action: 'status' });
  const seen = await toldOf(start, one => one.payload.workflow_status === 'completed');
  const end = seen.at(-1);
  assert.deepEqual(
    [end?.task_id, end?.metadata.workflow_id, end?.status],
    [start.task_id, answer.metadata.workflow_id, 'completed'],
  );
  assert.deepEqual(
    end?.payload.steps_status.map((one: Loose) => one.status),
    ['completed', 'completed', 'completed'],
  );
  assert.equal(end?.payload.partial_results.analyse.data.metrics.sold.sum, 3);
  assert.deepEqual(end?.payload.partial_results.fetch.data, { records: [{ sold: 3 }] });
  const { deliveries } = (await post.admin.ask('GET', `/api/v2/deliveries?endpoint=${hook}`)).body;
  assert.deepEqual(
    deliveries.map((one: Loose) => [one.event_type, one.task_id === start.task_id]),
    [['task_completed', false]],
  );
  assert.equal(calls, 0, 'the step that failed did not run again');
  assert.equal((await taskOf(post, start.task_id)).current_status.state, 'failed');
  const { payload } = await asked(boss, message('workflow.query', {}, aboutOf(start)));
  assert.equal(payload.workflow_status, 'completed');
  const again = await boss.send('nooble', fallback);
  assert.equal(again.body.status, 'duplicate');
  const late = await refused(boss, falls(start, { fallback: 'use_cached_data' }));
  assert.deepEqual([late.status, late.body.code], [409, 'WF_005']);
});

test('NOOB-92 NOOB-93 without an earlier result of that very input nothing is offered, and nothing is taken', async () => {
  isUp = false;
  const start = started('cached', newId());
  const error = await asked(boss, start, 20);
  assert.equal(error.payload.recovery_options.fallback_options, undefined);
  assert.equal(error.metadata.recovery_action, 'retry');
  for (const fallback of ['use_cached_data', 'skip_step'])
    assert.equal((await refused(boss, falls(start, { fallback }))).body.code, 'WF_005');
  assert.equal((await refused(boss, falls(start, { fallback: 'pray' }))).body.code, 'VAL_001');
  const unknown = await refused(boss, falls(started('cached', 's'), { fallback: 'skip_step' }));
  assert.deepEqual([unknown.status, unknown.body.code], [404, 'resource_not_found']);
});

test('NOOB-92 NOOB-93 NOOB-58 a step whose policy lets the workflow go on is told as skipped, with what goes on without it', async () => {
  isUp = false;
  const start = started('skipping', newId(), { execution_mode: 'async' });
  await boss.send('nooble', start);
  // What is more urgent is read first, as the end is.
  const error = (await toldOf(start, one => one.type.action === 'error')).at(-1);
  assert.equal(error?.task_id, `${start.task_id}.fetch`);
  assert.equal(error?.metadata.workflow_step_id, 'fetch');
  assert.deepEqual(error?.payload.recovery_options.fallback_options, [
    { option: 'skip_step', impact: 'siguen sin su resultado: analyse' },
  ]);
  assert.equal(error?.metadata.recovery_action, 'fallback');
  const answer = await asked(boss, falls(start, { fallback: 'skip_step' }));
  assert.deepEqual([answer.type.action, answer.payload.steps_status[0].status], ['status', 'failed']);
  const about = message('workflow.query', {}, aboutOf(start));
  while ((await asked(boss, { ...about, message_id: newId() })).payload.workflow_status !== 'completed');
  const cached = await refused(boss, falls(start, { fallback: 'use_cached_data' }));
  assert.equal(cached.body.code, 'WF_005');
});

test('NOOB-60 the status of a workflow comes at its start, at every change of a step and at its end', async () => {
  isUp = true;
  const start = started('cached', newId(), { execution_mode: 'async' });
  await boss.send('nooble', start);
  const seen = await toldOf(start, one => one.payload.workflow_status === 'completed');
  const changes: string[] = [];
  for (const { payload } of seen)
    for (const { step_id: step, status } of payload.steps_status) {
      const known = changes.findLast(one => one.startsWith(`${step} `)) ?? `${step} pending`;
      if (known !== `${step} ${status}`) changes.push(`${step} ${status}`);
    }
  for (const step of ['first', 'fetch', 'analyse']) assert.ok(changes.includes(`${step} completed`), step);
  const told = seen.map(({ payload }) => payload.workflow_status);
  assert.deepEqual(
    [...new Set(told)].filter(status => status !== 'pending'),
    ['running', 'completed'],
  );
  // The start and its running, each step’s beginning and end (the end of one begins the next), the end.
  assert.ok(seen.length >= 7, String(seen.length));
  assert.ok(seen.every(one => one.type.action === 'status'));
});
