import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JsonObject } from '../../domain/json.ts';
import { withoutBrowser } from './browser.test.ts';
import { attempt, shared } from './fixture.test.ts';

const bundle = shared();
const skip = withoutBrowser;

/** The rules of the document's example. */
const RULES = { product_name: '.product-title', price: '.price-current', availability: '.stock-status' };
const PAGINATION = { max_pages: 10, page_selector: '.pagination .next' };
const today = new Date().toISOString().slice(0, 10).replaceAll('-', '');

test("SAM-142 SAM-145 SAM-146 the document's example takes every record of every page that scripts make", {
  skip,
}, async t => {
  const attempted = await attempt(t, bundle.executor);
  const output = await attempted.output({
    target_url: `${bundle.site.url}/shop`,
    extraction_rules: RULES,
    pagination: PAGINATION,
  });
  assert.equal(output.total_products, 12);
  assert.equal(output.total_items, 12);
  assert.equal(output.pages_processed, 3);
  assert.equal(output.data_file, `products_${today}.json`);
  assert.deepEqual(output.summary, { price_range: { min: 11, max: 34, average: 22.5 } });
  assert.equal(output.engine, 'browser');
  const records = attempted.records(`products_${today}.json`);
  assert.deepEqual(records[4], { product_name: 'Lamp 2-1', price: '$21.00', availability: 'In stock' });
  assert.equal(records.length, 12);
  const told = attempted.reports.flatMap(({ intermediate }) =>
    intermediate === undefined ? [] : [intermediate as JsonObject],
  );
  assert.deepEqual(
    told.map(({ page, products_extracted: count }) => [page, count]),
    [
      [1, 4],
      [2, 4],
      [3, 4],
    ],
  );
  assert.ok(told.every(({ timestamp }) => !Number.isNaN(Date.parse(String(timestamp)))));
  assert.deepEqual(
    [...new Set(attempted.reports.map(({ currentStep, totalSteps }) => `${currentStep} / ${totalSteps}`))],
    [1, 2, 3].map(page => `Extracting data from page ${page} of 10 / 10`),
  );
  for (const rate of ['pages_per_second', 'products_per_second']) assert.ok(Number(output[rate]) > 0, rate);
  assert.equal(output.error_rate, 0);
});

test('SAM-142 pagination ends at a disabled link, at a page that was there before, and at max_pages', {
  skip,
}, async t => {
  const pages = async (path: string, max: number) => {
    const attempted = await attempt(t, bundle.executor);
    const output = await attempted.output({
      target_url: `${bundle.site.url}${path}`,
      extraction_rules: RULES,
      pagination: { ...PAGINATION, max_pages: max },
    });
    return [output.pages_processed, output.total_products];
  };
  assert.deepEqual(await pages('/still', 10), [3, 12]);
  assert.deepEqual(await pages('/round', 10), [2, 8]);
  assert.deepEqual(await pages('/still', 2), [2, 8]);
});

test('SAM-142 a next page that only a click brings is followed until its button is disabled', {
  skip,
}, async t => {
  const attempted = await attempt(t, bundle.executor);
  const output = await attempted.output({
    target_url: `${bundle.site.url}/clicked`,
    item_selector: '.product',
    extraction_rules: { title: '.product-title' },
    pagination: PAGINATION,
  });
  assert.deepEqual([output.pages_processed, output.total_items], [3, 12]);
  assert.deepEqual((output.items as JsonObject[]).at(-1), { title: 'Lamp 3-4' });
});

test('what only scrolling brings is there once a page was scrolled to its end', { skip }, async t => {
  const attempted = await attempt(t, bundle.executor);
  const output = await attempted.output({
    target_url: `${bundle.site.url}/scroll`,
    extraction_rules: { row: { selector: '.row', type: 'integer' } },
    options: { scroll: true },
  });
  assert.equal(output.total_items, 30);
  assert.deepEqual((output.summary as JsonObject).row_range, { min: 0, max: 29, average: 14.5 });
});

