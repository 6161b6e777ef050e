// Workflows as their users meet them: through the served API.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { statusOf, submit, until } from '../../../test/e2e/crew.ts';
import { running } from '../../../test/e2e/running.ts';
import type { Loose } from '../../../test/serve.ts';
import { $ } from './fixture.test.ts';

const house = await running();
const { admin } = house;
after(() => house.stop());

function order(task_id: string, task_data: object, more: object = {}): object {
  return {
    task_id,
    task_type: 'workflow_orchestration',
    description: 'several steps',
    orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
    task_data,
    ...more,
  };
}

const ended = (id: string): Promise<Loose> => until(admin, id, one => one.current_status.outcome !== null);
const ONE = [{ n: 1 }];
const rows = (inline: object[] | string = ONE, more: object = {}): object => ({
  task_type: 'data_processing',
  task_data: { sources: { t: { inline } }, sql: 'SELECT sum(n)::INTEGER * 2 AS n FROM t' },
  ...more,
});

test('SAM-162 SAM-169 a workflow of code and data steps runs through the served API and tells each step', async () => {
  const steps = [
    { id: 'count', ...rows([{ n: 5 }, { n: 5 }]) },
    { id: 'double', ...rows($('steps.count.output.rows'), { depends_on: ['count'] }) },
  ];
  await submit(admin, order('served', { steps, output: { n: $('steps.double.output.rows[0].n') } }));
  const { current_status: now, execution_details: details } = await ended('served');
  assert.equal(now.outcome, 'completed', JSON.stringify(details));
  assert.deepEqual(details.output.result, { n: 40 });
  assert.equal(details.output.steps.double.state, 'completed');
  const child = await statusOf(admin, 'served.double');
  assert.equal(child.current_status.outcome, 'completed');
  const { body: run } = await admin.get('/api/v2/workflow-runs/served');
  assert.equal(run.steps.count.state, 'completed');
  assert.deepEqual(run.graph.edges, [{ from: 'count', to: 'double', carries: 'after' }]);
  assert.match(run.mermaid, /^flowchart TD\n/);
});

test('SAM-163 a stored workflow is versioned, tried dry, and a run keeps the version it began with', async () => {
  const put = (definition: object, more: object = {}, expect = 201): Promise<Loose> =>
    admin.ask('PUT', '/api/v2/workflows/nightly', { body: { definition, ...more }, expect });
  const waits = {
    steps: [
      { id: 'go', kind: 'wait', message: 'go' },
      { id: 'n', ...rows(), depends_on: ['go'] },
    ],
  };
  const dry = await put(waits, { dry_run: true }, 200);
  assert.equal(dry.body.valid, true);
  await admin.get('/api/v2/workflows/nightly', { expect: 404 });
  assert.equal((await put(waits)).body.version, 1);
  assert.equal((await put(waits, {}, 200)).body.version, 1);
  await submit(admin, order('kept', { workflow_id: 'nightly' }));
  await until(admin, 'kept', one => one.current_status.state === 'running');
  assert.equal((await put({ steps: [{ id: 'other', ...rows() }] })).body.version, 2);
  await admin.post('/api/v2/workflow-runs/kept/messages', { name: 'go', payload: { by: 'hand' } });
  await admin.post('/api/v2/workflow-runs/kept/messages', { name: 'go' }, { expect: 409 });
  const { execution_details: details } = await ended('kept');
  assert.deepEqual(Object.keys(details.output.steps), ['go', 'n']);
  assert.equal(details.output.version, 1);
  assert.deepEqual(details.output.steps.go.output.payload, { by: 'hand' });
  const { body } = await admin.get('/api/v2/workflows/nightly/runs');
  assert.deepEqual(
    body.runs.map(({ task_id, version, steps }: Loose) => [task_id, version, steps.n.state]),
    [['kept', 1, 'completed']],
  );
  await admin.ask('DELETE', '/api/v2/workflows/nightly', { expect: 204 });
  await submit(admin, order('gone', { workflow_id: 'nightly' }), { expect: 422 });
});

