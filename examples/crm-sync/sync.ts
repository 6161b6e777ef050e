// Brings what changed in a CRM into a warehouse, night after night (sync.json): OAuth2, pages, one import that happens once, on a schedule. A
// night whose warehouse is down is tried again as a whole task, and goes on from what it had read.
//
//   npm run example -- crm-sync [--nights 3]

import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Orchestrator, type TaskOutput } from '../../src/sdk/index.ts';
import { connect } from '../connect.ts';
import { farEnd, json } from '../far-end.ts';
import { CLIENT, Crm } from './crm.ts';
import { Warehouse } from './warehouse.ts';

/** The nights are short here. */
const NIGHT_SECONDS = 2;
/** So many customers move on the day after the first night; then it is quiet. */
const MOVED = 7;
const LOOK_MS = 200;

const { values } = parseArgs({ options: { nights: { type: 'string', default: '3' } } });
const client = connect();
const orchestrator = new Orchestrator({ client, agentId: 'data-office' });
const crm = new Crm();
let imports = 0;
const warehouse = new Warehouse(() => {
  imports += 1;
  if (imports === 1) crm.change(MOVED);
});
await using sides = await farEnd((asked, response) => {
  switch (asked.url.pathname) {
    case '/oauth/token':
      return crm.token(asked, response);
    case '/crm/customers':
      return crm.list(asked, response);
    case '/warehouse/state':
      return warehouse.state(asked, response);
    case '/warehouse/import':
      return warehouse.import(asked, response);
    default:
      return json(response, { error: 'no such path' }, 404);
  }
});
await client.secrets.set('crm-client', CLIENT.secret);

const schedule = await client.schedules.create({
  // In life: cron: '0 2 * * *', timezone: 'Europe/Lisbon'
  interval: NIGHT_SECONDS,
  // A night that takes longer than that is not joined by the next one.
  overlap: 'skip',
  task: {
    task_type: 'api_integration',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the schedule fills it in.
    description: 'What changed in the CRM until ${scheduled_at}',
    task_data: {
      ...JSON.parse(readFileSync(new URL('sync.json', import.meta.url), 'utf8')),
      auth: {
        type: 'oauth2_client_credentials',
        token_url: `${sides.url}/oauth/token`,
        client_id: CLIENT.id,
        secret: 'crm-client',
        client_in: 'body',
      },
      inputs: { base: sides.url },
    },
    execution_config: {
      environment: { secrets: ['crm-client'] },
      max_retries: 5,
      retry_strategy: 'fixed',
      retry_delay: 1,
    },
  },
});
try {
  for (let night = 1; night <= Number(values.nights); night++)
    tell(night, await orchestrator.wait(await runOf(schedule.correlation_id, night)));
} finally {
  await client.schedules.remove(schedule.schedule_id);
}
console.log(
  `the first night was given ${crm.pagesOfAll} pages; the warehouse was down ${warehouse.refused} times, has ${warehouse.customers.size} customers, and got ${warehouse.twice} changes twice`,
);

/** The task of that night, once the schedule has made it; nights are numbered from 1. */
async function runOf(correlationId: string, night: number): Promise<string> {
  for (;;) {
    const { tasks } = await client.statuses({ correlation_id: correlationId });
    // Their ids end with their instants.
    const id = tasks.map(({ task_id }) => task_id).toSorted()[night - 1];
    if (id !== undefined) return id;
    await pause(LOOK_MS);
  }
}

function tell(night: number, { output, status }: TaskOutput): void {
  const { result } = output as { result: { since: string; pages: number; read: number; imported: number } };
  const { attempt = 1 } = status.current_status;
  console.log(
    `night ${night}: ${result.read} customers in ${result.pages} pages since ${result.since}, ${result.imported} imported at attempt ${attempt}`,
  );
}
