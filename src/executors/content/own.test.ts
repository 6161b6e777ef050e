// Providers tenants bring: used in place of the operator's, reached like any stranger, and never told of.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setup } from './fixture.test.ts';
import { json, says, status } from './model-server.test.ts';

const TASK = { prompt: 'Say hello.', provider_secret: 'mine' };
const OWN_KEY = 'tenant-0123456789abcdef';
const secretOf = (baseUrl: string, more: object = {}) => ({
  mine: JSON.stringify({
    base_url: baseUrl,
    key: OWN_KEY,
    models: ['local'],
    prices: { local: { input_per_million: 1_000, output_per_million: 0 } },
    ...more,
  }),
});

test("SAM-154 a task that names its tenant's provider is answered by that one alone, at its prices", async t => {
  const { output, error, server, second, reports, logs } = await setup(t, { byTenants: true });
  const secrets = secretOf(second.url);
  const made = await output({ ...TASK, max_cost: 1 }, { secrets });
  assert.deepEqual([made.provider, made.model, made.cost], ['own', 'local-2026', 0.1]);
  assert.equal(second.asked[0]?.headers.authorization, `Bearer ${OWN_KEY}`);
  second.answers.push(status(429, { 'retry-after': '60' }, { error: { message: `no, ${OWN_KEY}` } }));
  const limited = await error(TASK, { secrets });
  assert.equal(limited.code, 'rate_limited');
  // It rests for the next task too.
  assert.equal((await error(TASK, { secrets })).code, 'rate_limited');
  assert.deepEqual([server.asked.length, second.asked.length], [0, 2]);
  assert.ok(!JSON.stringify([made, limited, reports, logs]).includes(OWN_KEY));
});

test("SAM-156 the operator's moderation judges what a tenant's provider writes", async t => {
  const { error, server, second } = await setup(t, {
    byTenants: true,
    primary: { moderationModel: 'judge' },
  });
  server.answers.push(json({ results: [{ flagged: false }] }), json({ results: [{ flagged: true }] }));
  second.answers.push(says('something vile'));
  const failed = await error(TASK, { secrets: secretOf(second.url) });
  assert.deepEqual([failed.code, failed.details?.judge], ['policy_violation', 'primary/judge']);
});

test("SAM-122 a tenant's provider at a private address is refused", async t => {
  const { error, second } = await setup(t, { byTenants: true, allow: '' });
  const failed = await error(TASK, { secrets: secretOf(second.url.replace('http:', 'https:')) });
  assert.deepEqual([failed.code, failed.recoverable, second.asked.length], ['policy_violation', false, 0]);
});

test('a secret that sets up no provider fails the task without a word of what it holds', async t => {
  const { error } = await setup(t, { byTenants: true });
  for (const [mine, why] of [
    ['hunter2-hunter2', /is not JSON/],
    ['{"base_url": "https://a.example", "models": "hunter2-hunter2"}', /models/],
    ['{"base_url": "https://[hunter2-hunter2", "models": []}', /no URL/],
    ['{"base_url": "https://a.example", "models": [], "hunter2-hunter2": 1}', /does not set up/],
  ] as const) {
    const failed = await error(TASK, { secrets: { mine } });
    assert.deepEqual([failed.code, failed.recoverable], ['unprocessable', false]);
    assert.match(failed.message, why);
    assert.ok(!JSON.stringify(failed).includes('hunter2'));
  }
});

test('SAM-154 without permission, or without the secret, a task cannot bring a provider', async t => {
  const strict = await setup(t);
  await assert.rejects(strict.check(TASK), { code: 'invalid_request' });
  await assert.rejects(strict.check(TASK, { secretNames: ['mine'] }), {
    code: 'unprocessable',
    message: /tenants/,
  });
  const open = await setup(t, { byTenants: true, none: true });
  assert.equal(open.executor.status().available, true);
  await open.check(TASK, { secretNames: ['mine'] });
  await assert.rejects(open.check({ prompt: 'x' }), { code: 'unprocessable', message: /BATUTA_MODEL_URL/ });
});
