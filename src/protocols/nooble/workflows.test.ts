// Workflows: templates and their faults, lone steps, control, failures, and one that a crash does not stop.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AGENT_PERMISSIONS, type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { asked, message, orchestrator, refused, taskOf, until } from './fixture.test.ts';

const EXPRESSION = `$${'{{'} input.secret }}`;

let post: Post;
let boss: Correspondent;

before(async () => {
  post = await openPost();
  boss = await orchestrator(post);
});
after(() => post.stop());

const step = (id: string, more: object = {}) => ({
  ...{ step_id: id, name: `do_${id}`, step_type: 'tool_task', tool_name: 'recommend' },
  ...more,
});

function store(id: string, steps: readonly object[]): ReturnType<Correspondent['ask']> {
  return post.admin.ask('POST', '/protocols/nooble/workflow-templates', {
    template_id: id,
    version: '1.0',
    steps,
  });
}

/** The last word on a workflow. */
async function ended(start: Loose): Promise<Loose> {
  const seen = await until(
    boss,
    'agent_orchestrator',
    one =>
      one.task_id === start.task_id &&
      ['completed', 'failed', 'cancelled'].includes(one.payload.workflow_status),
  );
  return seen.at(-1);
}

test('NOOB-61 NOOB-148 NOOB-150 what is wrong with a template is told by its code when it is stored, and nothing is stored', async () => {
  const cases: readonly (readonly [readonly object[], number, string])[] = [
    [[step('a', { step_type: 'dance' })], 422, 'WF_001'],
    [[step('a', { on_failure: 'shrug' })], 422, 'WF_001'],
    [[step('a'), step('a')], 422, 'WF_001'],
    [[step('a', { expected_output: { schema: { $ref: 'schemas/x.json' } } })], 422, 'WF_001'],
    [[step('a', { depends_on: ['b'] })], 404, 'WF_002'],
    [[step('a', { input_data: { x: { source: 'previous_step', step_id: 'b' } } })], 404, 'WF_002'],
    [[step('a', { condition: 'input.x ==' })], 422, 'WF_003'],
    [[step('a', { depends_on: ['b'] }), step('b', { depends_on: ['a'] })], 422, 'WF_004'],
  ];
  for (const [steps, status, code] of cases) {
    const answer = await store('broken', steps);
    assert.deepEqual([answer.status, answer.body.code], [status, code], JSON.stringify(answer.body));
  }
  const listed = await post.admin.ask('GET', '/protocols/nooble/workflow-templates');
  assert.deepEqual(
    listed.body.templates.map((one: Loose) => one.template_id),
    ['sales-analysis-workflow'],
  );
});

test('NOOB-49 NOOB-56 NOOB-51 a stored template runs with what it is given, references replaced by inputs and results', async () => {
  const made = await store('flow', [
    step('collect', {
      tool_name: 'collect_records',
      input_data: {
        records: { source: 'workflow_input', parameter: 'rows' },
        date_range: '2025-01-01,2025-12-31',
      },
    }),
    step('analyse', {
      ...{ tool_name: 'data_analysis', depends_on: ['collect'] },
      input_data: {
        records: { source: 'previous_step', step_id: 'collect', path: 'records' },
        date_range: 'all',
      },
    }),
  ]);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const lacking = await refused(boss, message('workflow.start', { workflow_template_id: 'flow' }));
  assert.deepEqual(
    [lacking.body.code, lacking.body.details.missing_fields],
    ['VAL_002', ['payload.input_parameters.rows']],
  );
  const start = message('workflow.start', {
    workflow_template_id: 'flow',
    // Text with an expression in it is text, and nothing reads it.
    input_parameters: { rows: [{ sold: 2, note: EXPRESSION }, { sold: 4 }] },
  });
  await boss.send('nooble', start);
  const { payload, metadata } = await ended(start);
  assert.equal(payload.workflow_status, 'completed');
  assert.equal(payload.partial_results.analyse.data.metrics.sold.sum, 6);
  assert.equal(payload.partial_results.collect.data.records[0].note, EXPRESSION);
  const next = await asked(
    boss,
    message('workflow.start', { workflow_template_id: 'flow', input_parameters: { rows: [] } }),
  );
  const number = (id: string): number => Number(id.split('-')[2]);
  assert.equal(number(next.metadata.workflow_id), number(metadata.workflow_id) + 1);
});

