import assert from 'node:assert/strict';
import { suite, type TestContext, test } from 'node:test';
import { running } from './running.ts';
import { bearer, keyHeaders, type Wire } from './wire.ts';

/** Budgets begin anew with the hour; a test that would straddle it has nothing to measure. */
const minutesToHour = 60 - new Date().getMinutes() - new Date().getSeconds() / 60;
const skip = minutesToHour < 1 ? 'the hour is about to end' : false;

async function limited(t: TestContext, rates: string): Promise<Wire> {
  const house = await running({ BATUTA_RATE_LIMITS: rates });
  t.after(() => house.stop());
  return house.admin;
}

const remaining = (headers: Headers): number => Number(headers.get('x-ratelimit-remaining'));

suite('rate limits', () => {
  test('SAM-52 SAM-53 the standard budget counts down on every answer, ends in 429 with the time to wait, and spares status, work and others', {
    skip,
  }, async t => {
    const admin = await limited(t, 'standard=6,status=3');
    const { body: key } = await admin.post('/api/v2/api-keys', { name: 'k', permissions: ['admin'] });
    const caller = admin.as(keyHeaders(key));
    const first = await caller.get('/api/v2/agents');
    assert.equal(first.headers.get('x-ratelimit-limit'), '6');
    assert.equal(first.headers.get('x-ratelimit-window'), '3600');
    assert.equal(remaining(first.headers), 5);
    const failed = await caller.get('/api/v2/artifacts/none', { expect: 404 });
    assert.equal(remaining(failed.headers), 4);
    for (let left = 3; left >= 0; left--)
      assert.equal(remaining((await caller.get('/api/v2/agents')).headers), left);
    const { headers, body } = await caller.get('/api/v2/agents', { expect: 429 });
    assert.equal(body.error.code, 'RATE_LIMITED');
    const wait = Number(headers.get('retry-after'));
    assert.ok(wait > 0 && wait <= 3_600);
    assert.equal(body.error.retry_after, wait);
    const reset = Number(headers.get('x-ratelimit-reset')) - Date.now() / 1_000;
    assert.ok(Math.abs(reset - wait) < 3, `${reset} and ${wait}`);
    const { headers: free } = await caller.post('/api/v2/work', { agent_id: 'w', types: [] });
    assert.equal(remaining(free), 0);
    await caller.get('/api/v2/health');
    for (let left = 2; left >= 0; left--)
      assert.equal(remaining((await caller.get('/api/v2/task-status/x', { expect: 404 })).headers), left);
    await caller.get('/api/v2/task-logs/x', { expect: 429 });
    await admin.get('/api/v2/agents');
  });

  test('SAM-19 SAM-53 a key’s own rate limit is its budget, above the standard one or below', {
    skip,
  }, async t => {
    const admin = await limited(t, 'standard=4');
    for (const limit of [2, 9]) {
      const { body: key } = await admin.post('/api/v2/api-keys', {
        name: `of ${limit}`,
        permissions: ['task:read'],
        rate_limit: limit,
      });
      const caller = admin.as(keyHeaders(key));
      for (let n = 0; n < limit; n++) await caller.get('/api/v2/agents');
      await caller.get('/api/v2/agents', { expect: 429 });
    }
  });

  test('SAM-52 callers nobody knows get a hundred requests a minute by address, also with ever new credentials', async t => {
    const admin = await limited(t, 'standard=1000');
    const now = Math.floor(Date.now() / 60_000);
    const ask = (n: number) => admin.as(bearer(`guess-${n}.x.y`)).get('/api/v2/agents', { expect: null });
    const answers = await Promise.all(Array.from({ length: 130 }, (_, n) => ask(n)));
    if (Math.floor(Date.now() / 60_000) !== now) return t.skip('a minute ended in the middle of the test');
    assert.equal(answers.filter(one => one.status === 401).length, 100);
    assert.equal(answers.filter(one => one.status === 429).length, 30);
    await admin.get('/api/v2/agents');
    assert.equal((await fetch(`${admin.url}/api/v2/health`)).status, 200);
  });
});
