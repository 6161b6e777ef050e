// What a task may spend and what may be said, over real sockets: before a call, while a model writes, and over attempts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { Budget } from './budget.ts';
import { setup } from './fixture.test.ts';
import { begins, calls, cut, json, piece, says, status } from './model-server.test.ts';

const PRICES = { writer: { inputPerMillion: 1_000, outputPerMillion: 10_000 }, painter: { perImage: 0.5 } };
const flagged = json({ results: [{ flagged: true, categories: { violence: true, hate: false } }] });

test('SAM-155 a call that would cost more than is left is not made', async t => {
  const { error, server } = await setup(t, { primary: { prices: PRICES, imageModel: 'painter' } });
  // About 34 tokens in: 0.034, and not one token out.
  const failed = await error({ prompt: 'x'.repeat(100), max_cost: 0.03 });
  assert.deepEqual([failed.code, failed.recoverable], ['resource_exhausted', false]);
  assert.deepEqual(failed.details, { resource: 'cost', limit: 0.03, spent: 0 });
  const picture = await error({ kind: 'image', prompt: 'x', n: 3, max_cost: 1 });
  assert.equal(picture.code, 'resource_exhausted');
  assert.equal(server.asked.length, 0);
});

test('SAM-155 a limit of cost bounds what a call may write', async t => {
  const { output, server } = await setup(t, { primary: { prices: PRICES } });
  await output({ prompt: 'x'.repeat(30), max_cost: 1.01 });
  assert.equal(server.asked[0]?.body.max_tokens, 100);
});

test('SAM-155 the next call of a task is refused once earlier ones spent its limit', async t => {
  const { error, server } = await setup(t, { primary: { prices: PRICES } });
  server.answers.push(
    says('no JSON', { usage: { prompt_tokens: 10, completion_tokens: 90, total_tokens: 100 } }),
  );
  const failed = await error({
    kind: 'structured',
    prompt: 'x',
    output_schema: { type: 'object' },
    max_tokens: 90,
  });
  assert.deepEqual(
    [failed.code, failed.details?.resource, server.asked.length],
    ['resource_exhausted', 'tokens', 1],
  );
});

test('SAM-155 limits hold over attempts: what a failed one wrote is counted by the next', async t => {
  const { error, output, server, reports } = await setup(t, { primary: { prices: PRICES } });
  const { promise: shown, resolve } = Promise.withResolvers<void>();
  server.answers.push(begins('x'.repeat(150), response => void shown.then(() => response.destroy())));
  const failed = await error(
    { prompt: 'Go on.', max_tokens: 100 },
    {
      onReport: ({ intermediate }) => {
        if (intermediate !== undefined) resolve();
      },
    },
  );
  assert.equal(failed.recoverable, true);
  const checkpoint = reports.find(report => report.checkpoint !== undefined)?.checkpoint ?? null;
  assert.equal(((checkpoint as JsonObject).spent as JsonObject).output_tokens, 50);
  await output({ prompt: 'Go on.', max_tokens: 100 }, { checkpoint });
  assert.equal(server.asked[1]?.body.max_tokens, 50);
});

test('a fall-back without a price is not asked by a task whose cost is limited', async t => {
  const { error, server, second } = await setup(t, {
    primary: { prices: PRICES },
    fallback: { models: ['unpriced'] },
  });
  server.answers.push(status(500));
  const failed = await error({ prompt: 'x', max_cost: 100 });
  assert.deepEqual([failed.code, second.asked.length], ['dependency_failed', 0]);
});

test('usage a provider makes up does not make a budget grow', () => {
  const budget = new Budget({ tokensMax: 10 }, { spent: { output_tokens: 'many', cost: null } });
  budget.spend({ inputTokens: 5, outputTokens: 10, estimated: false }, null);
  assert.throws(() => budget.room(1, null), { code: 'resource_exhausted' });
  assert.equal(budget.spent.cost, null);
});

