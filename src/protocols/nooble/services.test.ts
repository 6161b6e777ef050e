// What the built-in services answer, over a whole server and without a model.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import { asked, message, newId, orchestrator, refused, taskOf, until } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;

before(async () => {
  post = await openPost();
  boss = await orchestrator(post);
});
after(() => post.stop());

suite('agent', () => {
  test('NOOB-37 NOOB-41 NOOB-47 NOOB-136 an execution without a model is answered by passages of its context, with the task behind it completed', async () => {
    const ask = message('agent.execute', {
      query: '¿Cómo aumentar la conversión?',
      context: [
        {
          type: 'note',
          content: 'Los gatos duermen mucho.\n\nPara aumentar la conversión, calificar mejor los leads.',
        },
      ],
    });
    const answer = await asked(boss, ask);
    assert.deepEqual(answer.type, { domain: 'agent', action: 'response' });
    assert.match(answer.payload.response, /calificar mejor/);
    assert.doesNotMatch(answer.payload.response, /gatos/);
    assert.equal(answer.metadata.fallback, 'extractive');
    assert.ok(answer.payload.total_tokens > answer.payload.completion_tokens);
    const task = await taskOf(post, ask.task_id);
    assert.equal(task.current_status.state, 'completed');
    const nothing = await asked(boss, message('agent.execute', { query: 'xyzzy', context: [] }));
    assert.match(nothing.payload.response, /No se encontró nada/);
  });

  test('NOOB-46 with stream the pieces come in order and joined are the response', async () => {
    const text = Array.from({ length: 8 }, (_, n) => `La conversión ${n} ${'mejora '.repeat(20)}`).join(
      '\n\n',
    );
    const ask = message('agent.execute', {
      query: 'conversión mejora',
      stream: true,
      context: [{ type: 'note', content: text }],
    });
    await boss.send('nooble', ask);
    const seen = (
      await until(
        boss,
        'agent_orchestrator',
        one => one.task_id === ask.task_id && one.type.action === 'response',
      )
    ).filter(one => one.task_id === ask.task_id);
    const pieces = seen.filter(one => one.payload.stream_content !== undefined);
    assert.ok(pieces.length > 1);
    assert.equal(
      pieces.map(one => one.payload.stream_content.content).join(''),
      seen.at(-1)?.payload.response,
    );
  });
});

suite('workflow', () => {
  test('NOOB-49 NOOB-50 NOOB-51 NOOB-59 NOOB-60 NOOB-62 the shipped template runs its five steps to the end without a model', async () => {
    const start = message('workflow.start', {
      workflow_template_id: 'sales-analysis-workflow',
      workflow_version: '2.1',
      input_parameters: {
        date_range: '2025-01-01,2025-06-01',
        target_metrics: ['conversion_rate', 'revenue'],
        market_segment: 'enterprise',
        records: [
          { date: '2025-01-10', conversion_rate: 0.05, revenue: 100 },
          { date: '2025-05-10', conversion_rate: 0.03, revenue: 140 },
          { date: '2026-05-10', conversion_rate: 0.9, revenue: 9_999 },
        ],
      },
      execution_mode: 'async',
    });
    const first = await asked(boss, start);
    assert.equal(first.type.action, 'status');
    assert.match(first.metadata.workflow_id, /^wf-\d{8}-\d{3,}$/);
    const seen = (
      await until(
        boss,
        'agent_orchestrator',
        one => one.task_id === start.task_id && one.payload.workflow_status === 'completed',
      )
    ).filter(one => one.task_id === start.task_id);
    const last = seen.at(-1);
    assert.deepEqual(
      last.payload.steps_status.map((step: { readonly name: string; readonly status: string }) => [
        step.name,
        step.status,
      ]),
      [
        ['data_collection', 'completed'],
        ['generate_market_analysis', 'completed'],
        ['generate_recommendations', 'completed'],
        ['create_report', 'completed'],
        ['deliver_results', 'completed'],
      ],
    );
    assert.equal(last.payload.progress_percentage, 100);
    assert.equal(last.payload.partial_results['step-001'].data.records_processed, 2);
    assert.match(last.payload.partial_results['step-005'].data.report, /revenue/);
    for (const one of seen) assert.equal(one.metadata.workflow_id, first.metadata.workflow_id);
  });

  test('NOOB-50 a synchronous start is answered when it has ended', async () => {
    const start = message('workflow.start', {
      workflow_template_id: 'sales-analysis-workflow',
      execution_mode: 'sync',
    });
    const end = await asked(boss, start, 30);
    assert.equal(end.payload.workflow_status, 'completed');
    assert.equal(end.status, 'completed');
  });

  test('NOOB-49 an unknown template or version is refused', async () => {
    for (const payload of [
      { workflow_template_id: 'nope' },
      { workflow_template_id: 'sales-analysis-workflow', workflow_version: '9.9' },
    ]) {
      const { status, body } = await refused(boss, message('workflow.start', payload));
      assert.deepEqual([status, body.code], [404, 'resource_not_found']);
    }
  });
});

