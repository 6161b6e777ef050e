// What steps of workflows read, and what their results must be.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Correspondent, correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { asked, message, orchestrator, refused, taskOf } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;
let engine: Correspondent;

before(async () => {
  post = await openPost();
  boss = await orchestrator(post);
  engine = await post.agent('workflow_engine');
  // One refers to another's part, and to its own.
  await keep('schemas/text.json', { $defs: { long: { type: 'string', minLength: 10 } } });
  await keep('schemas/report.json', {
    $id: 'https://example.com/report.json',
    type: 'object',
    properties: { report: { $ref: '#/$defs/it' } },
    required: ['report'],
    $defs: { it: { $ref: 'schemas/text.json#/$defs/long' } },
  });
});
after(() => post.stop());

async function keep(name: string, schema: Loose): Promise<void> {
  const { status, body } = await post.admin.ask('POST', '/protocols/nooble/result-schemas', { name, schema });
  assert.equal(status, 201, JSON.stringify(body));
}

/** Stores a template of one step. */
function store(id: string, tool: string, more: object, who = post.admin): ReturnType<Correspondent['ask']> {
  const steps = [{ step_id: 'one', name: tool, step_type: 'tool_task', tool_name: tool, ...more }];
  const template = { template_id: id, version: '1.0', steps };
  return who.ask('POST', '/protocols/nooble/workflow-templates', template);
}

const started = (id: string, more: object = {}): Loose =>
  message('workflow.start', { workflow_template_id: id, execution_mode: 'sync', ...more });

const lone = (tool: string, payload: object, metadata: object = {}): Loose =>
  message('workflow.step', { step_type: 'tool_task', ...payload } as never, {
    ...{ source_service: 'workflow_engine', target_service: 'agent_orchestrator' },
    metadata: { step_name: tool, ...metadata },
  });

const report = { format: 'markdown', schema: { $ref: 'schemas/report.json' } };

suite('results', () => {
  test('NOOB-57 a result that has the format and matches the schema, with what that refers to, is taken', async () => {
    assert.equal((await store('reports', 'write_report', { expected_output: report })).status, 201);
    const end = await asked(boss, started('reports'), 20);
    assert.equal(end.payload.workflow_status, 'completed');
  });

  test('NOOB-57 a result that does not match fails the attempt, which is tried again as its policy says', async () => {
    for (const [id, output] of Object.entries({
      schema: { schema: { $ref: 'schemas/report.json' } },
      inline: { format: 'json', schema: { required: ['nothing'] } },
      format: { format: 'text' },
    })) {
      const policy = id === 'schema' ? 'retry_once_then_fail' : 'fail';
      const made = await store(`bad-${id}`, 'recommend', { expected_output: output, on_failure: policy });
      assert.equal(made.status, 201, JSON.stringify(made.body));
      const start = started(`bad-${id}`);
      const end = await asked(boss, start, 20);
      assert.equal(end.type.action, 'error');
      assert.match(end.error.details.reason, /does not match its schema/);
      const { execution_details: details } = await taskOf(post, `${start.task_id}.one`);
      assert.equal(details.error_details.attempt, id === 'schema' ? 2 : 1);
    }
  });

  test('NOOB-57 a reference to a schema that its tenant does not have is WF_001 in a template, and nothing is fetched', async () => {
    const made = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'apart', name: 'Apart' });
    const { api_key: key, api_secret: secret } = made.body;
    const theirs = {
      ...post.admin,
      ask: (method: string, path: string, body?: unknown) =>
        post.admin.ask(method, path, body, { 'x-api-key': key, 'x-api-secret': secret }),
    };
    const cases: readonly (readonly [Loose, Correspondent])[] = [
      [{ schema: { $ref: 'schemas/none.json' } }, post.admin],
      [{ schema: { $ref: `${post.url}/protocols/nooble` } }, post.admin],
      [{ schema: { properties: { deep: { items: { $ref: 'schemas/none.json' } } } } }, post.admin],
      [report, theirs],
      [{ format: 'hieroglyphs' }, post.admin],
      [{ schema: { type: 'nonsense' } }, post.admin],
    ];
    for (const [output, who] of cases) {
      const { status, body } = await store('unheard', 'recommend', { expected_output: output }, who);
      assert.deepEqual([status, body.code], [422, 'WF_001'], JSON.stringify(output));
    }
    assert.equal(
      (await post.admin.ask('GET', '/protocols/nooble/workflow-templates/unheard/1.0')).status,
      404,
    );
  });

  test('NOOB-57 in a lone step a result is judged too, but an unknown schema is only warned of', async () => {
    const good = await asked(engine, lone('write_report', { expected_output: report }));
    assert.deepEqual(
      [good.type.action, good.status, good.metadata.warnings],
      ['status', 'completed', undefined],
    );
    const bad = await asked(engine, lone('recommend', { expected_output: report, on_failure: 'fail' }));
    assert.equal(bad.type.action, 'error');
    const strange = { format: 'markdown', schema: { $ref: 'schemas/none.json' } };
    const warned = await asked(engine, lone('write_report', { expected_output: strange }));
    assert.equal(warned.status, 'completed');
    assert.deepEqual(warned.metadata.warnings, ['there is no schema schemas/none.json']);
  });

  test('NOOB-57 schemas are stored by who manages workflows, and listed', async () => {
    const body = { name: 'schemas/mine.json', schema: { type: 'object' } };
    assert.equal((await boss.ask('POST', '/protocols/nooble/result-schemas', body)).status, 403);
    const broken = { name: 'schemas/broken.json', schema: { type: 'nonsense' } };
    assert.equal((await post.admin.ask('POST', '/protocols/nooble/result-schemas', broken)).status, 400);
    const listed = await post.admin.ask('GET', '/protocols/nooble/result-schemas');
    assert.deepEqual(Object.keys(listed.body.schemas).toSorted(), [
      'schemas/report.json',
      'schemas/text.json',
    ]);
  });

  test('NOOB-57 a schema is removed by who manages workflows, once: then it is unknown to whoever refers to it', async () => {
    await keep('schemas/brief.json', { type: 'object' });
    const path = `/protocols/nooble/result-schemas/${encodeURIComponent('schemas/brief.json')}`;
    const output = { format: 'json', schema: { $ref: 'schemas/brief.json' } };
    assert.equal((await store('brief', 'recommend', { expected_output: output })).status, 201);
    assert.equal((await boss.ask('DELETE', path)).status, 403);
    const made = await post.admin.ask('POST', '/api/v2/tenants', { tenant_id: 'bare', name: 'Bare' });
    const { api_key: key, api_secret: secret } = made.body;
    const other = correspondent(post.url, { 'x-api-key': key, 'x-api-secret': secret });
    assert.equal((await other.ask('DELETE', path)).status, 404);
    const names = async (): Promise<readonly string[]> =>
      Object.keys((await post.admin.ask('GET', '/protocols/nooble/result-schemas')).body.schemas);
    assert.ok((await names()).includes('schemas/brief.json'), 'nobody else removed it');
    assert.equal((await post.admin.ask('DELETE', path)).status, 204);
    assert.ok(!(await names()).includes('schemas/brief.json'));
    const gone = await post.admin.ask('DELETE', path);
    assert.deepEqual([gone.status, gone.body.code], [404, 'resource_not_found']);
    const unheard = await store('brief-again', 'recommend', { expected_output: output });
    assert.deepEqual([unheard.status, unheard.body.code], [422, 'WF_001']);
    const late = await boss.send('nooble', started('brief'));
    assert.deepEqual([late.status, late.body.code], [422, 'WF_001']);
  });
});

