import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataFileName, inlineItems, nounOf, summaryOf } from './harvest.ts';
import { fileNameOf, plainName, statusFault } from './http.ts';

test('SAM-145 records are called as the task says, else by a rule like product_name, else items', () => {
  assert.deepEqual(nounOf({ item_name: 'story', extraction_rules: { product_name: 'a' } }), {
    one: 'story',
    many: 'stories',
  });
  assert.deepEqual(nounOf({ extraction_rules: { price: 'b', product_name: 'a' } }), {
    one: 'product',
    many: 'products',
  });
  assert.deepEqual(nounOf({ steps: [{ type: 'extract', rules: { box_name: 'a' } }] }), {
    one: 'box',
    many: 'boxes',
  });
  assert.deepEqual(nounOf({ extraction_rules: { name: 'a' } }), { one: 'item', many: 'items' });
  assert.equal(
    dataFileName({ one: 'product', many: 'products' }, Date.UTC(2024, 11, 20, 23)),
    'products_20241220.json',
  );
});

test('SAM-145 the summary has ranges of numbers and prices, and counts categories', () => {
  const records = [
    { price: '$9.99', name: 'Lamp 1', category: 'a', rating: 4 },
    { price: '$999.99', name: 'Lamp 2', category: 'b', rating: null },
    { price: null, name: 'Lamp 3', category: 'a', rating: 2 },
  ];
  assert.deepEqual(summaryOf(records), {
    price_range: { min: 9.99, max: 999.99, average: 504.99 },
    categories: 2,
    rating_range: { min: 2, max: 4, average: 3 },
  });
  assert.deepEqual(summaryOf([]), {});
});

test('an answer holds a hundred records at most, and fewer of large ones', () => {
  const many = Array.from({ length: 500 }, (_, id) => ({ id }));
  assert.equal(inlineItems(many).length, 100);
  assert.equal(inlineItems(many.map(({ id }) => ({ id, text: 'x'.repeat(50_000) }))).length, 3);
});

test('a file from the web gets a name that is no path', () => {
  assert.equal(plainName('../../etc/passwd'), 'passwd');
  assert.equal(plainName('C:\\x\\..\\a b.txt'), 'a b.txt');
  assert.equal(plainName('...'), 'download');
  assert.equal(fileNameOf(undefined, 'https://a.test/x/report.csv?y'), 'report.csv');
  assert.equal(fileNameOf('attachment; filename="../r.csv"', 'https://a.test/'), 'r.csv');
});

test('SAM-148 a 4xx page fails, but for what may pass, and a 5xx page is worth another try', () => {
  assert.equal(statusFault('https://a.test/', 200), null);
  for (const status of [400, 401, 404, 410])
    assert.equal(statusFault('https://a.test/', status)?.code, 'task_failed');
  for (const status of [408, 429, 500, 503])
    assert.equal(statusFault('https://a.test/', status)?.code, 'dependency_failed');
});