test('NOOB-58 NOOB-60 a step that fails ends the workflow, or is passed over where its policy says so', async () => {
  await store('fails', [step('a', { tool_name: 'nope' }), step('b', { depends_on: ['a'] })]);
  await store('goes-on', [
    step('a', { tool_name: 'nope', on_failure: 'retry_once_then_continue' }),
    step('b', { depends_on: ['a'] }),
  ]);
  const start = message('workflow.start', { workflow_template_id: 'fails' });
  await boss.send('nooble', start);
  const told = await until(
    boss,
    'agent_orchestrator',
    one => one.correlation_id === start.correlation_id && one.type.action === 'error',
  );
  assert.deepEqual(told.at(-1)?.type, { domain: 'workflow', action: 'error' });
  assert.equal(told.at(-1)?.task_id, `${start.task_id}.a`);
  const failed = told.findLast(one => one.task_id === start.task_id && one.type.action === 'status');
  assert.equal(failed?.payload.workflow_status, 'failed');
  assert.deepEqual(
    failed?.payload.steps_status.map((one: Loose) => one.status),
    ['failed', 'skipped'],
  );
  const other = message('workflow.start', { workflow_template_id: 'goes-on' });
  await boss.send('nooble', other);
  const gone = await ended(other);
  assert.equal(gone.payload.workflow_status, 'completed');
  assert.deepEqual(
    gone.payload.steps_status.map((one: Loose) => one.status),
    ['failed', 'completed'],
  );
});

test('NOOB-50 NOOB-60 NOOB-99 a workflow is asked about, paused, resumed and cancelled; over its time it ends with GEN_002', async () => {
  await store('waits', [step('wait', { step_type: 'wait', seconds: 3_600 })]);
  const start = message('workflow.start', { workflow_template_id: 'waits' });
  await asked(boss, start);
  const about = { task_id: start.task_id, correlation_id: start.correlation_id };
  const say = async (payload: Loose): Promise<Loose> => {
    const action = payload.command === undefined ? 'query' : 'update';
    return (await asked(boss, message(`workflow.${action}`, payload, about))).payload;
  };
  await until(
    boss,
    'agent_orchestrator',
    one => one.task_id === start.task_id && one.payload.workflow_status === 'running',
  );
  assert.equal((await say({})).workflow_status, 'running');
  assert.equal((await say({ command: 'pause' })).workflow_status, 'paused');
  await say({ command: 'resume' });
  assert.equal((await say({ command: 'cancel' })).workflow_status, 'cancelled');
  const late = await refused(boss, message('workflow.update', { command: 'pause' }, about));
  assert.deepEqual([late.status, late.body.code], [409, 'WF_005']);
  const fallback = await refused(boss, message('workflow.update', { fallback: 'skip_step' }, about));
  assert.equal(fallback.body.code, 'WF_005');
  const brief = message('workflow.start', {
    workflow_template_id: 'waits',
    timeout_seconds: 1,
    execution_mode: 'sync',
  });
  const over = await asked(boss, brief, 20);
  assert.equal(over.error.code, 'GEN_002');
});

