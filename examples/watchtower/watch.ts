// Watches over services and tells when one gets bad, slow or well again: checks on a schedule, changes of state as they happen, alerts by signed
// webhook. Whoever watches for good leaves `count` out and asks again now and then; the task goes on without this script.
//
//   npm run example -- watchtower [--runs 3]

import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Orchestrator, type StreamEvent } from '../../src/sdk/index.ts';
import { connect } from '../connect.ts';
import { farEnd } from '../far-end.ts';
import { openServices, SLOW_MS } from './service.ts';

const { values } = parseArgs({ options: { runs: { type: 'string', default: '3' } } });
const client = connect();
const orchestrator = new Orchestrator({ client, agentId: 'night-watch' });
await using services = await openServices();

// Who is on duty: believes only what is signed, and hears of each alert once.
const secret = `whsec_${randomBytes(24).toString('base64')}`;
const { promise: over, resolve: finish } = Promise.withResolvers<void>();
const onDuty = orchestrator.webhooks(secret, {
  agent_error: async ({ error }) => console.log(`webhook  ALERT ${error?.message}`),
  resource_warning: async ({ warning: { resource, value, limit } = { resource: '', value: 0, limit: 0 } }) =>
    console.log(`webhook  warning: ${resource} took ${Math.round(value)} ms, the limit is ${limit}`),
  task_completed: async () => finish(),
});
await using pager = await farEnd(async ({ method, headers, body }, response) => {
  const request = new Request('http://pager', { method, headers: headers as Record<string, string>, body });
  const answer = await onDuty(request);
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text());
});

const { task_id: id } = await orchestrator.submit({
  type: 'monitoring_task',
  description: 'Watch over the shop and its payments',
  data: {
    checks: [
      {
        type: 'http',
        name: 'payments',
        url: `${services.url}/payments`,
        expect: { status: [200], json: [{ path: 'status', equals: 'healthy' }] },
      },
      { type: 'http', name: 'shop', url: `${services.url}/shop`, thresholds: { warning: SLOW_MS } },
    ],
    schedule: { interval: 10, count: Number(values.runs) },
    // One bad answer is no outage elsewhere; here nobody has the time to wait for a second.
    failures_before_alert: 1,
    recoveries_before_resolve: 1,
  },
  webhook: { url: pager.url, secret, events: ['agent_error', 'resource_warning', 'task_completed'] },
});
for await (const event of client.events(id)) for (const line of changesIn(event)) console.log(line);

const { output } = await orchestrator.wait(id);
await over;
const { checks } = output as { checks: Standing[] };
console.table(
  checks.map(({ name, state, availability_percent, latency_ms, alerts }) => ({
    ...{ name, state, 'available %': availability_percent, 'p95 ms': Math.round(latency_ms.p95), alerts },
  })),
);

type Standing = {
  readonly name: string;
  readonly state: string;
  readonly availability_percent: number;
  readonly latency_ms: { readonly p95: number };
  readonly alerts: number;
};

/** The changes of state a run found, in words. */
function changesIn({ data }: StreamEvent): readonly string[] {
  const { run, state_changes: changes = [] } = (data.intermediate_result ?? {}) as {
    run?: number;
    state_changes?: readonly { check: string; from: string; to: string; message: string | null }[];
  };
  return changes.map(
    ({ check, from, to, message }) =>
      `run ${run}    ${check}: ${from} → ${to}${message === null ? '' : ` (${message})`}`,
  );
}
