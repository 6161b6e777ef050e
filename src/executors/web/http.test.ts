// Static pages without a browser, and what happens where there is none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { attempt, browserDirectories, makeExecutor, shared, specOf } from './fixture.test.ts';

const bundle = shared({ chromium: '/nonexistent/chromium' });

const RULES = { product_name: '.product-title', price: '.price-current' };
const PAGINATION = { page_selector: '.pagination .next' };

test('SAM-147 without a browser static pages are fetched and parsed, and the result says so', async t => {
  const attempted = await attempt(t, bundle.executor);
  const output = await attempted.output({
    target_url: `${bundle.site.url}/still`,
    extraction_rules: RULES,
    pagination: PAGINATION,
  });
  assert.deepEqual([output.engine, output.total_products, output.pages_processed], ['http', 12, 3]);
  assert.deepEqual(output.summary, { price_range: { min: 11, max: 34, average: 22.5 } });
  assert.ok(bundle.site.agents.has('batuta'));
});

test('SAM-147 without a browser the type says what is missing, and browser-only steps are unprocessable', async () => {
  const { available, missing, detail } = bundle.executor.status();
  assert.equal(available, true);
  assert.match(String(missing), /the browser that BATUTA_CHROMIUM names is not there/);
  assert.deepEqual(detail.engines, ['http']);
  const url = bundle.site.url;
  const needy: readonly JsonObject[] = [
    { target_url: url, steps: [{ type: 'screenshot' }] },
    { target_url: url, steps: [{ type: 'click', selector: 'a' }], engine: 'http' },
    { target_url: url, steps: [{ type: 'wait', selector: 'a' }] },
    { target_url: url, options: { scroll: true } },
    { target_url: url, engine: 'browser' },
  ];
  for (const payload of needy)
    await assert.rejects(
      async () => bundle.executor.check(specOf(payload)),
      { code: 'unprocessable' },
      JSON.stringify(payload),
    );
});

test('SAM-144 SAM-147 static pages have steps too: goto, wait, extract and download, over several addresses', async t => {
  const attempted = await attempt(t, bundle.executor);
  const { url } = bundle.site;
  const output = await attempted.output({
    target_urls: [`${url}/still?p=1`, `${url}/still?p=2`],
    extraction_rules: RULES,
    item_name: 'lamp',
    options: { cookies: [{ name: 'session', value: 'mine' }] },
    steps: [
      { type: 'goto', url: `${url}/files` },
      { type: 'download', selector: '.get' },
      { type: 'goto', url: `${url}/account` },
      { type: 'extract', rules: { line: 'h1' }, save_as: 'who' },
      { type: 'wait', seconds: 0.01 },
      { type: 'goto', url: `${url}/still?p=1` },
    ],
  });
  assert.deepEqual((output.results as JsonObject).who, [{ line: 'welcome ana (mine)' }]);
  assert.deepEqual([...attempted.saved.keys()][0], 'report 1.csv');
  assert.equal(output.total_lamps, 9);
});

test('SAM-122 SAM-148 plain HTTP follows redirects through the guard, obeys robots.txt and tells statuses apart', async t => {
  const errorOf = async (path: string) =>
    (await attempt(t, bundle.executor)).error({
      target_url: `${bundle.site.url}${path}`,
      extraction_rules: { title: 'h1' },
    });
  assert.equal((await errorOf('/private')).code, 'policy_violation');
  assert.equal((await errorOf('/secret')).code, 'policy_violation');
  assert.equal((await errorOf('/gone')).code, 'task_failed');
  assert.equal((await errorOf('/broken')).code, 'dependency_failed');
  assert.equal((await errorOf('/huge')).code, 'payload_too_large');
  assert.equal((await errorOf('/file')).code, 'task_failed');
  await assert.rejects(async () => bundle.executor.check(specOf({ target_url: 'http://10.0.0.1/' })), {
    code: 'unprocessable',
  });
});

test('SAM-148 pages of a host are opened two a second unless the task says otherwise', async t => {
  const startedAt = performance.now();
  await (await attempt(t, bundle.executor)).output({
    target_url: `${bundle.site.url}/round`,
    extraction_rules: RULES,
    pagination: PAGINATION,
    options: { requests_per_second: 2 },
  });
  assert.ok(performance.now() - startedAt >= 500, `${performance.now() - startedAt} ms`);
});

test('an endless page ends with its time, and a job that is told to stop stops', async t => {
  const { url } = bundle.site;
  const payload = { target_url: `${url}/endless`, extraction_rules: { title: 'h1' } };
  const error = await (await attempt(t, bundle.executor)).error({
    ...payload,
    options: { page_timeout: 0.2 },
  });
  assert.equal(error.code, 'upstream_timeout');
  const signal = AbortSignal.timeout(200);
  await assert.rejects((await attempt(t, bundle.executor)).run(payload, { signal }), {
    name: 'TimeoutError',
  });
});

test('SAM-109 SAM-120 a driver serves one tenant, a bounded number of jobs, and makes room where all are taken', async t => {
  const executor = makeExecutor({ chromium: '/nonexistent/chromium', slots: 2, jobsPerBrowser: 2 });
  t.after(() => executor.stop());
  await executor.start();
  const job = async (tenant: string) => {
    const payload = { target_url: `${bundle.site.url}/late`, extraction_rules: { title: 'h1' } };
    await (await attempt(t, executor)).output(payload, { tenant });
    const { warm_starts: warm, cold_starts: cold } = executor.status().detail;
    return [cold, warm];
  };
  assert.deepEqual(await job('one'), [1, 0]);
  assert.deepEqual(await job('one'), [1, 1], 'the same driver again');
  assert.deepEqual(await job('one'), [2, 1], 'it had served its two jobs');
  assert.deepEqual(await job('two'), [3, 1], 'another tenant has its own');
  const before = await browserDirectories();
  assert.deepEqual(await job('three'), [4, 1]);
  assert.equal((await browserDirectories()).length, before.length, 'the oldest idle one made room');
  await executor.stop();
  assert.equal((await browserDirectories()).length, before.length - 2);
});
