// Fans out over a thousand tickets, each a task of a worker of our own, and joins what came of them (workflow.json). What fails for a moment
// is tried again; what cannot be read is counted, and hinders no other.
//
//   npm run example -- ticket-triage [--tickets 1000] [--workers 2]

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import {
  Orchestrator,
  RecoverableError,
  type TaskContext,
  Worker,
  type WorkTask,
} from '../../src/sdk/index.ts';
import { connect } from '../connect.ts';
import { type Ticket, tickets } from './tickets.ts';

const TOPICS: readonly (readonly [string, RegExp])[] = [
  ['billing', /invoice|refund/],
  ['delivery', /parcel|cancel/],
  ['account', /log in|password/],
];
/** How often the first try meets an outage: one ticket in so many. */
const OUTAGE_EACH = 50;

const { values } = parseArgs({
  options: {
    tickets: { type: 'string', default: '1000' },
    workers: { type: 'string', default: '2' },
  },
});
const client = connect();
const orchestrator = new Orchestrator({ client, agentId: 'help-desk' });
// They may as well be processes on other machines, started and stopped as the load asks for it.
const workers = Array.from(
  { length: Number(values.workers) },
  (_, at) =>
    new Worker({ client, agentId: `reader-${at + 1}`, slots: 100, handlers: { 'triage-ticket': triage } }),
);
await Promise.all(workers.map(worker => worker.start()));

const begun = performance.now();
const { output, status } = await orchestrator.run({
  type: 'workflow_orchestration',
  description: 'Triage the tickets of the morning',
  data: {
    ...JSON.parse(readFileSync(new URL('workflow.json', import.meta.url), 'utf8')),
    input: { tickets: tickets(Number(values.tickets)) },
  },
});
const seconds = (performance.now() - begun) / 1_000;
const { result } = output as { result: { triaged: number; failed: number; topics: object[] } };
console.log(`${result.triaged} tickets triaged, ${result.failed} could not be read; ${seconds.toFixed(1)} s`);
console.table(result.topics);
console.log(`each ticket is a task of its own: ${status.task_id}.triage.0, .1, …`);

await Promise.all(workers.map(worker => worker.stop()));

/** Stands for whatever you would do with a ticket: ask a model, look up the customer. */
async function triage({ data, attempt }: WorkTask<{ ticket: Ticket }>, context: TaskContext) {
  const { number, text } = data.ticket;
  if (attempt === 1 && number % OUTAGE_EACH === 0) throw new RecoverableError('the customer file is locked');
  if (text === '') throw new Error('there is nothing in it');
  context.meter({ api_calls: 1 });
  const topic = TOPICS.find(([, words]) => words.test(text))?.[0] ?? 'other';
  return { number, topic, urgent: text.startsWith('URGENT') };
}
