import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import type { Loose } from '../serve.ts';
import { submit, taskOf } from './crew.ts';
import { running } from './running.ts';
import { type Answer, keyHeaders } from './wire.ts';

const house = await running();
after(() => house.stop());
const { admin } = house;

/** One error of each kind a request can meet on this server. */
async function errors(): Promise<Readonly<Record<string, Answer>>> {
  const { body: key } = await admin.post('/api/v2/api-keys', { name: 'reader', permissions: ['task:read'] });
  const reader = admin.as(keyHeaders(key));
  const nobody = admin.as({});
  return {
    MALFORMED_BODY: await admin.post('/api/v2/execute-task', null, { raw: '{"', expect: 400 }),
    INVALID_REQUEST: await submit(admin, {}, { expect: 400 }),
    UNAUTHORIZED: await nobody.get('/api/v2/agents', { expect: 401 }),
    FORBIDDEN: await submit(reader, taskOf('x', 'x'), { expect: 403 }),
    TASK_NOT_FOUND: await admin.get('/api/v2/task-status/none', { expect: 404 }),
    NOT_FOUND: await admin.get('/api/v2/artifacts/none', { expect: 404 }),
    CONFLICT: await admin.post('/api/v2/tenants', { tenant_id: 'default' }, { expect: 409 }),
    PAYLOAD_TOO_LARGE: await submit(admin, taskOf('x', 'x', { filler: 'x'.repeat(4 * 1024 * 1024) }), {
      expect: 413,
    }),
    UNPROCESSABLE: await submit(admin, taskOf('x', 'no-such-worker'), { expect: 422 }),
  };
}

suite('errors', () => {
  test('SAM-48 SAM-49 every kind of error says what, how bad, whether to try again, where to read on and where it happened', async () => {
    for (const [code, { body, headers }] of Object.entries(await errors())) {
      const { error, request_id, timestamp, trace_id } = body;
      assert.equal(error.code, code);
      assert.ok(error.message.length > 0 && typeof error.details === 'object', code);
      assert.ok(['authentication_error', 'client_error', 'server_error'].includes(error.category), code);
      assert.equal(error.retry_after, null);
      assert.equal(request_id, headers.get('x-request-id'));
      assert.match(timestamp, /^\d{4}-.*Z$/);
      assert.match(trace_id, /^[0-9a-f]{32}$/);
      assert.doesNotMatch(
        JSON.stringify(body),
        /node_modules|\.[mc]?[jt]s:\d|\bat [\w.]+ \(/,
        `${code} tells of the code`,
      );
    }
  });

  test('SAM-50 the page each of them points at can be read by people and programs', async () => {
    for (const [code, { body }] of Object.entries(await errors())) {
      const page = await fetch(body.error.documentation_url);
      assert.equal(page.status, 200, code);
      assert.ok((await page.text()).includes(code));
      const accept = { headers: { accept: 'application/json' } };
      const told: Loose = await (await fetch(body.error.documentation_url, accept)).json();
      assert.equal(told.code, code);
    }
  });

  test('SAM-44 all faults of a body are told at once, each with its dotted path, and nothing is kept', async () => {
    const { body } = await submit(
      admin,
      {
        ...taskOf('faulty', 'echo', { priority: 'soon', timeout: 1.5 }),
        orchestrator_info: { agent_id: '' },
        execution_config: { environment: { secrets: ['a', 1] }, labels: { a: 2 } },
        notification_config: { notification_events: ['task_won'] },
      },
      { expect: 400 },
    );
    assert.deepEqual(body.error.details.errors.map((one: Loose) => one.field).sort(), [
      'execution_config.environment.secrets.1',
      'execution_config.labels.a',
      'notification_config.notification_events.0',
      'notification_config.webhook_url',
      'orchestrator_info.agent_id',
      'orchestrator_info.timestamp',
      'priority',
      'timeout',
    ]);
    await admin.get('/api/v2/task-status/faulty', { expect: 404 });
  });

  test('SAM-2 a request’s name and trace come back, malformed ones are replaced, and the trace goes to the worker', async () => {
    const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
    const headers = { 'x-request-id': 'mine-1', traceparent };
    const { body, headers: told } = await admin.get('/api/v2/task-status/none', { headers, expect: 404 });
    assert.deepEqual([told.get('x-request-id'), body.request_id], ['mine-1', 'mine-1']);
    assert.equal(body.trace_id, 'ab'.repeat(16));
    const odd = { 'x-request-id': 'not a name <b>', traceparent: '00-zz-zz-01' };
    const { body: other } = await admin.get('/api/v2/task-status/none', { headers: odd, expect: 404 });
    assert.match(other.request_id, /^[0-9a-f-]{36}$/);
    assert.match(other.trace_id, /^[0-9a-f]{32}$/);
    await admin.post('/api/v2/work', { agent_id: 'tracer', types: ['custom:traced'] });
    await submit(admin, taskOf('traced', 'traced'), { headers });
    const ask = { agent_id: 'tracer', types: ['custom:traced'], slots: 1, wait_seconds: 5 };
    const { leases } = (await admin.post('/api/v2/work', ask)).body;
    assert.deepEqual([leases[0].task.trace_id, leases[0].task.traceparent], ['ab'.repeat(16), traceparent]);
  });

  test('SAM-3 unknown fields reach the worker unchanged, unknown parameters are ignored', async () => {
    const extra = { custom_field: { deep: [1, 'two', null] } };
    await admin.post('/api/v2/work', { agent_id: 'extra', types: ['custom:extra'], novelty: true });
    await submit(admin, taskOf('extra', 'extra', extra));
    const ask = { agent_id: 'extra', types: ['custom:extra'], slots: 1, wait_seconds: 5 };
    const { leases } = (await admin.post('/api/v2/work', ask)).body;
    assert.deepEqual(leases[0].task.custom_field, extra.custom_field);
    await admin.get('/api/v2/task-status/extra?novelty=1&__proto__=x');
  });
});