suite('conversation', () => {
  test('NOOB-64 NOOB-65 NOOB-67 messages are stored, replaced and blanked under their ids, and read in the order of storing', async () => {
    const talk = `conv-${newId()}`;
    const update = (payload: object) =>
      asked(boss, message('conversation.update', payload as never, { conversation_id: talk }));
    const stored = await update({ message: { id: 'a', content: 'uno', role: 'user' } });
    assert.deepEqual(stored.type, { domain: 'conversation', action: 'status' });
    assert.equal(stored.status, 'completed');
    await update({ message: { id: 'b', content: 'dos', role: 'assistant' }, operation: 'create' });
    await update({ message: { id: 'a', content: 'uno bis' }, operation: 'update' });
    await update({ message: { id: 'b' }, operation: 'delete' });
    const taken = await update({ message: { id: 'a', content: 'otra' } });
    assert.equal(taken.error.code, 'VAL_005');
    const unknown = await update({ message: { id: 'z' }, operation: 'update' });
    assert.equal(unknown.error.code, 'resource_not_found');
    const read = await asked(boss, message('conversation.query', {}, { conversation_id: talk }));
    assert.equal(read.type.action, 'response');
    assert.deepEqual(
      read.payload.messages.map((one: { readonly id: string; readonly content: string }) => [
        one.id,
        one.content,
      ]),
      [
        ['a', 'uno bis'],
        ['b', ''],
      ],
    );
    const { body } = await refused(boss, message('conversation.query', {}));
    assert.equal(body.code, 'VAL_002');
    const role = await refused(
      boss,
      message('conversation.update', { message: { id: 'c', role: 'king' } }, { conversation_id: talk }),
    );
    assert.equal(role.body.code, 'VAL_001');
  });

  test('NOOB-66 an attachment is kept as a link, and only over https', async () => {
    const talk = `conv-${newId()}`;
    const attachment = {
      type: 'image/png',
      name: 'v.png',
      url: 'https://storage.example.com/v.png',
      size_bytes: 3,
    };
    const update = (one: object) =>
      message('conversation.update', { message: { id: 'a' }, attachments: [one] } as never, {
        conversation_id: talk,
      });
    await asked(boss, update(attachment));
    const read = await asked(boss, message('conversation.query', {}, { conversation_id: talk }));
    assert.deepEqual(read.payload.messages[0].attachments, [attachment]);
    const { body } = await refused(boss, update({ ...attachment, url: 'file:///etc/passwd' }));
    assert.equal(body.code, 'VAL_003');
  });
});

suite('tool', () => {
  test('NOOB-69 NOOB-95 a tool is run as a task; bad parameters, an unknown tool and a failed one have their codes', async () => {
    const run = (payload: object) => asked(boss, message('tool.execute', payload as never));
    const good = await run({
      tool_name: 'data_analysis',
      tool_call_id: 'call-1',
      parameters: { date_range: 'Q1', records: [{ a: 1 }, { a: 3 }] },
    });
    assert.deepEqual(good.type, { domain: 'tool', action: 'result' });
    assert.equal(good.payload.result.metrics.a.mean, 2);
    assert.equal(good.payload.tool_call_id, 'call-1');
    assert.equal((await run({ tool_name: 'data_analysis', parameters: {} })).error.code, 'VAL_001');
    assert.equal((await run({ tool_name: 'nope', parameters: {} })).error.code, 'AEX_003');
  });

  test('NOOB-70 a tool is registered, listed and removed, by administrators only', async () => {
    const admin = await post.agent('agent_orchestrator', { permissions: ['admin'] });
    const update = { name: 'echo', description: 'says it again', endpoint: `${post.url}/nothing` };
    const { status, body } = await refused(boss, message('tool.update', update));
    assert.deepEqual([status, body.code], [403, 'AUTH_003']);
    assert.equal((await asked(admin, message('tool.update', update))).payload.status, 'registered');
    const names = async () =>
      (await asked(boss, message('tool.query', {}))).payload.tools.map(
        (one: { readonly name: string }) => one.name,
      );
    assert.ok((await names()).includes('echo'));
    const failed = await asked(boss, message('tool.execute', { tool_name: 'echo', parameters: {} }));
    assert.equal(failed.error.code, 'AEX_005');
    await asked(admin, message('tool.update', { name: 'echo', operation: 'remove' }));
    assert.ok(!(await names()).includes('echo'));
  });
});
