// The built-in agent with a model: a server that speaks the OpenAI API at the far end of the wire.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { after, before, test } from 'node:test';
import { type Correspondent, openPost, type Post } from '../../../test/post.ts';
import type { Loose } from '../../../test/serve.ts';
import { asked, message, orchestrator, refused } from './fixture.test.ts';

let post: Post;
let boss: Correspondent;
let far: Server;
/** What the model is to answer, one a call; after that it fails. */
let answers: object[] = [];
const requests: Loose[] = [];

before(async () => {
  far = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    requests.push(JSON.parse(text));
    const next = answers.shift();
    response.writeHead(next === undefined ? 500 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(next ?? { error: { message: 'out of order' } }));
  }).listen(0, '127.0.0.1');
  await once(far, 'listening');
  const address = far.address();
  assert.ok(address !== null && typeof address === 'object');
  post = await openPost({
    BATUTA_MODEL_URL: `http://127.0.0.1:${address.port}/v1`,
    BATUTA_MODEL: 'writer',
  });
  boss = await orchestrator(post);
});
after(async () => {
  await post.stop();
  far.close();
});

function said(content: string | null, more: object = {}): object {
  const { finish = 'stop', calls } = more as { readonly finish?: string; readonly calls?: object[] };
  const reply = { role: 'assistant', content, ...(calls === undefined ? {} : { tool_calls: calls }) };
  return {
    id: 'c1',
    created: 1,
    model: 'writer',
    choices: [{ index: 0, message: reply, finish_reason: calls === undefined ? finish : 'tool_calls' }],
    usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
  };
}

const call = (id: string, name: string, input: object) => ({
  ...{ id, type: 'function' },
  function: { name, arguments: JSON.stringify(input) },
});

test('NOOB-40 NOOB-43 NOOB-47 a configured model answers, by the name that settings give it, its tools run and listed', async () => {
  const admin = await post.agent('agent_orchestrator', { permissions: ['admin'] });
  await asked(admin, message('system.update', { model_names: { 'gpt-4': 'writer' } }));
  answers = [
    said(null, { calls: [call('t1', 'data_analysis', { date_range: 'Q1', records: [{ sold: 2 }] })] }),
    said('Vender más.'),
  ];
  requests.length = 0;
  const tool = { name: 'data_analysis', description: 'analiza', parameters: { type: 'object' } };
  const { payload, metadata } = await asked(
    boss,
    message('agent.execute', {
      ...{ query: '¿Qué hacer?', tools: [tool], max_tokens: 100 },
      context: [{ type: 'note', content: 'Las ventas caen.' }],
      agent_config: { parameters: { model: 'gpt-4', temperature: 0.7 } },
    }),
  );
  assert.equal(payload.response, 'Vender más.');
  assert.deepEqual([payload.completion_tokens, payload.total_tokens], [14, 36]);
  assert.equal(payload.tool_calls[0].tool_name, 'data_analysis');
  assert.equal(payload.tool_calls[0].result.metrics.sold.sum, 2);
  assert.equal(metadata.fallback, undefined);
  assert.equal(requests[0].model, 'writer');
  assert.match(JSON.stringify(requests[0].messages), /Las ventas caen/);
  const { body } = await refused(
    boss,
    message('agent.execute', { query: 'q', agent_config: { parameters: { model: 'custom-model-xyz' } } }),
  );
  assert.equal(body.code, 'AEX_001');
  assert.match(JSON.stringify(body.details.validation_errors), /custom-model-xyz/);
});

test('NOOB-44 NOOB-98 an answer that the limit cut off gets AEX_002 with both numbers', async () => {
  answers = [said('Vender', { finish: 'length' })];
  const { error, payload } = await asked(boss, message('agent.execute', { query: 'q', max_tokens: 5 }));
  assert.equal(error.code, 'AEX_002');
  assert.deepEqual([payload.error_details.tokens, payload.error_details.limit], [7, 5]);
});

test('NOOB-40 NOOB-89 NOOB-98 a model that fails gets AEX_004, a failure of a dependency', async () => {
  answers = [];
  const { error, metadata } = await asked(boss, message('agent.execute', { query: 'q' }), 30);
  assert.equal(error.code, 'AEX_004');
  assert.equal(metadata.error_category, 'dependency');
});

test('NOOB-33 what is sensitive is not sent to a model', async () => {
  requests.length = 0;
  const ask = message(
    'agent.execute',
    { query: 'secreto', context: [{ type: 'note', content: 'El secreto es 42.' }] },
    { metadata: { sensitive_data: true } },
  );
  const { payload, metadata } = await asked(boss, ask);
  assert.equal(metadata.fallback, 'extractive');
  assert.match(payload.response, /42/);
  assert.deepEqual(requests, []);
});
