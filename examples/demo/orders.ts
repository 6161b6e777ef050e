// What is ordered: stages of tasks and who waits for whom; the workflow is in yearbook.ts. Each order is one submit of the SDK; nothing here
// runs anything.
//
//   sales.csv ─ monthly ─┬─ regions                 data: DuckDB
//             └ products └┬─ trend ─┬─ report-*      analysis: JavaScript and Python, in the sandbox
//                         ├─ season ┘                reports: a worker of our own, in another process
//                         ├─ outlook-* ─── summary-*
//                         └─ yearbook                a workflow of all three

import { readFileSync } from 'node:fs';
import type { TaskOrder } from '../../src/sdk/index.ts';
import type { Dataset } from './dataset.ts';

/** The three kinds of work, in the order they begin, and a workflow of all three. */
export const STAGES = ['data', 'analysis', 'reports', 'workflow'] as const;

/** One of them. */
export type Stage = (typeof STAGES)[number];

/** An order with its id decided, so that handing it in twice does nothing twice. */
export type Order = TaskOrder & { readonly id: string; readonly stage: Stage };

/** The task whose output and files everything else is made from. */
export const MONTHLY = 'monthly';
/** Its rows as a file, for the programs in the sandbox. */
const MONTHLY_FILE = 'monthly.json';
/** How long a step takes at least: there should be something to watch, and something to interrupt. */
const PAUSE_MS = 200;
/** The same of a chapter. */
export const CHAPTER_PAUSE_MS = PAUSE_MS;
const OUTLOOK_ROUNDS = 16;

/** Aggregations by DuckDB over the uploaded CSV. */
export function dataOrders(salesArtifactId: string): readonly Order[] {
  const sales = {
    format: 'csv',
    artifact_id: salesArtifactId,
    options: { columns: { unit_price: 'DECIMAL(9,2)', day: 'DATE' } },
  };
  return [
    {
      stage: 'data',
      id: MONTHLY,
      type: 'data_processing',
      description: 'Put spoilt rows aside and add up each shop’s months',
      data: {
        sources: { sales },
        steps: [
          {
            type: 'validate',
            rules: [
              { name: 'something was sold', check: 'quantity > 0' },
              { name: 'at a price', check: 'unit_price IS NOT NULL' },
            ],
          },
          { type: 'derive', columns: { month: "strftime(day, '%Y-%m')", paid: 'quantity * unit_price' } },
          {
            type: 'aggregate',
            group_by: ['shop', 'region', 'month'],
            columns: { orders: 'count(*)', revenue: 'sum(paid)' },
          },
          { type: 'sort', by: ['shop', 'month'] },
        ],
        outputs: [
          { name: 'monthly.parquet', format: 'parquet' },
          { name: MONTHLY_FILE, format: 'json' },
        ],
      },
    },
    {
      stage: 'data',
      id: 'products',
      type: 'data_processing',
      description: 'What sells best',
      data: {
        sources: { sales },
        sql: 'SELECT product, sum(quantity) AS sold FROM sales WHERE quantity > 0 GROUP BY product ORDER BY sold DESC',
      },
    },
    {
      stage: 'data',
      id: 'regions',
      type: 'data_processing',
      description: 'Add up the regions from the shops’ months',
      dependsOn: [MONTHLY],
      data: {
        sources: { months: { task_id: MONTHLY } },
        sql: 'SELECT region, sum(revenue) AS revenue FROM months GROUP BY region ORDER BY revenue DESC',
        outputs: [{ name: 'regions.csv', format: 'csv' }],
      },
    },
  ];
}

/** The growth of each shop, in JavaScript: runs on every host. */
export function trendOrder(monthlyFileId: string): Order {
  return {
    stage: 'analysis',
    id: 'trend',
    type: 'code_execution',
    description: 'How fast each shop grows',
    dependsOn: [MONTHLY],
    data: {
      language: 'javascript',
      code: program('trend.js'),
      artifacts: [{ artifact_id: monthlyFileId, name: MONTHLY_FILE }],
    },
  };
}

/** The seasons, in Python: refused by a server whose host has no bubblewrap. */
export function seasonOrder(monthlyFileId: string): Order {
  return {
    stage: 'analysis',
    id: 'season',
    type: 'code_execution',
    description: 'How the months differ',
    dependsOn: [MONTHLY],
    data: {
      language: 'python',
      code: program('season.py'),
      artifacts: [{ artifact_id: monthlyFileId, name: MONTHLY_FILE }],
    },
  };
}

/** A simulation for each region, long enough to be interrupted. */
export function outlookOrders(dataset: Dataset, monthlyFileId: string): readonly Order[] {
  return regionsOf(dataset).map((region, at) => ({
    stage: 'analysis',
    id: `outlook-${region}`,
    type: 'code_execution',
    description: `What the next quarter may bring the ${region}`,
    dependsOn: ['trend'],
    data: {
      language: 'javascript',
      code: program('outlook.js'),
      artifacts: [{ artifact_id: monthlyFileId, name: MONTHLY_FILE }],
      inputs: { region, seed: 1_000 + at, rounds: OUTLOOK_ROUNDS, drawsPerRound: 400, pauseMs: PAUSE_MS },
    },
  }));
}

/** A report on each shop, written by our own workers once the analysis is there. */
export function reportOrders(dataset: Dataset, analyses: readonly string[]): readonly Order[] {
  return dataset.shops.map(({ name }) => ({
    stage: 'reports',
    id: `report-${name.toLowerCase()}`,
    type: 'custom:report',
    description: `Report on the shop ${name}`,
    dependsOn: analyses,
    data: { column: 'shop', name, pause_ms: PAUSE_MS },
  }));
}

/** A summary of each region: what the demo orders while the server is going down. */
export function summaryOrders(dataset: Dataset): readonly Order[] {
  return regionsOf(dataset).map(region => ({
    stage: 'reports',
    id: `summary-${region}`,
    type: 'custom:report',
    description: `Summary of the ${region}`,
    dependsOn: [`outlook-${region}`],
    data: { column: 'region', name: region, pause_ms: PAUSE_MS },
  }));
}

function regionsOf(dataset: Dataset): readonly string[] {
  return [...new Set(dataset.shops.map(({ region }) => region))].sort();
}

function program(name: string): string {
  return readFileSync(new URL(`programs/${name}`, import.meta.url), 'utf8');
}
