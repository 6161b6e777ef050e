// content_generation through the whole server: settings, the wire, a model's API over a real socket, artifacts, metrics, cancel.

import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, suite, test } from 'node:test';
import type { Loose } from '../serve.ts';
import { submit, until } from './crew.ts';
import { running } from './running.ts';

const KEY = 'sk-e2e-0123456789abcdef';
const asked: { readonly authorization: string | undefined; readonly body: Loose }[] = [];
let answer: (response: ServerResponse) => void = response =>
  stream(response, ['Hello ', 'from ', 'afar'], true);

const model = createServer(async (request, response) => {
  asked.push({ authorization: request.headers.authorization, body: JSON.parse(await text(request)) });
  answer(response);
});
await new Promise<void>(resolve => model.listen(0, '127.0.0.1', resolve));
const house = await running({
  BATUTA_MODEL_URL: `http://127.0.0.1:${(model.address() as AddressInfo).port}/v1`,
  BATUTA_MODEL_KEY: KEY,
  BATUTA_MODEL: 'writer',
  BATUTA_MODEL_PRICES: 'writer=2/10',
  // The provider's address is permitted by being configured, not by this.
  BATUTA_ALLOW_PRIVATE_TARGETS: '',
});
const { admin } = house;
after(async () => {
  await house.stop();
  model.closeAllConnections();
  model.close();
});

function stream(response: ServerResponse, pieces: readonly string[], ends: boolean): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const write = (chunk: object): void => {
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  for (const content of pieces) write({ model: 'writer', choices: [{ index: 0, delta: { content } }] });
  if (!ends) return;
  write({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] });
  write({ choices: [], usage: { prompt_tokens: 50, completion_tokens: 20, total_tokens: 70 } });
  response.end('data: [DONE]\n\n');
}

const order = (task_id: string, task_data: object, more: object = {}): object => ({
  task_id,
  task_type: 'content_generation',
  description: 'writes something',
  orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
  task_data,
  ...more,
});
const ended = (id: string): Promise<Loose> => until(admin, id, one => one.current_status.outcome !== null);

suite('content_generation through the served API', () => {
  test('SAM-153 SAM-154 SAM-81 a prompt comes back as text, artifact, tokens and cost, and the key nowhere', async () => {
    await submit(
      admin,
      order('greeting', { prompt: 'Greet {{whom}}.', variables: { whom: 'Ana' }, format: 'markdown' }),
    );
    const status = await ended('greeting');
    const { output, artifacts } = status.execution_details;
    assert.equal(output?.text, 'Hello from afar', JSON.stringify(status));
    assert.deepEqual([output.tokens_used, output.cost, output.provider], [70, 0.0003, 'primary']);
    const [{ artifact_id, name }] = artifacts;
    assert.equal(name, 'content.md');
    const { body: file } = await admin.get(`/api/v2/artifacts/${artifact_id}`);
    assert.equal(file, 'Hello from afar');
    const [call] = asked;
    assert.equal(call?.authorization, `Bearer ${KEY}`);
    assert.equal(call?.body.messages.at(-1).content, 'Greet Ana.');
    const { body: metrics } = await admin.get('/api/v2/task-metrics/greeting');
    assert.match(JSON.stringify(metrics), /"tokens_used":70/);
    const { body: health } = await admin.get('/api/v2/health');
    assert.ok(!JSON.stringify([status, metrics, health]).includes(KEY));
  });

  test('SAM-155 SAM-67 a text shows while it is written, and cancelling ends the stream', async () => {
    const { promise: cut, resolve } = Promise.withResolvers<void>();
    answer = response => {
      response.on('close', resolve);
      stream(response, ['Once upon a time '], false);
    };
    await submit(admin, order('tale', { prompt: 'Tell a tale.' }));
    await until(admin, 'tale', one =>
      JSON.stringify(one.execution_details.intermediate_results ?? []).includes('Once upon a time'),
    );
    await admin.post('/api/v2/tasks/tale/cancel', { grace_seconds: 0 });
    assert.equal((await ended('tale')).current_status.outcome, 'cancelled');
    await cut;
  });

  test('SAM-155 a provider that is asked too often is asked again by a later attempt', async () => {
    const calls = asked.length;
    answer = response => {
      answer = again => stream(again, ['Second time lucky'], true);
      response.writeHead(429, { 'retry-after-ms': '200' }).end('{}');
    };
    await submit(admin, order('patient', { prompt: 'x' }));
    const status = await ended('patient');
    assert.equal(status.execution_details.output?.text, 'Second time lucky', JSON.stringify(status));
    assert.deepEqual([status.current_status.attempt, asked.length - calls], [2, 2]);
  });

  test('SAM-156 an empty prompt is 400 naming its field', async () => {
    const { body } = await submit(admin, order('empty', { prompt: ' ' }), { expect: 400 });
    assert.equal(body.error.details.errors[0].field, 'task_data.prompt');
  });

  test('SAM-155 SAM-119 once the tokens of a day are spent, no further task comes in', async () => {
    const quotas = { tenant: { policy: 'refuse', limits: { tokens_per_day: 60 } } };
    await admin.ask('PATCH', '/api/v2/tenants/default', { body: { options: { quotas } } });
    answer = response => stream(response, ['Spent'], true);
    await submit(admin, order('last', { prompt: 'x' }));
    assert.equal((await ended('last')).current_status.outcome, 'completed');
    const { body } = await submit(admin, order('over', { prompt: 'x' }), { expect: 429 });
    assert.match(JSON.stringify(body), /tokens_per_day/);
    await admin.ask('PATCH', '/api/v2/tenants/default', { body: { options: { quotas: { tenant: null } } } });
  });
});

test("SAM-154 SAM-34 a tenant's provider is set up in a secret, and its key shows nowhere", async t => {
  const open = await running({ BATUTA_MODEL_BY_TENANTS: 'true' });
  t.after(() => open.stop());
  const own = {
    base_url: `http://127.0.0.1:${(model.address() as AddressInfo).port}/v1`,
    key: KEY,
    models: ['own'],
  };
  await open.admin.ask('PUT', '/api/v2/secrets/mine', { body: { value: JSON.stringify(own) } });
  answer = response => stream(response, ['From home'], true);
  const more = { execution_config: { environment: { secrets: ['mine'] } } };
  await submit(open.admin, order('own', { prompt: 'x', provider_secret: 'mine' }, more));
  const status = await until(open.admin, 'own', one => one.current_status.outcome !== null);
  assert.equal(status.execution_details.output?.text, 'From home', JSON.stringify(status));
  assert.equal(asked.at(-1)?.authorization, `Bearer ${KEY}`);
  const { body: logs } = await open.admin.get('/api/v2/task-logs/own');
  assert.ok(!JSON.stringify([status, logs]).includes(KEY));
});

test('SAM-154 a server without a provider refuses the type, naming the settings', async t => {
  const bare = await running();
  t.after(() => bare.stop());
  const { body } = await submit(bare.admin, order('nobody', { prompt: 'x' }), { expect: 422 });
  assert.match(JSON.stringify(body), /BATUTA_MODEL_URL and BATUTA_MODEL/);
});