suite('references', () => {
  test('NOOB-56 a lone step of a known workflow reads results of its steps and what it was given; all else is literal', async () => {
    const records = [
      { date: '2025-02-01', sold: 2 },
      { date: '2025-03-01', sold: 4 },
    ];
    const start = started('sales-analysis-workflow', {
      input_parameters: { records, date_range: '2025-01-01,2025-12-31' },
    });
    const { metadata } = await asked(boss, start, 20);
    const input = {
      records: { source: 'previous_step', step_id: 'step-001', path: 'records' },
      date_range: { source: 'workflow_input', parameter: 'date_range' },
      metrics: ['sold'],
      market_segment: { source: 'elsewhere', step_id: 'literal' },
    };
    const known = { workflow_id: metadata.workflow_id, workflow_step_id: 'step-002' };
    const done = await asked(engine, lone('data_analysis', { input_data: input }, known));
    assert.equal(done.status, 'completed', JSON.stringify(done));
    const { result } = done.payload;
    assert.equal(result.metrics.sold.sum, 6);
    assert.equal(result.date_range, '2025-01-01,2025-12-31');
    assert.deepEqual(result.market_segment, { source: 'elsewhere', step_id: 'literal' });
    assert.equal(done.metadata.warnings, undefined);
    const absent = { records: { source: 'previous_step', step_id: 'step-099' } };
    const step = await refused(engine, lone('data_analysis', { input_data: absent }, known));
    assert.deepEqual([step.status, step.body.code], [404, 'WF_002']);
    const nothing = { records: { source: 'workflow_input', parameter: 'nothing' } };
    const parameter = await refused(engine, lone('data_analysis', { input_data: nothing }, known));
    assert.deepEqual([parameter.status, parameter.body.code], [400, 'VAL_002']);
  });

  test('NOOB-56 in a step of an unknown workflow what refers to it is left out with a warning', async () => {
    const input = { date_range: 'Q1', metrics: { source: 'previous_step', step_id: 'step-099' } };
    const done = await asked(
      engine,
      lone('data_analysis', { input_data: input }, { workflow_id: 'wf-19990101-001' }),
    );
    assert.equal(done.status, 'completed');
    assert.deepEqual(done.metadata.warnings, ['metrics refers to a workflow that is not known here']);
  });

  test('NOOB-12 a workflow names the services its steps are delegated to, each with its own task, as they stand', async () => {
    const steps = [
      { step_id: 'a', name: 'recommend', step_type: 'tool_task', tool_name: 'recommend' },
      { step_id: 'b', name: 'wait', step_type: 'wait', seconds: 3_600, depends_on: ['a'] },
      { step_id: 'c', name: 'nope', step_type: 'tool_task', tool_name: 'nope', on_failure: 'continue' },
      { step_id: 'd', name: 'resumir', step_type: 'agent_task', depends_on: ['b'] },
    ];
    await post.admin.ask('POST', '/protocols/nooble/workflow-templates', {
      ...{ template_id: 'hands-on', version: '1.0', steps },
    });
    const start = message('workflow.start', { workflow_template_id: 'hands-on' });
    await boss.send('nooble', start);
    const { task_id, correlation_id } = start;
    const about = { task_id, correlation_id };
    let seen = await asked(boss, message('workflow.query', {}, about));
    while (
      seen.payload.steps_status[1].status !== 'running' ||
      seen.payload.steps_status[2].status !== 'failed'
    )
      seen = await asked(boss, message('workflow.query', {}, about));
    assert.deepEqual(seen.delegated_services, [
      { service: 'tool_registry', task_id: `${task_id}.a`, status: 'completed' },
      { service: 'tool_registry', task_id: `${task_id}.c`, status: 'failed' },
    ]);
    assert.equal((await taskOf(post, `${task_id}.a`)).current_status.state, 'completed');
    await asked(boss, message('workflow.update', { command: 'cancel' }, about));
  });
});