test('SAM-169 what cannot be a graph is 422 with the steps named, what is malformed 400 with the field', async () => {
  const refused = async (steps: object[], expect: number): Promise<Loose> =>
    (await submit(admin, order(`bad-${expect}`, { steps }), { expect })).body.error;
  const a = { id: 'a', ...rows() };
  const cycle = await refused(
    [
      { ...a, depends_on: ['b'] },
      { ...a, id: 'b', depends_on: ['a'] },
    ],
    422,
  );
  assert.deepEqual(cycle.details.steps, ['a', 'b', 'a']);
  assert.deepEqual((await refused([a, a], 422)).details.steps, ['a']);
  assert.deepEqual((await refused([{ ...a, depends_on: ['x'] }], 422)).details.steps, ['a', 'x']);
  assert.deepEqual(
    (await refused([a, { ...a, id: 'b', condition: 'steps.a.output.n' }], 422)).details.steps,
    ['b', 'a'],
  );
  const { details } = await refused([{ ...a, task_data: { sql: $('(') } }], 400);
  assert.equal(details.errors[0].field, 'task_data.steps.0.task_data');
});

test('SAM-210 an approval waits for somebody else’s word, and rejection with a comment fails its step', async () => {
  const { body: key } = await admin.post(
    '/api/v2/api-keys',
    { name: 'boss', permissions: ['approval:decide'] },
    { expect: 201 },
  );
  const boss = await admin.as({ 'x-api-key': key.api_key, 'x-api-secret': key.api_secret });
  const ask = { id: 'ok', kind: 'approval', title: 'deploy?', message: `version ${$('input.version')}` };
  for (const id of ['yes', 'no']) await submit(admin, order(id, { input: { version: 7 }, steps: [ask] }));
  const waiting = async (id: string): Promise<Loose> => {
    for (;;) {
      const { approvals } = (await boss.get('/api/v2/approvals')).body;
      const found = approvals.find((one: Loose) => one.task_id === id);
      if (found !== undefined) return found;
    }
  };
  const yes = await waiting('yes');
  assert.deepEqual([yes.title, yes.message, yes.state], ['deploy?', 'version 7', 'waiting']);
  await admin.post(`/api/v2/approvals/${yes.approval_id}/approve`, {}, { expect: 403 });
  await boss.post(`/api/v2/approvals/${yes.approval_id}/approve`, { comment: 'go' });
  const { execution_details: done } = await ended('yes');
  assert.equal(done.output.steps.ok.output.approved, true);
  await boss.post(`/api/v2/approvals/${yes.approval_id}/approve`, {}, { expect: 409 });
  const no = await waiting('no');
  await boss.post(`/api/v2/approvals/${no.approval_id}/reject`, {}, { expect: 400 });
  await boss.post(`/api/v2/approvals/${no.approval_id}/reject`, { comment: 'not on a Friday' });
  const { current_status: now, execution_details: failed } = await ended('no');
  assert.equal(now.outcome, 'failed');
  assert.match(failed.output.steps.ok.error.message, /not on a Friday/);
});

test('SAM-167 SAM-70 a failed run is taken up at a step with other input, and what completed is not run again', async () => {
  const steps = [
    { id: 'first', ...rows() },
    { id: 'then', ...rows($('input.list'), { depends_on: ['first'] }) },
  ];
  await submit(admin, order('broken', { steps, input: { list: 'no rows at all' } }));
  assert.equal((await ended('broken')).current_status.outcome, 'failed');
  const path = '/api/v2/tasks/broken/retry';
  await admin.post(path, { input: {} }, { expect: 400 });
  const { body } = await admin.post(path, { from_step: 'then', input: { list: [{ n: 4 }] } });
  assert.deepEqual([body.task_id, body.retry_of], ['broken.r1', 'broken']);
  const { current_status: now, execution_details: details } = await ended('broken.r1');
  assert.equal(now.outcome, 'completed', JSON.stringify(details));
  assert.equal(details.output.steps.first.task_id, 'broken.first');
  assert.deepEqual(details.output.steps.then.output.rows, [{ n: 8 }]);
  await admin.get('/api/v2/task-status/broken.r1.first', { expect: 404 });
});
