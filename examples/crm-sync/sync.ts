// Brings what changed in a CRM into a warehouse, night after night (sync.json): OAuth2, pages, one import that happens once. A night whose
// warehouse is down is tried again as a whole task, and goes on from what it had read; the next night begins where the last one ended.
//
//   npm run example -- crm-sync [--nights 2]

import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { type BatutaClient, Orchestrator, outcomeOf, outputOf } from '../../src/sdk/index.ts';
import { connect } from '../connect.ts';
import { CLIENT, openSides, type Sides } from './crm.ts';

/** What all nights' tasks are found by. */
const JOB = 'crm-sync';
const EVER = '1970-01-01T00:00:00.000Z';

const { values } = parseArgs({ options: { nights: { type: 'string', default: '2' } } });
const client = connect();
const orchestrator = new Orchestrator({ client, agentId: 'data-office' });
await client.secrets.set('crm-client', CLIENT.secret);
await using sides = await openSides();

for (let night = 1; night <= Number(values.nights); night++) {
  await sync(sides, night);
  // The day between.
  sides.change(7);
}

async function sync({ url, warehouse, counts }: Sides, night: number): Promise<void> {
  const since = await syncedUntil(client);
  const { output, status } = await orchestrator.run({
    type: 'api_integration',
    description: `Customers changed since ${since}`,
    correlationId: JOB,
    data: {
      ...JSON.parse(readFileSync(new URL('sync.json', import.meta.url), 'utf8')),
      auth: {
        type: 'oauth2_client_credentials',
        token_url: `${url}/oauth/token`,
        client_id: CLIENT.id,
        secret: 'crm-client',
        client_in: 'body',
      },
      inputs: { base: url, since },
    },
    more: {
      execution_config: {
        environment: { secrets: ['crm-client'] },
        max_retries: 5,
        retry_strategy: 'fixed',
        retry_delay: 1,
      },
    },
  });
  const { result } = output as { result: Result };
  const { attempt = 1 } = status.current_status;
  console.log(
    `night ${night}: ${result.read} customers in ${result.pages} pages since ${since}, ${result.imported} imported at attempt ${attempt}`,
  );
  console.log(
    `  in all: ${counts.pages} pages and ${counts.tokens} tokens given out, ${counts.done} imports done of ${counts.tried} tried, ${warehouse.size} customers in the warehouse`,
  );
}

type Result = {
  readonly pages: number;
  readonly read: number;
  readonly imported: number;
  /** The newest change that was brought over. */
  readonly until: string;
};

/** Where the last night that went well ended: its own task says so, nothing else has to be kept. */
async function syncedUntil(from: BatutaClient): Promise<string> {
  const { tasks } = await from.statuses({ correlation_id: JOB, status: 'completed', limit: 100 });
  const last = tasks.find(task => outcomeOf(task) === 'completed');
  if (last === undefined) return EVER;
  const { output } = outputOf(await from.status(last.task_id));
  return (output as { result: Result }).result.until;
}
