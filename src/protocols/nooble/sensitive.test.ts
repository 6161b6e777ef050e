// What is sensitive: nowhere readable on disk, in logs or in events, and whole for who asked.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { asked, message, newId, orchestrator, refused, until } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;
const metadata = { sensitive_data: true };

before(async () => {
  post = await openPost();
  boss = await orchestrator(post);
});
after(() => post.stop());

/** What anybody who watches a task may read of its log and its events. */
async function watched(id: string): Promise<string> {
  const stop = AbortSignal.timeout(10_000);
  const headers = { ...post.admin.headers };
  const events = await fetch(`${post.url}/api/v2/task-events/${id}`, { headers, signal: stop });
  assert.equal(events.status, 200);
  const log = await post.admin.ask('GET', `/api/v2/task-logs/${id}?limit=1000`);
  return (await events.text()) + JSON.stringify(log.body);
}

/** What SAM shows of a task. */
async function taskShown(id: string): Promise<string> {
  return JSON.stringify((await post.admin.ask('GET', `/api/v2/task-status/${id}`)).body);
}

/** Deliveries that tell the orchestrator of the failure of a task, others acknowledged. */
async function failuresOf(task: string): Promise<readonly Loose[]> {
  for (;;) {
    const read = await boss.read('nooble', 'agent_orchestrator', { wait: 5 });
    const found = read.filter(one => one.message.task_id === task);
    if (found.length > 0) return found;
    assert.ok(read.length > 0, 'no failure came');
    for (const { delivery_id: id } of read) await boss.settle('nooble', 'agent_orchestrator', id);
  }
}

/** The start of a sensitive workflow that carries a word through its steps. */
function analysisOf(secret: string): Loose {
  const payload = {
    ...{ workflow_template_id: 'sales-analysis-workflow', execution_mode: 'sync' },
    input_parameters: { market_segment: secret, records: [{ sold: 1 }] },
  };
  return message('workflow.start', payload, { metadata });
}

const word = (): string => `secreto-${newId()}`;

test('NOOB-33 payload and result of a sensitive task are encrypted at rest, out of logs and events, and whole in the answer', async () => {
  const [secret, plain] = [word(), word()];
  const ask = (text: string, more: Loose): Loose =>
    message(
      'agent.execute',
      { query: `¿qué es ${text}?`, stream: true, context: [{ type: 'note', content: `${text} es 42` }] },
      more,
    );
  const sensitive = ask(secret, { metadata: { ...metadata, execution_context: { secret } } });
  const answer = await asked(boss, sensitive);
  assert.match(answer.payload.response, new RegExp(`${secret} es 42`));
  assert.equal(answer.metadata.sensitive_data, true);
  const open = ask(plain, {});
  await asked(boss, open);
  assert.ok(await post.holds(plain), 'what is not sensitive is found so');
  assert.ok(!(await post.holds(secret)));
  assert.ok(!(await watched(sensitive.task_id)).includes(secret));
  assert.ok((await watched(open.task_id)).includes(plain), 'what is not sensitive is seen so');
  const { body } = await post.admin.ask('GET', `/api/v2/task-status/${sensitive.task_id}`);
  assert.match(JSON.stringify(body), new RegExp(secret), 'who may read the task reads it');
  const again = await boss.send('nooble', sensitive);
  assert.equal(again.body.status, 'duplicate');
});

test('NOOB-33 a sensitive task done by an agent elsewhere is told to it whole, and what it reports is kept encrypted too', async () => {
  const [secret, word1, word2] = [word(), word(), word()];
  const agent = await post.register('discreet');
  const ask = message(
    'agent.execute',
    { query: secret, agent_config: { agent_id: 'discreet' } },
    { metadata },
  );
  await boss.send('nooble', ask);
  const [work] = await agent.read('nooble', 'discreet', { wait: 10 });
  assert.equal(work?.message.payload.query, secret);
  const said = (action: string, payload: Loose, more: Loose = {}): Loose =>
    message(`agent.${action}`, payload, {
      ...{ task_id: ask.task_id, correlation_id: ask.correlation_id, status: 'processing', metadata },
      ...{ source_service: 'agent_execution', target_service: 'agent_orchestrator' },
      ...more,
    });
  await agent.send('nooble', said('status', { progress: 40, status_detail: word1 }));
  await agent.send('nooble', said('response', { response: word2 }, { status: 'completed' }));
  const seen = await until(
    boss,
    'agent_orchestrator',
    one => one.task_id === ask.task_id && one.type.action === 'response',
  );
  assert.ok(JSON.stringify(seen).includes(word1));
  assert.equal(seen.at(-1)?.payload.response, word2);
  const found = await watched(ask.task_id);
  for (const one of [secret, word1, word2]) {
    assert.ok(!(await post.holds(one)), one);
    assert.ok(!found.includes(one), one);
  }
});

