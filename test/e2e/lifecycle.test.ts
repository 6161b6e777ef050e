import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { verifyWebhook } from '../../src/sdk/webhooks.ts';
import type { Loose } from '../serve.ts';
import { hire, statusOf, submit, taskOf, until } from './crew.ts';
import { openMailbox } from './mailbox.ts';
import { running } from './running.ts';

const SECRET = 'whsec_bGlmZWN5Y2xlLXNlY3JldC1vZi1hLXRlc3Q=';
const house = await running();
const mailbox = await openMailbox();
after(async () => {
  mailbox.close();
  await house.stop();
});

const notified = (events?: readonly string[]): object => ({
  notification_config: {
    webhook_url: mailbox.url,
    webhook_secret: SECRET,
    ...(events === undefined ? {} : { notification_events: events }),
  },
});

const isOf = (id: string, event: string) => (letter: { body: Loose }) =>
  letter.body.task_id === id && letter.body.event_type === event;

suite('a task from hand to archive', () => {
  test('SAM-41 SAM-76 SAM-77 SAM-81 SAM-101 SAM-102 is admitted, worked on, completed, told of in signed webhooks and archived', async () => {
    const worker = await hire(house.admin, 'kind-1');
    const asked = worker.lease();
    const { body: admission } = await submit(house.admin, taskOf('life-1', 'kind-1', notified(), { n: 20 }));
    assert.deepEqual([admission.status, admission.task_id], ['accepted', 'life-1']);
    const lease = await asked;
    assert.equal(lease.execution_id, admission.execution_id);
    assert.equal(lease.task.task_data.n, 20);
    await worker.report(lease, {
      percentage: 40,
      current_step: 'counting',
      intermediate_result: { seen: 8 },
    });
    const meanwhile = await statusOf(house.admin, 'life-1');
    assert.equal(meanwhile.current_status.state, 'running');
    assert.equal(meanwhile.current_status.progress.percentage, 40);
    assert.equal(meanwhile.execution_details.intermediate_results[0].seen, 8);
    await worker.complete(lease, { total: 20 }, { metrics: { api_calls: 3, tokens_used: 7 } });

    const letter = await mailbox.find(isOf('life-1', 'task_completed'));
    const { headers, raw: body } = letter;
    const genuine = await verifyWebhook({ headers, body, secret: SECRET, requireStandard: true });
    assert.deepEqual([genuine.event, genuine.taskId], ['task_completed', 'life-1']);
    assert.deepEqual(letter.body.result.output, { total: 20 });
    assert.deepEqual([letter.body.result.success, letter.body.result.metrics.api_calls], [true, 3]);
    assert.equal(letter.headers['x-sam-agent-id'], letter.body.agent_id);
    await mailbox.find(isOf('life-1', 'task_started'));
    const sequences = mailbox.letters
      .filter(one => one.body.task_id === 'life-1')
      .map(one => one.body.sequence as number);
    assert.deepEqual(
      sequences,
      sequences.toSorted((a, b) => a - b),
    );

    const end = await until(
      house.admin,
      'life-1',
      ({ current_status: now }) => now.lifecycle_state === 'archived',
    );
    assert.deepEqual(
      [end.current_status.state, end.current_status.outcome, end.current_status.progress.percentage],
      ['completed', 'completed', 100],
    );
    const { body: list } = await house.admin.get('/api/v2/deliveries?task_id=life-1&status=delivered');
    assert.ok(list.deliveries.every((one: Loose) => one.attempts.at(-1).status === 200));
    assert.ok(list.total >= 2);
  });

  test('SAM-78 a task without a secret of its own is signed with the tenant’s, and the rotated one signs along', async () => {
    const worker = await hire(house.admin, 'kind-2');
    const path = '/api/v2/tenants/default/webhook-secret/rotate';
    const { body: old } = await house.admin.post(path);
    const { body: current } = await house.admin.post(path);
    const config = { webhook_url: mailbox.url, notification_events: ['task_completed'] };
    await submit(house.admin, taskOf('life-2', 'kind-2', { notification_config: config }));
    await worker.complete(await worker.lease(), null);
    const { headers, raw: body } = await mailbox.find(isOf('life-2', 'task_completed'));
    for (const { webhook_secret: secret } of [old, current])
      assert.equal((await verifyWebhook({ headers, body, secret })).taskId, 'life-2');
    await assert.rejects(verifyWebhook({ headers, body, secret: SECRET }), /no secret matches/);
  });

  test('SAM-50 SAM-105 SAM-127 a recoverable failure is tried again, a final one is told with its code and page', async () => {
    const worker = await hire(house.admin, 'kind-3');
    const config = { execution_config: { retry_delay: 0, max_retries: 1 }, ...notified(['task_failed']) };
    await submit(house.admin, taskOf('life-3', 'kind-3', config));
    const error = { code: 'DEPENDENCY_FAILURE', message: 'the far end is away', recoverable: true };
    await worker.fail(await worker.lease(), error);
    const second = await worker.lease();
    assert.equal(second.attempt, 2);
    await worker.fail(second, error);
    const letter = await mailbox.find(isOf('life-3', 'task_failed'));
    const { error: told } = letter.body.result;
    assert.equal(told.code, 'DEPENDENCY_FAILURE');
    assert.equal(told.details.execution_id, second.execution_id);
    assert.ok(told.details.suggested_actions.length > 0);
    assert.equal((await fetch(told.documentation_url)).status, 200);
    const { execution_details: details } = await statusOf(house.admin, 'life-3');
    assert.equal(details.error_details.code, 'DEPENDENCY_FAILURE');
  });

  test('SAM-89 SAM-92 a receiver that is unwell gets the notification again, under the same delivery id', async t => {
    const worker = await hire(house.admin, 'kind-4');
    let answers = 0;
    const unwell = await openMailbox(() => ({ status: ++answers === 1 ? 503 : 200 }));
    t.after(() => unwell.close());
    const plan = {
      webhook_url: unwell.url,
      notification_events: ['task_completed'],
      retry_policy: { max_attempts: 3, backoff_strategy: 'exponential' },
    };
    await submit(house.admin, taskOf('life-4', 'kind-4', { notification_config: plan }));
    await worker.complete(await worker.lease(), null);
    const again = await unwell.find(({ headers }) => headers['x-webhook-attempt'] === '2');
    assert.equal(again.headers['x-delivery-id'], unwell.letters[0]?.headers['x-delivery-id']);
    assert.deepEqual(again.body, unwell.letters[0]?.body);
    const id = again.headers['x-delivery-id'];
    let delivery: Loose;
    do delivery = (await house.admin.get(`/api/v2/deliveries/${id}`)).body;
    while (delivery.status !== 'delivered');
    assert.deepEqual(
      delivery.attempts.map((one: Loose) => one.status),
      [503, 200],
    );
    const { body: copy } = await house.admin.post(`/api/v2/deliveries/${id}/redeliver`);
    const repeated = await unwell.find(({ headers }) => headers['x-delivery-id'] === copy.delivery_id);
    assert.equal(repeated.headers['webhook-id'], again.headers['webhook-id']);
  });

  test('SAM-45 SAM-46 a task that can never run is rejected with its reason, and may be handed in again', async () => {
    const impossible = taskOf('life-5', 'nobody-knows-this');
    const { body } = await submit(house.admin, impossible, { expect: 422 });
    assert.deepEqual([body.status, body.task_id, body.error.code], ['rejected', 'life-5', 'UNPROCESSABLE']);
    const { current_status: now } = await statusOf(house.admin, 'life-5');
    assert.deepEqual([now.state, now.outcome], ['failed', 'rejected']);
    const worker = await hire(house.admin, 'kind-5');
    const { body: second } = await submit(house.admin, taskOf('life-5', 'kind-5'));
    assert.notEqual(second.execution_id, body.execution_id);
    await worker.complete(await worker.lease(), 'done');
    const end = await until(house.admin, 'life-5', ({ current_status: { outcome } }) => outcome !== null);
    assert.equal(end.execution_details.output, 'done');
  });

  test('SAM-35 a task waits for the ones it depends on, and fails if one of them does', async () => {
    const worker = await hire(house.admin, 'kind-6');
    await submit(house.admin, taskOf('life-6', 'kind-6'));
    const after6 = { execution_config: { depends_on: ['life-6'] } };
    const { body } = await submit(house.admin, taskOf('life-7', 'kind-6', after6));
    assert.equal(body.status, 'queued');
    const lease = await worker.lease();
    assert.equal(lease.task_id, 'life-6');
    const { current_status: waiting } = await statusOf(house.admin, 'life-7');
    assert.deepEqual(waiting.waiting, { because: 'dependencies', waiting_for: ['life-6'] });
    await worker.fail(lease);
    const end = await until(house.admin, 'life-7', ({ current_status: { outcome } }) => outcome !== null);
    assert.equal(end.current_status.outcome, 'failed');
    assert.equal(end.execution_details.error_details.code, 'DEPENDENCY_FAILURE');
  });

  test('SAM-34 SAM-45 a secret deleted while its task waits fails that task, and keeps no other from its worker', async () => {
    const worker = await hire(house.admin, 'kind-8');
    await house.admin.ask('PUT', '/api/v2/secrets/short-lived', { body: { value: 'gone tomorrow' } });
    const needs = { execution_config: { environment: { secrets: ['short-lived'] } } };
    await submit(house.admin, taskOf('life-8', 'kind-8', needs));
    await submit(house.admin, taskOf('life-9', 'kind-8'));
    await house.admin.ask('DELETE', '/api/v2/secrets/short-lived');
    const { leases } = await worker.exchange({ slots: 10, wait_seconds: 5 });
    assert.deepEqual(
      leases.map((one: Loose) => one.task_id),
      ['life-9'],
    );
    await worker.complete(leases[0], null);
    const { execution_details: details } = await until(
      house.admin,
      'life-8',
      ({ current_status: { outcome } }) => outcome !== null,
    );
    assert.equal(details.error_details.code, 'UNPROCESSABLE');
  });

  test('SAM-34 a secret changed or deleted while its task runs keeps no result from being heard, and what the worker was given stays masked', async () => {
    const worker = await hire(house.admin, 'kind-10');
    const secret = '/api/v2/secrets/changing';
    for (const change of ['PUT', 'DELETE']) {
      const given = `given before the ${change}`;
      await house.admin.ask('PUT', secret, { body: { value: given } });
      const needs = { execution_config: { environment: { secrets: ['changing'] } } };
      await submit(house.admin, taskOf(`life-${change}`, 'kind-10', needs));
      const lease = await worker.lease();
      await house.admin.ask(change, secret, change === 'PUT' ? { body: { value: 'another' } } : {});
      const { rejected } = await worker.complete(lease, { said: given, [given]: 1 });
      assert.deepEqual(rejected, []);
      const { execution_details: details } = await statusOf(house.admin, `life-${change}`);
      assert.deepEqual(details.output, { said: '***', '***': 1 });
    }
  });

  test('SAM-34 a secret that is a word of the protocol, or a number in it, masks what the worker says and not how it says it', async () => {
    const worker = await hire(house.admin, 'kind-11');
    const words = ['completed', 'status', 'output', 'percentage', 'remote', '1234'];
    for (const [n, value] of words.entries())
      await house.admin.ask('PUT', `/api/v2/secrets/word-${n}`, { body: { value } });
    const needs = { execution_config: { environment: { secrets: words.map((_, n) => `word-${n}`) } } };
    await submit(house.admin, taskOf('life-words', 'kind-11', needs));
    const lease = await worker.lease();
    await worker.report(lease, { percentage: 50, current_step: 'almost completed' });
    const metrics = { api_calls: 1_234, tokens_used: 5 };
    const { rejected } = await worker.complete(lease, { now: 'completed' }, { metrics });
    assert.deepEqual(rejected, []);
    const status = await statusOf(house.admin, 'life-words');
    assert.equal(status.current_status.outcome, 'completed');
    assert.deepEqual(status.execution_details.output, { now: '***' });
    assert.deepEqual([status.metrics.tokens_used, status.metrics.api_calls], [5, 1_234]);
  });
});
