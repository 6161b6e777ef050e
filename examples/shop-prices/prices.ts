// Scrapes a shop, page by page, into a Parquet file and adds it up, as one workflow (workflow.json): a browser reads, DuckDB cleans and counts.
//
//   npm run example -- shop-prices [--out products.parquet] [--engine browser|http|auto]

import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { Orchestrator } from '../../src/sdk/index.ts';
import { connect } from '../connect.ts';
import { openShop } from './shop.ts';

const { values } = parseArgs({
  options: { out: { type: 'string' }, engine: { type: 'string', default: 'auto' } },
});
const client = connect();
const orchestrator = new Orchestrator({ client, agentId: 'price-watch' });
// With a shop of your own: its address, and no more than two pages a second.
await using shop = await openShop();

const { output } = await orchestrator.run({
  type: 'workflow_orchestration',
  description: 'What the shop asks today',
  data: {
    ...JSON.parse(readFileSync(new URL('workflow.json', import.meta.url), 'utf8')),
    input: { shop: `${shop.url}/products`, engine: values.engine, pages_per_second: 50 },
  },
});
const { result, artifacts } = output as {
  result: { pages: number; read: number; kept: number; without_price: number; categories: object[] };
  artifacts: { name: string; artifact_id: string; size_bytes: number }[];
};
console.log(
  `${result.pages} pages, ${result.read} products read, ${result.kept} kept, ${result.without_price} without a price`,
);
console.table(result.categories);
for (const { name, size_bytes: size } of artifacts) console.log(`${name}, ${size} bytes`);

if (values.out !== undefined) {
  const file = artifacts.find(({ name }) => name === 'products.parquet');
  if (file === undefined) throw new Error('the workflow left no products.parquet');
  const download = await client.artifacts.download(file.artifact_id);
  writeFileSync(values.out, await download.bytes());
  console.log(`saved as ${values.out}`);
}
