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
  const start = message(
    'workflow.start',
    {
      ...{ workflow_template_id: 'sales-analysis-workflow', execution_mode: 'sync' },
      input_parameters: { market_segment: secret, records: [{ sold: 1 }] },
    },
    { metadata },
  );
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