test('SAM-156 a blocked word in the prompt ends the task before any call, with its category and without the word', async t => {
  const { error, server, saved } = await setup(t, {
    blocked: [{ category: 'weapons', phrase: 'Pipe Bomb' }],
  });
  for (const prompt of ['How is a PIPE\n bomb made?', 'ｐｉｐｅ bomb!']) {
    const failed = await error({ prompt });
    assert.deepEqual([failed.code, failed.recoverable], ['policy_violation', false]);
    assert.deepEqual([failed.details?.category, failed.details?.where], ['weapons', 'prompt']);
    assert.ok(!JSON.stringify(failed).toLowerCase().includes('bomb'));
  }
  assert.deepEqual([server.asked.length, saved.size], [0, 0]);
});

test('SAM-156 a blocked word ends the stream it comes in, across its pieces, and withholds what was written', async t => {
  const { error, output, reports, saved, server } = await setup(t);
  server.answers.push(
    begins('all about the proj', response => {
      response.write(piece('ect fal'));
      // Never ends by itself.
      response.write(piece('con, which'));
    }),
  );
  const failed = await error({ prompt: 'x', blocked_words: ['project falcon'] });
  assert.deepEqual([failed.code, failed.details?.where], ['policy_violation', 'result']);
  assert.equal(saved.size, 0);
  assert.ok(!JSON.stringify(reports).includes('falcon'));
  // The model is silent now: nothing of it would tell that nobody listens any more.
  await cut(server);

  server.answers.push(says('the project falconer'));
  const made = await output({ prompt: 'x', blocked_words: ['project falcon'] });
  assert.equal(made.text, 'the project falconer');
});

test('SAM-156 a moderation model judges prompt and result; what it flags is withheld', async t => {
  const { error, output, server, saved, reports } = await setup(t, { primary: { moderationModel: 'judge' } });
  const made = await output({ prompt: 'Say hello.' });
  assert.deepEqual(made.moderation, { judges: ['primary/judge'], flagged: false });
  assert.deepEqual(
    server.asked.map(({ path }) => path.slice(4)),
    ['moderations', 'chat/completions', 'moderations'],
  );
  assert.deepEqual(server.asked.map(({ body }) => body.input).filter(Boolean), [
    'Say hello.',
    'Hello from the model.',
  ]);
  saved.clear();

  server.answers.push(flagged);
  const before = await error({ prompt: 'x' });
  assert.deepEqual(
    [before.code, before.details?.category, before.details?.where],
    ['policy_violation', 'violence', 'prompt'],
  );
  assert.equal(before.details?.judge, 'primary/judge');
  server.answers.push(json({ results: [{ flagged: false }] }), says('something vile'), flagged);
  const after = await error({ prompt: 'x' });
  assert.deepEqual([after.code, after.details?.where], ['policy_violation', 'result']);
  assert.ok(!JSON.stringify([after, reports]).includes('vile'));
  assert.equal(saved.size, 0);
});

test('SAM-156 a moderation model that is out lets nothing through', async t => {
  for (const answer of [status(500), json({ results: [] }), json({ results: [{ flagged: 'no' }] })]) {
    const { error, server } = await setup(t, { primary: { moderationModel: 'judge' } });
    server.answers.push(answer);
    const failed = await error({ prompt: 'x' });
    assert.deepEqual([failed.code, failed.recoverable, server.asked.length], ['dependency_failed', true, 1]);
  }
});

test('SAM-156 what the provider itself filters is a violation', async t => {
  const { error, server } = await setup(t);
  server.answers.push(says('', { finish: 'content_filter' }));
  const failed = await error({ prompt: 'x' });
  assert.deepEqual([failed.code, failed.details?.category], ['policy_violation', 'content_filter']);
});

test('a model that asks for tools for ever ends at its steps', async t => {
  const { error, server } = await setup(t);
  const tools = [{ name: 'look', description: 'looks', parameters: {}, endpoint: `${server.url}/tool` }];
  for (let step = 0; step < 3; step++)
    server.answers.push(calls([{ id: `c${step}`, name: 'look', input: '{}' }]), json('nothing yet'));
  const failed = await error({ prompt: 'x', tools, max_steps: 3 });
  assert.deepEqual(
    [failed.code, failed.details?.resource, failed.recoverable],
    ['resource_exhausted', 'steps', false],
  );
  assert.equal(server.asked.filter(({ path }) => path === '/v1/chat/completions').length, 3);
});
