import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { verifyWebhook } from '../../src/sdk/webhooks.ts';
import type { Loose } from '../serve.ts';
import { submit, until } from './crew.ts';
import { openMailbox } from './mailbox.ts';
import { running } from './running.ts';

const house = await running();
const mailbox = await openMailbox();
const { admin } = house;
after(async () => {
  mailbox.close();
  await house.stop();
});

const order = (task_id: string, task_type: string, task_data: object, more: object = {}): object => ({
  task_id,
  task_type,
  description: `a ${task_type} task`,
  orchestrator_info: { agent_id: 'manus', timestamp: '2026-01-01T00:00:00Z' },
  task_data,
  ...more,
});
const ended = (id: string): Promise<Loose> => until(admin, id, one => one.current_status.outcome !== null);
const javascript = (code: string, more: object = {}): object => ({ language: 'javascript', code, ...more });

suite('tasks this process runs itself', () => {
  test('SAM-138 SAM-149 SAM-71 a file goes in, SQL and a program work on it one after the other, and files and webhooks come out', async () => {
    const csv = 'shop,amount\nnorth,10\nsouth,5\nnorth,7\n';
    const asking = { raw: csv, headers: { 'content-type': 'text/csv' } };
    const { body: source } = await admin.ask('POST', '/api/v2/artifacts?name=sales.csv', asking);
    const sums = {
      sources: { sales: { format: 'csv', artifact_id: source.artifact_id } },
      sql: 'SELECT shop, sum(amount)::INTEGER AS total FROM sales GROUP BY shop ORDER BY shop',
      outputs: [{ name: 'totals.json', format: 'json' }],
    };
    const code = `
      const { rows } = inputs;
      writeOutput('report.txt', rows.map(row => row.shop + ': ' + row.total).join('\\n'));
      progress(80, 'writing');
      ({ sum: rows.reduce((sum, row) => sum + row.total, 0) })`;
    await submit(admin, order('sums', 'data_processing', sums));
    const { execution_details: first } = await ended('sums');
    assert.equal(first.output.rows_out, 2, JSON.stringify(first.output));
    assert.deepEqual(
      first.artifacts.map((one: Loose) => one.name),
      ['totals.json'],
    );
    const notification_config = {
      webhook_url: mailbox.url,
      webhook_secret: 'built-in',
      notification_events: ['task_completed'],
    };
    const inputs = { rows: first.output.rows };
    await submit(
      admin,
      order('report', 'code_execution', javascript(code, { inputs }), { notification_config }),
    );
    const letter = await mailbox.find(one => one.body.task_id === 'report');
    await verifyWebhook({ headers: letter.headers, body: letter.raw, secret: 'built-in' });
    assert.deepEqual(letter.body.result.output.result, { sum: 22 });
    const { execution_details: second } = await ended('report');
    const report = second.artifacts.find((one: Loose) => one.name === 'report.txt');
    const { body: text } = await admin.get(`/api/v2/artifacts/${report.artifact_id}`);
    assert.equal(text, 'north: 17\nsouth: 5');
    assert.ok(['wasm', 'bubblewrap'].includes(second.isolation), second.isolation);
  });

  test('SAM-107 SAM-137 contradictory task data is 400 naming its fields, and nothing is kept', async () => {
    const { body } = await submit(admin, order('neither', 'code_execution', { language: 'javascript' }), {
      expect: 400,
    });
    assert.ok(body.error.details.errors.every((one: Loose) => one.field.startsWith('task_data')));
    await submit(admin, order('unknown', 'code_execution', { language: 'cobol', code: 'x' }), {
      expect: 422,
    });
    await admin.get('/api/v2/task-status/neither', { expect: 404 });
  });

  test('SAM-66 SAM-67 SAM-129 an endless program ends when it is cancelled, or at its timeout', async () => {
    const endless = javascript('for (;;);');
    await submit(admin, order('endless', 'code_execution', endless));
    await until(admin, 'endless', one => one.current_status.state === 'running');
    await admin.post('/api/v2/tasks/endless/cancel', { grace_seconds: 0 });
    assert.equal((await ended('endless')).current_status.outcome, 'cancelled');
    await submit(admin, order('late', 'code_execution', endless, { timeout: 1 }));
    const { current_status: now, execution_details: details } = await ended('late');
    assert.deepEqual([now.outcome, details.error_details.code], ['timeout', 'TASK_TIMEOUT']);
  });

  test('SAM-70 SAM-128 a program with a fault fails at once, and its retry is a task of its own', async () => {
    await submit(admin, order('fault', 'code_execution', javascript('const = 1')));
    const { current_status: now, execution_details: details } = await ended('fault');
    assert.deepEqual([now.outcome, now.attempt], ['failed', 1]);
    assert.equal(details.error_details.code, 'EXECUTION_ERROR');
    assert.equal((await admin.post('/api/v2/tasks/fault/retry')).body.retry_of, 'fault');
  });
});