test('NOOB-52 an unknown channel gets VAL_001 at the start, and who names mail is told where there is no mail server', async () => {
  const start = message('workflow.start', {
    workflow_template_id: 'sales-analysis-workflow',
    notification_config: { on_complete: ['pigeon'] },
  });
  assert.equal((await refused(boss, start)).body.code, 'VAL_001');
  const known = message('workflow.start', {
    ...{ workflow_template_id: 'sales-analysis-workflow', execution_mode: 'sync' },
    notification_config: {
      on_complete: ['email', 'webhook'],
      on_error: ['email', 'webhook', 'slack'],
      recipients: ['user@example.com'],
    },
  });
  const { metadata } = await asked(boss, known, 20);
  const usual = 'and notification_recipients of this tenant has none';
  assert.deepEqual(metadata.warnings, [
    'nobody will be told by email: this server knows no mail server; set BATUTA_SMTP_URL and BATUTA_MAIL_FROM',
    `nobody will be told by webhook: no recipient is a URL, ${usual}`,
    `nobody will be told by slack: no recipient is a URL of Slack, ${usual}`,
  ]);
});

test('NOOB-53 an unknown workflow before it is a warning', async () => {
  const start = message('workflow.start', {
    ...{ workflow_template_id: 'sales-analysis-workflow', execution_mode: 'sync' },
    context: { triggered_by: 'scheduled_report', previous_workflow_id: 'wf-20250520-123' },
  });
  const end = await asked(boss, start, 20);
  assert.deepEqual(end.metadata.warnings, ['there is no workflow wf-20250520-123']);
});

test('NOOB-54 NOOB-55 NOOB-30 a lone step is one task, done as what it says; unknown kinds and steps have their codes', async () => {
  const engine = await post.agent('workflow_engine');
  const lone = (payload: object, metadata: object = {}) =>
    message('workflow.step', payload as never, {
      source_service: 'workflow_engine',
      target_service: 'agent_orchestrator',
      metadata: { step_name: 'data_analysis', ...metadata },
    });
  const done = await asked(
    engine,
    lone(
      {
        ...{ step_type: 'tool_task', on_failure: 'retry_once_then_continue' },
        input_data: {
          date_range: 'Q1',
          records: [{ n: 1 }],
          other: { source: 'previous_step', step_id: 'x' },
        },
        expected_output: { format: 'json', schema: { $ref: 'schemas/x.json' } },
      },
      { workflow_id: 'wf-19990101-001', workflow_step_id: 'step-002' },
    ),
  );
  assert.equal(done.type.action, 'status');
  assert.equal(done.status, 'completed');
  assert.equal(done.payload.result.metrics.n.sum, 1);
  assert.equal(done.metadata.warnings.length, 2);
  assert.equal((await refused(engine, lone({ step_type: 'dance' }))).body.code, 'WF_001');
  const start = message('workflow.start', {
    workflow_template_id: 'sales-analysis-workflow',
    execution_mode: 'sync',
  });
  const { metadata } = await asked(boss, start, 20);
  const known = { workflow_id: metadata.workflow_id };
  const unknownStep = await refused(
    engine,
    lone({ step_type: 'tool_task' }, { ...known, workflow_step_id: 'step-099' }),
  );
  assert.deepEqual([unknownStep.status, unknownStep.body.code], [404, 'WF_002']);
  const unknownInput = { a: { source: 'workflow_input', parameter: 'nothing' } };
  assert.equal(
    (await refused(engine, lone({ step_type: 'tool_task', input_data: unknownInput }, known))).body.code,
    'VAL_002',
  );
});

/** A word of an agent on a step it was asked to do. */
function ofStep(ask: Loose, action: string, payload: Loose, more: Loose = {}): Loose {
  return message(`agent.${action}`, payload, {
    ...{ task_id: ask.task_id, correlation_id: ask.correlation_id, status: 'processing' },
    ...{ source_service: 'agent_execution', target_service: ask.source_service, ...more },
  });
}

/** The next message of an agent's inbox, acknowledged. */
async function next(agent: Correspondent, name: string): Promise<Loose> {
  const [got] = await agent.read('nooble', name, { wait: 10, max: 1 });
  assert.ok(got !== undefined, `${name} was asked for nothing`);
  await agent.settle('nooble', name, got.delivery_id);
  return got.message;
}

