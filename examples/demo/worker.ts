// A worker in a process of its own: writes reports, a chapter at a time, and keeps a checkpoint after each, so that whoever takes
// the task up after it begins with the chapters there are. Needs no inbound port; it may be started and killed as often as one likes.
//
//   BATUTA_URL=… BATUTA_API_KEY=… BATUTA_API_SECRET=… node examples/demo/worker.ts ada

import { setTimeout as pause } from 'node:timers/promises';
import { BatutaClient, outputOf, type TaskContext, Worker, type WorkTask } from '../../src/sdk/index.ts';

/** What a report is about: the shop of that name, or all those of a region. */
type ReportData = { readonly column: 'shop' | 'region'; readonly name: string; readonly pause_ms: number };

type Month = {
  readonly shop: string;
  readonly region: string;
  readonly month: string;
  readonly orders: number;
  readonly revenue: number;
};

type Trend = { readonly shop: string; readonly region: string; readonly growth: number };

/** What the tasks before this one found out. */
interface Findings {
  readonly months: readonly Month[];
  readonly trends: readonly Trend[];
}

/** The chapters of a report: each a title, and its text made from the findings. */
const CHAPTERS: readonly (readonly [string, (findings: Findings) => string])[] = [
  ['sales', ({ months }) => `${euros(revenueOf(months))} in the year.`],
  ['best month', ({ months }) => best(months, ({ revenue }) => Number(revenue))?.month ?? 'None.'],
  ['orders', ({ months }) => `${months.reduce((all, { orders }) => all + Number(orders), 0)} in all.`],
  ['growth', ({ trends }) => trends.map(trend => `${trend.shop} ${percent(trend.growth)}`).join(', ')],
  ['advice', ({ trends }) => `Learn from ${best(trends, ({ growth }) => growth)?.shop ?? 'others'}.`],
];

const { BATUTA_URL: url = '', BATUTA_API_KEY: apiKey = '', BATUTA_API_SECRET: apiSecret = '' } = process.env;
const client = new BatutaClient({ url, credentials: { apiKey, apiSecret } });
const worker = new Worker({
  client,
  agentId: process.argv[2] ?? 'worker',
  slots: 3,
  handlers: { report: writeReport },
});

process.once('SIGTERM', () => void worker.stop({ graceMs: 0, handInMs: 1_000 }));
// Ctrl-C reaches every process of the terminal; whoever started this one decides when it ends.
process.on('SIGINT', () => undefined);
await worker.start();
console.log('ready');

async function writeReport(task: WorkTask<ReportData>, context: TaskContext) {
  const { column, name, pause_ms: pauseMs } = task.data;
  const findings = await findingsOn(column, name);
  const written = Array.isArray(context.saved) ? context.saved.map(String) : [];
  const resumedAfter = written.length;
  for (const [title, text] of CHAPTERS.slice(resumedAfter)) {
    // Stands for what a real chapter costs: a call to a model, a search, a person.
    await pause(pauseMs, undefined, { signal: context.signal });
    written.push(`## ${title}\n\n${text(findings)}\n`);
    context.checkpoint(written);
    context.progress((100 * written.length) / CHAPTERS.length, {
      currentStep: `chapter ${written.length} of ${CHAPTERS.length}: ${title}`,
      totalSteps: CHAPTERS.length,
    });
  }
  await context.upload({
    name: `${task.id}.md`,
    type: 'report',
    mediaType: 'text/markdown',
    source: `# ${name}\n\n${written.join('\n')}`,
  });
  return { name, revenue: revenueOf(findings.months), steps: CHAPTERS.length, resumedAfter };
}

async function findingsOn(column: 'shop' | 'region', name: string): Promise<Findings> {
  const [monthly, trend] = await Promise.all([client.status('monthly'), client.status('trend')]);
  const { rows } = outputOf(monthly).output as { rows: readonly Month[] };
  const { result } = outputOf(trend).output as { result: { shops: readonly Trend[] } };
  return {
    months: rows.filter(row => row[column] === name),
    trends: result.shops.filter(shop => shop[column] === name),
  };
}

function revenueOf(months: readonly Month[]): number {
  return Math.round(months.reduce((cents, { revenue }) => cents + 100 * Number(revenue), 0)) / 100;
}

function best<Item>(items: readonly Item[], value: (item: Item) => number): Item | undefined {
  return items.toSorted((one, other) => value(other) - value(one))[0];
}

function euros(amount: number): string {
  return amount.toLocaleString('en', { style: 'currency', currency: 'EUR' });
}

function percent(share: number): string {
  return `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(0)} %`;
}
