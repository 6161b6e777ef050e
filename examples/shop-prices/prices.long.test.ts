import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DuckDBInstance } from '@duckdb/node-api';
import { withoutBrowser } from '../../src/executors/web/browser.test.ts';
import { fileFor, played, rowsIn } from '../played.ts';
import { PAGES_OF_PRODUCTS, type Product } from './shop.ts';

/** What the shop sells, each product once. */
const products = [...new Map(PAGES_OF_PRODUCTS.flat().map(one => [one.sku, one])).values()];
const priced = products.flatMap(({ cents, ...rest }) => (cents === null ? [] : [{ ...rest, cents }]));

test('every product of the shop is in the Parquet file once, with its price, and the categories add up', async t => {
  const out = fileFor(t, 'products.parquet');

  const said = await played(t, ['shop-prices', '--engine', 'http', '--out', out]);

  const cards = PAGES_OF_PRODUCTS.flat();
  const without = cards.filter(({ cents }) => cents === null).length;
  assert.ok(PAGES_OF_PRODUCTS.length >= 10 && without > 0 && products.length < cards.length);
  assert.ok(
    said.startsWith(
      `${PAGES_OF_PRODUCTS.length} pages, ${cards.length} products read, ${priced.length} kept, ${without} without a price\n`,
    ),
    said,
  );
  assert.deepEqual(
    rowsIn(said).map(([category, count, inStock]) => [category, Number(count), Number(inStock)]),
    categoriesOf(priced),
  );
  assert.deepEqual(await contentOf(out), {
    products: priced.length,
    cents: priced.reduce((sum, { cents }) => sum + cents, 0),
  });
});

test('a browser reads the same', { skip: withoutBrowser }, async t => {
  const said = await played(t, ['shop-prices', '--engine', 'browser']);
  assert.ok(said.includes(` ${priced.length} kept,`), said);
});

function categoriesOf(all: readonly Product[]): readonly (readonly [string, number, number])[] {
  return [...Map.groupBy(all, ({ category }) => category)]
    .map(([name, some]) => [name, some.length, some.filter(({ inStock }) => inStock).length] as const)
    .toSorted(([one], [other]) => one.localeCompare(other));
}

async function contentOf(file: string) {
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll(
    `SELECT count(*)::INTEGER AS products, sum(price * 100)::INTEGER AS cents FROM '${file}'`,
  );
  const [row] = reader.getRowObjectsJson();
  connection.closeSync();
  return row;
}
