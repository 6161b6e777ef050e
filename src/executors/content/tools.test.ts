// Tools a model asks for: called where their requester said, with what the model wrote checked, and never elsewhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { setup } from './fixture.test.ts';
import { calls, json, says, status } from './model-server.test.ts';

const PARAMETERS: JsonObject = {
  type: 'object',
  required: ['city'],
  properties: { city: { type: 'string' } },
};
const weather = (more: object = {}) => ({
  name: 'weather',
  description: 'Tells it.',
  parameters: PARAMETERS,
  ...more,
});
const wanted = (input: string, name = 'weather') => calls([{ id: 'c1', name, input }]);

/** What the model was told its last call brought. */
function toldOf(body: JsonObject | undefined): unknown {
  const messages = body?.messages as readonly JsonObject[];
  const last = messages.at(-1);
  assert.equal(last?.role, 'tool');
  return JSON.parse(String(last?.content));
}

test('SAM-153 a tool with an endpoint is called with what the model wrote, and its answer goes back to the model', async t => {
  const { output, server, second, logs } = await setup(t);
  server.answers.push(wanted('{"city":"Lima"}'), says('Sunny in Lima.'));
  second.answers.push(json({ sky: 'clear' }));
  const tools = [weather({ endpoint: `${second.url}/weather`, secret: 'weather_key' })];
  const secrets = { weather_key: 'w-0123456789' };
  const made = await output({ prompt: 'The weather?', tools }, { secrets });
  assert.deepEqual([made.text, made.steps, made.tokens_used], ['Sunny in Lima.', 2, 220]);
  const [called] = second.asked;
  assert.deepEqual(called?.body, { tool: 'weather', arguments: { city: 'Lima' } });
  assert.equal(called?.headers.authorization, 'Bearer w-0123456789');
  assert.equal(called?.headers['idempotency-key'], 'run-1-c1');
  assert.deepEqual(toldOf(server.asked[1]?.body), { sky: 'clear' });
  assert.deepEqual(server.asked[0]?.body.tools, [
    { type: 'function', function: { name: 'weather', description: 'Tells it.', parameters: PARAMETERS } },
  ]);
  assert.ok(!JSON.stringify([made, logs]).includes('w-0123456789'));
});

test('SAM-153 a tool without an endpoint ends the conversation with what the model asks for', async t => {
  const { output, server, saved } = await setup(t);
  server.answers.push(wanted('{"city":"Lima"}'));
  const made = await output({ prompt: 'The weather?', tools: [weather()], stream: false });
  assert.equal(made.finish_reason, 'tool_calls');
  assert.deepEqual(made.tool_calls, [{ id: 'c1', name: 'weather', arguments: '{"city":"Lima"}' }]);
  assert.equal(saved.size, 0);
});

test('arguments that are no JSON or do not fit, unknown tools and tools that fail are told to the model', async t => {
  const { output, server, second } = await setup(t);
  const tools = [weather({ endpoint: `${second.url}/weather` })];
  second.answers.push(status(500, {}, 'stack trace'), json('x'.repeat(300_000)));
  const attempts: readonly (readonly [string, string, RegExp])[] = [
    ['{"city"', 'weather', /not JSON/],
    ['{"city":5}', 'weather', /arguments\.city/],
    ['{}', 'rm', /no such tool/],
    ['{"city":"Lima"}', 'weather', /answered 500/],
    ['{"city":"Lima"}', 'weather', /larger than/],
  ];
  for (const [input, name, told] of attempts) {
    server.answers.push(wanted(input, name), says('I could not find out.'));
    assert.equal((await output({ prompt: 'The weather?', tools })).text, 'I could not find out.');
    assert.match((toldOf(server.asked.at(-1)?.body) as { error: string }).error, told);
  }
  assert.equal(second.asked.length, 2);
});

test('SAM-34 a secret an endpoint echoes reaches neither the model nor what is left', async t => {
  const { output, server, second } = await setup(t);
  server.answers.push(wanted('{"city":"Lima"}'), says('Sunny.'));
  second.answers.push(json({ sky: 'clear', you_sent: ['Bearer w-0123456789'] }));
  const tools = [weather({ endpoint: `${second.url}/weather`, secret: 'weather_key' })];
  await output({ prompt: 'x', tools }, { secrets: { weather_key: 'w-0123456789' } });
  assert.deepEqual(toldOf(server.asked[1]?.body), { sky: 'clear', you_sent: ['Bearer ***'] });
});

test('SAM-122 an endpoint at a private address is refused when the task is submitted, and when it is called', async t => {
  const { check, output, server, second } = await setup(t, { allow: '' });
  const tools = [weather({ endpoint: second.url.replace('http:', 'https:') })];
  await assert.rejects(check({ prompt: 'x', tools }), { code: 'unprocessable' });
  server.answers.push(wanted('{"city":"Lima"}'), says('No.'));
  await output({ prompt: 'x', tools });
  assert.match((toldOf(server.asked[1]?.body) as { error: string }).error, /private or reserved/);
  assert.equal(second.asked.length, 0);
});