const agentStep = (id: string, agent: string, more: object = {}): object =>
  step(id, { step_type: 'agent_task', tool_name: undefined, agent_config: { agent_id: agent }, ...more });

test('NOOB-39 NOOB-54 a template’s step that names a registered agent is one message to it, whose answer the next step reads', async () => {
  const writer = await post.register('writer');
  await store('written', [
    agentStep('write', 'writer', { input_data: { topic: { source: 'workflow_input', parameter: 'topic' } } }),
    agentStep('sum', 'nobody-here', {
      input_data: { text: { source: 'previous_step', step_id: 'write', path: 'response' } },
      depends_on: ['write'],
    }),
  ]);
  const start = message(
    'workflow.start',
    { workflow_template_id: 'written', input_parameters: { topic: 'las rutas' } },
    { metadata: { user_id: 'u-39', execution_context: { deep: 1 } } },
  );
  await boss.send('nooble', start);
  const ask = await next(writer, 'writer');
  assert.deepEqual(ask.type, { domain: 'agent', action: 'execute' });
  assert.deepEqual([ask.source_service, ask.target_service], ['workflow_engine', 'agent_execution']);
  assert.deepEqual([ask.task_id, ask.correlation_id], [`${start.task_id}.write`, start.correlation_id]);
  assert.equal(ask.payload.query, 'do_write');
  assert.deepEqual(ask.payload.context, [{ type: 'topic', content: 'las rutas' }]);
  const { workflow_id: run, workflow_step_id: stepId, step_name: name, user_id: user } = ask.metadata;
  assert.deepEqual(
    [stepId, name, user, ask.metadata.execution_context],
    ['write', 'do_write', 'u-39', { deep: 1 }],
  );
  const stranger = await post.agent('passer-by', { permissions: AGENT_PERMISSIONS });
  const strange = await refused(
    stranger,
    ofStep(ask, 'response', { response: 'mío' }, { status: 'completed' }),
  );
  assert.equal(strange.body.code, 'AUTH_003');
  const astray = ofStep(ask, 'response', { response: 'x' }, { target_service: 'conversation' });
  assert.equal((await refused(writer, astray)).body.code, 'AUTH_003');
  await writer.send('nooble', ofStep(ask, 'status', { progress: 40 }));
  assert.equal((await taskOf(post, ask.task_id)).current_status.progress.percentage, 40);
  const answer = ofStep(ask, 'response', { response: 'Rutas de do sum' }, { status: 'completed' });
  await writer.send('nooble', answer);
  const { payload, metadata } = await ended(start);
  assert.deepEqual([payload.workflow_status, metadata.workflow_id], ['completed', run]);
  assert.deepEqual(payload.partial_results.write.data, { response: 'Rutas de do sum' });
  assert.match(
    payload.partial_results.sum.data.response,
    /Rutas/,
    'whom nobody knows the built-in agent stands for',
  );
  const rerun = (more: object): ReturnType<Correspondent['ask']> =>
    post.admin.ask('POST', `/api/v2/tasks/${start.task_id}/retry`, { from_step: 'sum', ...more });
  const turned = await rerun({ input: { topic: 'lo que nadie pidió' } });
  assert.deepEqual([turned.status, turned.body.error.code], [403, 'FORBIDDEN'], JSON.stringify(turned.body));
  assert.equal((await rerun({})).status, 200);
  const late = await refused(writer, ofStep(ask, 'response', { response: 'otra' }, { status: 'completed' }));
  assert.deepEqual([late.status, late.body.code], [409, 'WF_005']);
  assert.deepEqual(await writer.read('nooble', 'writer'), [], 'it is asked once');
  const engine = await post.agent('workflow_engine');
  assert.deepEqual(await engine.read('nooble', 'workflow_engine'), [], 'nothing is left to nobody');
});