test('SAM-144 SAM-34 steps log in with a secret that stays one, and go on from what they found', {
  skip,
}, async t => {
  const secret = 'open-sesame-42';
  const attempted = await attempt(t, bundle.executor);
  const output = await attempted.output(
    {
      steps: [
        { type: 'goto', url: `${bundle.site.url}/login` },
        { type: 'fill', selector: 'input[name=user]', value: '{{variables.USER}}' },
        { type: 'fill', selector: 'input[name=password]', value: '{{secrets.PASSWORD}}' },
        { type: 'select', selector: 'select', value: 'es', save_as: 'language' },
        { type: 'click', selector: '.not-there', optional: true, timeout: 0.2 },
        { type: 'click', selector: 'button' },
        { type: 'wait', selector: 'h1' },
        { type: 'evaluate', expression: "document.querySelector('h1').textContent", save_as: 'greeting' },
        { type: 'extract', rules: { line: { selector: '.echo', required: true } }, save_as: 'lines' },
        { type: 'goto', url: `${bundle.site.url}/still?p={{results.lines.length}}3`, optional: true },
        { type: 'screenshot', name: 'account.png' },
        { type: 'screenshot', name: 'account.png', full_page: true },
        { type: 'pdf', name: 'account.pdf' },
      ],
    },
    { secrets: { PASSWORD: secret }, variables: { USER: 'ana' } },
  );
  const results = output.results as JsonObject;
  assert.equal(results.greeting, 'welcome ana (es)');
  assert.deepEqual(results.language, ['es']);
  assert.deepEqual([...attempted.saved.keys()].sort(), [
    'account-2.png',
    'account.pdf',
    'account.png',
    `items_${today}.json`,
  ]);
  assert.deepEqual(attempted.saved.get('account.png')?.subarray(1, 4).toString(), 'PNG');
  assert.deepEqual(attempted.saved.get('account.pdf')?.subarray(0, 4).toString(), '%PDF');
  assert.equal(String(attempted.saved.get(`items_${today}.json`)).includes(secret), false);
  assert.equal(attempted.records(`items_${today}.json`)[0]?.line, '***');
  assert.ok(Number(output.error_rate) > 0);
  assert.ok(attempted.logs.includes('an optional step failed'));
});

test('SAM-144 a download becomes an artifact under a plain name, from a link and from an address', {
  skip,
}, async t => {
  const attempted = await attempt(t, bundle.executor);
  const { url } = bundle.site;
  const output = await attempted.output({
    target_url: `${url}/files`,
    steps: [
      { type: 'download', selector: '.get' },
      { type: 'download', url: `${url}/file`, name: 'again.csv' },
    ],
  });
  assert.deepEqual(
    (output.files as JsonObject[]).map(({ name, type }) => [name, type]),
    [
      ['report 1.csv', 'download'],
      ['again.csv', 'download'],
    ],
  );
  for (const bytes of attempted.saved.values()) assert.equal(String(bytes), 'a,b\n1,2\n');
});

test('a job sees neither cookies nor storage of the one before it in the same browser', { skip }, async t => {
  const jobs = ['one', 'two'].map(() => ({
    target_url: `${bundle.site.url}/account`,
    options: {
      cookies: [{ name: 'session', value: 'mine' }],
      user_agent: 'tester/1',
      viewport: { width: 640, height: 480 },
    },
    steps: [
      {
        type: 'evaluate',
        expression: '[localStorage.x, innerWidth, document.body.innerText]',
        save_as: 'seen',
      },
      { type: 'evaluate', expression: 'localStorage.x = 1' },
    ],
  }));
  const [first, second] = jobs;
  const before = bundle.executor.status().detail.warm_starts;
  const one = await (await attempt(t, bundle.executor)).output(first ?? {});
  const other = await (await attempt(t, bundle.executor)).output({ ...second, options: {} });
  assert.equal(Number(bundle.executor.status().detail.warm_starts), Number(before) + 2);
  assert.match(String((one.results as JsonObject).seen), /^,640,welcome ana \(mine\)/);
  assert.match(String((other.results as JsonObject).seen), /who\?$/);
  assert.ok(bundle.site.agents.has('tester/1'));
});

test('SAM-147 a job that wants a browser has one, whatever its tenant ran before', { skip }, async t => {
  const engines: unknown[] = [];
  for (const engine of ['http', 'browser', 'http', 'browser']) {
    const attempted = await attempt(t, bundle.executor);
    const page = { target_url: `${bundle.site.url}/shop`, extraction_rules: RULES, engine };
    const { engine: used, total_items: found } = await attempted.output(page, { tenant: 'both' });
    engines.push([used, found]);
  }
  // Without scripts there is nothing on that page.
  assert.deepEqual(engines, [
    ['http', 0],
    ['browser', 4],
    ['http', 0],
    ['browser', 4],
  ]);
});
