// A nightly report: a CSV goes up, DuckDB adds it up, and what comes of it is downloaded as a file. Run it from cron as often as you
// like: the order bears the day's name, so a second run the same day does nothing twice and fetches the same report.
//
//   npm start                                                          in one terminal
//   node examples/nightly-report/nightly.ts examples/nightly-report/orders.csv report.csv
//
// In a project of your own, import from 'batuta/sdk'.

import { readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { BatutaClient, ConflictError, Orchestrator } from '../../src/sdk/index.ts';

const [input = 'orders.csv', report = 'report.csv'] = process.argv.slice(2);
const login = JSON.parse(readFileSync(`${process.env.BATUTA_DATA ?? '.batuta'}/credentials.json`, 'utf8'));
const client = new BatutaClient({
  url: login.url,
  credentials: { apiKey: login.api_key, apiSecret: login.api_secret },
});
const orchestrator = new Orchestrator({ client, agentId: 'nightly' });

const id = `nightly-${new Date().toISOString().slice(0, 10)}`;
const orders = await client.artifacts.upload({
  name: basename(input),
  type: 'data_file',
  mediaType: 'text/csv',
  source: readFileSync(input),
});
await orchestrator
  .submit({
    id,
    type: 'data_processing',
    data: {
      sources: { orders: { format: 'csv', artifact_id: orders.artifact_id } },
      steps: [
        { type: 'validate', rules: [{ name: 'paid for', check: 'amount > 0' }] },
        {
          type: 'aggregate',
          group_by: ['region'],
          columns: { orders: 'count(*)', revenue: 'sum(amount)' },
        },
        { type: 'sort', by: [{ column: 'revenue', direction: 'desc' }] },
      ],
      outputs: [{ name: 'report.csv', format: 'csv' }],
    },
  })
  .catch(error => {
    // Ordered before, today: that order stands.
    if (!(error instanceof ConflictError)) throw error;
  });

const { artifacts, output } = await orchestrator.wait(id);
const file = artifacts.find(({ name }) => name === 'report.csv');
if (file === undefined) throw new Error('the task left no report.csv');
const download = await client.artifacts.download(file.artifact_id);
writeFileSync(report, await download.bytes());

const { rows_in: read, rows_rejected: rejected } = output as { rows_in: number; rows_rejected: number };
console.log(`${report}: ${read} orders read, ${rejected} put aside`);