test('NOOB-39 NOOB-54 NOOB-58 a step its agent fails is asked for again by its policy, one it is late with is passed over and called off', async () => {
  const agent = await post.register('flaky');
  await store('flaked', [
    agentStep('a', 'flaky', { on_failure: 'retry_once_then_fail' }),
    agentStep('b', 'flaky', { depends_on: ['a'], on_failure: 'continue', timeout_seconds: 1 }),
    step('c', { depends_on: ['b'] }),
  ]);
  const start = message('workflow.start', { workflow_template_id: 'flaked' });
  await boss.send('nooble', start);
  const failure = { metadata: { error_code: 'GEN_005', error_message: 'se cayó' }, status: 'failed' };
  const first = await next(agent, 'flaky');
  await agent.send('nooble', ofStep(first, 'error', { error_details: {} }, failure));
  const again = await next(agent, 'flaky');
  assert.deepEqual([again.task_id, again.metadata.retry_count], [first.task_id, 1]);
  assert.notEqual(again.message_id, first.message_id);
  await agent.send('nooble', ofStep(again, 'response', { response: 'ya' }, { status: 'completed' }));
  const late = await next(agent, 'flaky');
  assert.equal(late.task_id, `${start.task_id}.b`);
  const stop = await next(agent, 'flaky');
  assert.deepEqual(
    [stop.type.action, stop.task_id, stop.payload.command],
    ['update', late.task_id, 'cancel'],
  );
  const { payload } = await ended(start);
  const states = payload.steps_status.map((one: Loose) => one.status);
  assert.deepEqual([payload.workflow_status, states], ['completed', ['completed', 'failed', 'completed']]);
  const fatal = message('workflow.start', { workflow_template_id: 'flaked' });
  await boss.send('nooble', fatal);
  for (const _ of [1, 2]) {
    const ask = await next(agent, 'flaky');
    assert.equal(ask.task_id, `${fatal.task_id}.a`);
    await agent.send('nooble', ofStep(ask, 'error', { error_details: {} }, failure));
  }
  assert.equal((await ended(fatal)).payload.workflow_status, 'failed');
});

test('NOOB-39 NOOB-54 a lone step for a registered agent goes to it as it came; where the built-in agent is off, unknown ones get AEX_001', async () => {
  const [engine, agent] = [await post.agent('workflow_engine'), await post.register('stepper')];
  const lone = (id: string): Loose =>
    message(
      'workflow.step',
      { step_type: 'agent_task', agent_config: { agent_id: id }, input_data: {} },
      {
        source_service: 'workflow_engine',
        target_service: 'agent_orchestrator',
        metadata: { step_name: 'uno' },
      },
    );
  const ask = lone('stepper');
  await engine.send('nooble', ask);
  assert.equal((await next(agent, 'stepper')).message_id, ask.message_id);
  const done = message(
    'workflow.status',
    { workflow_status: 'completed', result: { n: 1 } },
    {
      ...{ task_id: ask.task_id, correlation_id: ask.correlation_id, status: 'completed' },
      ...{ source_service: 'agent_orchestrator', target_service: 'workflow_engine' },
    },
  );
  assert.equal((await agent.send('nooble', done)).status, 202);
  assert.equal((await next(engine, 'workflow_engine')).message_id, done.message_id);
  assert.equal((await taskOf(post, ask.task_id)).current_status.state, 'completed');
  const set = (on: boolean): Promise<Loose> =>
    asked(post.admin, message('system.update', { built_in_agent: on }));
  await set(false);
  const { status, body } = await refused(engine, lone('nobody-here'));
  assert.deepEqual([status, body.code], [422, 'AEX_001']);
  await store('unknown', [agentStep('a', 'nobody-here', { on_failure: 'retry_once_then_fail' })]);
  const start = message('workflow.start', { workflow_template_id: 'unknown', execution_mode: 'sync' });
  const failed = await asked(boss, start, 20);
  await set(true);
  assert.deepEqual([failed.error.code, failed.task_id], ['AEX_001', `${start.task_id}.a`]);
});