test('NOOB-33 steps of a sensitive workflow are sensitive, its results go from step to step, and a failure is told whole', async () => {
  const secret = word();
  const start = analysisOf(secret);
  const end = await asked(boss, start, 20);
  assert.match(end.payload.partial_results['step-004'].data.report, new RegExp(secret));
  const bad = message('tool.execute', { tool_name: secret }, { metadata });
  const error = await asked(boss, bad);
  assert.deepEqual([error.error.code, error.payload.error_details.tool_name], ['AEX_003', secret]);
  assert.ok(!(await post.holds(secret)));
  for (const id of [start.task_id, `${start.task_id}.step-002`, bad.task_id])
    assert.ok(!(await watched(id)).includes(secret), id);
});

test('NOOB-33 a sensitive message is kept encrypted while it waits, in no stream, and withheld among the dead letters', async () => {
  const [secret, plain] = [word(), word()];
  const reader = await post.register('sour');
  const stop = new AbortController();
  const headers = { ...post.admin.headers };
  const stream = await fetch(`${post.url}/protocols/nooble/events`, { headers, signal: stop.signal });
  const note = (text: string, more: Loose): Loose =>
    message('agent.notify', { text }, { target_service: 'sour', ...more });
  await boss.send('nooble', note(secret, { metadata }));
  await boss.send('nooble', note(plain, {}));
  let seen = '';
  for await (const chunk of stream.body ?? []) {
    seen += Buffer.from(chunk).toString('utf8');
    if (seen.includes(plain)) break;
  }
  stop.abort();
  assert.ok(!seen.includes(secret));
  assert.ok(!(await post.holds(secret)));
  for (const { message: got, delivery_id: delivery } of await reader.read('nooble', 'sour')) {
    assert.ok([secret, plain].includes(got.payload.text));
    await reader.settle('nooble', 'sour', delivery, { outcome: 'reject', reason: 'no' });
  }
  const listed = await post.admin.ask('GET', '/protocols/nooble/dead-letters');
  const queued = await post.admin.read('nooble', 'orchestrator:dlq:default', { max: 100 });
  for (const text of [JSON.stringify(listed.body), JSON.stringify(queued)])
    assert.deepEqual([text.includes(secret), text.includes(plain)], [false, true]);
});

test('NOOB-33 a sensitive message of a conversation is kept encrypted and read whole; a sensitive document is not taken to be searched', async () => {
  const secret = word();
  const talk = { conversation_id: `conv-${newId()}` };
  const said = { message: { id: 'm-1', content: secret, role: 'user' } };
  assert.equal(
    (await asked(boss, message('conversation.update', said, { ...talk, metadata }))).status,
    'completed',
  );
  const read = await asked(boss, message('conversation.query', {}, { ...talk, metadata }));
  assert.equal(read.payload.messages[0].content, secret);
  assert.ok(!(await post.holds(secret)));
  const document = { operation: 'upsert', kb_id: 'kb', document: { id: 'd', content: secret } };
  const { status, body } = await refused(boss, message('knowledge.update', document, { metadata }));
  assert.deepEqual([status, body.code, body.details.rule], [422, 'VAL_001', 'sensitive_data']);
  assert.ok(!(await post.holds(secret)));
});

test('NOOB-33 what was said in secret is left out of a plain reading of the conversation, which is told so, and of a plain agent’s context', async () => {
  const [secret, plain] = [word(), word()];
  const talk = { conversation_id: `conv-${newId()}` };
  const say = (id: string, content: string, more: Loose): Promise<Loose> =>
    asked(
      boss,
      message('conversation.update', { message: { id, content, role: 'user' } }, { ...talk, ...more }),
    );
  await say('m-1', `${secret} es 41`, { metadata });
  await say('m-2', `${plain} es 42`, {});
  const change = { operation: 'update', message: { id: 'm-1', format: 'markdown' } };
  await asked(boss, message('conversation.update', change, talk));
  const openly = message('conversation.query', {}, talk);
  const read = await asked(boss, openly);
  const [first, second] = read.payload.messages;
  assert.deepEqual([first.id, first.content, first.withheld], ['m-1', '', 'sensitive_data']);
  assert.deepEqual([second.content, read.payload.withheld, read.payload.total], [`${plain} es 42`, 1, 2]);
  assert.match(read.metadata.warnings[0], /^1 sensitive /);
  assert.ok(!(await taskShown(openly.task_id)).includes(secret));
  const whole = await asked(boss, message('conversation.query', {}, { ...talk, metadata }));
  assert.equal(whole.payload.messages[0].content, `${secret} es 41`);
  assert.deepEqual([whole.payload.withheld, whole.metadata.sensitive_data], [undefined, true]);
  const context = [{ type: 'conversation_history', content: talk }];
  const question = { query: `¿qué es ${secret} y qué es ${plain}?`, context };
  const ask = async (more: Loose): Promise<Loose> => asked(boss, message('agent.execute', question, more));
  const answer = await ask({});
  assert.match(answer.payload.response, new RegExp(`${plain} es 42`));
  assert.ok(!answer.payload.response.includes('es 41'));
  assert.match(answer.metadata.warnings[0], /^1 sensitive /);
  assert.match((await ask({ metadata })).payload.response, new RegExp(`${secret} es 41`));
});

