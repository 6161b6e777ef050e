import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import type { DomainError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json.ts';
import { checkPayload } from './check.ts';
import { WEB_PAYLOAD } from './payload.ts';

const PAGE = { target_url: 'https://shop.test/' };

/** The fields that are at fault. */
async function faultsOf(payload: JsonObject, secretNames: readonly string[] = []): Promise<string[]> {
  try {
    await checkPayload({ payload, secretNames, variables: { USER: 'ana' } });
    return [];
  } catch (error) {
    const { code, details } = error as DomainError;
    assert.equal(code, 'invalid_request');
    return (details.errors as JsonObject[]).map(({ field }) => String(field));
  }
}

test('SAM-143 a job needs a page to begin with, at an address of the web', async () => {
  assert.deepEqual(await faultsOf({}), ['task_data.target_url']);
  assert.deepEqual(await faultsOf({ steps: [{ type: 'screenshot' }] }), ['task_data.target_url']);
  assert.deepEqual(await faultsOf({ steps: [{ type: 'goto', url: 'https://a.test/' }] }), []);
  for (const url of [
    'file:///etc/passwd',
    'chrome://version',
    'view-source:https://a.test/',
    'javascript:1',
    'shop',
  ])
    assert.deepEqual(await faultsOf({ target_url: url }), ['task_data.target_url'], url);
  assert.deepEqual(await faultsOf({ ...PAGE, target_urls: ['https://a.test/'] }), ['task_data.target_urls']);
});

test('SAM-143 a selector that is none is named, wherever it stands', async () => {
  const payload = {
    ...PAGE,
    item_selector: 'li',
    extraction_rules: { a: 'p >', b: { selector: ':unknown(x)' }, c: '<p>', fine: 'p:has(> b)' },
    pagination: { page_selector: '[x' },
    steps: [
      { type: 'click', selector: 'a[' },
      { type: 'click', selector: 'a:visible:has-text("x")' },
      { type: 'extract', rules: { d: '..' } },
    ],
  };
  assert.deepEqual(await faultsOf(payload), [
    'task_data.extraction_rules.a',
    'task_data.extraction_rules.b.selector',
    'task_data.extraction_rules.c',
    'task_data.pagination.page_selector',
    'task_data.steps.0.selector',
    'task_data.steps.2.rules.d',
  ]);
});

test('SAM-144 steps that contradict themselves, and templates that refer to nothing, are named', async () => {
  const steps = [
    { type: 'goto', url: 'https://a.test/{{results.later}}' },
    { type: 'fill', selector: 'a', value: '{{secrets.OTHER}} {{variables.USER}} {{secrets.KEY}}' },
    { type: 'fill', selector: 'a', value: '{{process.env}}' },
    { type: 'select', selector: 'a' },
    { type: 'wait' },
    { type: 'download' },
    { type: 'extract' },
    { type: 'evaluate', expression: '1', save_as: 'later' },
    { type: 'goto', url: '{{results.later}}' },
  ];
  assert.deepEqual(await faultsOf({ ...PAGE, steps }, ['KEY']), [
    'task_data.steps.0.url',
    'task_data.steps.1.value',
    'task_data.steps.2.value',
    'task_data.steps.3',
    'task_data.steps.4',
    'task_data.steps.5',
    'task_data.steps.6.rules',
  ]);
});

test("SAM-142 SAM-144 the schema takes the document's example and every step, and no step it does not know", () => {
  const validate = new Ajv({ strict: false }).compile(WEB_PAYLOAD as unknown as JsonObject);
  const example = {
    target_url: 'https://example-ecommerce.com/products',
    extraction_rules: {
      product_name: '.product-title',
      price: '.price-current',
      availability: '.stock-status',
    },
    pagination: { max_pages: 10, page_selector: '.pagination .next' },
  };
  assert.ok(validate(example));
  for (const step of [{ type: 'fly' }, { type: 'click' }, { type: 'fill', selector: 'a' }, { selector: 'a' }])
    assert.equal(validate({ ...PAGE, steps: [step] }), false, JSON.stringify(step));
  assert.ok(
    validate({ ...PAGE, steps: [{ type: 'pdf' }, { type: 'screenshot' }, { type: 'wait', seconds: 1 }] }),
  );
  assert.equal(validate({ ...PAGE, extraction_rules: { a: { selector: 'p', type: 'date' } } }), false);
});
