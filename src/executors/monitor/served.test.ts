// The task type as its users meet it: through the served API, with notifications to a real receiver.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, test } from 'node:test';
import { logged, submit, until } from '../../../test/e2e/crew.ts';
import { openMailbox } from '../../../test/e2e/mailbox.ts';
import { running } from '../../../test/e2e/running.ts';
import type { Loose } from '../../../test/serve.ts';

const house = await running({ BATUTA_SLOTS: '1' });
const { admin } = house;
const mailbox = await openMailbox();
let asked = 0;
let isUp = true;
const server = createServer((_, response) => {
  asked++;
  response.writeHead(isUp ? 200 : 503).end();
}).listen(0, '127.0.0.1');
await once(server, 'listening');
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/health`;
after(async () => {
  mailbox.close();
  server.closeAllConnections();
  server.close();
  await house.stop();
});

const ended = (id: string): Promise<Loose> => until(admin, id, one => one.current_status.outcome !== null);

function order(task_id: string, task_data: object, more: object = {}): object {
  return {
    task_id,
    task_type: 'monitoring_task',
    description: 'watch over the shop',
    orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
    task_data,
    ...more,
  };
}

test('SAM-170 SAM-172 SAM-79 a task that looks once answers what it found, alerts whoever asked for it, and leaves its history', async () => {
  isUp = false;
  const checks = [
    { type: 'http', name: 'shop', url },
    { type: 'disk', name: 'root', thresholds: { warning: 0, critical: 100 } },
  ];
  const notification_config = {
    webhook_url: mailbox.url,
    webhook_secret: 'webhook_secret_key_123',
    notification_events: ['agent_error', 'resource_warning', 'task_completed'],
  };
  await submit(admin, order('once', { checks }, { notification_config }));
  const { current_status: now, execution_details: details } = await ended('once');
  assert.equal(now.outcome, 'completed', JSON.stringify(details));
  const [shop, root] = details.output.checks;
  assert.deepEqual([shop.state, shop.last.status, shop.availability_percent], ['critical', 503, 0]);
  assert.deepEqual([root.state, root.alerts], ['warning', 1]);
  assert.equal(details.intermediate_results[0].checks[0].message, 'the status is 503');

  const told = (event: string): Promise<Loose> =>
    mailbox.find(({ body }) => body.event_type === event).then(({ body }) => body);
  const failure = await told('agent_error');
  assert.match(JSON.stringify(failure), /shop is critical: the status is 503/);
  const { warning } = await told('resource_warning').then(
    body => body.context.warning ?? body.warning ?? body,
  );
  assert.ok(JSON.stringify(warning ?? (await told('resource_warning'))).includes('root'));
  const [{ artifact_id: id }] = details.output.history;
  const { body: history } = await admin.get(`/api/v2/artifacts/${id}`);
  assert.equal(history.points.length, 2);
  await told('task_completed');
});

test('SAM-34 what is told of a check says nothing of the secrets its task was given', async () => {
  isUp = false;
  const value = 'whisper-4711-whisper';
  await admin.ask('PUT', '/api/v2/secrets/watch-secret', { body: { value } });
  const checks = [
    { type: 'http', name: `a ${value}`, url },
    { type: 'disk', name: `b ${value}`, thresholds: { warning: 0 } },
  ];
  const notification_config = {
    webhook_url: mailbox.url,
    webhook_secret: 'webhook_secret_key_123',
    notification_events: ['agent_error', 'resource_warning', 'task_progress'],
  };
  const execution_config = { environment: { secrets: ['watch-secret'] } };
  await submit(admin, order('discreet', { checks }, { notification_config, execution_config }));
  const status = await ended('discreet');
  for (const event of ['agent_error', 'resource_warning']) {
    const letter = await mailbox.find(({ body }) => body.task_id === 'discreet' && body.event_type === event);
    assert.ok(!letter.raw.includes(value), event);
  }
  assert.ok(!JSON.stringify(status).includes(value));
});

test('SAM-171 SAM-69 SAM-66 a schedule is paused, goes on from its checkpoint, and is cancelled with its history kept', async () => {
  isUp = true;
  asked = 0;
  const task_data = { checks: [{ type: 'http', url }], schedule: { interval: 3_600 } };
  await submit(admin, order('watch', task_data, { timeout: 86_400 }));
  const hasRun = (runs: number) => (one: Loose) => one.execution_details.intermediate_results.length === runs;
  await until(admin, 'watch', hasRun(1));
  await admin.post('/api/v2/tasks/watch/pause', {});
  await until(admin, 'watch', one => one.current_status.paused === true);
  await admin.post('/api/v2/tasks/watch/resume', {});
  await logged(admin, 'watch', 'The schedule goes on after run 1');
  assert.equal(asked, 1, 'the run that was done is not done again');
  await admin.post('/api/v2/tasks/watch/cancel', { grace_seconds: 0 });
  const { current_status: now } = await ended('watch');
  assert.equal(now.outcome, 'cancelled');
  const kept = await until(admin, 'watch', one => one.execution_details.artifacts.length === 1);
  assert.equal(kept.execution_details.artifacts[0].name, 'history-1.json');
});

test('SAM-173 SAM-107 what is wrong is 400 and leaves nothing, what may not be looked at 422, and a failure only where the task says so', async () => {
  const refused = async (task_data: object, expect: number): Promise<Loose> =>
    (await submit(admin, order(`refused-${expect}`, task_data), { expect })).body.error;
  const thresholds = { warning: 90, critical: 80 };
  const wrong = await refused({ checks: [{ type: 'ping', host: 'a' }] }, 400);
  assert.equal(wrong.details.errors[0].field, 'task_data.checks.0.type');
  const odd = await refused({ checks: [{ type: 'disk', thresholds }] }, 400);
  assert.equal(odd.details.errors[0].field, 'task_data.checks.0.thresholds');
  await admin.get('/api/v2/task-status/refused-400', { expect: 404 });
  await refused({ checks: [{ type: 'tcp', host: '10.0.0.1', port: 22 }] }, 422);
  isUp = false;
  const checks = [{ type: 'http', name: 'shop', url }];
  await submit(admin, order('strict', { checks, fail_on: 'critical' }));
  const { current_status: now, execution_details: details } = await ended('strict');
  assert.deepEqual([now.outcome, now.attempt], ['failed', 1]);
  assert.equal(details.error_details.code, 'EXECUTION_ERROR');
  assert.equal(details.output.checks[0].state, 'critical');
});