test('NOOB-33 what steps of a sensitive workflow came to is told in answer to a sensitive question alone, and read by no plain step', async () => {
  const secret = word();
  const start = analysisOf(secret);
  const { metadata: told } = await asked(boss, start, 20);
  const query = (more: Loose): Loose => {
    const { task_id, correlation_id } = start;
    return message('workflow.query', {}, { task_id, correlation_id, ...more });
  };
  const openly = await asked(boss, query({}));
  assert.deepEqual(openly.payload.partial_results['step-004'], {
    status: 'success',
    withheld: 'sensitive_data',
  });
  assert.match(openly.metadata.warnings[0], /^5 sensitive results /);
  assert.ok(!JSON.stringify(openly).includes(secret));
  const whole = await asked(boss, query({ metadata }));
  assert.match(whole.payload.partial_results['step-004'].data.report, new RegExp(secret));
  const engine = await post.agent('workflow_engine');
  const input = { report: { source: 'previous_step', step_id: 'step-004' }, note: 'nada' };
  const step = async (more: Loose): Promise<Loose> => {
    const payload = { step_type: 'agent_task', input_data: input };
    const about = { workflow_id: told.workflow_id, workflow_step_id: 'step-005', step_name: secret, ...more };
    const to = { source_service: 'workflow_engine', target_service: 'agent_orchestrator' };
    return asked(engine, message('workflow.step', payload, { ...to, metadata: about }));
  };
  const bare = await step({ step_name: 'informe' });
  assert.match(bare.metadata.warnings.join(), /report is withheld/);
  assert.ok(!JSON.stringify(bare).includes(secret));
  assert.match((await step(metadata)).payload.result.response, new RegExp(secret));
});

test('NOOB-33 no other wire shows a sensitive message, in exchange or diagram, and a dead letter names nothing of its failure', async () => {
  const [secret, plain] = [word(), word()];
  const correlation = newId();
  const ask = (query: string, more: Loose): Promise<Loose> =>
    asked(boss, message('agent.execute', { query }, { correlation_id: correlation, ...more }));
  await ask(secret, { metadata });
  await ask(plain, {});
  for (const wire of ['nooble', 'army', 'task', 'blog'])
    for (const format of ['json', 'mermaid']) {
      const path = `/protocols/${wire}/exchanges/${correlation}?format=${format}`;
      const { status, body } = await post.admin.ask('GET', path);
      const shown = JSON.stringify(body);
      assert.deepEqual([status, shown.includes(secret)], [200, false], `${wire} ${format}`);
      if (format === 'json') assert.deepEqual([wire, shown.includes(plain)], [wire, true]);
    }
  const bad = message('tool.execute', { tool_name: secret }, { metadata });
  await boss.send('nooble', bad);
  const [failure] = await failuresOf(bad.task_id);
  assert.ok(JSON.stringify(failure?.message).includes(secret));
  await boss.settle('nooble', 'agent_orchestrator', String(failure?.delivery_id), {
    outcome: 'reject',
    reason: 'no',
  });
  const { body } = await post.admin.ask('GET', '/protocols/nooble/dead-letters');
  const letter = body.dead_letters.find((one: Loose) => one.message?.task_id === bad.task_id);
  assert.deepEqual(letter.message.payload, { withheld: 'sensitive_data' });
  assert.equal(letter.message.error.code, 'AEX_003');
  assert.ok(!JSON.stringify(letter).includes(secret));
});

test('NOOB-33 a sensitive search is by words alone, and offered to nobody as an earlier query', async () => {
  const [secret, topic] = [word(), word()];
  const kept = {
    operation: 'upsert',
    kb_id: 'kb-33',
    document: { id: 'd', content: `${topic} y su ${secret}` },
  };
  await asked(boss, message('knowledge.update', kept));
  const search = (query: string, more: Loose = {}): Promise<Loose> =>
    asked(boss, message('knowledge.search', { query, filter: { kb_ids: ['kb-33'] } }, more));
  const hidden = await search(`${topic} oculta`, { metadata });
  assert.equal(hidden.payload.results[0].document_id, 'd');
  assert.match(hidden.metadata.warnings.join(), /sensitive: searched by words alone/);
  await search(`${topic} abierta`);
  const { related_queries: related } = (await search(topic)).payload;
  assert.ok(related.includes(`${topic} abierta`), JSON.stringify(related));
  assert.ok(!related.includes(`${topic} oculta`), JSON.stringify(related));
});
